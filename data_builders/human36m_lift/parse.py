"""The authors' merged pickles as pose records.

A pickle maps subject -> action -> subaction -> camera -> a recording:

    {'3d_gt': (F, 51) mm, '2d_hrnet': (F, 32) px, 'gaussfit': (F, 112), 'imgpath': [F]}

with poses coordinate-major and fits joint-major. Out: ``PoseRecords`` ordered by
subject, action, subaction and camera, whatever order the pickle has them in, and by the
file's order of frames within a recording. That is the order in which the released code
joins recordings, so that its choice of every 16th test frame is repeated exactly.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from data_builders import restricted_pickle
from data_builders.files import DataFileError
from jaxflow.types import PoseRecords

FILES: dict[str, str] = {
    "train": "trainset_h36m.pickle",
    "test": "testset_h36m.pickle",
}

# Array of a recording -> numbers in a frame.
_WIDTHS: dict[str, int] = {"3d_gt": 51, "2d_hrnet": 32, "gaussfit": 112}
_LEVELS = ("subject", "action", "subaction", "camera")
# Recordings that have detections but no 3D: the first has no 3D file, the second is
# left out by the released code.
_WITHOUT_3D = frozenset(
    {
        ("S11", "Directions", "0", "54138969"),
        ("S5", "Waiting", "1", "55011271"),
    }
)
_FRAME_STEP = 4  # the pickles keep every 4th video frame: pictures 4, 8, 12, ...


class Recording(NamedTuple):
    """One camera's view of one take.

    Attributes:
      names: subject, action, subaction, camera.
      arrays: '3d_gt' (F, 51), '2d_hrnet' (F, 32), 'gaussfit' (F, 112), float32.
      frame: (F,) int32, number of the picture in the video, counted from 1.
    """

    names: tuple[str, ...]
    arrays: dict[str, np.ndarray]
    frame: np.ndarray


def read_merged(path: str | pathlib.Path) -> PoseRecords:
    """All frames of a merged pickle.

    Args:
      path: ``trainset_h36m.pickle`` or ``testset_h36m.pickle``.

    Returns:
      Records in order: S9 before S11, then actions by name, subactions and cameras.

    Raises:
      DataFileError: the file is missing or truncated, wants to run code, has another
        layout, arrays of a wrong length, non-finite numbers or no frames. The message
        names the file and the recording and, for a bad number, the frame.
    """
    path = pathlib.Path(path)
    recordings = [
        _recording(path, names, content)
        for names, content in _leaves(path, restricted_pickle.load(path), ())
        if not _is_known_gap(names, content)
    ]
    recordings = [recording for recording in recordings if len(recording.frame)]
    if not recordings:
        raise DataFileError(f"{path} holds no frames")
    return _joined(recordings)


def _leaves(
    path: pathlib.Path, content: Any, names: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each recording with its names, depth first."""
    if not isinstance(content, dict):
        level = (*_LEVELS, "array")[len(names)]
        raise DataFileError(
            f"{path}: {_where(names)}: expected a dict with a key for each {level}; "
            f"got {type(content).__name__}"
        )
    if len(names) == len(_LEVELS):
        yield names, content
        return
    for key, below in sorted(content.items(), key=lambda item: _in_order(item[0])):
        yield from _leaves(path, below, (*names, str(key)))


def _in_order(key: Any) -> tuple[str, int, str]:
    """Sorts names by their letters and then by their number: S9 before S11."""
    letters = str(key).rstrip("0123456789")
    digits = str(key)[len(letters) :]
    return letters, int(digits[:18] or 0), str(key)


def _is_known_gap(names: tuple[str, ...], content: dict[Any, Any]) -> bool:
    """Whether a recording lacks 3D as it should, or has no frames to lack it for."""
    if "3d_gt" in content:
        return False
    return names in _WITHOUT_3D or not len(content.get("imgpath", "unknown"))


def _where(names: tuple[str, ...]) -> str:
    return "/".join(names) or "the top level"


def _recording(
    path: pathlib.Path, names: tuple[str, ...], content: dict[Any, Any]
) -> Recording:
    where = f"{path}: {_where(names)}"
    missing = [key for key in _WIDTHS if key not in content]
    if missing:
        hint = ""
        if missing == ["3d_gt"]:
            hint = "; this is a file without 3D poses, a merged one is needed"
        raise DataFileError(f"{where}: no {', '.join(missing)}{hint}")
    arrays = {
        key: _frames(where, key, content[key], width) for key, width in _WIDTHS.items()
    }
    lengths = {key: len(array) for key, array in arrays.items()}
    pictures = content.get("imgpath")
    if pictures is not None:
        if not hasattr(pictures, "__len__"):
            raise DataFileError(f"{where}: imgpath is no list of file names")
        lengths["imgpath"] = len(pictures)
    if len(set(lengths.values())) > 1:
        raise DataFileError(f"{where}: numbers of frames differ: {lengths}")
    frame = _frame_numbers(where, pictures, lengths["3d_gt"])
    _check_finite(where, arrays, frame)
    return Recording(names, arrays, frame)


def _frames(where: str, key: str, content: Any, width: int) -> np.ndarray:
    """An array (F, width) float32; an empty list counts as no frames."""
    array = np.asarray(content)
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


def _frame_numbers(where: str, pictures: Any, count: int) -> np.ndarray:
    """Numbers out of the picture names, ``.../12.jpg``; without names 4, 8, 12, ..."""
    if pictures is None:
        return _FRAME_STEP * np.arange(1, count + 1, dtype=np.int32)
    numbers = np.zeros(count, np.int32)
    for row, picture in enumerate(pictures):
        match = re.search(r"(\d{1,9})\.\w+$", str(picture))
        if match is None:
            raise DataFileError(
                f"{where}: frame {row} has the picture {str(picture)!r}, whose name "
                "does not end in a number"
            )
        numbers[row] = int(match.group(1))
    return numbers


def _check_finite(where: str, arrays: dict[str, np.ndarray], frame: np.ndarray) -> None:
    for key, array in arrays.items():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if bad.size:
            raise DataFileError(
                f"{where}: {key} is not finite in {bad.size} of {len(array)} frames, "
                f"first in frame {frame[bad[0]]} (row {bad[0]})"
            )


def _joined(recordings: list[Recording]) -> PoseRecords:
    """Recordings end to end, in the shapes of ``PoseRecords``."""

    def array(key: str) -> np.ndarray:
        return np.concatenate([recording.arrays[key] for recording in recordings])

    names = np.repeat(
        np.asarray([recording.names for recording in recordings]),
        [len(recording.frame) for recording in recordings],
        axis=0,
    )
    return PoseRecords(
        pose3d=np.ascontiguousarray(array("3d_gt").reshape(-1, 3, 17).swapaxes(1, 2)),
        pose2d=np.ascontiguousarray(
            array("2d_hrnet").reshape(-1, 2, 16).swapaxes(1, 2)
        ),
        gaussfit=array("gaussfit").reshape(-1, 16, 7),
        subject=names[:, 0],
        action=names[:, 1],
        subaction=names[:, 2],
        camera=names[:, 3],
        frame=np.concatenate([recording.frame for recording in recordings]),
    )
