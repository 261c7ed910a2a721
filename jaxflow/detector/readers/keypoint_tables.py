"""Keypoints in tables: CSV, a person a row, and NPZ.

    path -> Detection or Skipped, a person at a time

CSV has columns ``picture``, ``frame`` and ``person``, of which none is needed, and the
joints', either numbered (``x0, y0, c0, x1, ...``) or named (``LWrist_x, LWrist_y,
LWrist_c, ...`` by the names of one of the known skeletons); c is a confidence, 1 if
there is no such column.

NPZ has ``keypoints`` (frames, joints, 2) or (frames, persons, joints, 2), or with 3
numbers, the third a confidence. Further arrays, none of which is needed, are of the
same leading shape: ``confidence`` and ``sigma`` (px; ..., joints; or ..., joints, 2).
``frame`` (frames,) and ``person`` (persons,) number them; a person may have a name.
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxflow.detector.readers.records import Detection, Skipped
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.runs import array_files
from jaxflow.runs.errors import UserError

# How other programs call confidences, beside a joint's number or name.
_OTHERS = "c s p v score conf confidence likelihood prob probability visibility".split()
_ROWS = 256  # frames of an NPZ file that are in memory together


def read_csv(path: str | os.PathLike[str]) -> Iterator[Detection | Skipped]:
    """The persons in a CSV file, a row each.

    Raises:
      FileNotFoundError: no such file.
      UserError: no text, or no columns of joints; the file is named.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    counts: Counter[tuple[str, int]] = Counter()
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or ()
            joints, skeleton = _columns(names)
            if rows.line_num == 1 and not _goes_on(path):
                raise _ColumnError("it ends within its first line")
            _check_confidences(joints, names)
            for row in rows:
                try:
                    person = _row(path, row, joints, counts)
                    yield person._replace(skeleton=skeleton)
                except (TypeError, ValueError) as error:
                    reason = f"{path}: line {rows.line_num}: {error}"
                    yield Skipped(str(path), None, None, reason)
    except (UnicodeDecodeError, csv.Error, _ColumnError) as error:
        raise UserError(f"{path}: no table of keypoints: {error}") from error


def _goes_on(path: pathlib.Path) -> bool:
    """Whether there is an end of a line in the file."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return file.readline().endswith(("\n", "\r"))


class _ColumnError(UserError):
    """The columns are not those of joints."""


def _columns(
    names: Sequence[str],
) -> tuple[list[tuple[str, str, str | None]], str | None]:
    """The columns x, y and c of each joint, and whose joints they are if named."""
    there = set(names)
    count = next(i for i in itertools.count() if not {f"x{i}", f"y{i}"} <= there)
    numbered = [(f"x{i}", f"y{i}", f"c{i}") for i in range(count)]
    sets: list[tuple[list[tuple[str, str, str]], str | None]] = [(numbered, None)]
    for skeleton, foreign in SKELETONS.items():
        named = [(f"{j}_x", f"{j}_y", f"{j}_c") for j in foreign.joints]
        if {name for x, y, _ in named for name in (x, y)} <= there:
            sets.append((named, skeleton))
    columns, whose = max(sets, key=lambda entry: len(entry[0]))
    if not columns:
        raise _ColumnError(
            "expected columns x0, y0, c0, x1, ... or <joint>_x, <joint>_y, <joint>_c "
            f"for all joints of a skeleton ({', '.join(SKELETONS)}); got "
            f"{', '.join(list(names)[:12]) or 'nothing'}"
        )
    return [(x, y, c if c in there else None) for x, y, c in columns], whose


def _check_confidences(
    joints: Sequence[tuple[str, str, str | None]], names: Sequence[str]
) -> None:
    """All joints have a confidence, or none has: one without would be sure."""
    without = [x for x, _, c in joints if c is None]
    numbered = joints[0][0] == "x0"
    likely = {
        word + between + x[1:] if numbered else x[:-1].lower() + word
        for x, _, _ in joints
        for word in _OTHERS
        for between in ("", "_")
    }
    others = [name for name in names if name.lower() in likely]
    if len(without) == len(joints) and others:
        called = "c0, c1, ..." if numbered else f"{joints[0][0][:-1]}c, ..."
        raise _ColumnError(
            f"{', '.join(others[:4])}: expected confidences in columns {called}; "
            "rename these, or leave them out"
        )
    if without and len(without) < len(joints):
        raise _ColumnError(
            f"there are confidences, but none beside {', '.join(without[:4])}"
        )


def _row(
    path: pathlib.Path,
    row: Mapping[str, Any],
    joints: Sequence[tuple[str, str, str | None]],
    counts: Counter[tuple[str, int]],
) -> Detection:
    if None in row:
        raise UserError("more entries than columns")
    source = row.get("picture") or str(path)
    frame = whole_number("frame", row.get("frame") or 0)
    index: int | str = counts[source, frame]
    counts[source, frame] += 1
    if named := row.get("person"):
        index = number_or_name(named)
    points = np.array([[_number(row, x), _number(row, y)] for x, y, _ in joints])
    confidence = np.array([_number(row, c) if c else 1.0 for _, _, c in joints])
    return Detection(source, frame, index, points, confidence, numbered=not named)


def whole_number(name: str, value: Any) -> int:
    """A number as tables have it: 7, "7" or, of those that know no integers, "7.0".

    Raises:
      UserError: it is none, or true or false.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, int):
            return value
        number = float(value)
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"expected a whole number for {name}; got {value!r}")


def number_or_name(text: str) -> int | str:
    """An id: a whole number if it is one, "3.0" as 3, else as it is."""
    whole = text.removesuffix(".0")
    return int(whole) if whole.isdecimal() and len(whole) < 19 else text


def _number(row: Mapping[str, Any], column: str) -> float:
    """A joint's number; NaN, which stands for none, where the cell is empty."""
    if row[column] is not None and not row[column].strip():
        return math.nan
    try:
        return float(row[column])
    except (TypeError, ValueError):
        raise UserError(
            f"expected a number for {column}; got {row[column]!r}"
        ) from None


def read_npz(path: str | os.PathLike[str]) -> Iterator[Detection | Skipped]:
    """The persons in an NPZ file, by frames, then by persons.

    Raises:
      FileNotFoundError: no such file.
      UserError: no NPZ file, or arrays of other shapes; the file is named.
    """
    path = pathlib.Path(path)
    arrays = {name: array_files.open_maps(path, name) for name in _names(path)}
    points = arrays["keypoints"]
    shape = tuple(points.shape)
    if len(shape) not in (3, 4) or shape[-1] not in (2, 3):
        raise UserError(
            f"{path}: expected keypoints (frames, [persons,] joints, 2 or 3); got "
            f"{shape}"
        )
    _check_shapes(path, arrays, shape)
    frames = _numbers(arrays.get("frame"), shape[0])
    persons = _ids(arrays.get("person"), shape[1] if len(shape) == 4 else 1)
    for start in range(0, shape[0], _ROWS):
        rows = slice(start, min(start + _ROWS, shape[0]))
        block: dict[str, np.ndarray] = {
            name: np.asarray(arrays[name][rows], np.float64).reshape(
                rows.stop - start, len(persons), *arrays[name].shape[len(shape) - 2 :]
            )
            for name in ("keypoints", "confidence", "sigma")
            if name in arrays
        }
        yield from _block(str(path), block, frames[rows], persons)


def _block(
    source: str,
    block: Mapping[str, np.ndarray],
    frames: Sequence[int],
    persons: Sequence[int | str],
) -> Iterator[Detection]:
    points, confidence, sigma = (
        block.get(name) for name in ("keypoints", "confidence", "sigma")
    )
    assert points is not None
    if confidence is None and points.shape[-1] == 3:
        confidence = points[..., 2]
    for i, frame in enumerate(frames):
        for j, person in enumerate(persons):
            yield Detection(
                source,
                frame,
                person,
                points[i, j, :, :2],
                None if confidence is None else confidence[i, j],
                None if sigma is None else sigma[i, j],
            )


def _names(path: pathlib.Path) -> list[str]:
    """The arrays in the file that are known here."""
    known = ("keypoints", "confidence", "sigma", "frame", "person")
    there = array_files.names_in_npz(path)
    if "keypoints" not in there:
        raise UserError(
            f"{path}: expected an array keypoints; got {', '.join(there) or 'none'}"
        )
    return [name for name in known if name in there]


def _check_shapes(
    path: pathlib.Path, arrays: Mapping[str, Any], shape: tuple[int, ...]
) -> None:
    """Refuses arrays whose shapes do not belong to the keypoints'."""
    allowed: dict[str, list[tuple[int, ...]]] = {
        "confidence": [shape[:-1]],
        "sigma": [shape[:-1], (*shape[:-1], 2)],
        "frame": [shape[:1]],
        "person": [shape[1:2] if len(shape) == 4 else (1,)],
    }
    for name, shapes in allowed.items():
        if name in arrays and tuple(arrays[name].shape) not in shapes:
            wanted = " or ".join(str(one) for one in shapes)
            raise UserError(
                f"{path}: expected {name} of shape {wanted}, as the keypoints have; "
                f"got {tuple(arrays[name].shape)}"
            )


def _numbers(array: Any, count: int) -> list[int]:
    if array is None:
        return list(range(count))
    return [whole_number("frame and person", v) for v in np.asarray(array[0:count])]


def _ids(array: Any, count: int) -> list[int | str]:
    """Numbers, or names as CSV has them."""
    if array is None or array.dtype.kind not in "SU":
        return [*_numbers(array, count)]
    return [number_or_name(name) for name in np.asarray(array[0:count]).astype(str)]
