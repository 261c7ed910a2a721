"""Data parallelism: measured on virtual devices, and worked out for real ones.

    python benchmarks/scaling.py [--batch_size=64] [--hypotheses=50] [--measure=1,2,4,8]

First seconds an iteration on 1, 2, 4 and 8 virtual devices of this machine's CPU, with
the same global batch. They share its cores, so that nothing gets faster: what is shown
is what splitting costs. Then, from the collectives of the traced program and
the machines' data sheets, what a TPU v3-8 and eight H200 should make of the paper's
configuration. No accelerator is used.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import jax
import jax.numpy as jnp

from benchmarks import common
from benchmarks.devices import KERNELS, LAUNCH
from jaxflow.config import TrainConfig
from jaxflow.methods import flow
from jaxflow.training import epochs, parallel, state
from jaxflow.types import Batch

DISPATCHES, ITERATIONS = 3, 2


class Machine(NamedTuple):
    """Data sheet of one device, and of its links to the others.

    Attributes:
      name: of the machine.
      devices: how many.
      flops: float32 operations a second in matrix products.
      memory: bytes a second from its memory.
      link: bytes a second to its neighbour in a ring.
      latency: seconds that a collective costs, however small.
      launches: seconds to start an iteration's kernels, on one device or many.
    """

    name: str
    devices: int
    flops: float
    memory: float
    link: float
    latency: float
    launches: float = 0.0


MACHINES = (
    # A core: half of a chip's 123 TFLOP/s in bfloat16, six passes for float32, half of
    # its 900 GB/s; links of 70 GB/s.
    Machine("TPU v3-8", 8, 61.5e12 / 6, 450e9, 70e9, 30e-6),
    # 67 TFLOP/s in float32, 4.8 TB/s, NVLink of 450 GB/s in each direction; and the
    # iteration's kernels to start.
    Machine("8 x H200", 8, 67e12, 4.8e12, 450e9, 20e-6, KERNELS["training"] * LAUNCH),
)


class Traffic(NamedTuple):
    """What the devices exchange in an iteration.

    Attributes:
      reduced: bytes of each device's terms of the all-reduces.
      gathered: bytes that all devices hold of the gathered rows.
      reduces: number of arrays reduced; XLA combines those of one update.
      rounds: how many collectives must follow one another.
    """

    reduced: int
    gathered: int
    reduces: int
    rounds: int


def measure(config: TrainConfig, count: int) -> float:
    """Median seconds an iteration on so many virtual devices."""
    devices = tuple(jax.devices()[:count])
    data = parallel.replicate(common.made_up(4 * config.frames_per_iteration), devices)
    start = state.init(epochs.seeds(config.seed).init, config)
    now = parallel.replicate(start, devices)
    run = parallel.make_run(config, devices, ITERATIONS, flow)
    now, _ = jax.block_until_ready(run(now, data, jnp.int32(1)))
    seconds = []
    for _ in range(DISPATCHES):
        began = time.perf_counter()
        now, _ = jax.block_until_ready(run(now, data, jnp.int32(ITERATIONS)))
        seconds.append((time.perf_counter() - began) / ITERATIONS)
    return statistics.median(seconds)


def traffic(config: TrainConfig, devices: int) -> Traffic:
    """Counted in the traced program of one iteration."""
    start = jax.eval_shape(lambda: state.init(jax.random.key(0), config))
    frames = 2 * config.frames_per_iteration
    shapes = [jax.ShapeDtypeStruct((frames, n), jnp.float32) for n in (48, 32, 78)]
    traced = jax.make_jaxpr(
        functools.partial(parallel.iterations, config=config, most=1, method=flow),
        axis_env=[(parallel.AXIS, devices)],
    )(
        start,
        Batch(*shapes),
        jax.ShapeDtypeStruct((), jnp.int32),
        jax.ShapeDtypeStruct((config.batch_size // devices,), jnp.int32),
    )
    found = list(_collectives(traced.jaxpr, 1))
    reduced = [times * size for kind, times, size in found if kind == "psum"]
    reduces = sum(times for kind, times, _ in found if kind == "psum")
    gathered = sum(n * size for kind, n, size in found if kind == "all_gather")
    # One all-reduce for each update of the critic, one for the flow, one for the
    # losses, and a gathering of MMD's rows before them.
    rounds = config.critic_updates + 3
    return Traffic(sum(reduced), devices * gathered, reduces, rounds)


def _collectives(program: Any, times: int) -> Iterator[tuple[str, int, int]]:
    """(kind, times an iteration, bytes on each device) of every collective."""
    for equation in program.eqns:
        kind = equation.primitive.name
        if kind in ("psum", "all_gather"):
            size = sum(v.aval.size * v.aval.dtype.itemsize for v in equation.invars)
            yield kind, times, size
        inner = times * equation.params.get("length", 1) if kind == "scan" else times
        for value in jax.tree.leaves(list(equation.params.values())):
            value = getattr(value, "jaxpr", value)
            if hasattr(value, "eqns"):
                yield from _collectives(value, inner)


def work(config: TrainConfig) -> tuple[float, float]:
    """Operations and bytes of an iteration, both to a factor of about two.

    The hypotheses' forward and backward passes, each layer's hidden numbers written and
    read twice in a pass; and the critic, with a second derivative for its penalty.
    """
    nets, hidden = 2 * config.flow.blocks, config.flow.hidden
    half = 3 * config.flow.joints // 2
    drawn = config.batch_size * config.hypotheses
    operations = 3 * drawn * nets * 2 * (half * hidden + hidden * 2 * half)
    moved = 3 * drawn * nets * hidden * 4 * 4
    shapes = jax.eval_shape(lambda: state.init(jax.random.key(0), config))
    critic = sum(leaf.size for leaf in jax.tree.leaves(shapes.critic))
    operations += config.critic_updates * config.batch_size * critic * 2 * 12
    moved += config.critic_updates * critic * 4 * 8
    return operations, moved


def expectation(config: TrainConfig, machine: Machine) -> str:
    """A row: one device's time, the exchange's, all devices' time and efficiency."""
    count, sent = machine.devices, traffic(config, machine.devices)
    operations, moved = work(config)
    busy = max(operations / machine.flops, moved / machine.memory)
    alone = max(busy, machine.launches)
    # A ring moves every reduced byte twice, and every gathered one once.
    share = (count - 1) / count
    bytes_sent = share * (2 * sent.reduced + sent.gathered)
    exchange = bytes_sent / machine.link + sent.rounds * machine.latency
    together = max(busy / count, machine.launches) + exchange
    return (
        f"| {machine.name} | {1e3 * alone:.1f} | {bytes_sent / 1e6:.0f} | "
        f"{1e3 * exchange:.2f} | {1e3 * together:.2f} | "
        f"{100 * alone / count / together:.0f} % |"
    )


def main() -> None:
    """Prints both tables."""
    parser = common.parser(__doc__)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hypotheses", type=int, default=50)
    parser.add_argument("--measure", default="1,2,4,8", help="'' for the arithmetic")
    options = parser.parse_args()
    config = TrainConfig(batch_size=options.batch_size, hypotheses=options.hypotheses)
    counts = [int(count) for count in options.measure.split(",") if count]
    if counts:
        print(f"{os.cpu_count()} CPU cores, batch {config.batch_size} over all devices")
        print("| virtual devices | s an iteration | of the first |\n|---|---|---|")
    first = None
    for count in counts:
        seconds = measure(config, count)
        first = first or seconds
        print(f"| {count} | {seconds:.3f} | {seconds / first:.2f} |", flush=True)
    paper = TrainConfig()
    sent = traffic(paper, 8)
    operations, moved = work(paper)
    print(
        f"\nBatch {paper.batch_size}, {paper.hypotheses} hypotheses: "
        f"{operations / 1e9:.0f} GFLOP, {moved / 1e9:.1f} GB moved; over 8 devices "
        f"{sent.reduced / 1e6:.1f} MB all-reduced ({sent.reduces} arrays, "
        f"{sent.rounds} rounds), {sent.gathered / 1e3:.0f} kB all-gathered"
    )
    print(
        "| machine | 1 device, ms | sent by each, MB | exchange, ms | all, ms | "
        "efficiency |\n|---|---|---|---|---|---|"
    )
    for machine in MACHINES:
        print(expectation(paper, machine))


if __name__ == "__main__":
    main()
