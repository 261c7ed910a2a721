"""A whole run of predictions into a folder: resumed, written, counted.

sources -> Plan -> OUT/<name>/ for each (``prediction_files``), OUT/index.html
                -> Outcome

A source whose summary says that this very run (same checkpoint, detector and flags) has
dealt with this very file is not done again; one that was under way goes on within it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow._version import __version__
from jaxflow.detector.readers.records import Skipped
from jaxflow.prediction import files, inputs, pictures, unfinished
from jaxflow.prediction import page as prediction_page
from jaxflow.prediction import stream as predicting
from jaxflow.prediction.files import Writer
from jaxflow.prediction.inputs import Mark, Reading, Source
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.page import Done, problem
from jaxflow.prediction.records import Lifted
from jaxflow.prediction.stream import Clock, Ended
from jaxflow.prediction.unfinished import Begun


@dataclasses.dataclass(frozen=True)
class Output:
    """What is written.

    Attributes:
      folder: everything goes below it.
      overlays: frames a source that are drawn, at most.
      json_hypotheses: hypotheses a person in poses.json; all are in poses.npz.
      save_every: seconds between saves of a source under way, about.
    """

    folder: pathlib.Path
    overlays: int = 24
    json_hypotheses: int = 0
    save_every: float = 5.0


class Plan(NamedTuple):
    """What is to be done, and what has been.

    Attributes:
      sources: all of them.
      notes: by name, the run and the input, which must be equal for results to be kept.
      failed: why a path names no source, by path.
      done: by name, what earlier runs finished.
      begun: by name, what an earlier run was stopped in.
    """

    sources: list[Source]
    notes: dict[str, dict[str, Any]]
    failed: dict[str, str]
    done: dict[str, Done]
    begun: dict[str, Begun]

    def rest(self) -> list[Source]:
        """What is not done."""
        return [one for one in self.sources if one.name not in self.done]

    def frames(self) -> int:
        """How many frames need not be done again."""
        whole = sum(one.summary["frames_read"] for one in self.done.values())
        return whole + sum(one.state["frames"] for one in self.begun.values())


class Outcome(NamedTuple):
    """How a run went.

    Attributes:
      people: lifted, those of earlier runs among them.
      done: sources that are whole, in the order of the inputs.
      resumed: how many of them were so already.
      continued: how many were under way.
      problems: a line for each file, frame or person that could not be used.
      page: the page's path, if anything is on it.
    """

    people: int
    done: list[Done]
    resumed: int
    continued: int
    problems: list[str]
    page: pathlib.Path | None


def plan(
    found: Sequence[Source | Skipped], output: Output, about: dict[str, Any]
) -> Plan:
    """Looks for what earlier runs left.

    Args:
      found: from ``prediction_inputs.find``.
      output: where to.
      about: of the run, plain values; what must be equal for its results to be kept.
    """
    sources = [one for one in found if isinstance(one, Source)]
    failed = {one.source: one.reason for one in found if isinstance(one, Skipped)}
    notes = {one.name: {"run": about, "input": _identity(one.path)} for one in sources}
    done: dict[str, Done] = {}
    begun: dict[str, Begun] = {}
    for name, note in notes.items():
        folder = output.folder / name
        if kept := _kept(folder, note):
            done[name] = kept
            unfinished.remove(folder)  # if it was killed before it could
        elif under_way := unfinished.begun(folder, note):
            begun[name] = under_way
    return Plan(sources, notes, failed, done, begun)


def run(
    plan: Plan,
    lifter: Lifter,
    reading: Reading,
    output: Output,
    clock: Clock,
    advance: Callable[[int], object] = lambda frames: None,
) -> Outcome:
    """Predicts and writes what is not there yet.

    Args:
      plan: what is there, and what is to be done.
      lifter: with a detector if there are pictures.
      reading: how.
      output: where to.
      clock: gets the seconds of each stage.
      advance: called with the number of frames that were done since.

    Raises:
      OSError: no space, no permission.
      ImportError, FloatingPointError: see ``predicting.stream``.
    """
    failed, done = dict(plan.failed), dict(plan.done)
    for source, summary in _write(plan, lifter, reading, output, clock, advance):
        if isinstance(summary, str):
            failed[str(source.path)] = summary
        else:
            done[source.name] = Done(output.folder / source.name, summary)
    ordered = [done[one.name] for one in plan.sources if one.name in done]
    broken = [problem(path, None, None, reason) for path, reason in failed.items()]
    if reading.boxes is not None:
        broken += [one.reason for one in reading.boxes.skipped]
    with clock("write"):
        page = prediction_page.write(output.folder, ordered, broken)
    skipped = [line for one in ordered for line in prediction_page.problems(one)]
    people = sum(one.summary["people"] for one in ordered)
    return Outcome(
        people, ordered, len(plan.done), len(plan.begun), broken + skipped, page
    )


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
    checksum = 0
    for leaf in jax.tree.leaves(lifter.model.parameters()):
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


def _kept(folder: pathlib.Path, note: Mapping[str, Any]) -> Done | None:
    """What an earlier run with the same note left, if it is whole."""
    summary = files.read_summary(folder)
    if summary is None or "frames_read" not in summary:
        return None
    if any(summary.get(name) != note[name] for name in note):
        return None
    return Done(folder, summary)


def _write(
    plan: Plan,
    lifter: Lifter,
    reading: Reading,
    output: Output,
    clock: Clock,
    advance: Callable[[int], object],
) -> Iterator[tuple[Source, dict[str, Any] | str]]:
    """Each source with its summary, or with why there is nothing of it."""
    starts = {name: one.state["place"] for name, one in plan.begun.items()}
    at_work: _AtWork | None = None
    for source, event in predicting.stream(plan.rest(), lifter, reading, clock, starts):
        with clock("write"):
            at_work = at_work or _AtWork(source, plan, output)
            advance(at_work.take(event))
            if isinstance(event, Ended):
                yield source, at_work.end(event.failed)
                at_work = None


class _AtWork:
    """The source that is being written."""

    def __init__(self, source: Source, plan: Plan, output: Output) -> None:
        artist = files.Artist(pictures.frame, pictures.crop_of)
        begun = plan.begun.get(source.name)
        self._writer = Writer(
            output.folder / source.name,
            plan.notes[source.name],
            artist,
            overlays=output.overlays,
            crops=prediction_page.SHOWN,
            json_hypotheses=output.json_hypotheses,
            begun=begun,
        )
        self._source, self._folder = source, output.folder / source.name
        self._frames = begun.state["frames"] if begun else 0
        self._last: Any = None
        self._pause, self._saved = output.save_every, time.monotonic()

    def take(self, event: Lifted | Skipped | Mark | Ended) -> int:
        """Writes what came; gives how many frames it begins."""
        if isinstance(event, Mark):
            if time.monotonic() - self._saved >= self._pause:
                self._writer.save(place=event.place, frames=self._frames)
                self._saved = time.monotonic()
        if isinstance(event, Mark | Ended):
            return 0
        if isinstance(event, Lifted):
            self._writer.add(event)
        else:
            self._writer.skip(event)
        frame = inputs.frame_of(event.seen if isinstance(event, Lifted) else event)
        if frame == self._last:
            return 0
        self._last = frame
        self._frames += 1
        return 1

    def end(self, failed: str | None) -> dict[str, Any] | str:
        """The summary, or why there is nothing."""
        if failed is not None:
            if not self._writer.people:
                files.clear(self._folder)
                return failed
            self._writer.skip(Skipped(str(self._source.path), None, None, failed))
        return self._writer.finish(self._frames)
