"""Whose joints a detector's are, told by their names or else by their number.

    (nose, left_eye, ...) -> coco_17
    17 -> coco_17        133 -> coco_17, of which the first 17 joints count

What a file says of its joints goes before their number. Numbers that two skeletons
share mean the more common one; the other can be asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.runs.errors import UserError

BY_COUNT = {
    16: "mpii_16",
    17: "coco_17",
    18: "openpose_18",
    25: "body_25",
    26: "halpe_26",
    33: "blazepose_33",
}
# Whole bodies, whose feet, faces and hands follow the body's joints.
WHOLE_BODIES = {133: "coco_17", 136: "halpe_26"}
# A name for a file's number of joints, all but the first of which are of no use.
ALIASES = {"wholebody_133": "coco_17"}
# What data sets are called in files that do not name their joints.
_DATA_SETS = {
    "coco": "coco_17",
    "h36m": "h36m_17",
    "human36m": "h36m_17",
    "mpii": "mpii_original_16",
    "halpe26": "halpe_26",
    "cocowholebody": "coco_17",
}

# Other words for a joint. A thorax has no other here: a neck is none beside it.
_SIDED = "shoulder elbow wrist hip knee ankle foot eye ear heel bigtoe smalltoe"
_WORDS = {
    "leftfoot": "leftankle",
    "rightfoot": "rightankle",
    "root": "hip",
    "pelvis": "hip",
    "midhip": "hip",
    "hips": "hip",
    "neckbase": "nose",  # of Human3.6M, whose nose lies between neck and head
    "neck/nose": "nose",
    "headtop": "head",
    "tophead": "head",
    "topofhead": "head",
}


class JointsError(UserError):
    """What a file says of its joints is not known here, or not what was asked for."""


class Told(NamedTuple):
    """What names of joints say.

    Attributes:
      skeleton: whose they are.
      order: where in the file each of its joints is.
    """

    skeleton: str
    order: tuple[int, ...]


def named(names: Sequence[str], skeleton: str | None = None) -> Told | None:
    """The largest skeleton all of whose joints are among the names, if any.

    Args:
      names: of a file's joints, in its order; however they are spelt.
      skeleton: the only one that will do, or None.
    """
    words = [_word(name) for name in names]
    told = []
    for name, foreign in SKELETONS.items():
        joints = [_word(joint) for joint in foreign.joints]
        if skeleton in (None, name) and set(joints) <= set(words):
            told.append(Told(name, tuple(map(words.index, joints))))
    return max(told, key=lambda one: len(one.order), default=None)


def of_data_set(name: str) -> str | None:
    """The skeleton of a data set of that name, if it is known."""
    return _DATA_SETS.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def of_file(
    path: str | os.PathLike[str],
    words: Sequence[str],
    skeleton: str | None = None,
    data_set: Any = None,
) -> tuple[str | None, tuple[int, ...] | None]:
    """What a file says of its joints: whose they are, and where each of them is.

    By their names, or by the name of the data set where those do not tell; then they
    are in the skeleton's order, and the second answer is None. Both are None where the
    file says nothing, or only the skeleton that was asked for can tell.

    Args:
      path: of the file, for messages.
      words: the joints' names in the file's order; none if it does not name them.
      skeleton: whose they must be, or None.
      data_set: what the file says that it was made for, if anything.

    Raises:
      JointsError: neither tells, or it is not the skeleton that was asked for.
    """
    wanted = ALIASES.get(skeleton or "", skeleton)
    told = named(words, wanted) or named(words)
    found = told.skeleton if told else of_data_set(str(data_set))
    if found is None and not wanted and (words or data_set is not None):
        names = f"called {', '.join(words)[:90]}" if words else f"of {data_set}"
        raise JointsError(
            f"{path}: the file's joints are {names}, which is no skeleton known here; "
            "say by --skeleton whose order they are in"
        )
    if found and wanted and found != wanted:
        raise JointsError(
            f"{path}: expected joints of {skeleton}, as --skeleton asks; the file says "
            f"they are {found}'s"
        )
    return found, told.order if told else None


def _word(name: str) -> str:
    """One spelling of a joint's name: right_hip, RHip and r hip are righthip."""
    word = re.sub(r"[^a-z0-9/]", "", str(name).lower())
    sided = _SIDED.replace(" ", "|")
    word = re.sub(rf"^l(?=({sided})$)", "left", word)
    word = re.sub(rf"^r(?=({sided})$)", "right", word)
    word = re.sub(rf"^({sided})(left|right)$", r"\2\1", word)
    return _WORDS.get(word, word)


def joints_of(skeleton: str) -> int:
    """How many joints a skeleton has.

    Raises:
      UserError: there is no such skeleton.
    """
    if skeleton not in SKELETONS:
        known = ", ".join(SKELETONS)
        raise UserError(f"expected a skeleton among {known}; got {skeleton!r}")
    return len(SKELETONS[skeleton].joints)


def skeleton_of(count: int, skeleton: str | None = None) -> str:
    """The skeleton with so many joints.

    Args:
      count: joints of a person as a file has them.
      skeleton: which it must be, or None.

    Raises:
      UserError: an unknown skeleton, another number than it has, or a number that
        tells none.
    """
    if skeleton is not None:
        expected = joints_of(skeleton)
        if count != expected and WHOLE_BODIES.get(count) != skeleton:
            raise UserError(f"expected {expected} joints for {skeleton}; got {count}")
        return skeleton
    told = BY_COUNT.get(count) or WHOLE_BODIES.get(count)
    if told is None:
        known = ", ".join(f"{n} ({s})" for n, s in (BY_COUNT | WHOLE_BODIES).items())
        raise UserError(
            f"expected a number of joints that tells the skeleton: {known}; got {count}"
        )
    return told
