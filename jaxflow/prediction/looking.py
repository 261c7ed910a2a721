"""Who looks at pictures, where, and what BlazePose sees there.

the flags' words -> a detector's name, a BoxTable, a person finder
Seen, a whole frame -> Seen, ..., a square or a fit each, or Noted: nobody is there
Seen, a square each -> Seen with fits
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxflow.detector.blazepose import detector as blazepose
from jaxflow.detector.blazepose import following, people
from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.blazepose.following import Following
from jaxflow.detector.blazepose.people import Person
from jaxflow.detector.blazepose.uncertainty import is_sure
from jaxflow.detector.crops import turned
from jaxflow.detector.crops.crop import Crop, heatmap_to_image
from jaxflow.detector.network import loading
from jaxflow.detector.readers.boxes import MIN_SCORE, BoxTable, read_boxes
from jaxflow.detector.readers.pictures import Picture
from jaxflow.detector.readers.records import Seen, Skipped, lacking
from jaxflow.maths import checks
from jaxflow.prediction import lifting
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.records import Noted
from jaxflow.prediction.sources import NEED_DETECTOR, Source
from jaxflow.skeleton import MPII_JOINTS

AUTO, WHOLE = "auto", "whole"
_NAMED = 6  # joints that a note lists
_BARELY = 8  # joints seen, of sixteen; of somebody with fewer most is guessed
_LEGS = [i for i, name in enumerate(MPII_JOINTS) if name[1:] in ("Foot", "Knee")]
_FEET = [i for i in _LEGS if MPII_JOINTS[i][1:] == "Foot"]
_SIDE = 2.5  # a square's, over the way from somebody's hips to the feet
_BELOW = 0.75  # of that way; if this is beyond the border, the feet are


def detector_for(sources: Sequence[Source | Skipped], detector: Any) -> Any:
    """The detector that was asked for, or blazepose where there are pictures."""
    return blazepose.NAME if detector is None and _pictured(sources) else detector


def boxes_of(boxes: Any, score: float = MIN_SCORE) -> BoxTable | None:
    """The table that boxes are, if they are of a file.

    Raises:
      TypeError: they are neither a word, a path nor a table.
    """
    if boxes is None or isinstance(boxes, str) and boxes in (AUTO, WHOLE):
        return None
    if isinstance(boxes, str | os.PathLike):
        return read_boxes(boxes, score)
    checks.record("boxes", boxes, BoxTable)
    table: BoxTable = boxes
    return table


def shared(
    sources: Sequence[Source | Skipped],
    detector: str | os.PathLike[str] | None,
    **options: Any,
) -> dict[str, Any]:
    """Of options that count for files and the detector, those for the detector.

    One that it has no use for is passed on to be refused, unless files of heatmaps or
    keypoints beside the pictures use it.
    """
    files = any(isinstance(s, Source) and s.kind not in NEED_DETECTOR for s in sources)
    useless = loading.of_no_use(detector) if detector is not None and files else ()
    return {name: value for name, value in options.items() if name not in useless}


def finder_for(
    sources: Sequence[Source | Skipped], boxes: Any, lifter: Lifter, **how: Any
) -> BlazePose | None:
    """Who finds people in the pictures, if they are to be found.

    Args:
      sources: of the run.
      boxes: auto, whole, None or boxes.
      lifter: whose detector finds them if it can.
      **how: of ``blazepose.load``, for one that is asked for beside another detector.

    Raises:
      UserError, ImportError, OSError: as ``blazepose.load``.
    """
    if not _pictured(sources) or boxes not in (None, AUTO):
        return None
    if isinstance(lifter.detector, BlazePose):
        return lifter.detector
    if boxes is None:
        return None
    return blazepose.load(
        "full", how.get("networks"), offline=how.get("offline", False)
    )


def _pictured(sources: Sequence[Source | Skipped]) -> bool:
    return any(isinstance(s, Source) and s.kind in NEED_DETECTOR for s in sources)


class Finder:
    """Finds the people of a source, frame by frame.

    Args:
      finder: sees them.
      lifter: whose detector may be the same one: then nobody needs to look again.
      fps: frames a second of a film, whose people are followed; 0 of others.
      begun: of `state`, to go on from.
    """

    def __init__(
        self, finder: BlazePose, lifter: Lifter, fps: float = 0.0, begun: Any = None
    ) -> None:
        """Begins with nobody, or where it was."""
        self._finder, self._own = finder, lifter.detector is finder
        self._fps = fps
        self._following = following.of_plain(begun) if begun else Following()

    def state(self) -> Any:
        """Plain values."""
        return following.plain(self._following) if self._fps else None

    def found(self, frame: Seen) -> list[Seen | Skipped | Noted]:
        """The people in a frame, numbered from left to right."""
        if frame.maps is not None or frame.fit is not None:
            return [frame]
        if self._fps:
            self._following, seen = following.follow(
                self._following, frame.picture, frame.frame / self._fps, self._finder
            )
        else:
            seen = people.search(frame.picture, self._finder)
        if not seen:
            where = f"{frame.file}, frame {frame.frame}" if frame.frame else frame.file
            return [Noted(frame.file, frame.frame, f"{where}: nobody found")]
        frame = frame._replace(numbered=True)
        return [self._told(frame, i, one) for i, one in enumerate(seen)]

    def _told(self, frame: Seen, number: int, one: Person) -> Seen | Skipped:
        if not self._own:
            return frame._replace(person=number, square=one.square)
        person = frame._replace(person=number, square=one.shown)
        told = _with_fit(person, *one.seen[:4])
        if isinstance(told, Seen):
            return told
        return Skipped(frame.file, frame.frame, number, told)


def observed(seen: Sequence[Seen], lifter: Lifter) -> list[Seen | str]:
    """People with fits, in the squares that are not turned; or why there is nobody."""
    assert isinstance(lifter.detector, BlazePose)
    patches: list[Any] = []
    results: list[Seen | str] = []
    for person in seen:
        try:
            patches.append(turned.cut(person.picture, person.square))
            results.append(person)
        except ValueError as error:
            results.append(str(error))
    if not patches:
        return results
    turns = [float(one.square.turn) for one in results if isinstance(one, Seen)]
    looked = lifter.detector.observe(blazepose.stacked(patches), np.array(turns))
    rows = iter(zip(looked.fit, looked.mean, looked.found, looked.peak, strict=True))
    return [
        _with_fit(one, *next(rows)) if isinstance(one, Seen) else one for one in results
    ]


def _with_fit(
    person: Seen, fit: np.ndarray, mean: np.ndarray, found: np.ndarray, peak: np.ndarray
) -> Seen | str:
    if reason := lifting.nobody(found):
        return reason
    square = person.square.upright()
    pose2d = heatmap_to_image(mean.astype(np.float64), square)
    guessed = ~is_sure(fit, peak)
    legs = _legs_beyond(person.square, guessed, person.picture)
    cut_off = _cut_off(pose2d, person.picture, legs)
    notes = [lacking(found), cut_off, _barely(guessed)]
    note = "; ".join(filter(None, notes))
    return person._replace(square=square, fit=fit, pose2d=pose2d, note=note)


def _outside(points: np.ndarray, picture: Picture) -> np.ndarray:
    """Which points (..., 2) are beyond the picture's border."""
    last = np.array([picture.width, picture.height]) - 0.5
    return np.asarray(((points < -0.5) | (points > last)).any(-1))


def _legs_beyond(square: Crop, guessed: np.ndarray, picture: Picture) -> np.ndarray:
    """Which joints (16,) are of legs that the border cuts off.

    Where those are guessed within the picture: both feet are guesses, and there is no
    room for them.
    """
    down = np.array([-np.sin(square.turn), np.cos(square.turn)])
    below = square.center + _BELOW * square.side / _SIDE * down
    legs = np.zeros_like(guessed)
    if guessed[_FEET].all() and _outside(below, picture):
        legs[_LEGS] = guessed[_LEGS]
    return legs


def _cut_off(pose2d: np.ndarray, picture: Picture, legs: np.ndarray) -> str:
    """The note about joints (16, 2), and legs (16,), beyond the border, or ""."""
    names = np.array(MPII_JOINTS)[_outside(pose2d, picture) | legs]
    if not names.size:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"cut off by the picture's border: {', '.join(names[:_NAMED])}{more}"


def _barely(guessed: np.ndarray) -> str:
    """The note about somebody (16,) who is mostly guessed, or ""."""
    if (~guessed).sum() >= _BARELY:
        return ""
    return f"barely seen: {guessed.sum()} of {guessed.size} joints are guesses"
