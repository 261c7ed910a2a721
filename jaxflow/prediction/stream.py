"""From files to people in 3D, batch by batch across files.

Source, ... -> read -> crop -> detector -> fit -> lift
            -> Lifted | Skipped | Noted | Mark, ..., Ended

Pictures of a folder go through the detector together, though each is a file of its
own; what one file lacks does no harm to the others. A person's hypotheses are keyed by
the file's name, the frame and the person's id: they stay the same whatever else is
predicted along with them. Videos and files of many frames begin with a batch of their
own, and again at each Mark, so that going on from there changes no bit.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.crops import warp
from jaxflow.detector.crops.crop import heatmap_to_image
from jaxflow.detector.crops.warp import Patch
from jaxflow.detector.readers.pictures import Picture
from jaxflow.detector.readers.records import Seen, Skipped, lacking
from jaxflow.maths import batching
from jaxflow.prediction import lifting, looking, motions
from jaxflow.prediction.inputs import Reading, read
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.records import Ended, Lifted, Mark, Noted
from jaxflow.prediction.sources import PICTURE, VIDEO, Source
from jaxflow.runs.profiling import Clock

# One person alone is lifted with seven blanks, so that a frame's poses do not depend,
# even by rounding, on how many frames were left over for its batch.
SIZES = (8,)
_MOST_PEOPLE = 32
_MOST_WAITING = 4096  # events, most of them skipped
_MOST_CROPS = 8  # of these the detector takes its time
_MOST_BYTES = 2**28  # of pictures in memory


@dataclasses.dataclass
class _Entry:
    """What is known of one thing a source gave.

    Attributes:
      source: where it comes from.
      event: Seen, until it becomes Lifted or Skipped.
      crop: (256, 256, 3) uint8, if the detector was shown one.
    """

    source: Source
    event: Seen | Lifted | Skipped | Noted | Mark | Ended
    crop: np.ndarray | None = None

    def skip(self, reason: str) -> None:
        """Gives the person up."""
        seen = self.seen
        self.event = Skipped(str(self.source.path), seen.frame, seen.person, reason)

    @property
    def seen(self) -> Seen:
        """The person, who is not lifted yet."""
        assert isinstance(self.event, Seen)
        return self.event


def stream(
    sources: Sequence[Source],
    lifter: Lifter,
    reading: Reading,
    clock: Clock,
    starts: Mapping[str, Mark] | None = None,
) -> Iterator[tuple[Source, Lifted | Skipped | Noted | Mark | Ended]]:
    """Everything about the sources, one after the other, each closed by an Ended.

    Args:
      sources: what to read.
      lifter: with a detector if there are pictures.
      reading: how.
      clock: gets the seconds of each stage.
      starts: by a source's name, the Mark to go on from.

    Raises:
      FloatingPointError: the detector's weights are not those of a network, or the
        model's hypotheses of somebody are not finite.
    """
    sizes = _crop_sizes(sources)
    waiting: list[_Entry] = []
    for entry in _read_all(sources, lifter, reading, clock, starts or {}):
        last = waiting[-1].source if waiting else entry.source
        # A source of many frames begins.
        if entry.source.name != last.name and entry.source.kind != PICTURE:
            yield from _processed(waiting, lifter, sizes, clock)
            waiting = []
        waiting.append(entry)
        if _enough(waiting):
            yield from _processed(waiting, lifter, sizes, clock)
            waiting = []
    yield from _processed(waiting, lifter, sizes, clock)


def _crop_sizes(sources: Sequence[Source]) -> tuple[int, ...]:
    """How many crops the detector is compiled for, which takes longer than a batch."""
    pictures = sum(source.kind == PICTURE for source in sources)
    few = pictures < _MOST_CROPS
    few &= all(source.kind != VIDEO for source in sources)
    return (1,) if few else (_MOST_CROPS,)


def _read_all(
    sources: Sequence[Source],
    lifter: Lifter,
    reading: Reading,
    clock: Clock,
    starts: Mapping[str, Mark],
) -> Iterator[_Entry]:
    for source in sources:
        failed = None
        try:
            with clock("reading"):
                start = starts.get(source.name, Mark(0))
                finder = _finder(source, lifter, reading, start)
                events = read(source, reading, start.place)
            while True:
                with clock("reading"):
                    event = next(events, None)
                if event is None:
                    break
                if finder is not None and isinstance(event, Mark):
                    event = event._replace(following=finder.state())
                if finder is not None and isinstance(event, Seen):
                    with clock("people"):
                        found = finder.found(event)
                    yield from (_Entry(source, one) for one in found)
                else:
                    yield _Entry(source, event)
        except (ImportError, OSError, ValueError, MemoryError) as error:
            failed = str(error) or type(error).__name__
        yield _Entry(source, Ended(failed))


def _finder(
    source: Source, lifter: Lifter, reading: Reading, start: Mark
) -> looking.Finder | None:
    """Who finds the source's people, if anybody does."""
    if reading.finder is None:
        return None
    fps = motions.rate(source, reading) if source.kind == VIDEO else 0.0
    return looking.Finder(reading.finder, lifter, fps, start.following)


def _enough(waiting: Sequence[_Entry]) -> bool:
    """Whether a batch is full."""
    people = _people(waiting)
    pixels = {
        id(picture): picture.pixels.nbytes
        for picture in (entry.seen.picture for entry in people)
        if isinstance(picture, Picture)
    }
    return (
        isinstance(waiting[-1].event, Mark)
        or len(waiting) >= _MOST_WAITING
        or len(people) >= _MOST_PEOPLE
        or sum(map(_needs_detector, people)) >= _MOST_CROPS
        or sum(pixels.values()) > _MOST_BYTES
    )


def _people(entries: Sequence[_Entry]) -> list[_Entry]:
    return [entry for entry in entries if isinstance(entry.event, Seen)]


def _needs_detector(entry: _Entry) -> bool:
    return entry.seen.maps is None and entry.seen.fit is None


def _processed(
    entries: Sequence[_Entry], lifter: Lifter, sizes: tuple[int, ...], clock: Clock
) -> Iterator[tuple[Source, Any]]:
    """The batch's events, everybody in it lifted or skipped."""
    unseen = [entry for entry in _people(entries) if _needs_detector(entry)]
    if unseen:
        _detect(unseen, lifter, sizes, clock)
    people = _people(entries)
    mapped = [entry for entry in people if entry.seen.maps is not None]
    for kind in {entry.seen.maps.dtype for entry in mapped}:
        with clock("fit"):
            _fit([entry for entry in mapped if entry.seen.maps.dtype == kind], lifter)
    for entry in _people(entries):
        if reason := _unusable(entry.seen):
            entry.skip(reason)
    usable = _people(entries)
    if usable:
        with clock("lift"):
            _lift(usable, lifter)
    for entry in entries:
        yield entry.source, entry.event


def _detect(
    entries: Sequence[_Entry], lifter: Lifter, sizes: tuple[int, ...], clock: Clock
) -> None:
    """Heatmaps, or fits, for those who have only pixels."""
    if isinstance(lifter.detector, BlazePose):
        with clock("detector"):
            events = looking.observed([entry.seen for entry in entries], lifter)
        for entry, event in zip(entries, events, strict=True):
            if isinstance(event, str):
                entry.skip(event)
            else:
                entry.event = event
        return
    patches = []
    with clock("crop"):
        for entry in entries:
            square = entry.seen.square.upright()  # as these networks know people
            entry.event = entry.seen._replace(square=square)
            try:
                patches.append(warp.cut(entry.seen.picture, square))
            except ValueError as error:
                entry.skip(str(error))
    if not patches:
        return
    assert lifter.detector is not None
    detect = lifter.detector.detect

    def look(*fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with clock("crop"):
            crops = np.asarray(warp.warp(Patch(*fields)))
        with clock("detector"):
            return crops, detect(crops)

    stacked = [np.stack(field) for field in zip(*patches, strict=True)]
    for entry, crop, maps in zip(
        _people(entries), *batching.apply(look, stacked, sizes), strict=True
    ):
        entry.crop, entry.event = crop, entry.seen._replace(maps=maps)


def _fit(entries: Sequence[_Entry], lifter: Lifter) -> None:
    """Gaussians and joints for those who have heatmaps, all of one dtype."""
    columns = lifter.fit(np.stack([entry.seen.maps for entry in entries]))
    for entry, fit, peak, found in zip(entries, *columns, strict=True):
        if reason := lifting.nobody(found):
            entry.skip(reason)
            continue
        place = heatmap_to_image(peak.astype(np.float64), entry.seen.square)
        note = "; ".join(filter(None, [entry.seen.note, lacking(found)]))
        entry.event = entry.seen._replace(fit=fit, pose2d=place, note=note)


def _unusable(person: Seen) -> str:
    """Why a person cannot be lifted, or ""."""
    if not (np.isfinite(person.fit).all() and np.isfinite(person.pose2d).all()):
        return "numbers that are not finite"
    if np.ptp(person.pose2d, axis=0).max() <= 0:
        return "nobody found: all joints are at one place"
    return ""


def _lift(entries: Sequence[_Entry], lifter: Lifter) -> None:
    """Hypotheses for those who have fits."""
    try:
        prediction = lifter.lift_fits(
            np.stack([entry.seen.fit for entry in entries]),
            np.stack([entry.seen.pose2d for entry in entries]),
            positions=[position(entry.seen) for entry in entries],
        )
    except lifting.NotFiniteError as error:
        file, frame, person, *_ = entries[error.frame].seen
        where = f"{file}, frame {frame}, person {person}"
        raise lifting.NotFiniteError(error.frame, where) from None
    for i, entry in enumerate(entries):
        row = [None if column is None else column[i] for column in prediction[:-1]]
        entry.event = Lifted._make([entry.seen, *row, entry.crop])


def position(person: Seen) -> int:
    """What keys a person's latents, beside the seed."""
    name = f"{person.file}\0{person.frame}\0{person.person}"
    return zlib.crc32(name.encode(errors="backslashreplace"))
