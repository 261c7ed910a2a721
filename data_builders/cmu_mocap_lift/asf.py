"""Skeletons: what an ASF file says of a subject's bones.

An Acclaim skeleton file has sections that begin with a colon. ``:units`` tells the
length of a unit, ``:root`` in which order a motion gives the root's six numbers,
``:bonedata`` each bone at rest, and ``:hierarchy`` where it starts:

    begin
      name lfoot
      direction 0.09 -0.24 0.97      at rest, in the subject's frame (y up)
      length 2.22
      axis -90 0 20 XYZ              the frame its angles turn about
      dof rx rz                      the angles that a motion gives
    end

In: the file's text. Out: a ``Skeleton`` with lengths in mm and angles in degrees.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_builders.files import DataFileError

ROOT = "root"
ROOT_ORDER: tuple[str, ...] = ("TX", "TY", "TZ", "RX", "RY", "RZ")
ANGLES: tuple[str, ...] = ("rx", "ry", "rz")

_INCH = 25.4  # mm; the unit of length is an inch over the number in the header
# A thigh outside these bounds means another unit than the header says, mm.
_THIGH = (250.0, 650.0)
_ORDERS = frozenset("".join(order) for order in itertools.permutations("XYZ"))


class Bone(NamedTuple):
    """One bone.

    Attributes:
      name: as in the file.
      parent: number of the bone at whose end it starts; 0 is the root.
      offset: (3,) mm, from its start to its end at rest, y up.
      axis: (3,) degrees, of the frame its angles turn about.
      order: "XYZ" turns about x first, then about the fixed y, then about the fixed z.
      dof: which of ``ANGLES`` a motion gives, in its order.
    """

    name: str
    parent: int
    offset: np.ndarray
    axis: np.ndarray
    order: str
    dof: tuple[str, ...]


class Skeleton(NamedTuple):
    """A subject.

    Attributes:
      bones: the root, which has no length, and then each bone after its parent.
      position: (3,) mm, the root's at rest.
      root_order: the order in which a motion gives the root's numbers.
      unit: mm in a unit of length.
    """

    bones: tuple[Bone, ...]
    position: np.ndarray
    root_order: tuple[str, ...]
    unit: float

    def channels(self, name: str) -> int | None:
        """How many numbers a motion gives for a bone; None where it has no such bone.

        A bone that cannot turn has none and is no part of a motion.
        """
        if name == ROOT:
            return len(self.root_order)
        dof = {bone.name: bone.dof for bone in self.bones}.get(name)
        return len(dof) if dof else None


class _Line(NamedTuple):
    """A line's place and its words."""

    where: str
    words: list[str]

    def error(self, expected: str) -> DataFileError:
        return DataFileError(
            f"{self.where}: expected {expected}; got {' '.join(self.words)!r}"
        )

    def numbers(self, count: int) -> np.ndarray:
        """The ``count`` numbers after the first word."""
        try:
            values = np.asarray([float(word) for word in self.words[1 : count + 1]])
        except ValueError:
            raise self.error(f"{count} numbers") from None
        if len(values) != count or not np.isfinite(values).all():
            raise self.error(f"{count} finite numbers")
        return values


_Fields = dict[str, _Line]


def parse(text: str, where: str) -> Skeleton:
    """A skeleton from the text of an ASF file.

    Args:
      text: the file.
      where: its name, for errors.

    Raises:
      DataFileError: the text is no skeleton or not in degrees, a bone is incomplete,
        turns in an unknown way or hangs on none, or its thighs are no human's.
    """
    sections = _sections(text, where)
    unit = _unit(sections[":units"], where)
    root = {line.words[0]: line for line in sections[":root"]}
    fields = {
        _field(one, "name", where).words[-1]: one
        for one in _bone_fields(sections[":bonedata"])
    }
    bones = [_root_bone(root, where)]
    for name, parent in _depth_first(sections[":hierarchy"], where):
        if name not in fields:
            raise DataFileError(f"{where}: the hierarchy has the unknown bone {name}")
        bones.append(_bone(name, parent, fields[name], unit, where))
    if lost := fields.keys() - {bone.name for bone in bones}:
        raise DataFileError(f"{where}: no parent of {', '.join(sorted(lost))}")
    _check_thighs(bones, where)
    return Skeleton(
        bones=tuple(bones),
        position=unit * _field(root, "position", where).numbers(3),
        root_order=_root_order(_field(root, "order", where)),
        unit=unit,
    )


def _sections(text: str, where: str) -> dict[str, list[_Line]]:
    """The lines of each section that is needed."""
    sections: dict[str, list[_Line]] = {}
    current: list[_Line] = []
    for number, content in enumerate(text.splitlines(), start=1):
        words = content.partition("#")[0].split()
        if words and words[0].startswith(":"):
            current = sections.setdefault(words[0].lower(), [])
        elif words:
            current.append(_Line(f"{where}:{number}", words))
    needed = (":units", ":root", ":bonedata", ":hierarchy")
    if missing := [name for name in needed if name not in sections]:
        raise DataFileError(f"{where} is no ASF skeleton: no {', '.join(missing)}")
    return sections


def _field(fields: _Fields, name: str, where: str) -> _Line:
    if name not in fields:
        bone = f" of {fields['name'].words[-1]}" if "name" in fields else ""
        raise DataFileError(f"{where}: no {name}{bone}")
    return fields[name]


def _unit(lines: Sequence[_Line], where: str) -> float:
    """Millimetres in a unit of length."""
    fields = {line.words[0]: line for line in lines}
    angle = _field(fields, "angle", where)
    if angle.words[1:] != ["deg"]:
        raise angle.error("angle deg")
    length = _field(fields, "length", where)
    value = float(length.numbers(1)[0])
    if value <= 0:
        raise length.error("a positive length")
    return _INCH / value


def _root_order(line: _Line) -> tuple[str, ...]:
    order = tuple(word.upper() for word in line.words[1:])
    if sorted(order) != sorted(ROOT_ORDER):
        raise line.error(f"order and {' '.join(ROOT_ORDER)} in any order")
    return order


def _rotation_order(line: _Line) -> str:
    order = line.words[-1].upper()
    if order not in _ORDERS:
        raise line.error("an order of rotation such as XYZ")
    return order


def _root_bone(fields: _Fields, where: str) -> Bone:
    axis = _field(fields, "axis", where)
    orientation = _field(fields, "orientation", where).numbers(3)
    order = _rotation_order(axis)
    return Bone(ROOT, -1, np.zeros(3), orientation, order, ANGLES)


def _bone_fields(lines: Sequence[_Line]) -> Iterator[_Fields]:
    """The named lines of each bone; lines of further limits are passed over."""
    fields: _Fields = {}
    for line in lines:
        if line.words[0] == "begin":
            fields = {}
        elif line.words[0] == "end":
            yield fields
        else:
            fields.setdefault(line.words[0], line)


def _bone(name: str, parent: int, fields: _Fields, unit: float, where: str) -> Bone:
    axis = _field(fields, "axis", where)
    dof = fields["dof"].words[1:] if "dof" in fields else []
    if unknown := [word for word in dof if word not in ANGLES]:
        raise fields["dof"].error(f"dof {' '.join(ANGLES)}, not {', '.join(unknown)}")
    if len(set(dof)) < len(dof):
        raise fields["dof"].error("each angle once")
    direction = _field(fields, "direction", where).numbers(3)
    length = float(_field(fields, "length", where).numbers(1)[0])
    return Bone(
        name=name,
        parent=parent,
        offset=unit * length * direction,
        axis=axis.numbers(3),
        order=_rotation_order(axis),
        dof=tuple(dof),
    )


def _depth_first(lines: Sequence[_Line], where: str) -> list[tuple[str, int]]:
    """Each bone's name with the number of its parent, which comes before it."""
    children = {
        line.words[0]: line.words[1:]
        for line in lines
        if line.words[0] not in ("begin", "end")
    }
    order: list[tuple[str, int]] = []
    waiting = [(name, 0) for name in children.get(ROOT, ())]
    seen = {ROOT}
    while waiting:
        name, parent = waiting.pop()
        if name in seen:
            raise DataFileError(f"{where}: the hierarchy has {name} twice")
        seen.add(name)
        order.append((name, parent))
        waiting += [(child, len(order)) for child in children.get(name, ())]
    return order


def _check_thighs(bones: Sequence[Bone], where: str) -> None:
    for bone in bones:
        length = float(np.linalg.norm(bone.offset))
        if bone.name.endswith("femur") and not _THIGH[0] < length < _THIGH[1]:
            raise DataFileError(
                f"{where}: expected {bone.name} to be {_THIGH[0]:.0f} to "
                f"{_THIGH[1]:.0f} mm long; got {length:.0f}, so the unit of length is "
                "another one"
            )
