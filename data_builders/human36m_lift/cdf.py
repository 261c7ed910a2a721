"""One file of 3D poses, ``D3_Positions_mono/*.cdf``.

In: a Common Data Format file whose variable 'Pose' is (1, F, 96): F video frames of 32
joints in mm, camera frame, joint by joint. Out: the 17 joints of every 4th frame, those
with index 3, 7, 11, ... (the pictures 4, 8, 12, ...).

Needs the package cdflib. It runs nothing that a file says, but believes the counts and
sizes in it, so ``cdf_header`` looks at these first.
"""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

import numpy as np

from data_builders.files import DataFileError
from data_builders.human36m_lift import cdf_header, recordings

JOINTS_IN_FILE = 32
# Joints of the 32 in H36M-17 order; the others are doubles, toes and finger tips.
KEPT_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)

_VARIABLE = "Pose"
_FLOATS = ("CDF_REAL4", "CDF_REAL8", "CDF_FLOAT", "CDF_DOUBLE")


class Positions(NamedTuple):
    """A recording's 3D poses.

    Attributes:
      pose3d: (F // 4, 17, 3) float32, mm, camera frame, H36M-17 order.
      video_frames: F, how many frames the file holds.
    """

    pose3d: np.ndarray
    video_frames: int


def read(path: pathlib.Path) -> Positions:
    """The kept frames of a file.

    Raises:
      DataFileError: the file is missing, truncated, no such file, has another number of
        joints or a number that is not finite. The message names file and frame.
      ImportError: cdflib is not installed.
    """
    pose = _pose(path)
    frames = len(pose)
    with np.errstate(over="ignore"):  # becomes infinite, which is reported by frame
        pose = pose.astype(np.float32)
    recordings.check_finite(str(path), "Pose", pose, np.arange(1, frames + 1))
    step = recordings.FRAME_STEP
    kept = pose.reshape(frames, JOINTS_IN_FILE, 3)[step - 1 :: step, KEPT_JOINTS]
    return Positions(kept, frames)


def require_library() -> None:
    """Refuses to begin without cdflib.

    Raises:
      ImportError: it is not installed; says how to install it.
    """
    try:
        import cdflib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "D3_Positions_mono files are read by the package cdflib, which is not "
            "installed: pip install 'jaxflow[data]'"
        ) from error


def _pose(path: pathlib.Path) -> np.ndarray:
    """The variable 'Pose' as (F, 96)."""
    require_library()
    import cdflib

    try:
        cdf_header.check(path, _VARIABLE)
        with cdflib.CDF(path) as file:
            _check_layout(file.varinq(_VARIABLE))
            array = np.asarray(file.varget(_VARIABLE))
    except cdf_header.RefusedError as error:
        raise DataFileError(
            f"{path} is not a D3_Positions_mono file, or damaged: {error}"
        ) from None
    # The library reads what it is led to; damage shows as almost any exception.
    except Exception as error:
        raise DataFileError(
            f"{path} is truncated, damaged or not a D3_Positions_mono file "
            f"({type(error).__name__}: {error})"
        ) from error
    return array.reshape(-1, JOINTS_IN_FILE * 3)


def _check_layout(variable: Any) -> None:
    """Refuses a variable that is not (1, F, 96) floating-point numbers."""
    width = JOINTS_IN_FILE * 3
    shape = [int(size) for size in variable.Dim_Sizes]
    records = variable.Last_Rec + 1
    if records != 1 or len(shape) != 2 or shape[1] != width or shape[0] < 1:
        raise cdf_header.RefusedError(
            f"expected Pose of shape (1, frames, {width}), {JOINTS_IN_FILE} joints; "
            f"got {(records, *shape)}"
        )
    if shape[0] * width * 8 > cdf_header.LARGEST:
        raise cdf_header.RefusedError(
            f"Pose claims {shape[0]:,} frames, more than any recording has"
        )
    if variable.Data_Type_Description not in _FLOATS:
        raise cdf_header.RefusedError(
            f"expected Pose to be floating point; got {variable.Data_Type_Description}"
        )
