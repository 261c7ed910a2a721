"""Who is who from frame to frame, by the 2D joints alone.

    tracks, poses (n, 16, 2) of the next frame -> tracks, a number for each pose

A pose belongs to the track whose last pose, moved on as it moved before, is nearest,
and not farther than somebody can have gone; the nearest pairs first. Whoever is not
seen keeps the number for a while. A frame in which nobody can be who was there before
is a cut: all in it are new.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow.maths import moving
from jaxflow.prediction.records import Lifted

# Mean distance of the joints over the body's size, at most: what a still body's joints
# are apart, and what it moves a second. (Nobody runs 12 m a second.)
_APART, _A_SECOND = 0.5, 6.0
_PATIENCE = 1.0  # seconds that somebody may be hidden
_FARTHEST = 0.5  # seconds; somebody hidden for longer is looked for no farther away
# Bodies a second by which somebody hidden counts as farther than somebody seen.
_FADING = 0.2


class Track(NamedTuple):
    """Somebody.

    Attributes:
      number: from 0, of nobody else.
      pose: (16, 2) image px, the last that was seen.
      velocity: (2,) px a second of its middle.
      seconds: when that was.
    """

    number: int
    pose: np.ndarray
    velocity: np.ndarray
    seconds: float


class Tracks(NamedTuple):
    """Those who are being followed.

    Attributes:
      alive: seen a short while ago.
      next: the number of the next who is new.
    """

    alive: tuple[Track, ...] = ()
    next: int = 0


def follow(
    tracks: Tracks, poses: np.ndarray, seconds: float, wanted: Sequence[int] = ()
) -> tuple[Tracks, list[int]]:
    """The tracks after another frame, and the number of each pose in it.

    Args:
      tracks: after the frame before; `Tracks()` at first.
      poses: (n, J, 2) image px, any joints, or a box's corners; always the same.
      seconds: the frame's time.
      wanted: for each pose, the number that it has if it is new and nobody had it, or a
        higher one.
    """
    last = max((one.seconds for one in tracks.alive), default=seconds)
    # Where time goes back other frames begin, and all in them are new.
    known = tracks.alive if last <= seconds else ()
    alive = [one for one in known if seconds - one.seconds <= _PATIENCE + 1e-6]
    # Not seconds for a video of one frame in many.
    alive = alive or [one for one in known if one.seconds == last]
    rows = [[_distance(t, pose, seconds) for t in alive] for pose in poses]
    owners = moving.nearest(np.array(rows))
    if len(poses) and not owners:
        alive = []  # a cut
    now: list[Track] = []
    numbers, new = [], tracks.next
    for i, pose in enumerate(np.asarray(poses, np.float64)):
        velocity = np.zeros(2)
        if i in owners:
            before = alive[owners[i]]
            number = before.number
            velocity = moving.steadied(
                before.velocity,
                pose.mean(0) - before.pose.mean(0),
                seconds - before.seconds,
            )
        else:
            number = max([new, *wanted[i : i + 1]])
            new = number + 1
        numbers.append(number)
        now.append(Track(number, pose, velocity, seconds))
    hidden = [t for i, t in enumerate(alive) if i not in owners.values()]
    return Tracks((*now, *hidden), new), numbers


def apart(before: np.ndarray, after: np.ndarray, seconds: float) -> float:
    """How far two poses (J, 2) are apart; 1 or more is too far for one person.

    Args:
      before: image px.
      after: image px.
      seconds: between them.
    """
    return _bodies(before, after) / (_APART + _A_SECOND * seconds)


def _bodies(before: np.ndarray, after: np.ndarray) -> float:
    """The mean distance of the joints over the larger body's size."""
    size = max(*np.ptp(before, axis=0), *np.ptp(after, axis=0), 1e-6)
    return float(np.linalg.norm(after - before, axis=-1).mean() / size)


def _distance(track: Track, pose: np.ndarray, seconds: float) -> float:
    """How far a pose is from the track's; infinity where it cannot be the track's."""
    passed = max(seconds - track.seconds, 0.0)
    # It may also have stopped.
    ways = track.pose + track.velocity * min(passed, _PATIENCE), track.pose
    bodies = min(_bodies(way, pose) for way in ways)
    near = bodies < _APART + _A_SECOND * min(passed, _FARTHEST)
    return bodies + _FADING * passed if near else np.inf


class Numbering:
    """The people of a source by their tracks, a frame after the other.

    Args:
      fps: frames a second.
      state: of `state`, to go on from.
    """

    def __init__(self, fps: float, state: dict[str, Any] | None = None) -> None:
        """Begins with nobody, or where it was."""
        self._fps, self._file, self._tracks = fps, "", Tracks()
        if state is not None:
            alive = [
                Track(number, np.array(pose), np.array(velocity), seconds)
                for number, pose, velocity, seconds in state["alive"]
            ]
            self._file = state["file"]
            self._tracks = Tracks(tuple(alive), state["next"])

    def state(self) -> dict[str, Any]:
        """Plain values."""
        alive = [[t[0], t.pose.tolist(), [*t.velocity], t[3]] for t in self._tracks[0]]
        return {"file": self._file, "alive": alive, "next": self._tracks.next}

    def of(self, people: list[Lifted]) -> list[Lifted]:
        """All people of the next frame, with their tracks' numbers.

        Those whose ids are more than numbers within the frame keep them.
        """
        if not all(one.seen.numbered for one in people) or not people:
            return people
        file, frame = people[0].seen[:2]
        if file != self._file:
            self._file, self._tracks = file, Tracks()
        poses = np.stack([one.pose2d for one in people])
        wanted = [int(one.seen.person) for one in people]
        self._tracks, numbers = follow(self._tracks, poses, frame / self._fps, wanted)
        return [
            one._replace(seen=one.seen._replace(person=number))
            for one, number in zip(people, numbers, strict=True)
        ]


def numbered(people: Sequence[Lifted], fps: float) -> list[Lifted]:
    """All people of a source, in order of frames, by `Numbering`."""
    numbering = Numbering(fps)
    frames = itertools.groupby(people, key=lambda one: one.seen[:2])
    return [one for _, frame in frames for one in numbering.of(list(frame))]
