"""Samples every frame of a data set's split and writes the hypotheses to files.

    python -m jaxflow.sample_set --checkpoint=DIR --dataset=NAME --out=DIR

All local devices sample, each an equal part. --out gets shards of --shard_size frames,
.npz or .array_record, with hypotheses (n, M, 17, 3) in metres (hip at the origin,
camera frame), which frames they are of, and a manifest.json that tells all about them:

    for frame in jaxflow.sample_files.read(DIR): frame.hypotheses, frame.action, ...

Stop it whenever you like: the same command goes on behind the last whole shard. Number
of devices and --batch_size decide speed and memory, never the hypotheses; with the same
--seed and --stride (0 here) they are those that jaxflow.evaluate measures.

Several processes share the shards with --multihost, each started with the same flags;
see jaxflow.train. --out must be a folder that all of them see, or the folders must be
put together afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jaxflow import commands
from jaxflow.commands import _multihost
from jaxflow.evaluation.calibrated import Applied
from jaxflow.prediction import set_files, sets
from jaxflow.prediction.set_sampling import SampleConfig, SetToSample
from jaxflow.runs import files, multihost
from jaxflow.runs.errors import UserError
from jaxflow.runs.run import Run

flags = commands.Flags(__name__)

_CHECKPOINT = flags.path("checkpoint", None, commands.CHECKPOINT, required=True)
_OUT = flags.path("out", None, "Folder to write to.", required=True)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    64,
    "Frames on a device at a time, made up to what it computes at once; decides speed "
    "and memory, not results.",
    lower_bound=1,
)
_DEVICES = flags.DEFINE_integer(
    "devices", 0, "Devices to use in each process; 0: all of them.", lower_bound=0
)
flags.define_data()
flags.define_config(SampleConfig(), "sampling")
flags.adopt(commands, _multihost)


def main(argv: Sequence[str]) -> None:
    """Loads, claims the folder, samples what is missing, reports."""
    commands.no_arguments(argv)
    settings = flags.config(SampleConfig())
    where = flags.data([_CHECKPOINT.value])
    files.check_folder(_OUT.value, "--out")  # or fail after the set is built
    _multihost.join_others()
    devices = _devices(_DEVICES.value)

    def load() -> SetToSample:
        return sets.load(_CHECKPOINT.value, where, settings)

    # The first builds the data set, where it has to be built.
    source = multihost.first_does(load) or load()
    if multihost.is_first():
        drawn = f"{source.temperature:g}{Applied.to(source.model)}"
        print(f"temperature of the latents: {drawn}")
    manifest = sets.describe(source, where, settings)
    with Run(_OUT.value, flag="--out") as run:
        shards = set_files.claim(run.folder, manifest)
        sets.sample_missing(
            source, settings, shards, devices, _BATCH_SIZE.value, run.listen()
        )
        multihost.wait_for_all("the end")


def _devices(wanted: int) -> tuple[jax.Device, ...]:
    """The first so many of this process's devices; 0: all.

    Raises:
      UserError: there are not so many.
    """
    available = jax.local_devices()
    if wanted > len(available):
        raise UserError(
            f"devices = {wanted}, but this machine has {len(available)}: {available}"
        )
    return tuple(available[: wanted or len(available)])


if __name__ == "__main__":
    commands.run(main)
