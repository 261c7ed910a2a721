"""From files to people in 3D, all in memory: what ``jaxflow.predictions`` is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxflow.detector.readers.boxes import BoxTable
from jaxflow.detector.readers.records import Skipped
from jaxflow.maths import checks
from jaxflow.prediction import looking, motions, tracks
from jaxflow.prediction.inputs import Reading, check_boxes
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.records import Ended, Lifted, Noted
from jaxflow.prediction.sources import Source, find
from jaxflow.prediction.stream import SIZES, stream
from jaxflow.runs.errors import UserError
from jaxflow.runs.profiling import Clock

_FETCHING = "networks", "offline"  # where BlazePose's networks are from


class Predictions(NamedTuple):
    """What `predictions` found.

    Attributes:
      people: in the order of the inputs, without their pictures.
      skipped: files, frames, persons and boxes that could not be used, and why.
      notes: of boxes that were not used, and pictures without any or without people.
    """

    people: list[Lifted]
    skipped: list[Skipped]
    notes: list[str]


def predictions(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    checkpoint: str | os.PathLike[str] | None = None,
    detector: str | os.PathLike[str] | None = None,
    *,
    boxes: str | os.PathLike[str] | BoxTable | None = None,
    every: int = 1,
    skeleton: str | None = None,
    key: str | None = None,
    maps: str = "probability",
    fps: float = motions.FPS,
    **options: Any,
) -> Predictions:
    """3D hypotheses for pictures, folders, videos, heatmap and keypoint files.

    Everything is kept in memory (41 kB a person and 200 hypotheses);
    ``python -m jaxflow.predict`` writes files instead, of any length.

    Args:
      inputs: one path or several.
      checkpoint: as `Lifter.load` takes it.
      detector: for pictures and videos: an HRNet checkpoint's folder, an .onnx file,
        or blazepose, blazepose-lite or blazepose-heavy; default blazepose.
      boxes: where people are in pictures and videos: a file for
        ``readers.boxes.read_boxes`` or what it gives, auto for who is found there, or
        whole for one who fills each frame; default auto with blazepose, else whole.
      every: one in so many frames of a video.
      skeleton: of keypoints, heatmaps and the detector, of ``gaussians.skeletons``;
        default what a file says, or by their number.
      key: name of the array of heatmaps inside an .npz or HDF5 file.
      maps: what their values are, and an ONNX detector's: of ``gaussians.scales``.
      fps: frames a second of files of keypoints and heatmaps.
      **options: of `Lifter.load`, such as num_hypotheses, temperature, rule, seed; the
        rule may be path, too, of which ``prediction.motions`` tells.

    Raises:
      UserError: a detector or a checkpoint that cannot be read, an empty name, or a
        number that nothing can be read by.
      TypeError: an option of another kind.
    """
    _check_rates(every, fps)
    sources = find([inputs] if isinstance(inputs, str | os.PathLike) else inputs, key)
    detector = looking.detector_for(sources, detector)
    table = looking.boxes_of(boxes)
    notes = [] if table is None else check_boxes(sources, table)
    if path := options.get("rule") == motions.RULE:
        del options["rule"]
    fetching = {name: options[name] for name in _FETCHING if name in options}
    shared = looking.shared(sources, detector, skeleton=skeleton, maps=maps)
    lifter = Lifter.load(checkpoint, detector, sizes=SIZES, **shared, **options)
    finder = looking.finder_for(sources, boxes, lifter, **fetching)
    said: Any = {"skeleton": skeleton, "key": key, "maps": maps, "fps": fps}
    reading = Reading(every=every, boxes=table, finder=finder, **said)
    skipped = [source for source in sources if isinstance(source, Skipped)]
    result = Predictions([], skipped + (table.skipped if table else []), notes)
    _add(result, sources, lifter, reading, moving=bool(path))
    return result


def _check_rates(every: int, fps: float) -> None:
    """Refuses what no video and no file can be read by."""
    if checks.whole("every", every) < 1:
        raise UserError(f"expected every of 1 or more; got {every}")
    least, most = motions.FPS_RANGE
    if not least <= fps <= most:
        raise UserError(f"expected fps from {least:g} to {most:g}; got {fps}")


def _add(
    result: Predictions,
    sources: Sequence[Source | Skipped],
    lifter: Lifter,
    reading: Reading,
    moving: bool,
) -> None:
    """Everybody in the sources that can be read; moving: as `motions` has them."""
    readable = [source for source in sources if isinstance(source, Source)]
    start = 0  # of the source's people
    for source, event in stream(readable, lifter, reading, Clock()):
        if isinstance(event, Ended):
            rate = motions.rate(source, reading)
            people = tracks.numbered(result.people[start:], rate)
            result.people[start:] = motions.moved(people, rate) if moving else people
            start = len(result.people)
            if event.failed is not None:
                failed = Skipped(str(source.path), None, None, event.failed)
                result.skipped.append(failed)
        elif isinstance(event, Lifted):
            seen = event.seen._replace(picture=None, maps=None)
            result.people.append(event._replace(seen=seen, crop=None))
        elif isinstance(event, Skipped):
            result.skipped.append(event)
        elif isinstance(event, Noted):
            result.notes.append(event.reason)
