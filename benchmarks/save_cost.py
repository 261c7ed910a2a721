"""What saving costs a run: its share of the time at one save a minute.

    python -m benchmarks.save_cost [--hypotheses=200] [--saves=3] [--folder=DIR]

Trains on made-up data at the paper's batch size. Windows of a fixed number of
iterations take turns: in every other one a checkpoint is saved right at the start, as
the train command does it, and orbax writes it while the iterations go on. The
difference of the medians is what a save costs, blocking and background together.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time

import jax
import jax.numpy as jnp

from benchmarks import common
from jaxflow.config import TrainConfig
from jaxflow.methods import flow
from jaxflow.training import epochs, loop, parallel, state

SECONDS = 6.0  # a window's length, long enough for a save to end in it
MOST = 8  # iterations a dispatch


def measure(
    config: TrainConfig, folder: pathlib.Path, saves: int
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of windows without and with a save, and of the save calls alone."""
    devices = tuple(jax.local_devices())
    poses = common.made_up(MOST * config.frames_per_iteration)
    data = parallel.replicate(poses, devices)
    now = parallel.replicate(
        state.init(epochs.seeds(config.seed).init, config), devices
    )
    run = parallel.make_run(config, devices, MOST, flow)
    now, _ = jax.block_until_ready(run(now, data, jnp.int32(1)))
    began = time.perf_counter()
    now, _ = jax.block_until_ready(run(now, data, jnp.int32(MOST)))
    dispatches = max(1, round(SECONDS / (time.perf_counter() - began)))
    checkpointer = loop.checkpointer(folder, config, flow)
    checkpointer.save(jax.device_get(now))  # the first one sets up
    checkpointer.wait()
    plain, saving, calls = [], [], []
    for number in range(2 * saves):
        began = time.perf_counter()
        if number % 2:
            checkpointer.save(jax.device_get(now))
            calls.append(time.perf_counter() - began)
        for _ in range(dispatches):
            now, _ = jax.block_until_ready(run(now, data, jnp.int32(MOST)))
        (saving if number % 2 else plain).append(time.perf_counter() - began)
        checkpointer.wait()
    checkpointer.close()
    return plain, saving, calls


def main() -> None:
    """Prints the medians and the share."""
    parser = common.parser(__doc__)
    parser.add_argument("--hypotheses", type=int, default=200)
    parser.add_argument("--saves", type=int, default=3)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    config = TrainConfig(hypotheses=options.hypotheses)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        plain, saving, calls = measure(config, pathlib.Path(folder), options.saves)
    without, with_save = statistics.median(plain), statistics.median(saving)
    extra = with_save - without
    print(f"window without a save {without:.2f} s, with one {with_save:.2f} s")
    print(f"the call to save blocks {1000 * statistics.median(calls):.0f} ms")
    print(
        f"a save costs {1000 * extra:.0f} ms: {100 * extra / 60:.2f} % of the time at "
        "one a minute"
    )


if __name__ == "__main__":
    main()
