"""Keypoints in JSON, as COCO, OpenPose, AlphaPose and MMPose write them.

    path -> Detection or Skipped, a person at a time

What a file is, its content tells:

* COCO: results (a list of objects with ``image_id`` and ``keypoints``; AlphaPose's
  too), or a data set (``images``, ``annotations``), whose visibilities 0, 1 and 2
  count as confidences 0, 1/2 and 1;
* OpenPose: ``people`` with ``pose_keypoints_2d``, one file a frame;
* MMPose: a list of instances with ``keypoints`` and ``keypoint_scores`` (one picture),
  or of frames with ``instances``, either also under the key ``instance_info``.

What a file says of its joints (COCO's ``categories``, MMPose's ``meta_info``) counts.
Somebody whose entry is damaged is skipped; so is a damaged file of a folder.
"""

from __future__ import annotations

import functools
import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.readers import joint_orders, json_stream
from jaxflow.detector.readers.joint_orders import JointsError
from jaxflow.detector.readers.keypoint_tables import whole_number
from jaxflow.detector.readers.pictures import natural_order
from jaxflow.detector.readers.records import Detection, Skipped
from jaxflow.runs.errors import UserError

_EXPECTED = (
    "COCO results or annotations (image_id, keypoints), OpenPose (people), or MMPose "
    "(keypoints, keypoint_scores, or instances)"
)
_OPENPOSE_NAME = re.compile(r"(.*?)(?:_([0-9]{12}))?_keypoints")
_LISTS = (None, "annotations", "instance_info", "people")  # where persons are
_MOST_UNKNOWN = 1000  # entries, after which there is nothing to be hoped for
_DAMAGED = (KeyError, TypeError, ValueError, IndexError, OverflowError)
# What a file says of its joints: see `joint_orders.of_file`.
_Said = tuple[str | None, tuple[int, ...] | None]
_NOTHING: _Said = (None, None)


def read_folder(
    folder: str | os.PathLike[str], skeleton: str | None = None
) -> Iterator[Detection | Skipped]:
    """All JSON files of a folder, by name, as OpenPose writes one for each frame.

    Raises:
      FileNotFoundError: there is no JSON file in it.
    """
    folder = pathlib.Path(folder)
    paths = sorted(folder.glob("*.json"), key=lambda path: natural_order(path.name))
    if not paths:
        raise FileNotFoundError(f"no keypoint files (*.json) in {folder}")
    for path in paths:
        try:
            yield from read(path, skeleton)
        except ValueError as error:
            yield Skipped(str(path), None, None, str(error))


def read(
    path: str | os.PathLike[str], skeleton: str | None = None
) -> Iterator[Detection | Skipped]:
    """The persons in a JSON file, in its order.

    Args:
      path: of it.
      skeleton: which the joints must be of, or None.

    Raises:
      FileNotFoundError: no such file.
      UserError: not JSON, cut short, no layout that is known, or joints whose names are
        not known or another skeleton's; the file is named.
    """
    path = pathlib.Path(path)
    reader = _Reader(path, skeleton)
    unknown: list[str] = []
    entries = json_stream.items(path, tell_empty=True)
    for number, (key, entry) in enumerate(entries):
        try:
            yield from reader.persons(key, entry)
        except (JointsError, json_stream.JsonError):
            raise
        except _DAMAGED as error:
            reason = f"{path}: entry {number} of {key or 'the list'}: {_say(error)}"
            yield Skipped(str(path), None, None, reason)
            if not reader.known:
                unknown.append(reason)
        if len(unknown) > _MOST_UNKNOWN and not reader.known:
            break
    if unknown and not reader.known:
        raise UserError(unknown[0])
    if not reader.known and (reader.others or not json_stream.is_list(path)):
        keys = ", ".join(sorted(reader.others)) or "no keys"
        raise UserError(f"{path}: expected {_EXPECTED}; got an object of {keys}")


def _in_order(person: Detection, said: _Said) -> Detection:
    """The person with the joints that are meant, in the skeleton's order."""
    skeleton, order = said
    if order is not None:
        assert person.confidence is not None
        if len(person.points) <= max(order):
            raise UserError(
                f"expected {max(order) + 1} or more joints, as the file names them; "
                f"got {len(person.points)}"
            )
        rows = list(order)
        person = person._replace(
            points=person.points[rows], confidence=person.confidence[rows]
        )
    return person._replace(skeleton=skeleton)


class _Reader:
    """What must be known of the entries before.

    Attributes:
      known: whether any entry was of a known layout.
      others: keys of entries that were of none.
    """

    def __init__(self, path: pathlib.Path, skeleton: str | None) -> None:
        self.known, self.others = False, set[str]()
        self._path, self._skeleton = path, skeleton
        self._counts: Counter[Any] = Counter()

    def persons(self, key: str | None, entry: Any) -> Iterator[Detection | Skipped]:
        """The persons of one entry; none where the entry is about something else."""
        has = set(entry) if isinstance(entry, dict) else set()
        if key not in _LISTS:
            self.others.add(key or "")
        elif entry is json_stream.EMPTY:
            self.known = True
        elif key in (None, "annotations") and {"image_id", "keypoints"} <= has:
            yield from self._whole(self._coco(entry, dataset=key is not None))
        elif key in (None, "instance_info") and "instances" in has:
            said = _NOTHING if key is None else self._mmpose_joints
            yield from self._mmpose_frame(entry, said)
        elif key in (None, "instance_info") and {"keypoints", "keypoint_scores"} <= has:
            person = _mmpose(str(self._path), 0, self._next(0), entry)
            said = _NOTHING if key is None else self._mmpose_joints
            yield from self._whole(_in_order(person, said))
        elif key == "people" and has:
            yield from self._whole(self._openpose(entry))
        else:
            raise UserError(f"expected {_EXPECTED}; got {_describe(entry)}")

    def _whole(self, person: Detection) -> Iterator[Detection]:
        self.known = True
        yield person

    def _next(self, frame: Any) -> int:
        """Numbers the persons of a frame."""
        self._counts[frame] += 1
        return self._counts[frame] - 1

    def _coco(self, entry: dict, dataset: bool) -> Detection:
        image = entry["image_id"]
        numbers = _array(entry["keypoints"])
        confidence = numbers[:, 2] / 2 if dataset else numbers[:, 2]
        counted = self._next(image)
        ids = [entry.get(name) for name in ("track_id", "idx", "id")]
        own = next((one for one in ids if one is not None), None)
        index = counted if own is None else _scalar(own)
        source = self._about.pictures.get(image) if dataset else None
        if source is None and isinstance(image, str):
            source = image
        frame = 0 if source is not None else whole_number("image_id", image)
        person = Detection(
            source or str(self._path), frame, index, numbers[:, :2], confidence
        )._replace(numbered=own is None)
        return _in_order(person, self._coco_joints(entry)) if dataset else person

    def _openpose(self, entry: dict) -> Detection:
        numbers = _array(entry["pose_keypoints_2d"])
        index = self._next(0)
        own = entry.get("person_id", -1)
        own = _scalar(own) if own not in ([], None) else -1
        named = _OPENPOSE_NAME.fullmatch(self._path.stem)
        source, frame = named.groups() if named else (str(self._path), None)
        person = index if own == -1 else own
        return Detection(
            source, int(frame or 0), person, numbers[:, :2], numbers[:, 2]
        )._replace(numbered=own == -1)

    def _mmpose_frame(self, entry: dict, said: _Said) -> Iterator[Detection | Skipped]:
        """The instances of a frame; one that is damaged does no harm to the others."""
        frame = whole_number("frame_id", entry.get("frame_id", self._next("frames")))
        source = str(self._path)
        instances = list(entry["instances"])
        self.known = True
        for index, instance in enumerate(instances):
            try:
                person = _in_order(_mmpose(source, frame, index, instance), said)
            except _DAMAGED as error:
                where = f"{source}: frame {frame}, person {index}"
                yield Skipped(source, frame, index, f"{where}: {_say(error)}")
            else:
                yield from self._whole(person)

    @functools.cached_property
    def _about(self) -> _About:
        """What the file says of itself, wherever in it."""
        about = _About({}, {}, {})
        for key, entry in json_stream.items(self._path):
            if not isinstance(entry, dict):
                continue
            number, names = entry.get("id"), entry.get("keypoints")
            if key == "meta_info":
                return about._replace(meta=entry)  # nothing else in such a file
            has_name = "file_name" in entry and isinstance(number, int | str)
            if key == "images" and has_name:
                about.pictures[number] = str(entry["file_name"])
            elif key == "categories" and isinstance(names, list) and names:
                about.categories[str(number)] = [str(name) for name in names]
        return about

    @functools.cached_property
    def _mmpose_joints(self) -> _Said:
        names, data_set = (
            self._about.meta.get(key) for key in ("keypoint_id2name", "dataset_name")
        )
        words = []
        if isinstance(names, dict):
            words = [str(names[number]) for number in sorted(names, key=_number)]
        return joint_orders.of_file(self._path, words, self._skeleton, data_set)

    def _coco_joints(self, entry: dict) -> _Said:
        categories = self._about.categories
        words = categories.get(str(entry.get("category_id")), ())
        if "category_id" not in entry and len(categories) == 1:
            (words,) = categories.values()
        return joint_orders.of_file(self._path, words, self._skeleton)


class _About(NamedTuple):
    """What a file says of itself.

    Attributes:
      pictures: names of a COCO data set's pictures, by their numbers.
      categories: names of joints, by the number of what has them, as text.
      meta: of MMPose.
    """

    pictures: dict[Any, str]
    categories: dict[str, list[str]]
    meta: dict[str, Any]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _mmpose(source: str, frame: int, index: int | str, entry: dict) -> Detection:
    points = _floats(entry["keypoints"])
    if points.ndim == 2 and points.shape[1] == 3:
        raise UserError("keypoints in 3D; expected those of the picture, [[x, y], ...]")
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"expected keypoints [[x, y], ...]; got shape {points.shape}")
    scores = _floats(entry["keypoint_scores"])
    if scores.shape != points.shape[:1]:
        raise UserError(
            f"expected a score for each of {len(points)} keypoints; got {scores.shape}"
        )
    numbered = entry.get("track_id") is None
    if not numbered:
        index = _scalar(entry["track_id"])
    return Detection(source, frame, index, points, scores, numbered=numbered)


def _array(numbers: Any) -> np.ndarray:
    """[x, y, c, x, y, c, ...] as (n, 3)."""
    array = _floats(numbers)
    if array.size % 3 or (array.ndim == 2 and array.shape[1] != 3):
        raise UserError(
            f"expected keypoints x, y, confidence; got {array.size} numbers"
        )
    return array.reshape(-1, 3)


def _floats(values: Any) -> np.ndarray:
    """Numbers; null is NaN, for none. NumPy alone would take true for 1."""
    if any(isinstance(value, bool) for value in np.asarray(values, object).flat):
        raise UserError("expected numbers; got true or false among them")
    return np.asarray(values, np.float64)


def _scalar(value: Any) -> int | str:
    """An id; some programs write it as a list of one, or as 3.0."""
    while isinstance(value, list):
        value = value[0]
    return value if isinstance(value, str) else whole_number("an id", value)


def _describe(entry: Any) -> str:
    if isinstance(entry, dict):
        return f"an object of {', '.join(list(entry)[:8]) or 'nothing'}"
    return f"{type(entry).__name__} {str(entry)[:40]}"


def _say(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
