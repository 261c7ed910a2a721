"""The motions in a source: who moves from which frame to which, and how.

    files, frames, persons, joints of a source's N people -> Motion, Motion, ...
    Motion, z = 0 poses, spreads -> the likeliest poses (``--rule=path``)

A motion is one person in one shot. It ends where the person is away for half a second,
or is somewhere else at once: a cut. All frames must be there before the first can be
told, so this comes when a source has ended; of each person it takes two poses.

Not the path through drawn hypotheses (``paths.likeliest``): of 200 poses of 48 numbers
none is near the one before, and such a path flickers more than z = 0 does
(benchmarks/motion_path.py).
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxflow.detector.readers import videos
from jaxflow.metrics import paths
from jaxflow.prediction import tracks
from jaxflow.prediction.inputs import Reading
from jaxflow.prediction.records import Lifted
from jaxflow.prediction.sources import VIDEO, Source

RULE = "path"
TEXT = (
    "the likeliest motion through the frames' hypotheses: each frame a Gaussian about "
    "its z = 0 pose, as wide as the hypotheses are spread, and the accelerations small"
)
FPS = Reading().fps
FPS_RANGE = 0.1, 10_000.0
# m/s^2, a coordinate's. Of 4.5, 9, 18 and 36 the one with the least MPJPE on subjects
# held out of training (benchmarks/motion_path.py --subjects=2,16 --takes=5 --frames=120
# --memory=0.9). Feet and wrists have 8 in the root mean square, hips less than 3.
ACCELERATION = 18.0
_AWAY = 0.5  # seconds; who is away longer begins anew
LEAST = 1e-3  # metres; nothing is known better


class Motion(NamedTuple):
    """Somebody in a shot.

    Attributes:
      file: of the picture, the video or the keypoints.
      person: its id.
      rows: (n,) of the source's people, by frames.
      places: (n,) when each is, in steps from the first.
      first: number of the first frame.
      seconds: of a step.
    """

    file: str
    person: str
    rows: np.ndarray
    places: np.ndarray
    first: int
    seconds: float

    @property
    def length(self) -> int:
        """Steps from the first frame to the last, those without the person, too."""
        return int(self.places[-1]) + 1


def rate(source: Source, reading: Reading) -> float:
    """Frames a second of a source, those that are left out among them."""
    if source.kind == VIDEO:
        with contextlib.suppress(ImportError, OSError, ValueError):
            return videos.info(source.path).fps or reading.fps
    return reading.fps


def find(people: Mapping[str, np.ndarray], fps: float) -> list[Motion]:
    """The motions in a source, by their first frames.

    Args:
      people: source (N,), frame (N,), person (N,), pose2d (N, 16, 2), as in poses.npz.
      fps: frames a second.
    """
    own: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(people["source"], people["person"], strict=True)):
        own[str(key[0]), str(key[1])].append(row)
    steps: dict[str, int] = {}
    for file in {file for file, _ in own}:
        frames = np.unique(people["frame"][people["source"] == file])
        steps[file] = int(np.diff(frames).min(initial=frames[-1] - frames[0] or 1))
    found = []
    for (file, person), listed in own.items():
        rows = np.array(listed)[np.argsort(people["frame"][listed], kind="stable")]
        frames = people["frame"][rows]
        for part in np.split(
            np.arange(len(rows)), _ends(rows, people, steps[file], fps)
        ):
            places = (frames[part] - frames[part[0]]) // steps[file]
            seconds = steps[file] / fps
            first = int(frames[part[0]])
            found.append(Motion(file, person, rows[part], places, first, seconds))
    return sorted(found, key=lambda one: int(one.rows[0]))


def _ends(
    rows: np.ndarray, people: Mapping[str, np.ndarray], usual: int, fps: float
) -> list[int]:
    """Where somebody's frames fall into motions, in a file of a usual step."""
    frames = people["frame"][rows]
    ends = []
    for i in range(1, len(rows)):
        steps = frames[i] - frames[i - 1]
        seconds = steps / fps
        away = steps > usual and seconds > _AWAY
        before, after = people["pose2d"][rows[i - 1]], people["pose2d"][rows[i]]
        if away or steps == 0 or tracks.apart(before, after, seconds) >= 1:
            ends.append(i)
    return ends


def likeliest(
    motions: list[Motion], mode: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """The poses (N, 17, 3) of all people by ``--rule=path``.

    Args:
      motions: of `find`, of all N people.
      mode: (N, 17, 3) metres, their z = 0 poses.
      spread: (N, 17, 3) metres, over the hypotheses.
    """
    poses = np.array(mode)
    for one in motions:
        if len(one.rows) > 2:  # two frames have no acceleration
            poses[one.rows] = _drawn(one, mode[one.rows], spread[one.rows])
    return poses


def moved(people: list[Lifted], fps: float) -> list[Lifted]:
    """A source's people, their chosen poses `likeliest`.

    Args:
      people: all of one source.
      fps: frames a second.
    """
    if not people:
        return []
    columns = {
        "source": np.array([one.seen.file for one in people]),
        "frame": np.array([one.seen.frame for one in people]),
        "person": np.array([str(one.seen.person) for one in people]),
        "pose2d": np.stack([one.pose2d for one in people]),
    }
    mode, spread = (
        np.stack([getattr(one, name) for one in people]) for name in ("mode", "spread")
    )
    poses = likeliest(find(columns, fps), mode, spread)
    return [one._replace(chosen=pose) for one, pose in zip(people, poses, strict=True)]


def _drawn(motion: Motion, mode: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The likeliest poses of a motion's n rows, of their own (n, 17, 3)."""
    poses = np.zeros((motion.length, *mode.shape[1:]))
    variance, there = np.ones_like(poses), np.zeros(len(poses), bool)
    poses[motion.places], there[motion.places] = mode, True
    variance[motion.places] = np.square(spread) + LEAST**2
    step = ACCELERATION * motion.seconds**2
    return paths.drawn(poses, variance, step, there)[motion.places]


def whole(motion: Motion, poses: np.ndarray) -> np.ndarray:
    """All steps of a motion (count, 17, 3); where nobody was seen, on a straight line.

    Args:
      motion: which.
      poses: (N, 17, 3) of the source's people.
    """
    own = poses[motion.rows].reshape(len(motion.rows), -1).astype(np.float64)
    steps = np.arange(motion.length)
    columns = [np.interp(steps, motion.places, column) for column in own.T]
    return np.stack(columns, axis=-1).reshape(-1, *poses.shape[1:])
