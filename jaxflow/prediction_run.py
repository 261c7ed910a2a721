"""A whole run of predictions into a folder: resumed, written, counted.

sources -> OUT/<name>/ for each (``prediction_files``), OUT/index.html -> Outcome

A source whose summary says that this very run (same checkpoint, detector and flags) has
dealt with this very file is not done again.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow import predicting, prediction_files, prediction_page, prediction_pictures
from jaxflow._version import __version__
from jaxflow.detector.records import Skipped
from jaxflow.lifter import Lifter
from jaxflow.predicting import Clock, Ended
from jaxflow.prediction_files import Lifted, Writer
from jaxflow.prediction_inputs import Reading, Source
from jaxflow.prediction_page import Done, problem


@dataclasses.dataclass(frozen=True)
class Output:
    """What is written.

    Attributes:
      folder: everything goes below it.
      overlays: frames a source that are drawn, at most.
      json_hypotheses: hypotheses a person in poses.json; all are in poses.npz.
    """

    folder: pathlib.Path
    overlays: int = 24
    json_hypotheses: int = 0


class Outcome(NamedTuple):
    """How a run went.

    Attributes:
      people: lifted, those of earlier runs among them.
      done: sources that are whole, in the order of the inputs.
      resumed: how many of them were so already.
      problems: a line for each file, frame or person that could not be used.
      page: the page's path, if anything is on it.
    """

    people: int
    done: list[Done]
    resumed: int
    problems: list[str]
    page: pathlib.Path | None


def run(
    found: Sequence[Source | Skipped],
    lifter: Lifter,
    reading: Reading,
    output: Output,
    about: dict[str, Any],
    clock: Clock,
    advance: Callable[[int], object] = lambda frames: None,
) -> Outcome:
    """Predicts and writes what is not there yet.

    Args:
      found: from ``prediction_inputs.find``.
      lifter: with a detector if there are pictures.
      reading: how.
      output: where to.
      about: of the run, plain values; what must be equal for its results to be kept.
      clock: gets the seconds of each stage.
      advance: called with the number of frames that were read since.

    Raises:
      OSError: no space, no permission.
      ImportError, FloatingPointError: see ``predicting.stream``.
    """
    sources = [one for one in found if isinstance(one, Source)]
    failed = {one.source: one.reason for one in found if isinstance(one, Skipped)}
    notes = {one.name: {"run": about, "input": _identity(one.path)} for one in sources}
    done = {one.name: kept for one in sources
            if (kept := _kept(output.folder / one.name, notes[one.name]))}  # fmt: skip
    resumed = len(done)
    advance(sum(one.summary["frames"] for one in done.values()))
    rest = [one for one in sources if one.name not in done]
    for source, summary in _write(rest, lifter, reading, output, notes, clock, advance):
        if isinstance(summary, str):
            failed[str(source.path)] = summary
        else:
            done[source.name] = Done(output.folder / source.name, summary)
    ordered = [done[one.name] for one in sources if one.name in done]
    broken = [problem(path, None, None, reason) for path, reason in failed.items()]
    if reading.boxes is not None:
        broken += [one.reason for one in reading.boxes.skipped]
    with clock("write"):
        page = prediction_page.write(output.folder, ordered, broken)
    skipped = [line for one in ordered for line in prediction_page.problems(one)]
    people = sum(one.summary["people"] for one in ordered)
    return Outcome(people, ordered, resumed, broken + skipped, page)


def _identity(path: pathlib.Path) -> dict[str, Any]:
    """What tells whether a file or folder is the same as before."""
    try:
        state = path.stat()
    except OSError:
        return {"path": str(path.absolute())}
    return {
        "path": str(path.absolute()),
        "bytes": state.st_size,
        "modified": state.st_mtime_ns,
    }


def about_run(
    lifter: Lifter,
    reading: Reading,
    output: Output,
    checkpoint: str | os.PathLike[str],
    detector: str | os.PathLike[str] | None,
    boxes: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Everything that results depend on, as plain values."""
    leaves = jax.tree.leaves(lifter.params)
    checksum = 0
    for leaf in leaves:
        checksum = zlib.crc32(np.asarray(leaf).tobytes(), checksum)
    shown = lifter.detector
    return {
        "jaxflow": __version__,
        "checkpoint": os.fspath(checkpoint),
        "parameters_crc32": checksum,
        "detector": _identity(pathlib.Path(detector)) if detector else None,
        "flip_test": shown.flip_test if shown else None,
        "num_hypotheses": lifter.num_hypotheses,
        "temperature": lifter.temperature,
        "seed": lifter.seed,
        "rule": lifter.rule,
        "every": reading.every,
        "megapixels": reading.megapixels,
        "skeleton": reading.skeleton,
        "key": reading.key,
        "boxes": _identity(pathlib.Path(boxes)) if boxes else None,
        "overlays": output.overlays,
        "json_hypotheses": output.json_hypotheses,
    }


def _kept(folder: pathlib.Path, note: dict[str, Any]) -> Done | None:
    """What an earlier run with the same note left, if it is whole."""
    summary = prediction_files.read_summary(folder)
    if summary is None or any(summary.get(name) != note[name] for name in note):
        return None
    return Done(folder, summary)


def _write(
    sources: Sequence[Source],
    lifter: Lifter,
    reading: Reading,
    output: Output,
    notes: dict[str, dict[str, Any]],
    clock: Clock,
    advance: Callable[[int], object],
) -> Iterator[tuple[Source, dict[str, Any] | str]]:
    """Each source with its summary, or with why there is nothing of it."""
    artist = prediction_files.Artist(
        prediction_pictures.frame, prediction_pictures.crop_of
    )
    writer: Writer | None = None
    last = None
    for source, event in predicting.stream(sources, lifter, reading, clock):
        with clock("write"):
            if writer is None:
                writer = Writer(
                    output.folder / source.name, notes[source.name], artist,
                    overlays=output.overlays, crops=prediction_page.SHOWN,
                    json_hypotheses=output.json_hypotheses,
                )  # fmt: skip
            if isinstance(event, Lifted):
                writer.add(event)
            elif isinstance(event, Skipped):
                writer.skipped.append(event)
            elif event.failed is not None and not writer.count:
                writer.close()
                yield source, event.failed
            else:
                if event.failed is not None:
                    lost = Skipped(str(source.path), None, None, event.failed)
                    writer.skipped.append(lost)
                yield source, writer.finish()
        place = None if isinstance(event, Ended) else _place(source, event)
        if place is not None and place != last:
            advance(1)
        last = place
        if isinstance(event, Ended):
            writer = None


def _place(source: Source, event: Lifted | Skipped) -> tuple[str, Any, Any]:
    """Which frame an event belongs to."""
    if isinstance(event, Lifted):
        return source.name, event.seen.file, event.seen.frame
    return source.name, event.source, event.frame
