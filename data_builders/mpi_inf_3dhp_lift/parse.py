"""The test set's six videos as pose records.

    TS1/annot_data.mat  annot2 (n, 1, 17, 2) px of the video, annot3 and univ_annot3
                        (n, 1, 17, 3) mm, camera frame; valid_frame, activity_annotation
    TS1/detections.npz  pose2d (n, 16, 2) px of the 256-px crop, gaussfit (n, 16, 7)

Out: ``PoseRecords`` in the order of sequences and frames, with ``setting``,
``valid`` and ``pose3d_universal``. Frames that are not valid are kept and marked, for
whoever wants the videos without gaps; no figure counts them.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np

from data_builders.files import DataFileError
from data_builders.mpi_inf_3dhp_lift import raw
from jaxflow.gaussians.heatmaps import START_SIGMA
from jaxflow.gaussians.keypoints import CROP_MARGIN, HEATMAP_SIZE
from jaxflow.skeleton import CROP_PER_HEATMAP, MPII_TO_H36M
from jaxflow.types import PoseRecords

ANNOTATIONS, DETECTIONS = "annot_data.mat", "detections.npz"

# Sequence -> where it was recorded, as the paper's Table 3 calls it.
SETTINGS: dict[str, str] = {
    "TS1": "Studio GS", "TS2": "Studio GS", "TS3": "Studio no GS",
    "TS4": "Studio no GS", "TS5": "Outdoor", "TS6": "Outdoor",
}  # fmt: skip
SEQUENCES: tuple[str, ...] = tuple(SETTINGS)

# What activity_annotation counts from 1.
ACTIVITIES = (
    "StandingWalking", "Exercising", "Sitting", "ReachingCrouching", "OnTheFloor",
    "Sports", "Miscellaneous",
)  # fmt: skip
_OTHER_ACTIVITY = "Unknown"  # of any other number: no figure rests on activities

JOINTS: tuple[str, ...] = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee",
    "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head",
)  # fmt: skip

# The joint that stands for each of H36M-17.
_AS_H36M = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "spine", "neck", "head", "head_top", "left_shoulder", "left_elbow",
    "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
TO_H36M: tuple[int, ...] = tuple(JOINTS.index(name) for name in _AS_H36M)

_ANNOTATED: dict[str, tuple[int, ...]] = {
    "annot2": (1, len(JOINTS), 2),
    "annot3": (1, len(JOINTS), 3),
    "univ_annot3": (1, len(JOINTS), 3),
    "valid_frame": (1,),
    "activity_annotation": (1,),
}
_DETECTED: dict[str, tuple[int, ...]] = {"pose2d": (16, 2), "gaussfit": (16, 7)}


class Sequence(NamedTuple):
    """One video.

    Attributes:
      name: TS1, ..., TS6.
      records: its frames.
      dropped: how many frames that are not valid were left out, because they hold
        numbers that are not finite.
    """

    name: str
    records: PoseRecords
    dropped: int

    def describe(self) -> str:
        """``TS1 (Studio GS): 24 frames, 19 valid``."""
        valid = int(self.records.extra["valid"].sum())
        frames = len(self.records) + self.dropped
        text = f"{self.name} ({SETTINGS[self.name]}): {frames} frames, {valid} valid"
        if self.dropped:
            text += f", {self.dropped} left out (not valid and not finite)"
        return text


def read_sequence(folder: pathlib.Path, name: str, *, detected: bool) -> Sequence:
    """All frames of a video.

    Args:
      folder: holds TS1, ..., TS6.
      name: which of them.
      detected: take the 2D poses and Gaussians from detections.npz; otherwise the
        annotated 2D joints, certain to 2 px of the heatmap.

    Raises:
      DataFileError: a file is missing, truncated or of another layout, its arrays have
        other lengths or joint counts, or a valid frame holds what no frame can; the
        message names file and frame.
      ImportError: h5py is not installed.
    """
    path = folder / name / ANNOTATIONS
    annotated = raw.read_mat(path, _ANNOTATED)
    count = len(annotated["valid_frame"])
    valid = _valid(path, annotated["valid_frame"][:, 0])
    poses = {key: _h36m(annotated[key]) for key in ("annot3", "univ_annot3")}
    finite = _check(path, poses, valid)
    if detected:
        source = folder / name / DETECTIONS
        two_d = _read_detections(source, count)
        finite &= _check(source, two_d, valid)
    else:
        source, points = path, _h36m(annotated["annot2"])
        finite &= _check(path, {"annot2": points}, valid)
        two_d = _certain(points)
    _check_spread(source, two_d["pose2d"], valid)
    text = {"subject": name, "subaction": "0", "camera": "0"}
    records = PoseRecords(
        **{field: np.full(count, value) for field, value in text.items()},
        **two_d,
        pose3d=poses["annot3"],
        action=_actions(annotated["activity_annotation"][:, 0]),
        frame=np.arange(1, count + 1, dtype=np.int32),
        extra={
            "pose3d_universal": poses["univ_annot3"],
            "setting": np.full(count, SETTINGS[name]),
            "valid": valid,
        },
    )
    return Sequence(name, records.take(finite), int(np.sum(~finite)))


def _valid(path: pathlib.Path, marks: np.ndarray) -> np.ndarray:
    """(n,) bool.

    Raises:
      DataFileError: marks other than 0 and 1, or no valid frame.
    """
    other = ~np.isin(marks, (0, 1))
    if other.any():
        row = int(np.argmax(other))
        raise DataFileError(
            f"{path}: expected valid_frame to be 0 or 1; got {marks[row]} in frame "
            f"{row + 1}"
        )
    if not marks.any():
        raise DataFileError(f"{path}: valid_frame marks no frame as valid")
    return marks == 1


def _h36m(annotated: np.ndarray) -> np.ndarray:
    """(n, 1, 17, d) in the test set's order to (n, 17, d) float32, H36M-17."""
    with np.errstate(over="ignore", invalid="ignore"):  # reported by frame
        return annotated[:, 0, list(TO_H36M)].astype(np.float32)


def _read_detections(path: pathlib.Path, count: int) -> dict[str, np.ndarray]:
    arrays = raw.read_npz(path, _DETECTED)
    if len(arrays["pose2d"]) != count:
        raise DataFileError(
            f"{path}: expected {count} frames, as in {path.parent / ANNOTATIONS}; got "
            f"{len(arrays['pose2d'])}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return {name: array.astype(np.float32) for name, array in arrays.items()}


def _certain(points: np.ndarray) -> dict[str, np.ndarray]:
    """Annotated joints (n, 17, 2), H36M-17, as a perfect detector's output.

    The crop is the square about the middle of the 16 joints' box, 1.25 times as wide
    as its longer side; it becomes 256 px. Each fit has amplitude 1, its joint as mean
    and the 2 px of a training heatmap as both sigmas.
    """
    joints = points[:, list(MPII_TO_H36M)]
    low, high = joints.min(axis=1, keepdims=True), joints.max(axis=1, keepdims=True)
    side = CROP_MARGIN * (high - low).max(axis=-1, keepdims=True)
    corner = (low + high) / 2 - side / 2
    # Joints that all coincide have no scale; they are refused or not valid.
    mean = (joints - corner) / np.where(side == 0, 1, side) * HEATMAP_SIZE
    one, zero = np.ones_like(mean[..., :1]), np.zeros_like(mean[..., :1])
    sigma = START_SIGMA * one
    gaussfit = np.concatenate([one, mean, sigma, zero, sigma, zero], axis=-1)
    return {"pose2d": CROP_PER_HEATMAP * mean, "gaussfit": gaussfit}


def _check(
    path: pathlib.Path, arrays: dict[str, np.ndarray], valid: np.ndarray
) -> np.ndarray:
    """Which frames are finite in all arrays, (n,) bool.

    Raises:
      DataFileError: a valid one is not.
    """
    every = np.ones(len(valid), bool)
    for name, array in arrays.items():
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        bad = np.flatnonzero(valid & ~finite)
        if bad.size:
            raise DataFileError(
                f"{path}: {name} is not finite in {bad.size} of {valid.sum()} valid "
                f"frames, first in frame {bad[0] + 1}"
            )
        every &= finite
    return every


def _check_spread(path: pathlib.Path, pose2d: np.ndarray, valid: np.ndarray) -> None:
    """Refuses valid frames without scale: all their 2D joints lie in one place."""
    flat = np.flatnonzero(valid & (np.ptp(pose2d, axis=1).max(axis=1) == 0))
    if flat.size:
        raise DataFileError(
            f"{path}: all 2D joints coincide in {flat.size} valid frames, first in "
            f"frame {flat[0] + 1}"
        )


def _actions(numbers: np.ndarray) -> np.ndarray:
    """The activities' names, (n,) text."""
    known = np.isin(numbers, np.arange(1, len(ACTIVITIES) + 1))
    rows = np.where(known, numbers, 0).astype(int)
    return np.asarray((_OTHER_ACTIVITY, *ACTIVITIES))[rows]
