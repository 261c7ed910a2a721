"""Takes as poses: every tenth frame, none like another of the same subject.

In: a ``Source``. Out: a ``Reading``, whose recordings hold T kept frames each as joints
(T, 17, 3) in mm, y up. Files that cannot be read are named and left out; of more than
2 % nothing is made.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tqdm

from data_builders.cmu_mocap_lift import amc, asf, kinematics
from data_builders.cmu_mocap_lift.source import Source, Take
from data_builders.files import DataFileError
from jaxflow.skeleton import H36M_ENDS, HIP

FRAME_STEP = 10  # every tenth frame is looked at: 12 a second of 120
APART = 50.0  # mm that some joint must have moved, seen from the hip
_UNREADABLE_SHARE = 0.02  # of the takes; more is an error
_FAR = 20_000.0  # mm from the origin; the studio is smaller


class Recording(NamedTuple):
    """The kept frames of a take.

    Attributes:
      subject: as the database names it, "05".
      number: of the take, "03".
      frame: (T,) int32, numbers of the frames, counted from 1.
      joints: (T, 17, 3) float32, mm, y up, in the capture's own frame.
    """

    subject: str
    number: str
    frame: np.ndarray
    joints: np.ndarray


class Reading(NamedTuple):
    """What was read.

    Attributes:
      recordings: those with frames, in the source's order.
      problems: what is wrong with the files that were left out.
      frames: how many frames the files have.
      looked_at: every tenth of them.
    """

    recordings: tuple[Recording, ...]
    problems: tuple[str, ...]
    frames: int
    looked_at: int

    def notes(self, source: Source) -> list[str]:
        """What to tell the user."""
        read = len(source.takes) - len(self.problems)
        kept = sum(len(one.frame) for one in self.recordings)
        subjects = {one.subject for one in self.recordings}
        lines = [
            f"{read:,} takes of {len(subjects)} subjects read; {len(self.problems)} of "
            f"{len(source.takes):,} unreadable and skipped",
            f"{self.frames:,} frames, every {FRAME_STEP}th looked at "
            f"({self.looked_at:,}), {kept:,} kept: no two of a subject within "
            f"{APART:.0f} mm",
        ]
        if source.others:
            lines.append(f"{source.others} AMC files with other names left alone")
        return lines + [f"skipped {problem}" for problem in self.problems]


def read(source: Source) -> Reading:
    """Reads all takes, with a progress bar.

    Raises:
      DataFileError: more than 2 % of the takes are unreadable; lists all of them.
    """
    skeleton = functools.lru_cache(maxsize=1)(functools.partial(_skeleton, source))
    recordings: list[Recording] = []
    problems: list[str] = []
    frames = looked_at = 0
    bar = tqdm.tqdm(source.takes, desc="reading", unit=" takes")
    for _, takes in itertools.groupby(bar, key=lambda take: take.subject):
        own = []
        for take in takes:
            try:
                recording, count = _recording(source, take, skeleton)
            except DataFileError as error:
                problems.append(str(error))
                continue
            own.append(recording)
            frames += count
            looked_at += len(recording.frame)
        recordings += _distinct_recordings(own)
    _check_problems(problems, source)
    return Reading(tuple(recordings), tuple(problems), frames, looked_at)


def _skeleton(source: Source, name: str) -> asf.Skeleton:
    return asf.parse(source.read(name), f"{source.where}/{name}")


def _recording(
    source: Source, take: Take, skeleton: Callable[[str], asf.Skeleton]
) -> tuple[Recording, int]:
    """Every tenth frame of a take, and how many frames its file has."""
    where = f"{source.where}/{take.motion}"
    if not take.skeleton:
        raise DataFileError(f"{where}: no skeleton {take.subject}.asf beside it")
    body = skeleton(take.skeleton)
    motion = amc.parse(source.read(take.motion), body, where)
    numbers = np.arange(0, len(motion.position), FRAME_STEP)
    kept = amc.Motion(*(column[numbers] for column in motion))
    ends = kinematics.bone_ends(body, kept)
    joints = kinematics.joints(body, ends, f"{source.where}/{take.skeleton}")
    if (far := ~(np.abs(joints).max(axis=(1, 2)) <= _FAR)).any():
        raise DataFileError(
            f"{where}: frame {numbers[np.argmax(far)] + 1} is more than "
            f"{_FAR / 1000:.0f} m from the studio"
        )
    frame = (numbers + 1).astype(np.int32)
    chosen = Recording(take.subject, take.number, frame, joints.astype(np.float32))
    return chosen, len(motion.position)


def _distinct_recordings(own: list[Recording]) -> list[Recording]:
    """One subject's takes without near-duplicates; takes left empty are dropped."""
    if not own:
        return []
    poses = np.concatenate([one.joints for one in own])
    masks = np.split(distinct(poses), np.cumsum([len(one.frame) for one in own])[:-1])
    return [
        one._replace(frame=one.frame[mask], joints=one.joints[mask])
        for one, mask in zip(own, masks, strict=True)
        if mask.any()
    ]


def distinct(joints: np.ndarray, apart: float = APART) -> np.ndarray:
    """Which frames to keep so that no two are alike.

    A frame is dropped if in an earlier kept one every joint lies within ``apart`` of
    its own, seen from the hip. A turned body counts as another pose, since cameras see
    it otherwise; a body that has only moved does not.

    Args:
      joints: (N, 17, 3) mm.
      apart: mm.

    Returns:
      (N,) bool.
    """
    poses = joints - joints[:, HIP : HIP + 1]
    chosen = np.zeros(len(poses), bool)
    # One wrist is compared first: few poses agree in it, and it is 3 numbers of 51.
    wrists = np.empty((3, len(poses)), poses.dtype)
    kept = np.empty_like(poses)
    count = 0
    for row, pose in enumerate(poses):
        wrist = pose[H36M_ENDS[-1], :, None]
        near = np.abs(wrists[:, :count] - wrist).max(axis=0, initial=0) <= apart
        squares = np.square(kept[np.flatnonzero(near)] - pose).sum(axis=-1)
        if np.any(squares.max(axis=-1) <= apart**2):
            continue
        chosen[row] = True
        kept[count], wrists[:, count] = pose, wrist[:, 0]
        count += 1
    return chosen


def _check_problems(problems: list[str], source: Source) -> None:
    if len(problems) > _UNREADABLE_SHARE * len(source.takes):
        raise DataFileError(
            f"{len(problems)} of {len(source.takes)} takes in {source.where} are "
            f"unreadable, more than {_UNREADABLE_SHARE:.0%}:\n  "
            + "\n  ".join(problems)
        )
