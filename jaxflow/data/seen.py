"""Records as what the network sees, and as what its hypotheses are compared with.

PoseRecords -> RawFrames (N, ...) -> Batch (N, ...)
PoseRecords -> targets (N, 17, 3)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.data.records import ARRAYS, check_records, describe
from jaxflow.gaussians.condition import condition
from jaxflow.maths import batching
from jaxflow.maths.geometry import normalize_pose2d, normalize_pose3d, relative_to_hip
from jaxflow.runs.errors import UserError
from jaxflow.types import Batch, PoseRecords, RawFrames

_BATCH_CHUNK = 8192  # poses preprocessed at a time, one compiled shape
BLOCK = 4096  # frames that training preprocesses at a time


def to_batch(records: PoseRecords) -> Batch:
    """What the network sees of the records, float32, on the default device.

    Args:
      records: N frames, N at least 1.

    Returns:
      A ``Batch`` of N: pose3d (N, 48) metres, pose2d (N, 32), cond (N, 78).

    Raises:
      DataFileError: shapes differ or a number is not finite.
      UserError: no frames, or frames whose 2D joints all coincide.
    """
    frames = to_raw(records)
    parts = [
        _preprocess_padded(*(array[start : start + _BATCH_CHUNK] for array in frames))
        for start in range(0, len(records), _BATCH_CHUNK)
    ]
    return Batch(*(jnp.concatenate(column) for column in zip(*parts, strict=True)))


def seen_blocks(frames: RawFrames, device: jax.Device | None = None) -> Iterator[Batch]:
    """The frames as the network sees them, `BLOCK` at a time.

    All blocks are of one size, the last filled up with its last frame: by one compiled
    program, so that a frame's bits do not depend on which others it comes with.

    Args:
      frames: (N, ...) on the host.
      device: that computes and holds them; default the default one.
    """
    for start in range(0, len(frames.pose3d), BLOCK):
        block = RawFrames(*(array[start : start + BLOCK] for array in frames))
        yield _preprocess(jax.device_put(batching.filled(block, BLOCK), device))


def to_raw(records: PoseRecords) -> RawFrames:
    """The records' arrays, float32, on the host: what `network_inputs` takes.

    Raises:
      As `to_batch`.
    """
    if not len(records):
        raise UserError("expected at least one frame; got none")
    check_records(records, "records")
    flat = np.ptp(records.pose2d, axis=1).max(axis=1) == 0
    if flat.any():
        row = int(np.argmax(flat))
        raise UserError(
            f"records: all 2D joints coincide in {describe(records, row)}, so the pose "
            "has no scale"
        )
    arrays: Iterator[Any] = (
        np.asarray(getattr(records, name), np.float32) for name in ARRAYS
    )
    return RawFrames(*arrays)


def targets_of(records: PoseRecords) -> np.ndarray:
    """(N, 17, 3) metres, camera frame, hip at 0: what hypotheses are compared with."""
    pose = records.pose3d / np.float32(1000)
    return pose - pose[:, :1]


def _preprocess_padded(*arrays: Any) -> Batch:
    """A chunk at a power-of-two size, so that few shapes are ever compiled."""
    count = len(arrays[0])
    padded = batching.filled(arrays, 1 << (count - 1).bit_length())
    return Batch(*(column[:count] for column in _preprocess(RawFrames(*padded))))


def network_inputs(frames: RawFrames) -> Batch:
    """Frames (...) as the network sees them; a pure function of arrays."""
    return Batch(
        # Relative to the hip first: metres from the camera would cost digits.
        pose3d=normalize_pose3d(relative_to_hip(frames.pose3d) / 1000),
        pose2d=normalize_pose2d(frames.pose2d),
        cond=condition(frames.gaussfit),
    )


_preprocess = jax.jit(network_inputs)
