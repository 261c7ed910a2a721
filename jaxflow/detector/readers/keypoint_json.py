"""Keypoints in JSON, as COCO, OpenPose, AlphaPose and MMPose write them.

    path -> Detection or Skipped, a person at a time

What a file is, its content tells:

* COCO: results (a list of objects with ``image_id`` and ``keypoints``; AlphaPose's
  too), or a data set (``images``, ``annotations``), whose visibilities 0, 1 and 2
  count as confidences 0, 1/2 and 1;
* OpenPose: ``people`` with ``pose_keypoints_2d``, one file a frame;
* MMPose: a list of instances with ``keypoints`` and ``keypoint_scores`` (one picture),
  or of frames with ``instances``, either also under the key ``instance_info``.

Somebody whose entry is damaged is skipped; so is a damaged file of a folder.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxflow.detector.readers import json_stream
from jaxflow.detector.readers.pictures import natural_order
from jaxflow.detector.readers.records import Detection, Skipped
from jaxflow.runs.errors import UserError

_EXPECTED = (
    "COCO results or annotations (image_id, keypoints), OpenPose (people), or MMPose "
    "(keypoints, keypoint_scores, or instances)"
)
_OPENPOSE_NAME = re.compile(r"(.*?)(?:_([0-9]{12}))?_keypoints")
_DAMAGED = (KeyError, TypeError, ValueError, IndexError, OverflowError)


def read_folder(folder: str | os.PathLike[str]) -> Iterator[Detection | Skipped]:
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
            yield from read(path)
        except ValueError as error:
            yield Skipped(str(path), None, None, str(error))


def read(path: str | os.PathLike[str]) -> Iterator[Detection | Skipped]:
    """The persons in a JSON file, in its order.

    Raises:
      FileNotFoundError: no such file.
      UserError: not JSON, cut short, or no layout that is known; the file is named.
    """
    path = pathlib.Path(path)
    reader = _Reader(path)
    for number, (key, entry) in enumerate(json_stream.items(path)):
        try:
            yield from reader.persons(key, entry)
        except _DAMAGED as error:
            reason = f"{path}: entry {number} of {key or 'the list'}: {_say(error)}"
            if key is None and not reader.known:
                raise UserError(reason) from error
            yield Skipped(str(path), None, None, reason)
    if reader.others and not reader.known:
        found = ", ".join(sorted(reader.others))
        raise UserError(f"{path}: expected {_EXPECTED}; got an object of {found}")


class _Reader:
    """What must be known of the entries before.

    Attributes:
      known: whether any entry was of a known layout.
      others: keys of entries that were of none.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.known, self.others = False, set[str]()
        self._path = path
        self._counts: Counter[Any] = Counter()
        self._images: Mapping[Any, str] | None = None

    def persons(self, key: str | None, entry: Any) -> list[Detection]:
        """The persons of one entry; none where the entry is about something else."""
        has = entry.keys() if isinstance(entry, dict) else ()
        if key in (None, "annotations") and {"image_id", "keypoints"} <= set(has):
            found = [self._coco(entry, dataset=key is not None)]
        elif key in (None, "instance_info") and "instances" in has:
            found = self._mmpose_frame(entry)
        elif key in (None, "instance_info") and {"keypoints", "keypoint_scores"} <= set(
            has
        ):
            found = [_mmpose(str(self._path), 0, self._next(0), entry)]
        elif key == "people":
            found = [self._openpose(entry)]
        elif key in (None, "annotations", "instance_info"):
            raise UserError(f"expected {_EXPECTED}; got {_describe(entry)}")
        else:
            self.others.add(key)
            return []
        self.known = True
        return found

    def _next(self, frame: Any) -> int:
        """Numbers the persons of a frame."""
        self._counts[frame] += 1
        return self._counts[frame] - 1

    def _coco(self, entry: dict, dataset: bool) -> Detection:
        image = entry["image_id"]
        numbers = _array(entry["keypoints"], 3)
        confidence = numbers[:, 2] / 2 if dataset else numbers[:, 2]
        index: int | str = self._next(image)
        for name in ("track_id", "idx", "id"):
            if entry.get(name) is not None:
                index = _scalar(entry[name])
                break
        if dataset and self._images is None:
            self._images = _image_names(self._path)
        source = (self._images or {}).get(image)
        if source is None and isinstance(image, str):
            source = image
        frame = 0 if source is not None else int(image)
        return Detection(
            source or str(self._path), frame, index, numbers[:, :2], confidence
        )

    def _openpose(self, entry: dict) -> Detection:
        numbers = _array(entry["pose_keypoints_2d"], 3)
        index = self._next(0)
        own = entry.get("person_id", -1)
        own = _scalar(own) if own not in ([], None) else -1
        named = _OPENPOSE_NAME.fullmatch(self._path.stem)
        source, frame = named.groups() if named else (str(self._path), None)
        person = index if own == -1 else own
        return Detection(source, int(frame or 0), person, numbers[:, :2], numbers[:, 2])

    def _mmpose_frame(self, entry: dict) -> list[Detection]:
        frame = int(entry.get("frame_id", self._next("frames")))
        source = str(self._path)
        return [
            _mmpose(source, frame, index, instance)
            for index, instance in enumerate(entry["instances"])
        ]


def _mmpose(source: str, frame: int, index: int | str, entry: dict) -> Detection:
    points = np.asarray(entry["keypoints"], np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise UserError(f"expected keypoints [[x, y], ...]; got shape {points.shape}")
    scores = np.asarray(entry["keypoint_scores"], np.float64)
    if scores.shape != points.shape[:1]:
        raise UserError(
            f"expected a score for each of {len(points)} keypoints; got {scores.shape}"
        )
    if entry.get("track_id") is not None:
        index = _scalar(entry["track_id"])
    return Detection(source, frame, index, points[:, :2], scores)


def _image_names(path: pathlib.Path) -> dict[Any, str]:
    """The pictures of a COCO data set, by their numbers."""
    return {
        entry["id"]: str(entry["file_name"])
        for key, entry in json_stream.items(path)
        if key == "images" and {"id", "file_name"} <= set(entry)
    }


def _array(numbers: Any, width: int) -> np.ndarray:
    """[x, y, c, x, y, c, ...] as (n, 3)."""
    array = np.asarray(numbers, np.float64)
    if array.size % width or (array.ndim == 2 and array.shape[1] != width):
        raise UserError(
            f"expected keypoints x, y, confidence; got {array.size} numbers"
        )
    return array.reshape(-1, width)


def _scalar(value: Any) -> int | str:
    """An id; some programs write it as a list of one, or as 3.0."""
    while isinstance(value, list):
        value = value[0]
    return value if isinstance(value, str) else int(value)


def _describe(entry: Any) -> str:
    if isinstance(entry, dict):
        return f"an object of {', '.join(list(entry)[:8]) or 'nothing'}"
    return f"{type(entry).__name__} {str(entry)[:40]}"


def _say(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
