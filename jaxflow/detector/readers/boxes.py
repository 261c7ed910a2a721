"""Box files: who is where in pictures and videos, as a person detector found it.

    path -> BoxTable; BoxTable.of(picture, frame) -> Box, Box, ...

CSV has the columns ``picture``, ``x``, ``y``, ``w``, ``h`` (left, top, width and height
in image px) and, where they are needed, ``frame`` and ``id``. JSON is a list of objects
with the same names, or COCO's: ``image_id`` (a file's name) or ``file_name`` for the
picture, ``bbox`` for the four numbers, ``track_id`` for the id. A number as
``image_id`` is one of the file's ``images``, or else the number that a picture's name
is. Boxes of other categories than people's, of low scores and around crowds are left
out, and counted.
"""

from __future__ import annotations

import csv
import math
import os
import pathlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.readers import json_stream, keypoint_tables
from jaxflow.detector.readers.records import Box, Skipped
from jaxflow.runs.errors import UserError

_PICTURE = "picture image file_name image_id".split()
_ID = "id person person_id track_id".split()
_CATEGORY = "category category_name label category_id class class_id".split()
_FROM_ZERO = "class", "class_id"  # as YOLO counts, whose 1 is a bicycle
_PERSONS = "person", "people", "human", "pedestrian"
# What explains which numbers in a COCO data set, and where its names are.
_EXPLAINED = {
    "images": ("image_id", "file_name"),
    "categories": ("category_id", "name"),
}
_MOST_SURE = 1.5  # and a little room for rounding
MIN_SCORE = 0.3  # of a box; detectors also tell of what they hardly believe
_FARTHEST = 1e6  # px; no picture is so large
_MOST, _MOST_SKIPPED = 1_000_000, 1000  # that are kept, some 700 MB
_SIDES = (("x", "left"), ("y", "top"), ("w", "width"), ("h", "height"))


class BoxTable:
    """The boxes of a file, found by picture and frame.

    Attributes:
      skipped: the entries that could not be used.
      notes: what was left out on purpose, in words.
      score: the least that a box must have, if it has any.
    """

    def __init__(
        self,
        entries: Sequence[Box | Skipped],
        notes: Sequence[str] = (),
        score: float = MIN_SCORE,
    ) -> None:
        self.skipped = [entry for entry in entries if isinstance(entry, Skipped)]
        self.notes, self.score = list(notes), score
        self._boxes: defaultdict[tuple[str, int], list[Box]] = defaultdict(list)
        for entry in entries:
            if isinstance(entry, Box):
                self._boxes[_plain(entry.source), entry.frame].append(entry)
        self._names = {name for name, _ in self._boxes}

    def __len__(self) -> int:
        """How many boxes there are."""
        return sum(map(len, self._boxes.values()))

    def of(self, picture: str | os.PathLike[str], frame: int = 0) -> list[Box]:
        """The boxes in a picture or in a video's frame, in the file's order.

        Args:
          picture: its path. It is looked for as the file may have named it: by the
            whole path, by ever fewer of its last parts, by the bare stem, at last by
            the number that the stem is.
          frame: of a video.
        """
        for name in _spellings(picture):
            if (name, frame) in self._boxes:
                return self._boxes[name, frame]
        return []

    def join(self, pictures: Sequence[str | os.PathLike[str]]) -> list[str]:
        """What there is to know of pictures and boxes that do not belong together.

        Args:
          pictures: paths of pictures and videos.

        Raises:
          UserError: no box belongs to any of them.
        """
        matched: set[str] = set()
        without: list[str] = []
        for picture in pictures:
            names = self._names.intersection(_spellings(picture))
            matched |= names
            if not names:
                without.append(pathlib.PurePath(picture).name)
        others = sorted(self._names - matched)
        if not matched:
            raise UserError(
                f"no box belongs to any picture or video of the inputs: the boxes are "
                f"of {_few(others)}; the inputs are {_few(without) or 'no pictures'}"
            )
        notes = list(self.notes)
        if without:
            notes.append(f"no box belongs to {_few(without)}: nobody is looked for")
        if others:
            notes.append(f"boxes of pictures that are no inputs: {_few(others)}")
        return notes


def read_boxes(path: str | os.PathLike[str], score: float = MIN_SCORE) -> BoxTable:
    """The people's boxes in a .json or .csv file.

    Args:
      path: of it.
      score: boxes of a lower score are left out.

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
    entries: list[_Found | Skipped] = []
    bad = 0
    for where, row in rows:
        try:
            entries.append(_box(row))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            bad += 1
            if bad <= _MOST_SKIPPED:
                reason = f"{path}: {where}: {error}"
                entries.append(Skipped(str(path), None, None, reason))
        if len(entries) > _MOST:
            raise UserError(f"{path}: more than {_MOST} boxes; give it in parts")
    if bad > _MOST_SKIPPED:
        reason = f"{path}: and {bad - _MOST_SKIPPED} more that could not be used"
        entries.append(Skipped(str(path), None, None, reason))
    people, notes = _people(path, entries, score)
    table = BoxTable(_numbered(people), notes, score)
    if not len(table):
        reasons = [*(entry.reason for entry in table.skipped), *notes]
        first = reasons[0] if reasons else f"{path}: it is empty"
        raise UserError(f"no box that can be used; {first}")
    return table


class _Found(NamedTuple):
    """A box before it is known whether it is a person's.

    Attributes:
      box: its id is None where the file gives none.
      category: a name, or a number, or None.
      score: or None.
      crowd: whether it is around several people.
    """

    box: Box
    category: str | int | None
    score: float | None
    crowd: bool


def _people(
    path: pathlib.Path, entries: Sequence[_Found | Skipped], score: float
) -> tuple[list[Box | Skipped], list[str]]:
    """The boxes of single people that are sure enough, and notes of the others."""
    kinds = Counter(e.category for e in entries if isinstance(e, _Found))
    persons = {None, *_PERSONS, 0 if 0 in kinds else 1}  # COCO counts from 1
    notes = []
    if not any(kind in persons for kind in kinds) and len(kinds) == 1:
        (only,) = kinds
        if isinstance(only, int):
            persons.add(only)
            notes.append(f"{path}: category {only} was taken for people: it is alone")
    kept: list[Box | Skipped] = []
    out: Counter[str] = Counter()
    others: set[str] = set()
    for entry in entries:
        if isinstance(entry, Skipped):
            kept.append(entry)
        elif entry.category not in persons:
            out["of other categories"] += 1
            others.add(str(entry.category))
        elif entry.crowd:
            out["around crowds"] += 1
        elif entry.score is not None and not entry.score >= score:
            out[f"of a score below {score:g}"] += 1
        else:
            kept.append(entry.box)
    for what, count in out.items():
        which = f" ({_few(sorted(others))})" if "categories" in what else ""
        notes.append(f"{path}: {count} boxes {what}{which} were not used")
    return kept, notes


def _numbered(entries: Sequence[Box | Skipped]) -> list[Box | Skipped]:
    """With ids for those that have none, or one that somebody else has."""
    taken: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    numbered: list[Box | Skipped] = []
    for entry in entries:
        if isinstance(entry, Box):
            ids = taken[_plain(entry.source), entry.frame]
            index, number = entry.person_id, len(ids)
            while index is None or str(index) in ids:
                index, number = number, number + 1
            ids.add(str(index))
            without = entry.person_id is None
            entry = entry._replace(person_id=index, numbered=without)
        numbered.append(entry)
    return numbered


def _json(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """The entries, with names instead of the numbers that the file explains."""
    names: dict[tuple[str, str], Any] = {}
    for key, entry in json_stream.items(path):
        if key in _EXPLAINED and isinstance(entry, Mapping):
            field, name = _EXPLAINED[key]
            names[field, str(entry.get("id"))] = entry.get(name)
    for number, (key, entry) in enumerate(json_stream.items(path)):
        if key in (*_EXPLAINED, "info", "licenses"):
            continue
        if isinstance(entry, Mapping):
            entry = dict(entry)
            for field, _ in _EXPLAINED.values():
                if (said := names.get((field, str(entry.get(field))))) is not None:
                    entry[field] = said
        yield f"entry {number}", entry


def _csv(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            for row in rows:
                yield f"line {rows.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no table: {error}") from error


def _box(row: Any) -> _Found:
    """A row or object as a box; raises ValueError where it is none."""
    if not isinstance(row, Mapping):
        raise UserError(f"expected an object; got {str(row)[:40]!r}")
    picture = _first(row, _PICTURE)
    if picture is None:
        raise UserError(f"expected a picture ({', '.join(_PICTURE)})")
    index = _first(row, _ID)
    if isinstance(index, str):
        index = keypoint_tables.number_or_name(index)
    if (four := _first(row, ["bbox", "box"])) is None:
        four = [_first(row, names) for names in _SIDES]
    if not isinstance(four, list | tuple) or len(four) != 4 or None in four:
        raise UserError("expected x, y, w and h, or four numbers as bbox")
    score = _first(row, ["score", "confidence"])
    if any(isinstance(value, bool) for value in [*four, score]):
        raise UserError("expected numbers as bbox and score; got true or false")
    if score is not None and float(score) > _MOST_SURE:
        raise UserError(f"a score of {score}; expected 0 to 1: divide percents by 100")
    numbers = [float(value) for value in four]
    if not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
        raise UserError(f"expected finite numbers, w and h positive; got {numbers}")
    largest = max(map(abs, numbers))
    if largest > _FARTHEST:
        raise UserError(f"expected pixels of a picture; got {numbers}")
    if largest <= 1:
        raise UserError(
            f"expected pixels; multiply {numbers} by the picture's width and height"
        )
    frame = keypoint_tables.whole_number("frame", _first(row, ["frame"]) or 0)
    return _Found(
        Box(str(picture), frame, index, np.array(numbers)),
        _category(row),
        None if score is None else float(score),
        str(row.get("iscrowd") or 0) not in ("0", "False"),
    )


def _category(row: Mapping[str, Any]) -> str | int | None:
    """What the box is around, if it says: a name, or a number as COCO counts."""
    field = next((name for name in _CATEGORY if row.get(name) not in (None, "")), None)
    if field is None:
        return None
    kind = row[field]
    if isinstance(kind, str) and not kind.strip().isdecimal():
        return kind.strip().lower()
    if field in _FROM_ZERO:
        return f"class {int(kind)}" if int(kind) else "person"
    return int(kind)


def _spellings(picture: str | os.PathLike[str]) -> list[str]:
    """What a file of boxes may call a picture, the most exact first."""
    path = pathlib.PurePath(_plain(picture))
    parts = path.parts
    names = ["/".join(parts[i:]).replace("//", "/") for i in range(len(parts))]
    number = re.fullmatch(r"(?:COCO_\w+_)?0*([0-9]+)", path.stem)
    return [*names, path.stem, *([number[1]] if number else [])]


def _few(names: Sequence[str]) -> str:
    """The first of many."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name[:60] for name in names[:3]) + more


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value under the first of the names that has one."""
    values = (row.get(name) for name in names)
    return next((value for value in values if value not in (None, "")), None)


def _plain(picture: Any) -> str:
    """A path with forward slashes and no needless parts."""
    return pathlib.PurePath(str(picture).replace("\\", "/")).as_posix()
