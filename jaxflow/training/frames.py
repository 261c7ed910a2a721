"""Which frames a run trains on, and which it validates on.

    RunConfig -> PoseRecords to train on, and to validate on

Of several processes each reads its part and they exchange what they read.
"""

from __future__ import annotations

import zlib

import numpy as np

from jaxflow import data
from jaxflow.config import RunConfig
from jaxflow.runs import multihost
from jaxflow.runs.errors import UserError
from jaxflow.types import PoseRecords


def load(config: RunConfig) -> tuple[PoseRecords, PoseRecords | None]:
    """Frames to train on and to validate on, alike in all processes.

    Validation takes the subjects held out of training or, where there are none, the
    test set; None where no validation is wanted.

    Raises:
      UserError: see `data.load_records`; or nothing is left to train on.
    """
    train = _split(config, "train")
    names = config.train.held_out
    held_out = None
    if names:
        theirs = data.of_subjects(train, names)
        if theirs.all():
            raise UserError(f"hold_out = {', '.join(names)} leaves no frame to train")
        train, held_out = train.take(~theirs), train.take(theirs)
    if not config.loop.validate_every:
        return train, None
    if held_out is None:
        held_out = _split(config, "test")
    return train, data.evenly(held_out, config.loop.validation_frames)


def _split(config: RunConfig, split: str) -> PoseRecords:
    """The split's frames, built first if need be; each process reads its part."""
    where = config.data
    part = multihost.own_part(split) if multihost.several() else split
    records = data.load_records(
        where.dataset, part, where.data_dir or None, where.manual_dir or None
    )
    return multihost.gather(records) if multihost.several() else records


def fingerprint(records: PoseRecords) -> dict[str, int]:
    """Tells data sets apart: a run must not go on with other data."""
    arrays = (records.pose3d, records.pose2d, records.gaussfit)
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return {"frames": len(records), "crc32": checksum}
