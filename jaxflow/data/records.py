"""Data sets as host records: read from prepared files, checked.

    data sets, split -> PoseRecords

``load_records`` builds a set first if need be, and puts several behind each other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_builders import files, registry
from data_builders.features import TEXT_FIELDS
from data_builders.lift_builder import LiftBuilder
from jaxflow.data import examples
from jaxflow.runs.errors import UserError
from jaxflow.types import PoseRecords

_READ_CHUNK = 4096  # examples decoded at a time
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
        with a configuration behind a slash; or several with commas between, whose
        frames then follow each other.
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
    parts = [
        _of_builder(builder, split)
        for builder in prepared(dataset, data_dir, manual_dir)
    ]
    return parts[0] if len(parts) == 1 else _joined(parts, f"{dataset} {split}")


def prepared(
    dataset: str,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> list[LiftBuilder]:
    """The builders of one or several data sets, each built first if need be.

    Arguments and errors as of `load_records`. Of several sets the raw files are those
    of what is not built yet.
    """
    names = registry.named(dataset)
    builders = [registry.builder(name, data_dir) for name in names]
    folders = [str(builder.data_dir) for builder in builders]
    if len(set(folders)) < len(folders):
        raise UserError(
            f"expected data sets with commas between, each once; of {dataset} two lie "
            f"in the same folder: {', '.join(folders)}"
        )
    several = len(names) > 1
    return [
        registry.prepare(
            name, data_dir, None if several and known.is_prepared() else manual_dir
        )
        for name, known in zip(names, builders, strict=True)
    ]


def features_of(builders: Sequence[LiftBuilder]) -> Any:
    """Of the frames of all these sets, as TFDS knows them."""
    first, *others = (builder.info.features for builder in builders)
    shared = {
        name: first[name] for name in first if all(name in known for known in others)
    }
    return tfds.features.FeaturesDict(shared) if others else first


def _of_builder(builder: LiftBuilder, split: str) -> PoseRecords:
    columns = _read(builder, split)
    if not columns:
        raise UserError(
            f"{builder.name}: split {split!r} of {builder.data_dir} is empty"
        )
    return _records(columns, f"{builder.data_dir} {split}")


def _joined(parts: Sequence[PoseRecords], source: str) -> PoseRecords:
    """One behind the other, with what is known of the frames of all.

    Which are valid is known of all, if of any: of a set that marks none, all.
    """
    columns = [part.columns() for part in parts]
    if any("valid" in known for known in columns):
        for known, part in zip(columns, parts, strict=True):
            known.setdefault("valid", np.ones(len(part), np.bool_))
    shared = [name for name in columns[0] if all(name in known for known in columns)]
    joined = {
        name: np.concatenate([known[name] for known in columns]) for name in shared
    }
    return _records(joined, source)


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
        raise UserError(
            f"{builder.name}: expected a split of {known}; got {split!r}"
        ) from error


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
        raise files.unreadable(builder.data_dir, error) from error


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
    """The splits of a prepared set that have frames; a test-only set has no "train".

    Of several data sets those that each of them has.
    """
    every = [
        registry.builder(name, data_dir).info.splits for name in registry.named(dataset)
    ]
    return tuple(
        name
        for name in every[0]
        if all(name in splits and splits[name].num_examples for splits in every)
    )


def protocol_stride(dataset: str) -> int:
    """Every how many test frames of an action the data set's own test counts.

    Of several data sets the least, so that each is seen at least so closely.
    """
    return min(registry.builder(name).TEST_STRIDE for name in registry.named(dataset))
