"""Times evaluation, and says what lower precision does to it.

    python -m benchmarks.evaluate [--poses=1000] [--peer=torch]
    python -m benchmarks.evaluate --checkpoint=DIR --data_dir=DIR [--dataset=NAME]

Without a checkpoint, on made-up poses: the whole evaluation of 200 hypotheses (both
protocols, PCK, CPS, calibration, fetching) beside drawing them alone and the floor of
that; and Procrustes alignment beside a batched SVD. --peer=torch adds the same draws
and figures (both protocols, PCK, CPS) in eager PyTorch, the released code's way, and
how far they differ on equal hypotheses. With one: the figures of its test
set, exact, with the device's fast products, and in bfloat16.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from jaxflow import data, flow, methods, metrics
from jaxflow.config import FlowConfig
from jaxflow.evaluation import measuring
from jaxflow.maths import procrustes
from jaxflow.methods.flow import FlowModel
from jaxflow.types import Batch, Params

HYPOTHESES = 200


def align_by_svd(points: jax.Array, target: jax.Array) -> jax.Array:
    """The same alignment through the batched library SVD."""
    centre = target.mean(-2, keepdims=True)
    moved = points - points.mean(-2, keepdims=True)
    covariance = jnp.einsum("...ja,...jb->...ab", moved, target - centre)
    u, s, vt = jnp.linalg.svd(covariance)
    flip = jnp.ones_like(s).at[..., -1].set(jnp.sign(jnp.linalg.det(u @ vt)))
    scale = (s * flip).sum(-1) / (moved**2).sum((-2, -1))
    return scale[..., None, None] * moved @ (u * flip[..., None, :] @ vt) + centre


def whole(params: Params, poses: int, repeats: int, peer: bool) -> str:
    """Evaluation against sampling, both through the streams that users use."""
    inputs = common.made_up(poses)
    targets = made_up_targets(poses)
    actions, key = np.full(poses, "Walking"), jax.random.key(0)

    def evaluate() -> Any:
        measuring.measure(FlowModel.of(params), inputs, targets, actions, key)

    def draw() -> Any:
        for _ in common.sample_blocks(params, inputs, key, HYPOTHESES, block=64):
            pass

    runs = {"evaluation": evaluate, "sampling": draw}
    if peer:
        runs["evaluation, PyTorch"] = peers(params, inputs, targets)
    times = common.take_turns(runs, repeats)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    flops = common.sampling_flops(FlowConfig(), poses, HYPOTHESES)
    floor = flops / common.speed(5).flops
    rows = [
        [
            name,
            f"{took:.2f}",
            f"{took / medians['sampling']:.2f}",
            f"{took / floor:.2f}",
            f"{poses / took:.0f}",
            f"{took / medians['evaluation']:.1f}",
        ]
        for name, took in medians.items()
    ]
    columns = [
        f"{poses} poses x {HYPOTHESES}",
        "s",
        "to sampling",
        "to its floor",
        "poses/s",
        "to ours",
    ]
    return common.markdown(columns, rows)


def made_up_targets(poses: int) -> np.ndarray:
    """(poses, 17, 3) metres, hip at 0."""
    targets = np.random.default_rng(2).normal(0, 0.3, (poses, 17, 3))
    return (targets - targets[:, :1]).astype(np.float32)


def peers(params: Params, inputs: Batch, targets: np.ndarray) -> Callable[[], Any]:
    """The released code's way, in eager PyTorch."""
    import torch

    from benchmarks import torch_evaluation, torch_peer

    model = torch_peer.Flow(params)
    pose2d, cond, target = (
        torch.from_numpy(np.array(array))
        for array in (inputs.pose2d, inputs.cond, targets)
    )
    return lambda: torch_evaluation.evaluate(model, pose2d, cond, target, HYPOTHESES)


def difference() -> float:
    """The largest relative one between both's figures of 8 poses x 50."""
    import torch

    from benchmarks import torch_evaluation

    target = made_up_targets(8)
    noise = np.random.default_rng(3).normal(0, 0.1, (8, 50, 17, 3)).astype(np.float32)
    poses = target[:, None] + noise
    poses -= poses[..., :1, :]
    theirs = torch_evaluation.figures(
        torch.from_numpy(np.swapaxes(poses, 0, 1).copy()), torch.from_numpy(target)
    )
    ours = metrics.of_example(poses, poses[:, 0], target)
    pairs = (
        (ours.mpjpe[:, 1], theirs["mpjpe"]),
        (ours.pa_mpjpe[:, 1], theirs["pa_mpjpe"]),
        (ours.pck, theirs["pck"]),
        (metrics.cps(poses, target), theirs["cps"].mean()),
    )
    return max(float(np.max(np.abs(a - b.numpy()) / np.abs(a))) for a, b in pairs)


def parts(poses: int, repeats: int) -> str:
    """Alignment and figures of given hypotheses."""
    shape = (poses, HYPOTHESES, 17, 3)
    target = 0.3 * jax.random.normal(jax.random.key(0), (poses, 17, 3))
    drawn = target[:, None] + 0.1 * jax.random.normal(jax.random.key(1), shape)
    each = target[:, None]
    functions: dict[str, tuple[Callable[..., Any], tuple[jax.Array, ...]]] = {
        "align, Jacobi": (procrustes.align, (drawn, each)),
        "align, SVD": (align_by_svd, (drawn, each)),
        "all figures": (metrics.of_example, (drawn, target, target)),
        "of them calibration": (metrics.calibration_hits, (drawn, target)),
    }
    runs = {}
    for name, (function, arguments) in functions.items():
        compiled = jax.jit(function)
        runs[name] = lambda f=compiled, a=arguments: f(*a)
    times = common.take_turns(runs, repeats)
    rows = [[name, f"{1e3 * statistics.median(t):.1f}"] for name, t in times.items()]
    return common.markdown([f"{poses} poses x {HYPOTHESES}", "ms"], rows)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["config", "idle"],
)
@dataclasses.dataclass(frozen=True)
class Rough(FlowModel):
    """A flow that draws in bfloat16."""

    def sample(self, *inputs: Any, **options: Any) -> jax.Array:
        """As ``FlowModel.sample``."""
        clamp = self.config.clamp
        return common.sample_bfloat16(self.params, *inputs, **options, clamp=clamp)


def precisions(options: argparse.Namespace) -> str:
    """The test set's figures, mm, and seconds, in several precisions."""
    exact = methods.load(options.checkpoint)
    records = data.load_records(options.dataset, "test", options.data_dir, None)
    records = data.every_nth_per_action(records, data.protocol_stride(options.dataset))
    rows = []
    for name in ("float32, highest", "float32, high", "float32, default", "bfloat16"):
        rough = name == "bfloat16"
        chosen = None if rough or name.endswith("highest") else name.split(", ")[1]
        model = Rough(exact.params, exact.config) if rough else exact
        with jax.default_matmul_precision(chosen):
            for _ in range(2):  # the first compiles
                began = time.perf_counter()
                result = measuring.measure_records(model, records, jax.random.key(0))
                seconds = time.perf_counter() - began
        found = result.average.to_json()
        errors, aligned = found["mpjpe_mm"], found["pa_mpjpe_mm"]
        figures = (errors["best"], errors["z0"], aligned["best"])
        rows.append([name, *(f"{one:.2f}" for one in figures), f"{seconds:.1f}"])
    columns = [
        f"{len(records)} frames",
        "MPJPE best of 200",
        "MPJPE z0",
        "PA-MPJPE best",
        "s",
    ]
    return common.markdown(columns, rows)


def main() -> None:
    """Prints the tables."""
    parser = common.parser(__doc__)
    parser.add_argument("--poses", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", choices=["torch"])
    parser.add_argument("--checkpoint")
    parser.add_argument("--dataset", default="human36m_lift")
    parser.add_argument("--data_dir")
    options = parser.parse_args()
    print(common.speed().text() + "\n")
    if options.checkpoint:
        print(precisions(options))
        return
    params = jax.tree.map(lambda leaf: leaf / 2, flow.init(jax.random.key(0)))
    print(whole(params, options.poses, options.repeats, bool(options.peer)) + "\n")
    if options.peer:
        print(f"The figures differ by {difference():.1e} at most, relatively.\n")
    print(parts(64, options.repeats))


if __name__ == "__main__":
    main()
