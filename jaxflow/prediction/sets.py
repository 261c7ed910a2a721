"""Hypotheses of every frame of a split, over all local devices, written as they come.

    checkpoint, data set, `SampleConfig` -> shards of `set_files`

The hypotheses are those of `jaxflow.sample` of all chosen frames with the key
`protocol.key_of` gives, which `evaluate` with the same seed and stride measures: frame
i of them uses ``fold_in(key, i)``, wherever and with whichever others it is sampled.
Theirs are equal to rounding, as the programs differ. On a CPU these are the same bits
for any number of devices, shards and batches, since a device always works on whole
tiles (`batching`); on accelerators, within rounding.

Memory holds the network's inputs (0.6 kB a frame), two batches and two shards.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import zlib
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxflow import data, methods, skeleton
from jaxflow.config import DataConfig
from jaxflow.evaluation import protocol
from jaxflow.evaluation.calibrated import calibrated
from jaxflow.prediction import set_files
from jaxflow.prediction import set_sampling as sampling
from jaxflow.prediction.set_sampling import NAMES, SampleConfig, SetToSample
from jaxflow.runs import checkpoint, multihost, plain_config, trees
from jaxflow.runs.errors import UserError
from jaxflow.runs.run import Stop
from jaxflow.types import DensityModel


def load(checkpoint_dir: str, where: DataConfig, config: SampleConfig) -> SetToSample:
    """Reads checkpoint and frames; the frames are those that `evaluate` would count.

    Raises:
      UserError: either is missing, damaged or of another kind, or the model has no
        density to store; says which and where.
    """
    model, step = methods.load(checkpoint_dir), checkpoint.find(checkpoint_dir).name
    model, temperature = calibrated(model, checkpoint_dir, config.temperature)
    if config.log_density and not isinstance(model, DensityModel):
        raise UserError(
            f"--log_density: expected a model that knows its density; {checkpoint_dir} "
            f"holds the method {model.method}, which does not"
        )
    records = data.load_records(
        where.dataset, config.split, where.data_dir or None, where.manual_dir or None
    )
    row = {"row": np.arange(len(records), dtype=np.int32)}
    records = dataclasses.replace(records, extra=records.extra | row)
    stride = config.stride or data.protocol_stride(where.dataset)
    frames = data.every_nth_per_action(protocol.counted(records), stride)
    return SetToSample(model, step, frames, temperature)


def describe(
    source: SetToSample, where: DataConfig, config: SampleConfig
) -> dict[str, Any]:
    """The manifest: whatever decides the hypotheses, and how to read them."""
    records = source.records
    columns = {
        "example": np.dtype("<i4"),
        "row": np.dtype("<i4"),
        **{name: getattr(records, name).dtype for name in NAMES},
        "hypotheses": np.dtype((config.dtype, (config.num_hypotheses, 17, 3))),
    }
    if config.log_density:
        columns["log_density"] = np.dtype(("<f4", (config.num_hypotheses,)))
    sums = json.dumps(trees.checksums(source.model.parameters()), sort_keys=True)
    return {
        "content": "3D human pose hypotheses sampled by jaxflow",
        "units": "metres; log_density in nats",
        "axes": "camera frame: x right, y down, z away; hip at the origin",
        "joints": list(skeleton.H36M_JOINTS),
        "key": "fold_in(fold_in(jax.random.key(seed), 0), example)",
        "settings": {
            "dataset": where.dataset,
            **plain_config.to_dict(config),
            "temperature": source.temperature,
        },
        "checkpoint": {
            "step": source.step,
            "crc32": zlib.crc32(sums.encode()),
            source.model.method: plain_config.to_dict(source.model.config),
        },
        "data_crc32": trees.checksum([records.pose2d, records.gaussfit]),
        "frames": len(records),
        "columns": set_files.describe_columns(columns),
    }


def sample_missing(
    source: SetToSample,
    config: SampleConfig,
    shards: set_files.Shards,
    devices: tuple[jax.Device, ...],
    batch_size: int,
    stop: Stop,
) -> None:
    """This process's part of the shards, behind a bar with rate and time left.

    Args:
      source: from `load`.
      config: as it was described to ``shards``.
      shards: where to write.
      devices: of this process.
      batch_size: frames on a device at a time.
      stop: asks to stop behind the batch under way.

    Raises:
      KeyboardInterrupt: it was to stop; whole shards are there.
      FloatingPointError, OSError: as `sample_shards` raises them.
    """
    numbers = range(jax.process_index(), shards.count, jax.process_count())
    missing = shards.missing(numbers)
    for text in shards.set_aside:
        print(f"warning: {text}")
    if there := len(numbers) - len(missing):
        print(f"{shards.folder}: {there} of {len(numbers)} shards are there already")
    frames = sum(len(shards.rows(number)) for number in missing)
    each, began = config.num_hypotheses, time.monotonic()
    with tqdm(
        total=frames * each,
        unit=" hypotheses",
        unit_scale=True,
        desc="sampling",
        disable=not multihost.is_first(),
        dynamic_ncols=True,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    ) as bar:

        def advance(frames: int) -> None:
            bar.update(frames * each)
            stop.check()

        sampling.sample_shards(
            source,
            config,
            shards,
            missing,
            devices=devices,
            batch_size=batch_size,
            progress=advance,
        )
    seconds = time.monotonic() - began
    if missing:
        print(
            f"written: {shards.folder}, {len(missing)} shards: {frames} frames x {each}"
            f" hypotheses in {seconds:.1f} s, devices: {len(devices)} "
            f"({frames * each / seconds:,.0f} hypotheses/s, compiling included)"
        )
