"""Which frames a run trains on, which it validates on, and how they are told apart.

    RunConfig -> PoseRecords to train on, and to validate on

Of several processes each reads its part and they exchange what they read.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data
from jaxflow.config import AugmentConfig, RunConfig, TrainConfig
from jaxflow.runs import multihost, trees
from jaxflow.runs.errors import UserError
from jaxflow.training import augmentation
from jaxflow.types import Batch, Held, PoseRecords, RawFrames


class Recordings(NamedTuple):
    """Recordings by their names, (R,) text each."""

    subject: np.ndarray
    action: np.ndarray
    subaction: np.ndarray
    camera: np.ndarray


def load(config: RunConfig) -> tuple[PoseRecords, PoseRecords | None]:
    """Frames to train on and to validate on, alike in all processes.

    Validation takes the subjects held out of training or, where there are none, the
    test set; None where no validation is wanted.

    Raises:
      UserError: see `data.load_records`; or nothing is left to train on.
    """
    train = _split(config, "train")
    held_out = None
    if names := config.train.held_out:
        theirs = held_out_of(train.subject, names)
        train, held_out = train.take(~theirs), train.take(theirs)
    if not config.loop.validate_every:
        return train, None
    if held_out is None:
        held_out = _split(config, "test")
    return train, data.evenly(held_out, config.loop.validation_frames)


def held_out_of(subjects: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Which of the frames' subjects (N,) are held out, (N,) bool.

    Raises:
      UserError: nobody else is left, or a subject is unknown.
    """
    theirs = data.of_subjects(subjects, names)
    if theirs.all():
        raise UserError(f"hold_out = {', '.join(names)} leaves no frame to train")
    return theirs


def inputs(records: PoseRecords, config: TrainConfig, groups: int) -> Held:
    """What lies on the devices: raw where frames are changed before they are seen.

    Args:
      records: to train on.
      config: of the run.
      groups: of the method, see `Method`.

    Raises:
      UserError: poses are to be seen anew that do not stand before the camera.
    """
    check_depths(float(records.pose3d[..., 2].min()), config.augment)
    raw = data.to_raw(records)
    group = jnp.asarray(group_of(records, groups)) if groups else None
    if config.augment.any:
        up = augmentation.up(augmentation.torsos(np.asarray(raw.pose3d)))
        return Held(raw, group, jnp.asarray(up))
    return Held(seen(raw), group)


def seen(frames: RawFrames) -> Batch:
    """Frames (N, ...) of the host as the network sees them, on the default device."""
    parts = list(data.seen_blocks(frames))
    whole: Batch = jax.tree.map(lambda *blocks: jnp.concatenate(blocks), *parts)
    return jax.tree.map(lambda array: array[: len(frames.pose3d)], whole)


def check_depths(nearest: float, augment: AugmentConfig) -> None:
    """Refuses poses that are to be seen anew and do not stand before the camera.

    Args:
      nearest: the least depth of all joints, mm.
      augment: of the run.

    Raises:
      UserError: says which flags ask for it.
    """
    seen_anew = "turned", "proportions", "recombined"
    asked = {name: getattr(augment, name) for name in seen_anew}
    asked = {name: value for name, value in asked.items() if value}
    if asked and nearest <= 0:
        flags = " ".join(f"--{name}={value}" for name, value in asked.items())
        off = " ".join(f"--{name}=0" for name in asked)
        raise UserError(
            f"{flags} needs poses as far from the camera as people were; expected "
            f"depths above 0, got {nearest:.0f} mm, as of poses relative to the hip: "
            f"give the distance, or {off}"
        )


def group_of(frames: PoseRecords | Recordings, groups: int) -> np.ndarray:
    """(N,) int32: people divided into groups, or recordings where all are of one."""
    names = frames.subject
    if len(set(names)) < 2:
        parts = (frames.action, frames.subaction, frames.camera)
        names = np.asarray(["/".join(row) for row in zip(*parts, strict=True)])
    _, number = np.unique(names, return_inverse=True)
    return (number % groups).astype(np.int32)


def _split(config: RunConfig, split: str) -> PoseRecords:
    """The split's frames, built first if need be; each process reads its part."""
    where = config.data
    part = multihost.own_part(split) if multihost.several() else split
    records = data.load_records(where.dataset, part, where.data_dir, where.manual_dir)
    return multihost.gather(records) if multihost.several() else records


def fingerprint(records: PoseRecords) -> dict[str, int]:
    """Tells data sets apart: a run must not go on with other data."""
    arrays = [records.pose3d, records.pose2d, records.gaussfit]
    return {"frames": len(records), "crc32": trees.checksum(arrays)}
