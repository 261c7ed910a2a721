"""Samples every frame of a data set's split and writes the hypotheses to files.

    python -m jaxflow.sample_set --checkpoint=DIR --dataset=NAME --out=DIR

All local devices sample, each an equal part. --out gets shards of --shard_size frames,
.npz or .array_record, with hypotheses (n, M, 17, 3) in metres (hip at the origin,
camera frame), which frames they are of, and a manifest.json that tells all about them:

    for one in jaxflow.prediction.set_files.read(DIR): one.hypotheses, one.action, ...

Stop it whenever you like: the same command goes on behind the last whole shard. Number
of devices and --batch_size decide speed and memory, never the hypotheses; with the same
--seed and --stride (0 here) they are those that jaxflow.evaluate measures.

Several processes share the shards with --multihost, each started with the same flags;
see jaxflow.train. --out must be a folder that all of them see, or the folders must be
put together afterwards.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import jax
from absl import flags
from tqdm import tqdm

from jaxflow import commands, config
from jaxflow.commands import _multihost
from jaxflow.prediction import set_files, sets
from jaxflow.runs import multihost

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Folder of a checkpoint, or the workdir of a run: its latest.",
    required=True,
)
_OUT = flags.DEFINE_string("out", None, "Folder to write to.", required=True)
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
commands.define_flags(config.DataConfig(), "data")
commands.define_flags(sets.SampleConfig(), "sampling")
flags.adopt_module_key_flags(commands)
flags.adopt_module_key_flags(_multihost)


def main(argv: Sequence[str]) -> None:
    """Loads, claims the folder, samples what is missing, reports."""
    commands.no_arguments(argv)
    where = commands.from_flags(config.DataConfig())
    settings = commands.from_flags(sets.SampleConfig())
    _multihost.join_others()
    devices = _devices(_DEVICES.value)
    # The first builds the data set, where it has to be built.
    source = multihost.first_does(lambda: _load(where, settings))
    source = source or _load(where, settings)
    if multihost.is_first():
        print(f"temperature of the latents: {source.temperature:g}")
    manifest = sets.describe(source, where, settings)
    shards = set_files.claim(_OUT.value, manifest)
    _sample(source, settings, shards, devices)
    multihost.wait_for_all("the end")


def _load(where: config.DataConfig, settings: sets.SampleConfig) -> sets.Source:
    return sets.load(_CHECKPOINT.value, where, settings)


def _sample(
    source: sets.Source,
    settings: sets.SampleConfig,
    shards: set_files.Shards,
    devices: tuple[jax.Device, ...],
) -> None:
    """This process's part of the shards, behind a bar with rate and time left."""
    own = range(jax.process_index(), shards.count, jax.process_count())
    missing = shards.missing(own)
    for text in shards.set_aside:
        print(f"warning: {text}")
    if len(missing) < len(own):
        there = len(own) - len(missing)
        print(f"{_OUT.value}: {there} of {len(own)} shards are there already")
    frames = sum(len(shards.rows(number)) for number in missing)
    each = settings.num_hypotheses
    began = time.monotonic()
    with tqdm(
        total=frames * each,
        unit=" hypotheses",
        unit_scale=True,
        desc="sampling",
        disable=not multihost.is_first(),
        dynamic_ncols=True,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    ) as bar:
        sets.sample_shards(
            source,
            settings,
            shards,
            missing,
            devices=devices,
            batch_size=_BATCH_SIZE.value,
            progress=lambda n: bar.update(n * each),
        )
    seconds = time.monotonic() - began
    if missing:
        print(
            f"written: {_OUT.value}, {len(missing)} shards: {frames} frames x {each} "
            f"hypotheses in {seconds:.1f} s, devices: {len(devices)} "
            f"({frames * each / seconds:,.0f} hypotheses/s, compiling included)"
        )


def _devices(wanted: int) -> tuple[jax.Device, ...]:
    """The first so many of this process's devices; 0: all.

    Raises:
      ValueError: there are not so many.
    """
    available = jax.local_devices()
    if wanted > len(available):
        raise ValueError(
            f"devices = {wanted}, but this machine has {len(available)}: {available}"
        )
    return tuple(available[: wanted or len(available)])


if __name__ == "__main__":
    commands.run(main)
