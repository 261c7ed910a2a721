"""What the benchmarks share: timing, the machine's floors, memory, Markdown tables.

Everything compared is timed in one process, turn by turn, so that what else the machine
does meets all alike; ratios are of medians, the floor is of the fastest product.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import flow
from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.evaluation.inference_time import calls_for, device_name
from jaxflow.flow import sampling
from jaxflow.maths import batching, keys
from jaxflow.runs import profiling
from jaxflow.skeleton import H36M_JOINTS
from jaxflow.types import Batch, Params, RawFrames

_PAUSE = 0.3  # seconds
_SHORT = 0.05  # what takes less is called for this long in a turn, and again counted:
_WARM, _BURST = 0.1, 0.3
_LONG = 3.0  # what takes longer needs no call that does not count
CRITIC_PRODUCTS = (
    (48, 100),
    (100, 100),
    (100, 100),
    (100, 100),
    (256, 1000),
    (1000, 1000),
    (1000, 1000),
    (1100, 100),
    (100, 1),
)


class Speed(NamedTuple):
    """What the machine can do.

    Attributes:
      flops: floating point operations a second of a large float32 matrix product.
      bandwidth: bytes a second, read and written, of a large copy.
    """

    flops: float
    bandwidth: float

    def text(self) -> str:
        """For the head of a table."""
        return (
            f"{device_name()}: matrix product {self.flops / 1e9:.0f} GFLOP/s, copy "
            f"{self.bandwidth / 1e9:.1f} GB/s"
        )


def parser(description: str | None) -> argparse.ArgumentParser:
    """Of a benchmark's flags; its help is what the module says of itself."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def take_turns(
    runs: dict[str, Callable[[], Any]], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each run, the runs in turn; a run waits for its own result.

    Each turn has a pause and a call that does not count: the other's threads spin for a
    while after its last call, and its numbers are in the cache. What takes less than
    50 ms is called over and over in its turn, as one who calls it often would find it:
    threads that wake up share a core for some hundredths of a second.
    """
    for _ in range(warm_up):
        for run in runs.values():
            jax.block_until_ready(run())
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            if len(runs) > 1:
                settle(run if not times[name] or times[name][-1] < _LONG else None)
            took = [seconds_of(run)]
            if took[0] < _SHORT:
                calls_for(_WARM, run)
                took = calls_for(_BURST, run)
            times[name] += took
    return times


def after_a_pause(
    runs: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of single calls, each after a while in which nothing ran."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(_PAUSE)
            times[name].append(seconds_of(run))
    return times


def seconds_of(run: Callable[[], Any]) -> float:
    """Of one call and its result."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def settle(run: Callable[[], Any] | None) -> None:
    """A pause, and a call that does not count, which a long run can do without."""
    time.sleep(_PAUSE)
    if run is not None:
        jax.block_until_ready(run())


def speed(repeats: int = 9, precision: str = "highest") -> Speed:
    """The machine's, by the fastest of some products and copies."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    square = jnp.ones((size, size), jnp.float32)
    long = jnp.ones(2**26, jnp.float32)
    product = jax.jit(lambda: jnp.matmul(square, square, precision=precision))
    copy = jax.jit(lambda array: array + 1)
    products = take_turns({"": product}, repeats)[""]
    copies = take_turns({"": lambda: copy(long)}, repeats)[""]
    return Speed(2 * size**3 / min(products), 2 * long.nbytes / min(copies))


def sampling_flops(config: FlowConfig, poses: int, hypotheses: int) -> float:
    """Of the matrix products alone: the condition's share once a pose."""
    size = 3 * config.joints
    nets = 2 * config.blocks
    each = size // 2 * config.hidden + config.hidden * size
    shared = config.condition * config.encoder_hidden
    shared += config.encoder_hidden * config.encoded
    shared += nets * config.encoded * config.hidden
    return 2.0 * poses * (hypotheses * nets * each + shared)


def sampling_bytes(config: FlowConfig, hypotheses: int) -> float:
    """Moved where nothing is fused: each hidden number is written and read twice."""
    return 4.0 * 4 * hypotheses * 2 * config.blocks * config.hidden


def critic_flops(poses: int) -> float:
    """One pass of the critic through its nine layers."""
    return 2.0 * poses * sum(rows * columns for rows, columns in CRITIC_PRODUCTS)


def iteration_flops(config: TrainConfig) -> float:
    """Of a training iteration's matrix products; a gradient costs two passes more.

    A critic update passes generated, real and mixed poses: three gradients, and that of
    the mixed ones' slope, whose own gradient is as much again.
    """
    batch, updates = config.batch_size, config.critic_updates
    fakes = sampling_flops(config.flow, batch * updates, 1)
    critic = updates * (2 * 3 + 2 * 3) * critic_flops(batch)
    single = 3 * (3 * sampling_flops(config.flow, batch, 1) + critic_flops(batch))
    return (
        fakes
        + critic
        + single
        + 3 * sampling_flops(config.flow, batch, config.hypotheses)
    )


def made_up(frames: int, seed: int = 0) -> Batch:
    """Random numbers of about the size of real poses."""
    rng = np.random.default_rng(seed)
    return Batch(
        *(
            rng.normal(0, scale, (frames, size)).astype(np.float32)
            for size, scale in ((48, 0.3), (32, 1.0), (78, 0.3))
        )
    )


def drawing(params: Params, poses: int, hypotheses: int) -> Callable[[], Any]:
    """Sampling as a user calls it, the inputs on the device."""
    inputs = made_up(poses)
    pose2d, cond = jnp.asarray(inputs.pose2d), jnp.asarray(inputs.cond)
    key = jax.random.key(0)
    return lambda: sampling.sample(params, pose2d, cond, key, num_hypotheses=hypotheses)


def sample_bfloat16(
    params: Params, pose2d: Any, cond: Any, key: jax.Array, **options: Any
) -> jax.Array:
    """`jaxflow.sample` computed in bfloat16, latents among it, returned in float32."""
    rough = jax.tree.map(
        lambda array: jnp.asarray(array, jnp.bfloat16), (params, pose2d, cond)
    )
    return sampling.sample(*rough, key, **options).astype(jnp.float32)


def sample_blocks(
    params: Params, inputs: Batch, key: jax.Array, hypotheses: int, block: int
) -> Iterator[np.ndarray]:
    """The hypotheses of many poses, a block at a time, as evaluation draws them.

    One program serves all blocks, and memory holds two of them.
    """
    params, key_of = flow.separate(params), jax.jit(keys.per_example)

    def started() -> Iterator[tuple[int, jax.Array]]:
        for rows, examples in batching.blocks(len(inputs.pose2d), block):
            seen = inputs.pose2d[examples], inputs.cond[examples]
            each = key_of(key, examples)
            yield (
                rows.stop - rows.start,
                sampling.sample(params, *seen, each, num_hypotheses=hypotheses),
            )

    for count, poses in batching.one_late(started()):
        yield np.asarray(poses)[:count]


def made_up_raw(frames: int, seed: int = 0) -> RawFrames:
    """Random joints about people of an ordinary size, all surely seen, 4 m away."""
    rng = np.random.default_rng(seed)
    pose3d = rng.normal(0, 250, (frames, 17, 3)) + np.asarray([0, 0, 4000])
    pose3d[:, H36M_JOINTS.index("Thorax"), 1] -= 500
    pose2d = rng.uniform(80, 176, (frames, 16, 2))
    fits = np.zeros((frames, 16, 7))
    fits[..., 0], fits[..., 1:3] = 0.9, pose2d / 4
    fits[..., 3] = fits[..., 5] = 2.0
    return RawFrames(*(a.astype(np.float32) for a in (pose3d, pose2d, fits)))


def peak_mib() -> float:
    """The most memory this process has had, MiB."""
    return profiling.host_peak() / 2**20


def status_mib() -> tuple[float, float]:
    """Memory of this process on Linux, MiB: the most so far, and now; else the most."""
    try:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        found = [int(fields[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS")]
        return found[0], found[1]
    except (OSError, KeyError):
        return peak_mib(), float("nan")


def faults() -> int:
    """Minor page faults of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log time over log size: 1 where cost is linear."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
