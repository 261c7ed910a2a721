"""Times sampling against the machine's floor, and against eager PyTorch.

    python -m benchmarks.sample [--peer=torch] [--precisions] [--idle]

For several numbers of poses and hypotheses: the median, the floor (the bare matrix
products at the speed that a large product has here), their ratio, hypotheses/s; with
--peer=torch the same work the released code's way, and how far the results differ.
Below the table: what one pose takes after a pause, as in a live video. --precisions
adds bfloat16, --idle a model whose blocks are the identity. `benchmarks.curves` goes
through M and B, and `benchmarks.accelerator` has what is asked of a GPU.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from jaxflow import flow
from jaxflow.config import RELEASED_CLAMP, FlowConfig
from jaxflow.flow import sampling
from jaxflow.methods.flow import FlowModel
from jaxflow.types import Params

SIZES = "1x200,1x1000,64x200,512x200"
RELEASED = (
    "The released code itself, on two cores: 64 x 200 0.76 to 0.88 s, 512 x 200 15 to "
    "18 s, 1 x 200 8.3 ms, 1 x 1000 31 to 60 ms."
)


def peers(params: Params, poses: int, hypotheses: int) -> Callable[[], Any]:
    """The inverse alone, its latents drawn before."""
    import torch

    from benchmarks import torch_peer

    model = torch_peer.Flow(params)
    inputs = common.made_up(poses)
    pose2d, cond = torch.from_numpy(inputs.pose2d), torch.from_numpy(inputs.cond)
    z = torch.randn(hypotheses, poses, 16)

    def run() -> Any:
        with torch.no_grad():
            return model.hypotheses(z, pose2d, cond).numpy()

    return run


def difference(params: Params) -> float:
    """The largest between both, of 8 poses with 50 equal latents, in metres."""
    import torch

    from benchmarks import torch_peer

    inputs = common.made_up(8)
    z = np.random.default_rng(1).normal(size=(8, 50, 16)).astype(np.float32)
    found = sampling.hypotheses(params, z, inputs.pose2d, inputs.cond, RELEASED_CLAMP)
    with torch.no_grad():
        expected = torch_peer.Flow(params).hypotheses(
            torch.from_numpy(np.swapaxes(z, 0, 1).copy()),
            torch.from_numpy(inputs.pose2d),
            torch.from_numpy(inputs.cond),
        )
    return float(np.abs(np.swapaxes(found, 0, 1) - expected.numpy()).max())


def table(params: Params, sizes: str, peer: bool, repeats: int) -> str:
    """One row a size."""
    columns = [
        "poses x hypotheses",
        "ms, median (min)",
        "floor ms",
        "ratio",
        "hypotheses/s",
    ]
    rows = []
    for size in sizes.split(","):
        poses, hypotheses = map(int, size.split("x"))
        runs = {"jaxflow": common.drawing(params, poses, hypotheses)}
        if peer:
            runs["PyTorch"] = peers(params, poses, hypotheses)
        many = repeats * (3 if poses == 1 else 1)
        machine = common.speed(5)
        times = common.take_turns(runs, max(2, many // (1 + poses // 200)))
        median = statistics.median(times["jaxflow"])
        flops = common.sampling_flops(FlowConfig(), poses, hypotheses)
        floor = flops / machine.flops
        row = [
            f"{poses} x {hypotheses}",
            f"{1e3 * median:.2f} ({1e3 * min(times['jaxflow']):.2f})",
            f"{1e3 * floor:.2f}",
            f"{median / floor:.2f}",
            f"{poses * hypotheses / median:,.0f}",
        ]
        if peer:
            theirs = statistics.median(times["PyTorch"])
            row += [f"{1e3 * theirs:.1f}", f"{theirs / median:.1f}"]
        rows.append(row)
    if peer:
        columns += ["PyTorch ms", "times as fast"]
    return common.markdown(columns, rows)


def now_and_then(params: Params, peer: bool, repeats: int) -> str:
    """One pose, called every third of a second: the threads must wake up each time."""
    runs = {"jaxflow": common.drawing(params, 1, 200)}
    if peer:
        runs["PyTorch"] = peers(params, 1, 200)
    common.take_turns(runs, 1)
    times = common.after_a_pause(runs, 6 * repeats)
    found = (f"{name} {1e3 * statistics.median(times[name]):.1f} ms" for name in runs)
    return f"One pose x 200 after a pause: {', '.join(found)}."


def bfloat16(params: Params) -> Params:
    """Parameters in bfloat16, from which activations follow."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)


def precisions(params: Params, repeats: int) -> str:
    """64 x 200 with the products in lower precision."""
    inputs = common.made_up(64)
    z = jax.random.normal(jax.random.key(0), (8, 200, 16))
    runs, found = {}, {}
    for name in ("float32", "bfloat16"):
        weights = params if name == "float32" else bfloat16(params)
        dtype = jnp.dtype(name)
        pose2d = jnp.asarray(inputs.pose2d, dtype)
        cond = jnp.asarray(inputs.cond, dtype)
        decode = jax.jit(
            lambda w, z, p, c: sampling.hypotheses(w, z, p, c, RELEASED_CLAMP)
        )
        found[name] = decode(weights, z.astype(dtype), pose2d[:8], cond[:8])
        runs[name] = lambda w=weights, p=pose2d, c=cond: sampling.sample(
            w, p, c, jax.random.key(0)
        )
    times = common.take_turns(runs, repeats)
    rows = []
    for name in runs:
        error = jnp.abs(found[name].astype(jnp.float32) - found["float32"])
        median = statistics.median(times[name])
        rows.append(
            [name, f"{1e3 * median:.1f}", f"{1e3 * float(jnp.mean(error)):.3f}"]
        )
    return common.markdown(["64 x 200 in", "ms", "mean difference, mm"], rows)


def idle(sizes: str, repeats: int) -> str:
    """A model whose blocks are the identity, with and without computing them."""
    config = FlowConfig(affine_hidden=512)
    model = FlowModel.of(flow.init(jax.random.key(0), config), config)
    models = {"with": dataclasses.replace(model, idle=False), "without": model}
    rows = []
    for size in sizes.split(","):
        poses, hypotheses = map(int, size.split("x"))
        batch = common.made_up(poses)
        inputs = jnp.asarray(batch.pose2d), jnp.asarray(batch.cond), jax.random.key(0)
        times = common.take_turns(
            {
                name: lambda m=m, x=inputs, n=hypotheses: m.sample(*x, num_hypotheses=n)
                for name, m in models.items()
            },
            repeats,
        )
        middle = {name: 1e3 * statistics.median(taken) for name, taken in times.items()}
        share = middle["without"] / middle["with"]
        row = [size.replace("x", " x "), *(f"{middle[name]:.2f}" for name in models)]
        rows.append([*row, f"{share:.2f}"])
    columns = ["poses x hypotheses", "ms with blocks", "without", "share"]
    return common.markdown(columns, rows)


def main() -> None:
    """Prints the tables asked for."""
    parser = common.parser(__doc__)
    parser.add_argument("--peer", choices=["torch"])
    parser.add_argument("--sizes", default=SIZES, help="poses x hypotheses")
    parser.add_argument("--precisions", action="store_true")
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    # Half of the initial weights: random ones of full size send poses far away.
    params = jax.tree.map(lambda leaf: leaf / 2, flow.init(jax.random.key(0)))
    print(common.speed().text() + "\n")
    began = time.perf_counter()
    print(table(params, options.sizes, bool(options.peer), options.repeats))
    print("\n" + now_and_then(params, bool(options.peer), options.repeats))
    if options.peer:
        print(f"\nThe results differ by {difference(params):.1e} m at most.")
        print(RELEASED)
    if options.precisions:
        print("\n" + precisions(params, options.repeats))
    if options.idle:
        print("\n" + idle(options.sizes, options.repeats))
    print(f"\n{time.perf_counter() - began:.0f} s, at most {common.peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
