"""Training whose frames are read from their files, beside one whose frames are held.

    python -m benchmarks.stream [--frames=50000] [--hypotheses=25] [--repeats=20]
    python -m benchmarks.stream --memory --frames=500000

Both run in this process in turn, as the train command runs them, on the same frames: a
small synthetic set, written over and over into one file. Printed are seconds an
iteration and, of each round, what reading costs beside holding; other work on the
machine meets both alike. Before each turn is a pause in which reading ahead fills its
buffer, so that a turn pays for what it takes and no more. --memory starts the train
command twice, tiny, and prints the most memory that each had.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import common, train_step
from data_builders import registry
from jaxflow.config import DataConfig, LoopConfig, RunConfig, TrainConfig
from jaxflow.methods import flow
from jaxflow.runs import writer
from jaxflow.training import epochs, parallel, state, supply
from jaxflow.training.streamed import Streamed

_DATASET = "synthetic_lift/seed0-train2000-test40"
_ITERATIONS = 100_000  # of a run; it never gets there
_PAUSE = 1.0  # seconds, for the buffer
_TINY = ["--batch_size=8", "--blocks=2", "--hidden=16", "--hypotheses=6"]


class Run:
    """A run under way: calling it does `train_step.ITERATIONS` iterations."""

    def __init__(self, config: RunConfig, kind: Any):
        """Loads or looks through the frames, compiles, and does some iterations."""
        devices = tuple(jax.local_devices()[:1])
        train = config.train
        self._frames: supply.Supply = kind(config, flow)
        self._frames.place(devices, _ITERATIONS)
        start = state.init(epochs.seeds(train.seed).init, train)
        self._state = parallel.replicate(start, devices)
        self._run = parallel.make_run(
            train, devices, self._frames.most, flow, self._frames.part
        )
        self._step = 0
        self._seen = self._frames.take(0, train_step.ITERATIONS)
        self()

    def __call__(self) -> None:
        """Waits for the iterations; the next ones' frames come while these run."""
        count = train_step.ITERATIONS
        self._state, losses = self._run(self._state, self._seen, jnp.int32(count))
        self._step += count
        self._seen = self._frames.take(self._step, count)
        jax.block_until_ready((self._state, losses))

    def close(self) -> None:
        """Ends reading ahead."""
        self._frames.close()


def repeated(folder: pathlib.Path, frames: int) -> None:
    """A small set in a folder of prepared sets whose training split has ``frames``."""
    from array_record.python import array_record_module as array_record

    builder = registry.prepare(_DATASET, folder)
    prepared = pathlib.Path(builder.data_dir)
    (file,) = prepared.glob("*-train.array_record*")
    reader = array_record.ArrayRecordReader(str(file))
    records = reader.read_all()
    reader.close()
    written = array_record.ArrayRecordWriter(str(file), "group_size:1")
    for number in range(frames):
        written.write(records[number % len(records)])
    written.close()
    about = prepared / "dataset_info.json"
    info = json.loads(about.read_text())
    for split in info["splits"]:
        if split["name"] == "train":
            split["shardLengths"] = [str(frames)]
            split["numBytes"] = str(frames * len(records[0]))
    about.write_text(json.dumps(info))


def memory(folder: pathlib.Path, frames: int) -> list[list[str]]:
    """The most memory that the train command has had, frames held and read."""
    rows = []
    for stream in ("never", "always"):
        workdir = folder / stream
        began = time.perf_counter()
        flags = [f"--dataset={_DATASET}", f"--data_dir={folder}", *_TINY]
        flags += ["--iterations=200", "--validate_every=0", "--critic_updates=1"]
        subprocess.run(
            [sys.executable, "-m", "jaxflow.train", f"--workdir={workdir}", *flags]
            + [f"--stream={stream}", "--devices=1"],
            check=True,
        )
        peak = max(line["host_peak_mib"] for line in writer.read(workdir))
        seconds = time.perf_counter() - began
        rows.append([stream, f"{frames:,}", f"{peak:.0f}", f"{seconds:.0f}"])
    return rows


def main() -> None:
    """Prints a table."""
    parser = common.parser(__doc__)
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hypotheses", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        repeated(folder, options.frames)
        if options.memory:
            columns = ["--stream", "frames", "at most, MiB", "s in all"]
            print(common.markdown(columns, memory(folder, options.frames)))
            return
        train = dataclasses.replace(
            TrainConfig(), batch_size=options.batch_size, hypotheses=options.hypotheses
        )
        config = RunConfig(
            train=train,
            data=DataConfig(dataset=_DATASET, data_dir=name),
            loop=LoopConfig(validate_every=0),
        )
        kinds = {"held": supply.Resident, "read": Streamed}
        runs = {kind: Run(config, made) for kind, made in kinds.items()}
        try:
            what = f"{options.frames:,} frames, L = {options.hypotheses}"
            print(train_step.beside(what, runs, options.repeats, _PAUSE))
        finally:
            for run in runs.values():
                run.close()


if __name__ == "__main__":
    main()
