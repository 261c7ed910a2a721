"""Data sets as host records, and records as what the network sees.

``load_records`` reads a prepared set (and builds it first if need be) into
``PoseRecords``; ``to_batch`` turns records into a ``Batch`` on the device, and
``targets_of`` into what hypotheses are compared with.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds

from data_builders import files, registry
from data_builders.features import TEXT_FIELDS
from jaxflow.data import examples
from jaxflow.gaussians.condition import condition
from jaxflow.maths import batching
from jaxflow.maths.geometry import normalize_pose2d, normalize_pose3d, relative_to_hip
from jaxflow.runs.errors import UserError
from jaxflow.types import Batch, PoseRecords, RawFrames

_READ_CHUNK = 4096  # examples decoded at a time
_BATCH_CHUNK = 8192  # poses preprocessed at a time, one compiled shape
BLOCK = 4096  # frames that training preprocesses at a time
ARRAYS: dict[str, tuple[int, ...]] = {
    "pose3d": (17, 3),
    "pose2d": (16, 2),
    "gaussfit": (16, 7),
}


def load_records(
    dataset: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> PoseRecords:
    """All frames of a split, in the data set's order.

    The order is by subject, action, subaction, camera and frame (see the builders).

    Args:
      dataset: a name of `data_builders.registry`, such as ``synthetic_lift``, perhaps
        with a configuration behind a slash.
      split: "train", "test" or a TFDS slice such as "train[:10%]".
      data_dir: folder of prepared sets; the default is TFDS's ($TFDS_DATA_DIR or
        ~/tensorflow_datasets).
      manual_dir: folder of raw files, needed to build a set that has them. A prepared
        set that was built from other raw files is refused.

    Returns:
      The records: poses in mm in the camera's frame, 2D in crop pixels.

    Raises:
      DataFileError: raw or prepared files are missing, damaged, hold numbers that are
        not finite, or do not belong together. A ValueError, as the next is.
      UserError: unknown data set or split, or an empty split.
    """
    builder = registry.prepare(dataset, data_dir, manual_dir)
    columns = _read(builder, split)
    if not columns:
        raise UserError(f"{dataset}: split {split!r} of {builder.data_dir} is empty")
    return _records(columns, f"{builder.data_dir} {split}")


def _records(columns: dict[str, np.ndarray], source: str) -> PoseRecords:
    """Checked ones of all columns that a data set has."""
    columns["frame"] = columns["frame"].astype(np.int32)  # TFDS gives Python's numbers
    fields = {name: columns.pop(name) for name in (*ARRAYS, *TEXT_FIELDS, "frame")}
    records = PoseRecords(**fields, extra=columns)
    check_records(records, source)
    return records


def of_examples(serialised: Sequence[bytes], features: Any, source: str) -> PoseRecords:
    """Records of examples as TFDS writes them.

    Args:
      serialised: at least one.
      features: of the data set, as TFDS knows them.
      source: what the message calls the place they come from.

    Raises:
      DataFileError: see `check_records`.
    """
    return _records(_cut(serialised, features), source)


def frames_of(builder: Any, split: str) -> int:
    """How many frames a split of a prepared set has.

    Raises:
      UserError: there is no such split.
    """
    try:
        return int(builder.info.splits[split].num_examples)
    except (KeyError, ValueError, AssertionError) as error:
        known = ", ".join(builder.info.splits)
        raise UserError(f"expected a split of {known}; got {split!r}") from error


def unreadable(folder: Any, error: Exception) -> files.DataFileError:
    """The error to raise where a prepared set's files cannot be read."""
    return files.DataFileError(
        f"{folder} cannot be read ({type(error).__name__}: {error}); remove the folder "
        "to build the set anew"
    )


def _read(builder: Any, split: str) -> dict[str, np.ndarray]:
    """The columns of a split in order; none where it is empty."""
    count = frames_of(builder, split)
    if not count:  # TFDS has no source without files
        return {}
    try:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        source = builder.as_data_source(split=split, deserialize_method=raw)
        parts = [
            _cut(source.__getitems__(rows.tolist()), builder.info.features)
            for rows in np.array_split(np.arange(count), -(-count // _READ_CHUNK))
        ]
        return {
            name: np.concatenate([part[name] for part in parts]) for name in parts[0]
        }
    except Exception as error:  # the reader's own errors are of many types
        raise unreadable(builder.data_dir, error) from error


def _cut(serialised: Sequence[bytes], features: Any) -> dict[str, np.ndarray]:
    """Serialised examples as `_columns` gives them decoded, in a tenth of the time."""
    kinds = {name: _numbers(feature) for name, feature in features.items()}
    try:
        found = examples.columns(serialised, kinds)
    except examples.LayoutError:  # of another writer
        return _columns([features.deserialize_example_np(row) for row in serialised])
    return {
        name: found[name].reshape(-1, *feature.shape).astype(feature.np_dtype)
        if kinds[name]
        else np.char.decode(found[name], "utf-8")
        for name, feature in features.items()
    }


def _numbers(feature: Any) -> int:
    """What `examples.columns` is to take a feature of a data set for."""
    if isinstance(feature, tfds.features.Text):
        return examples.TEXT
    count = math.prod(feature.shape)
    return count if feature.np_dtype == np.float32 else examples.WHOLE * count


def _columns(decoded: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Examples as one array a feature; bytes become text."""
    columns = {
        name: np.asarray([example[name] for example in decoded]) for name in decoded[0]
    }
    return {
        name: np.char.decode(column, "utf-8") if column.dtype.kind in "SO" else column
        for name, column in columns.items()
    }


def check_records(records: PoseRecords, source: str) -> None:
    """Refuses records that no network should see.

    Args:
      records: N frames.
      source: what the message calls the place they come from.

    Raises:
      DataFileError: a wrong shape, differing lengths or a number that is not finite;
        the message names source, recording and frame.
    """
    count = len(records)
    columns = records.columns()
    for name, array in columns.items():
        expected = (count, *ARRAYS.get(name, array.shape[1:]))
        if array.shape != expected:
            raise files.DataFileError(
                f"{source}: expected {name} of shape {expected}; got {array.shape}"
            )
    for name, array in columns.items():
        if array.dtype.kind != "f":
            continue
        finite = np.isfinite(array).reshape(count, -1).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise files.DataFileError(
                f"{source}: {name} is not finite in {count - int(finite.sum())} "
                f"frames, first in {describe(records, row)}"
            )


def describe(records: PoseRecords, row: int) -> str:
    """A frame by name: ``S9/Walking/0/54138969 frame 12``."""
    names = "/".join(str(getattr(records, field)[row]) for field in TEXT_FIELDS)
    return f"{names} frame {records.frame[row]}"


def splits(
    dataset: str, data_dir: str | os.PathLike[str] | None = None
) -> tuple[str, ...]:
    """The splits of a prepared set that have frames; a test-only set has no "train"."""
    infos = registry.builder(dataset, data_dir).info.splits
    return tuple(name for name in infos if infos[name].num_examples)


def protocol_stride(dataset: str) -> int:
    """Every how many test frames of an action the data set's own test counts."""
    return registry.builder(dataset).TEST_STRIDE


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
