"""What the default accelerator makes of everything that a user waits for.

    python -m benchmarks.accelerator [--flops=67e12 --bandwidth=4.8e12] [--anyway]

A training iteration (batch 64, 200 hypotheses; 155 epochs of 482 follow from it), 1,000
hypotheses of one image, hypotheses in bulk, Gaussian fits, an evaluation, HRNet and,
where it has been fetched, BlazePose: the median, and its share of what the device could
do by its maker's data sheet (`devices`): arithmetic, of the bare matrix products, and
bandwidth, were each hidden number written and read twice. "Launches" is what the
kernels that the compiler makes for an H100 (`benchmarks.aot`) take to start, at two
microseconds each: no GPU is faster than that. Precisions: exact float32, JAX's "high"
and "default", bfloat16 for sampling and HRNet. Then how far results are from a CPU's.
Without an accelerator it says so; --anyway runs small shapes on a CPU, to see that it
works.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, devices, train_step
from jaxflow import flow
from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.detector.blazepose import detector as blazepose
from jaxflow.detector.network import hrnet
from jaxflow.evaluation import measuring
from jaxflow.flow import sampling
from jaxflow.gaussians import fitting, heatmaps
from jaxflow.methods.flow import FlowModel
from jaxflow.runs.errors import UserError

COLUMNS = (
    "what",
    "precision",
    "ms, median (min)",
    "arithmetic",
    "bandwidth",
    "launches, ms",
    "rate",
)
EPOCHS, PER_EPOCH = 155, 482
_FIT_PASSES = 6  # over a map: the median number of iterations


class Sizes(NamedTuple):
    """What is measured.

    Attributes:
      train: batch, hypotheses and the flow's size.
      one: hypotheses of one picture.
      bulk: poses, and hypotheses of each.
      maps: to fit.
      frames: to evaluate.
      detector: HRNet's size.
      side: pixels of its pictures.
      calls: of each.
    """

    train: TrainConfig
    one: int
    bulk: tuple[int, int]
    maps: int
    frames: int
    detector: hrnet.HRNetConfig
    side: int
    calls: int


SIZES = Sizes(TrainConfig(), 1000, (4096, 200), 16384, 512, hrnet.HRNetConfig(), 256, 5)
_SMALL_FLOW = FlowConfig(blocks=2, hidden=16)
_SMALL_TRAINING = TrainConfig(batch_size=8, hypotheses=6, flow=_SMALL_FLOW)
SMALL = Sizes(_SMALL_TRAINING, 10, (4, 6), 32, 8, hrnet.TINY, 64, 2)


def row(
    names: tuple[str, str],
    times: list[float],
    work: tuple[float, float],
    sheet: devices.Sheet | None,
    rate: Callable[[float], str],
    started: int = 0,
) -> list[str]:
    """One line; ``work`` is operations and bytes, ``started`` kernels; 0: not known."""
    took = statistics.median(times)
    shares = ["unknown"] * 2
    if sheet is not None:
        least = work[0] / sheet.peak(names[1]), work[1] / sheet.bandwidth
        shares = [f"{floor / took:.0%}" if floor else "-" for floor in least]
    launches = f"{1e3 * devices.LAUNCH * started:.2f}" if started else "-"
    measured = f"{1e3 * took:.2f} ({1e3 * min(times):.2f})"
    return [*names, measured, *shares, launches, rate(took)]


def kernels(program: str, sizes: Sizes) -> int:
    """See `devices.KERNELS`, which are of the whole sizes."""
    return devices.KERNELS[program] if sizes is SIZES else 0


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

    return row((name, precision), times, work, sheet, rate, kernels("training", sizes))


def weights(config: FlowConfig) -> Any:
    """Half of the initial ones: random ones of full size send poses far away."""
    return jax.tree.map(lambda leaf: leaf / 2, flow.init(jax.random.key(0), config))


def drawing(
    precision: str, sizes: Sizes, sheet: devices.Sheet | None
) -> list[list[str]]:
    """Many hypotheses of one image, and of many."""
    config = sizes.train.flow
    params = weights(config)
    draw = common.sample_bfloat16 if precision == "bfloat16" else sampling.sample
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
        started = kernels("one", sizes) if poses == 1 else 0
        rows.append(row(names, timed(run, sizes.calls), work, sheet, rate, started))
    return rows


def noisy_maps(count: int) -> jax.Array:
    """(count, 64, 64) bumps of several widths, with noise."""
    rng = np.random.default_rng(0)
    place = rng.uniform(16, 48, (count, 2))
    width = 1 / (2 * rng.uniform(1.5, 6, (count, 2)) ** 2)
    columns = [np.ones(count), *place.T, width[:, 0], np.zeros(count), width[:, 1]]
    quadratic = jnp.asarray(np.stack(columns, axis=-1), jnp.float32)
    noise = 0.02 * jax.random.normal(jax.random.key(0), (count, 64, 64))
    return heatmaps.render_quadratic(quadratic, 64, 64) + noise


def fits(sizes: Sizes, sheet: devices.Sheet | None) -> list[str]:
    """Gaussian fits of maps on the device."""
    maps = noisy_maps(sizes.maps)
    times = timed(lambda: fitting.fit_gaussians(maps), sizes.calls)

    def rate(took: float) -> str:
        return f"{sizes.maps / took:,.0f} fits/s"

    work = 0.0, float(_FIT_PASSES * maps.nbytes)
    return row((f"fits, {sizes.maps}", "highest"), times, work, sheet, rate)


def evaluation(sizes: Sizes, sheet: devices.Sheet | None) -> list[str]:
    """Hypotheses of frames and all their figures, as `jaxflow.evaluate` gets them."""
    count, config = sizes.frames, sizes.train.flow
    model, frames = FlowModel.of(weights(config), config), common.made_up(count)
    targets = np.random.default_rng(1).normal(0, 0.3, (count, 17, 3))
    targets = (targets - targets[:, :1]).astype(np.float32)
    draw = measuring.Draw(num_hypotheses=sizes.train.hypotheses)
    actions = np.asarray(["all"] * count)

    def run() -> None:
        key = jax.random.key(0)
        measuring.measure(model, frames, targets, actions, key, draw)

    def rate(took: float) -> str:
        return f"{count / took:,.0f} frames/s"

    work = (
        common.sampling_flops(config, count, draw.num_hypotheses),
        common.sampling_bytes(config, count * draw.num_hypotheses),
    )
    times = [common.seconds_of(run) for _ in range(sizes.calls + 1)]  # one compiles
    name = f"evaluation, {count} x {draw.num_hypotheses}"
    return row((name, "highest"), times[1:], work, sheet, rate)


def networks(sizes: Sizes, sheet: devices.Sheet | None) -> list[list[str]]:
    """Both detectors on crops that are already on the device."""
    batch, config = 8, sizes.detector
    variables = hrnet.init(jax.random.key(0), config)
    crops = jax.random.uniform(jax.random.key(1), (batch, sizes.side, sizes.side, 3))

    def rate(took: float) -> str:
        return f"{batch / took:,.0f} crops/s"

    rows = []
    for dtype, precision in ((jnp.float32, "highest"), (jnp.bfloat16, "bfloat16")):
        see = jax.jit(functools.partial(hrnet.heatmaps, config=config, dtype=dtype))
        times = timed(functools.partial(see, variables, crops), sizes.calls)
        names = (f"HRNet, {batch} crops", precision)
        rows.append(row(names, times, (0, 0), sheet, rate, kernels("HRNet", sizes)))
    try:
        pose = blazepose.load("full", offline=True).pose
    except (UserError, OSError, ImportError) as error:
        print(f"BlazePose is left out: {error}\n")
        return rows
    crops = jax.random.uniform(jax.random.key(1), (batch, 256, 256, 3))
    times = timed(lambda: pose(crops), sizes.calls)
    names = (f"BlazePose full, {batch} crops", "highest")
    return [*rows, row(names, times, (0, 0), sheet, rate)]


def parity(sizes: Sizes) -> str:
    """How far this device's numbers are from those of a CPU of the same machine."""
    cpu, config = jax.devices("cpu")[0], sizes.train.flow
    inputs = common.made_up(4)
    params, maps = weights(config), np.asarray(noisy_maps(64))

    def numbers() -> tuple[np.ndarray, np.ndarray]:
        here = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), params)
        key = jax.random.key(0)
        arrays = jnp.asarray(inputs.pose2d), jnp.asarray(inputs.cond)
        poses = sampling.sample(here, *arrays, key, num_hypotheses=50)
        return np.asarray(poses), np.asarray(fitting.fit_gaussians(maps).mean)

    theirs = numbers()
    with jax.default_device(cpu):
        ours = numbers()
    poses, means = (
        float(np.abs(a - b).max()) for a, b in zip(theirs, ours, strict=True)
    )
    return (
        f"From a CPU's numbers: hypotheses {1e3 * poses:.2g} mm at most, means of fits "
        f"{means:.2g} px."
    )


def table(sizes: Sizes, sheet: devices.Sheet | None) -> str:
    """All precisions."""
    rows = [fits(sizes, sheet), evaluation(sizes, sheet), *networks(sizes, sheet)]
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
    parser = common.parser(__doc__)
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
    sizes = SMALL if options.anyway else SIZES
    print(table(sizes, sheet))
    print("\n" + parity(sizes))


if __name__ == "__main__":
    main()
