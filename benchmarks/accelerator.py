"""What the default accelerator makes of training and sampling, in every precision.

    python -m benchmarks.accelerator [--flops=67e12 --bandwidth=4.8e12] [--anyway]

A training iteration (batch 64, 200 hypotheses; 155 epochs of 482 follow from it), 1,000
hypotheses of one image, and hypotheses in bulk: the median, and its share of what the
device could do by its maker's data sheet (`devices`): arithmetic, of the bare matrix
products, and bandwidth, were each hidden number written and read twice. Precisions:
exact float32, JAX's "high" and "default", bfloat16 for sampling. Without an accelerator
it says so; --anyway runs small shapes on a CPU, to see that it works.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import common, devices, train_step
from jaxflow import flow
from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.flow import sampling

COLUMNS = ("what", "precision", "ms, median (min)", "arithmetic", "bandwidth", "rate")
EPOCHS, PER_EPOCH = 155, 482


class Sizes(NamedTuple):
    """What is measured: poses and hypotheses of each call."""

    train: TrainConfig
    one: int
    bulk: tuple[int, int]
    calls: int


SIZES = Sizes(TrainConfig(), 1000, (4096, 200), 5)
_SMALL_FLOW = FlowConfig(blocks=2, hidden=16)
SMALL = Sizes(TrainConfig(batch_size=8, hypotheses=6, flow=_SMALL_FLOW), 10, (4, 6), 2)


def row(
    names: tuple[str, str],
    times: list[float],
    work: tuple[float, float],
    sheet: devices.Sheet | None,
    rate: Callable[[float], str],
) -> list[str]:
    """One line; ``work`` is operations and bytes."""
    took = statistics.median(times)
    shares = ["unknown"] * 2
    if sheet is not None:
        least = work[0] / sheet.peak(names[1]), work[1] / sheet.bandwidth
        shares = [f"{floor / took:.0%}" for floor in least]
    return [*names, f"{1e3 * took:.2f} ({1e3 * min(times):.2f})", *shares, rate(took)]


def timed(run: Callable[[], Any], calls: int) -> list[float]:
    """Seconds of each call, compiled before."""
    return common.take_turns({"": run}, calls, warm_up=2)[""]


def training(precision: str, sizes: Sizes, sheet: devices.Sheet | None) -> list[str]:
    """An iteration, many of them to a dispatch."""
    config, count = sizes.train, train_step.ITERATIONS
    run = train_step.Run(config)
    times = [seconds / count for seconds in timed(run, sizes.calls)]
    drawn = 3 * config.batch_size * config.hypotheses
    work = (common.iteration_flops(config), common.sampling_bytes(config.flow, drawn))
    name = f"training, {config.batch_size} x {config.hypotheses}"

    def rate(took: float) -> str:
        return f"{took * EPOCHS * PER_EPOCH / 60:.1f} min for {EPOCHS} epochs"

    return row((name, precision), times, work, sheet, rate)


def drawing(
    precision: str, sizes: Sizes, sheet: devices.Sheet | None
) -> list[list[str]]:
    """Many hypotheses of one image, and of many."""
    config = sizes.train.flow
    # Half of the initial weights: random ones of full size send poses far away.
    params = jax.tree.map(lambda leaf: leaf / 2, flow.init(jax.random.key(0), config))
    draw = sampling.sample_bfloat16 if precision == "bfloat16" else sampling.sample
    rows = []
    for poses, hypotheses in ((1, sizes.one), sizes.bulk):
        inputs = common.made_up(poses)
        pose2d, cond = jnp.asarray(inputs.pose2d), jnp.asarray(inputs.cond)

        def run(p: Any = pose2d, c: Any = cond, m: int = hypotheses) -> Any:
            return draw(params, p, c, jax.random.key(0), num_hypotheses=m)

        work = (
            common.sampling_flops(config, poses, hypotheses),
            common.sampling_bytes(config, poses * hypotheses),
        )

        def rate(took: float, count: int = poses * hypotheses) -> str:
            return f"{count / took / 1e6:.3g} million hypotheses/s"

        names = (f"sampling, {poses} x {hypotheses}", precision)
        rows.append(row(names, timed(run, sizes.calls), work, sheet, rate))
    return rows


def table(sizes: Sizes, sheet: devices.Sheet | None) -> str:
    """All precisions."""
    rows = []
    for precision in devices.PRECISIONS:
        lower = precision in ("high", "default")
        with jax.default_matmul_precision(precision if lower else None):
            if precision != "bfloat16":
                # Equal configurations share a program, whatever the precision.
                jax.clear_caches()
                train_step.parallel.make_run.cache_clear()
                rows.append(training(precision, sizes, sheet))
            rows += drawing(precision, sizes, sheet)
    return common.markdown(COLUMNS, rows)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flops", type=float, help="exact float32 products a second")
    parser.add_argument("--bandwidth", type=float, help="bytes a second of its memory")
    parser.add_argument("--anyway", action="store_true")
    options = parser.parse_args()
    device = jax.devices()[0]
    if device.platform == "cpu" and not options.anyway:
        print("no accelerator at hand")
        return
    sheet = devices.sheet(device.device_kind)
    if options.flops and options.bandwidth:
        known = [
            max(options.flops, sheet.peak(name) if sheet else 0)
            for name in devices.PRECISIONS[1:]
        ]
        sheet = devices.Sheet(options.flops, *known, options.bandwidth)
    print(f"{len(jax.devices())} x {device.device_kind}, one used\n")
    print(table(SMALL if options.anyway else SIZES, sheet))


if __name__ == "__main__":
    main()
