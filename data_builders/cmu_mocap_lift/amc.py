"""Motions: what an AMC file says of a skeleton's angles over time.

An Acclaim motion file has a frame number and then a line for each bone that can turn:

    12
    root 10.4 16.7 -30.1 -2.5 -9.8 -3.0
    lfoot -12.1 13.5

In: the file's text and its ``Skeleton``. Out: a ``Motion`` of F frames in degrees.
A frame is checked as a whole, which is quick; only a wrong one is read line by line,
to name the line.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_builders.cmu_mocap_lift.asf import ANGLES, ROOT, ROOT_ORDER, Skeleton
from data_builders.files import DataFileError

_PADDING = " \t\r\n\x1a\0"  # what may follow the last line; old editors left 1a


class Motion(NamedTuple):
    """A take.

    Attributes:
      position: (F, 3) mm, the root's, y up.
      angles: (F, bones, 3) degrees about the x, y and z axes of each bone's own frame,
        in the order of ``Skeleton.bones``; 0 where a bone cannot turn.
    """

    position: np.ndarray
    angles: np.ndarray


class _Layout(NamedTuple):
    """How the lines of a frame follow each other.

    Attributes:
      names: of the bones.
      widths: how many numbers each has.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def lines(self) -> int:
        """Lines in a frame, its number among them."""
        return 1 + len(self.names)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where the names stand among the words of a frame."""
        ends = np.cumsum([1 + width for width in self.widths])
        return (1, *(1 + ends[:-1]).tolist())


def parse(text: str, skeleton: Skeleton, where: str) -> Motion:
    """A motion from the text of an AMC file.

    Args:
      text: the file.
      skeleton: of the subject who moves.
      where: the file's name, for errors.

    Raises:
      DataFileError: the text is no motion of this skeleton, ends within a frame, or
        has lines of a wrong number of values or of values that are not finite numbers.
        The message names the line.
    """
    lines = text.rstrip(_PADDING).splitlines()
    first = _first_frame(lines, where)
    layout = _layout(lines, first, skeleton, where)
    values = _values(lines, first, layout, where)
    _check_finite(values, first, layout, where)
    return _motion(values, layout, skeleton)


def _first_frame(lines: Sequence[str], where: str) -> int:
    """Index of the first frame number, after the header."""
    for index, line in enumerate(lines):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].upper() == ":RADIANS":
            raise DataFileError(
                f"{where}:{index + 1}: expected :DEGREES; got {words[0]}"
            )
        if words[0].startswith(":"):
            continue
        if _is_number(words):
            return index
        break
    raise DataFileError(f"{where} is no AMC motion: no frame number after the header")


def _is_number(words: Sequence[str]) -> bool:
    return len(words) == 1 and words[0].isdigit()


def _layout(
    lines: Sequence[str], first: int, skeleton: Skeleton, where: str
) -> _Layout:
    """The bones of the first frame, which must be those of the skeleton."""
    names: list[str] = []
    for index in range(first + 1, len(lines)):
        words = lines[index].split()
        if _is_number(words):
            break
        name = words[0] if words else ""
        if skeleton.channels(name) is None:
            raise DataFileError(
                f"{where}:{index + 1}: expected a bone of the skeleton that can turn; "
                f"got {name!r}"
            )
        if name in names:
            raise DataFileError(f"{where}:{index + 1}: {name} twice in a frame")
        names.append(name)
    needed = [ROOT, *(bone.name for bone in skeleton.bones if bone.dof)]
    if missing := [name for name in dict.fromkeys(needed) if name not in names]:
        raise DataFileError(
            f"{where}:{first + 1}: this frame lacks {', '.join(missing)}"
        )
    return _Layout(tuple(names), tuple(skeleton.channels(name) or 0 for name in names))


def _values(
    lines: Sequence[str], first: int, layout: _Layout, where: str
) -> np.ndarray:
    """All numbers, (F, sum of the widths)."""
    heads = operator.itemgetter(*layout.starts)
    count = 1 + sum(1 + width for width in layout.widths)
    skipped = {0, *layout.starts}
    numbers = operator.itemgetter(*(k for k in range(count) if k not in skipped))
    rows = []
    for start in range(first, len(lines), layout.lines):
        block = lines[start : start + layout.lines]
        words = " ".join(block).split()
        in_place = len(words) == count and heads(words) == layout.names
        if not (in_place and words[0].isdigit()):
            raise _explained(block, start, layout, where)
        try:
            rows.append(np.array([*map(float, numbers(words))]))
        except ValueError:
            raise _explained(block, start, layout, where) from None
    return np.stack(rows)


def _explained(
    block: Sequence[str], start: int, layout: _Layout, where: str
) -> DataFileError:
    """What is wrong with a frame, and in which line."""
    if not _is_number(block[0].split()):
        return DataFileError(
            f"{where}:{start + 1}: expected a frame number; got {block[0]!r}"
        )
    if len(block) < layout.lines:
        return DataFileError(
            f"{where} is truncated: it ends in frame {block[0].strip()}, in line "
            f"{start + len(block)}"
        )
    expected = zip(layout.names, layout.widths, strict=True)
    for number, (name, width) in enumerate(expected, start=1):
        place = f"{where}:{start + number + 1}"
        words = block[number].split()
        if words[:1] != [name] or len(words) != 1 + width:
            return DataFileError(
                f"{place}: expected {name} with {width} values; got {block[number]!r}"
            )
        try:
            list(map(float, words[1:]))
        except ValueError:
            return DataFileError(
                f"{place}: {name} has a value that is no number: {block[number]!r}"
            )
    return DataFileError(f"{where}:{start + 1}: this frame has another layout")


def _check_finite(values: np.ndarray, first: int, layout: _Layout, where: str) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return
    frame, column = bad[0]
    bone = int(np.searchsorted(np.cumsum(layout.widths), column, side="right"))
    line = first + frame * layout.lines + bone + 2
    raise DataFileError(f"{where}:{line}: {layout.names[bone]} is not finite")


def _motion(values: np.ndarray, layout: _Layout, skeleton: Skeleton) -> Motion:
    """Puts each column where it belongs."""
    angles = np.zeros((len(values), len(skeleton.bones), 3))
    column = 0
    places = {bone.name: place for place, bone in enumerate(skeleton.bones)}
    for name, width in zip(layout.names, layout.widths, strict=True):
        own = values[:, column : column + width]
        column += width
        if name == ROOT:
            own = own[:, [skeleton.root_order.index(one) for one in ROOT_ORDER]]
            position, angles[:, 0] = skeleton.unit * own[:, :3], own[:, 3:]
        else:
            bone = places[name]
            turned = [ANGLES.index(dof) for dof in skeleton.bones[bone].dof]
            angles[:, bone, turned] = own
    return Motion(position, angles)
