"""Box files: who is where in pictures and videos, as a person detector found it.

    path -> BoxTable; BoxTable.of(picture, frame) -> Box, Box, ...

CSV has the columns ``picture``, ``x``, ``y``, ``w``, ``h`` (left, top, width and height
in image px) and, where they are needed, ``frame`` and ``id``. JSON is a list of objects
with the same names, or COCO's: ``image_id`` (a file's name) or ``file_name`` for the
picture, ``bbox`` for the four numbers, ``track_id`` for the id.
"""

from __future__ import annotations

import csv
import math
import os
import pathlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxflow.detector.readers import json_stream
from jaxflow.detector.readers.records import Box, Skipped
from jaxflow.runs.errors import UserError

_PICTURE = "picture image file_name image_id".split()
_ID = "id person person_id track_id".split()
_MOST, _MOST_SKIPPED = 1_000_000, 1000  # that are kept, some 700 MB
_SIDES = (("x", "left"), ("y", "top"), ("w", "width"), ("h", "height"))


class BoxTable:
    """The boxes of a file, found by picture and frame.

    Attributes:
      skipped: the entries that could not be used.
    """

    def __init__(self, entries: Sequence[Box | Skipped]) -> None:
        self.skipped = [entry for entry in entries if isinstance(entry, Skipped)]
        self._boxes: defaultdict[tuple[str, int], list[Box]] = defaultdict(list)
        for entry in entries:
            if isinstance(entry, Box):
                self._boxes[_plain(entry.source), entry.frame].append(entry)
        self._asked: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        """How many boxes there are."""
        return sum(map(len, self._boxes.values()))

    def of(self, picture: str | os.PathLike[str], frame: int = 0) -> list[Box]:
        """The boxes in a picture or in a video's frame, in the file's order.

        Args:
          picture: its path. It is looked for as the file may have named it: by the
            whole path, by ever fewer of its last parts, at last by the bare stem.
          frame: of a video.
        """
        parts = pathlib.PurePath(_plain(picture)).parts
        names = ["/".join(parts[i:]).replace("//", "/") for i in range(len(parts))]
        for name in (*names, pathlib.PurePath(_plain(picture)).stem):
            if (name, frame) in self._boxes:
                self._asked.add((name, frame))
                return self._boxes[name, frame]
        return []

    def unused(self) -> list[str]:
        """Pictures of the file that nobody has asked for: perhaps misspelt."""
        asked = {name for name, _ in self._asked}
        return sorted({name for name, _ in self._boxes} - asked)


def read_boxes(path: str | os.PathLike[str]) -> BoxTable:
    """The boxes in a .json or .csv file.

    Raises:
      FileNotFoundError: no such file.
      UserError: another kind of file, damaged, or without one box that can be used;
        names the file and the entry.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if path.suffix.lower() not in (".json", ".csv"):
        raise UserError(f"expected boxes in a .json or .csv file; got {path}")
    rows = _json(path) if path.suffix.lower() == ".json" else _csv(path)
    entries: list[Box | Skipped] = []
    counts: defaultdict[tuple[str, int], int] = defaultdict(int)
    bad = 0
    for where, row in rows:
        try:
            entries.append(_box(row, counts))
        except (KeyError, TypeError, ValueError) as error:
            bad += 1
            if bad <= _MOST_SKIPPED:
                reason = f"{path}: {where}: {error}"
                entries.append(Skipped(str(path), None, None, reason))
        if len(entries) > _MOST:
            raise UserError(f"{path}: more than {_MOST} boxes; give it in parts")
    if bad > _MOST_SKIPPED:
        reason = f"{path}: and {bad - _MOST_SKIPPED} more that could not be used"
        entries.append(Skipped(str(path), None, None, reason))
    table = BoxTable(entries)
    if not len(table):
        first = table.skipped[0].reason if table.skipped else f"{path}: it is empty"
        raise UserError(f"no box that can be used; {first}")
    return table


def _json(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    for number, (_, entry) in enumerate(json_stream.items(path)):
        yield f"entry {number}", entry


def _csv(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            for row in rows:
                yield f"line {rows.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no table: {error}") from error


def _box(row: Any, counts: defaultdict[tuple[str, int], int]) -> Box:
    """A row or object as a box; raises ValueError where it is none."""
    if not isinstance(row, Mapping):
        raise UserError(f"expected an object; got {str(row)[:40]!r}")
    picture = _first(row, _PICTURE)
    if picture is None:
        raise UserError(f"expected a picture ({', '.join(_PICTURE)})")
    frame = int(_first(row, ["frame"]) or 0)
    place = _plain(picture), frame
    own = _first(row, _ID)
    index: int | str = counts[place] if own is None else own
    counts[place] += 1
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if (four := _first(row, ["bbox", "box"])) is None:
        four = [_first(row, names) for names in _SIDES]
    if not isinstance(four, Sequence) or len(four) != 4 or None in four:
        raise UserError("expected x, y, w and h, or four numbers as bbox")
    numbers = [float(value) for value in four]
    if not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
        raise UserError(f"expected finite numbers, w and h positive; got {numbers}")
    return Box(str(picture), frame, index, np.array(numbers))


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value under the first of the names that has one."""
    values = (row.get(name) for name in names)
    return next((value for value in values if value not in (None, "")), None)


def _plain(picture: Any) -> str:
    """A path with forward slashes and no needless parts."""
    return pathlib.PurePath(str(picture).replace("\\", "/")).as_posix()
