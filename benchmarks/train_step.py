"""Times training iterations as the train command runs them, on made-up data.

    python benchmarks/train_step.py [--batch_size=64] [--hypotheses=50 ...]

For each number of hypotheses: seconds an iteration (five critic updates and one flow
update), and frames/s, which count all 11 batches of an iteration. Medians of several
dispatches after a warm-up, and the compilation's time.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import TrainConfig
from jaxflow.training import parallel, state
from jaxflow.types import Batch

DISPATCHES, ITERATIONS = 5, 4


def made_up(frames: int) -> Batch:
    """Random numbers of about the size of real poses."""
    rng = np.random.default_rng(0)
    return Batch(
        *(
            rng.normal(0, scale, (frames, size)).astype(np.float32)
            for size, scale in ((48, 0.3), (32, 1.0), (78, 0.3))
        )
    )


def measure(config: TrainConfig) -> tuple[float, list[float]]:
    """Seconds to compile and run once, and seconds an iteration of each dispatch."""
    devices = tuple(jax.local_devices())
    data = parallel.replicate(made_up(4 * config.frames_per_iteration), devices)
    start = state.init(parallel.seeds(config.seed).init, config)
    now = parallel.replicate(start, devices)
    run = parallel.make_run(config, devices, ITERATIONS)
    began = time.perf_counter()
    now, _ = jax.block_until_ready(run(now, data, jnp.int32(1)))
    compiled = time.perf_counter() - began
    seconds = []
    for _ in range(DISPATCHES):
        began = time.perf_counter()
        now, _ = jax.block_until_ready(run(now, data, jnp.int32(ITERATIONS)))
        seconds.append((time.perf_counter() - began) / ITERATIONS)
    return compiled, seconds


def main() -> None:
    """Prints one line for each number of hypotheses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hypotheses", type=int, nargs="+", default=[25, 50, 200])
    options = parser.parse_args()
    print(f"{len(jax.local_devices())} x {jax.devices()[0].device_kind}")
    print(
        "| hypotheses | s an iteration, median (min to max) | frames/s | first call s |"
    )
    print("|---|---|---|---|")
    for hypotheses in options.hypotheses:
        config = dataclasses.replace(
            TrainConfig(), batch_size=options.batch_size, hypotheses=hypotheses
        )
        compiled, seconds = measure(config)
        median = statistics.median(seconds)
        print(
            f"| {hypotheses} | {median:.3f} ({min(seconds):.3f} to {max(seconds):.3f}) "
            f"| {config.frames_per_iteration / median:.0f} | {compiled:.1f} |"
        )


if __name__ == "__main__":
    main()
