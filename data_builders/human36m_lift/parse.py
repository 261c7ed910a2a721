"""The authors' pickles, with 3D poses ("merged") or without.

A pickle maps subject -> action -> subaction -> camera -> a recording:

    {'3d_gt': (F, 51) mm, '2d_hrnet': (F, 32) px, 'gaussfit': (F, 112), 'imgpath': [F]}

with poses coordinate-major and fits joint-major; '3d_gt' is in the merged ones only.
In: a file. Out: its recordings in order, each read into poses and detections when asked
for.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from data_builders import restricted_pickle
from data_builders.files import DataFileError
from data_builders.human36m_lift import recordings
from data_builders.human36m_lift.recordings import Detections, Names

MERGED: dict[str, str] = {
    "train": "trainset_h36m.pickle",
    "test": "testset_h36m.pickle",
}
WITHOUT_3D: dict[str, str] = {
    "train": "trainset_h36m_without_3d.pickle",
    "test": "testset_h36m_without_3d.pickle",
}

# Array of a recording -> numbers in a frame.
_POSE3D = {"3d_gt": 51}
_DETECTIONS = {"2d_hrnet": 32, "gaussfit": 112}


class Entry(NamedTuple):
    """One recording of a pickle, not looked into yet.

    Attributes:
      where: file and recording, as messages name them.
      names: of the recording.
      content: the dict of its arrays.
    """

    where: str
    names: Names
    content: dict[Any, Any]

    @property
    def is_empty(self) -> bool:
        """Whether the recording has no frames in any of its arrays.

        Raises:
          DataFileError: one of them is a ragged list.
        """
        keys = ("imgpath", *_POSE3D, *_DETECTIONS)
        return not any(
            len(np.atleast_1d(_array(self.where, key, self.content.get(key, ()))))
            for key in keys
        )


def entries(path: str | pathlib.Path) -> list[Entry]:
    """The recordings of a pickle, by subject, action, subaction and camera.

    Whatever order the file has them in: S9 comes before S11, actions by name.

    Raises:
      DataFileError: the file is missing or truncated, wants to run code, or is no such
        dict of dicts.
    """
    path = pathlib.Path(path)
    return [
        Entry(f"{path}: {names}", names, content)
        for names, content in _leaves(path, restricted_pickle.load(path), ())
    ]


def _leaves(
    path: pathlib.Path, content: Any, above: tuple[str, ...]
) -> Iterator[tuple[Names, Any]]:
    """Each recording with its names, depth first."""
    if not isinstance(content, dict):
        level = (*Names._fields, "array")[len(above)]
        raise DataFileError(
            f"{path}: {'/'.join(above) or 'the top level'}: expected a dict with a key "
            f"for each {level}; got {type(content).__name__}"
        )
    if len(above) == len(Names._fields):
        pictures = content.get("imgpath", [])
        if not hasattr(pictures, "__len__"):
            raise DataFileError(
                f"{path}: {'/'.join(above)}: imgpath is no list of file names"
            )
        yield Names(*above), content
        return
    for key in sorted(content, key=recordings.key_in_order):
        yield from _leaves(path, content[key], (*above, str(key)))


def detections(entry: Entry) -> Detections:
    """A recording's 2D poses and fitted Gaussians.

    Raises:
      DataFileError: arrays are missing, of a wrong length or not finite; the message
        names file and recording and, for a bad number, the frame.
    """
    return _detections(entry, _arrays(entry, _DETECTIONS))


def merged(entry: Entry) -> tuple[np.ndarray, Detections]:
    """A recording's 3D poses (F, 17, 3) and detections.

    Raises:
      DataFileError: see ``detections``.
    """
    if not _POSE3D.keys() & entry.content.keys() and _DETECTIONS.keys() <= (
        entry.content.keys()
    ):
        raise DataFileError(
            f"{entry.where}: no 3d_gt; this is a file without 3D poses, a merged one "
            "is needed"
        )
    arrays = _arrays(entry, _POSE3D | _DETECTIONS)
    pose3d = arrays["3d_gt"].reshape(-1, 3, 17).swapaxes(1, 2)
    return np.ascontiguousarray(pose3d), _detections(entry, arrays)


def _detections(entry: Entry, arrays: dict[str, np.ndarray]) -> Detections:
    pose2d = arrays["2d_hrnet"].reshape(-1, 2, 16).swapaxes(1, 2)
    return Detections(
        pose2d=np.ascontiguousarray(pose2d),
        gaussfit=arrays["gaussfit"].reshape(-1, 16, 7),
        frame=_frame_numbers(entry, len(pose2d)),
    )


def _arrays(entry: Entry, widths: dict[str, int]) -> dict[str, np.ndarray]:
    """The named arrays (F, width), float32 and finite, all of the same F."""
    where, content = entry.where, entry.content
    if missing := [key for key in widths if key not in content]:
        raise DataFileError(f"{where}: no {', '.join(missing)}")
    arrays = {
        key: _frames(where, key, content[key], width) for key, width in widths.items()
    }
    lengths = {key: len(array) for key, array in arrays.items()}
    if "imgpath" in content:
        lengths["imgpath"] = len(content["imgpath"])
    if len(set(lengths.values())) > 1:
        raise DataFileError(f"{where}: numbers of frames differ: {lengths}")
    frame = _frame_numbers(entry, next(iter(lengths.values())))
    for key, array in arrays.items():
        recordings.check_finite(where, key, array, frame)
    return arrays


def _frames(where: str, key: str, content: Any, width: int) -> np.ndarray:
    """An array (F, width) float32; an empty list counts as no frames."""
    array = _array(where, key, content)
    if array.size == 0:
        return np.zeros((0, width), np.float32)
    if array.ndim != 2 or array.shape[1] != width:
        raise DataFileError(
            f"{where}: expected {key} of shape (frames, {width}); got {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise DataFileError(
            f"{where}: expected {key} to be floating point; got {array.dtype}"
        )
    with np.errstate(over="ignore"):  # becomes infinite, which is reported by frame
        return array.astype(np.float32)


def _array(where: str, key: str, content: Any) -> np.ndarray:
    """Whatever a pickle has under a key; it may be lists of different lengths."""
    try:
        return np.asarray(content)
    except ValueError as error:
        raise DataFileError(f"{where}: {key} is no array: {error}") from error


def _frame_numbers(entry: Entry, count: int) -> np.ndarray:
    """Numbers out of the picture names, ``.../12.jpg``; without names 4, 8, 12, ..."""
    pictures = entry.content.get("imgpath")
    if pictures is None:
        return recordings.frame_numbers(count)
    numbers = np.zeros(count, np.int32)
    for row, picture in enumerate(pictures):
        match = re.search(r"(\d{1,9})\.\w+$", str(picture))
        if match is None:
            raise DataFileError(
                f"{entry.where}: frame {row} has the picture {str(picture)!r}, whose "
                "name does not end in a number"
            )
        numbers[row] = int(match.group(1))
    return numbers
