"""What memory training needs, stage by stage.

    python -m benchmarks.memory [--batch_size=64] [--hypotheses=200] [--frames=59301]
        [--compilation_cache=DIR]

Trains three iterations on made-up data in this process and prints, after each stage,
the most memory it has had and what it has now. Compiling needs the most by far; with a
folder of compiled programs, which the commands keep by default, the second start shows
what training alone needs. Linux only.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import common
from jaxflow.config import TrainConfig
from jaxflow.methods import flow
from jaxflow.runs import compilation_cache
from jaxflow.training import dispatch, epochs, loop, parallel, state


class Stages:
    """Rows of a table, a stage each."""

    def __init__(self) -> None:
        """None yet."""
        self.rows: list[list[str]] = []

    def done(self, name: str) -> None:
        """A stage has ended."""
        most, now = common.status_mib()
        self.rows.append([name, f"{most:.0f}", f"{now:.0f}"])


def measure(config: TrainConfig, frames: int) -> list[list[str]]:
    """The stages of a run on one device."""
    stages = Stages()
    stages.done(f"{loop.__name__} imported")
    devices = tuple(jax.local_devices()[:1])
    data = parallel.replicate(common.made_up(frames), devices)
    stages.done(f"{frames:,} frames on the device")
    now: Any = state.init(epochs.seeds(config.seed).init, config)
    now = parallel.replicate(now, devices)
    jax.block_until_ready(now)
    stages.done("parameters and optimisers")
    run = parallel.make_run(config, devices, 8, flow)
    dispatch.give_back_memory()  # as training does, before and after compiling
    now, _ = run(now, data, jnp.int32(1))
    dispatch.give_back_memory()
    jax.block_until_ready(now)
    stages.done("compiled, one iteration")
    now, _ = jax.block_until_ready(run(now, data, jnp.int32(2)))
    stages.done("three iterations")
    return stages.rows


def main() -> None:
    """Prints the table."""
    parser = common.parser(__doc__)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hypotheses", type=int, default=200)
    parser.add_argument("--frames", type=int, default=59301)
    parser.add_argument("--compilation_cache", default=compilation_cache.OFF)
    options = parser.parse_args()
    compilation_cache.enable(options.compilation_cache)
    config = TrainConfig(batch_size=options.batch_size, hypotheses=options.hypotheses)
    rows = measure(config, options.frames)
    print(f"Batch {config.batch_size}, {config.hypotheses} hypotheses")
    print(common.markdown(["stage", "at most, MiB", "now, MiB"], rows))


if __name__ == "__main__":
    main()
