"""A whole run of predictions into a folder: resumed, written, counted.

sources -> Plan -> OUT/<name>/ for each (``files``), OUT/index.html
                -> Tally

A source whose summary says that this very run (same checkpoint, detector and flags) has
dealt with this very file is not done again; one that was under way goes on within it.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tqdm import tqdm

from jaxflow._version import __version__
from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.readers.records import Skipped
from jaxflow.prediction import files, inputs, motions, page, stream, unfinished
from jaxflow.prediction.files import Output, PeopleWriter
from jaxflow.prediction.inputs import Reading
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.page import Done, problem
from jaxflow.prediction.records import Ended, Mark
from jaxflow.prediction.sources import Source
from jaxflow.prediction.unfinished import Begun
from jaxflow.runs import checkpoint, trees
from jaxflow.runs import files as run_files
from jaxflow.runs.profiling import Clock
from jaxflow.runs.run import Run, Stop

_LISTED, _TOLD = 20, 4  # of what was skipped, and of notes


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
        return [source for source in self.sources if source.name not in self.done]

    def frames(self) -> int:
        """How many frames need not be done again."""
        whole = sum(done.summary["frames_read"] for done in self.done.values())
        return whole + sum(begun.state["frames"] for begun in self.begun.values())


class Tally(NamedTuple):
    """How a run went.

    Attributes:
      people: lifted, those of earlier runs among them.
      done: sources that are whole, in the order of the inputs.
      resumed: how many of them were so already.
      continued: how many were under way.
      problems: a line for each file, frame or person that could not be used.
      page: the page's path.
    """

    people: int
    done: list[Done]
    resumed: int
    continued: int
    problems: list[str]
    page: pathlib.Path

    def told(self) -> str:
        """What was done, in two lines, and some of what is to be known of it."""
        before = [f"{self.resumed} done before"] if self.resumed else []
        before += [f"{self.continued} begun before"] if self.continued else []
        earlier = f" ({', '.join(before)})" if before else ""
        people = "1 person" if self.people == 1 else f"{self.people} people"
        inputs = "1 input" if len(self.done) == 1 else f"{len(self.done)} inputs"
        noted = [line for source in self.done for line in page.told(source, "noted")]
        note = "".join(f"\nnote: {line}" for line in noted[:_TOLD])
        if (more := len(noted) - _TOLD) > 0:
            note += f" (and {more} more, in summary.json)"
        return f"{people} from {inputs}{earlier}{note}\npage: {self.page}"

    def skipped(self) -> str:
        """What was not, and why; the first of many."""
        lines = [f"skipped {len(self.problems)}:", *self.problems[:_LISTED]]
        if (more := len(self.problems) - _LISTED) > 0:
            listed = f"the first {page.LISTED} in index.html"
            lines.append(f"and {more} more: {listed}, an input's in its summary.json")
        return "\n  ".join(lines)


class Task(NamedTuple):
    """How it is predicted, and where to.

    Attributes:
      lifter: with a detector if there are pictures.
      reading: of the sources.
      output: what is written.
      clock: gets the seconds of each stage.
    """

    lifter: Lifter
    reading: Reading
    output: Output
    clock: Clock


def make(
    sources: Sequence[Source | Skipped], task: Task, about: dict[str, Any]
) -> Tally:
    """Predicts with a progress bar, alone in the folder; goes on where it was.

    Args:
      sources: from ``sources.find``.
      task: how, and where to.
      about: from `about_run`.

    Raises:
      LockedError: another run is under way in the folder.
      KeyboardInterrupt, OSError, FloatingPointError: as for `predict`.
    """
    with Run(task.output.folder, flag="--out") as job:
        todo = plan(sources, task.output, about)
        total = sum(inputs.count(source, task.reading) for source in todo.sources)
        with tqdm(total=total, initial=todo.frames(), unit="frame") as bar:
            bar.set_description("compiling" if todo.rest() else "")

            def advance(frames: int) -> None:
                bar.desc = ""
                bar.update(frames)

            return predict(todo, task, advance, job.listen())


def plan(
    sources: Sequence[Source | Skipped], output: Output, about: dict[str, Any]
) -> Plan:
    """Looks for what earlier runs left.

    Args:
      sources: from ``sources.find``.
      output: where to.
      about: of the run, plain values; what must be equal for its results to be kept.

    Raises:
      UserError: files that are not a run's own are in the way.
    """
    readable = [source for source in sources if isinstance(source, Source)]
    skipped = [source for source in sources if isinstance(source, Skipped)]
    notes = {
        # Of a folder the keypoints' files: the outputs may lie in it, too.
        s.name: {"run": about, "input": run_files.identity(s.path, "*.json")}
        for s in readable
    }
    done: dict[str, Done] = {}
    begun: dict[str, Begun] = {}
    for name, note in notes.items():
        folder = output.folder / name
        if whole := _whole(folder, note):
            done[name] = whole
            unfinished.remove(folder)  # if it was killed before it could
        elif underway := unfinished.begun(folder, note):
            begun[name] = underway
        else:
            files.check_owned(folder)
    page.check_owned(output.folder)
    failed = {event.source: event.reason for event in skipped}
    return Plan(readable, notes, failed, done, begun)


def predict(
    plan: Plan,
    task: Task,
    advance: Callable[[int], object] = lambda frames: None,
    stop: Stop | None = None,
) -> Tally:
    """Predicts and writes what is not there yet.

    Args:
      plan: what is there, and what is to be done.
      task: how, and where to.
      advance: called with the number of frames that were done since.
      stop: asks to stop at the next place that can be gone on from.

    Raises:
      KeyboardInterrupt: it was to stop, and what was done is kept.
      OSError: no space, no permission.
      FloatingPointError: see ``stream.stream``.
    """
    failed, done = dict(plan.failed), dict(plan.done)
    for source, summary in _write(plan, task, advance, stop or Stop()):
        if isinstance(summary, str):
            failed[str(source.path)] = summary
        else:
            done[source.name] = Done(task.output.folder / source.name, summary)
    whole = [done[source.name] for source in plan.sources if source.name in done]
    problems = [problem(path, None, None, reason) for path, reason in failed.items()]
    if task.reading.boxes is not None:
        problems += [event.reason for event in task.reading.boxes.skipped]
    with task.clock("write"):
        path = page.write(task.output.folder, whole, problems)
    problems += [line for source in whole for line in page.told(source, "skipped")]
    people = sum(source.summary["people"] for source in whole)
    return Tally(people, whole, len(plan.done), len(plan.begun), problems, path)


def about_run(
    task: Task,
    checkpoint: str | os.PathLike[str],
    detector: str | os.PathLike[str] | None,
    boxes: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Everything that results depend on, as plain values."""
    lifter, reading, output, _ = task
    return {
        "jaxflow": __version__,
        "checkpoint": os.fspath(checkpoint),
        "parameters_crc32": trees.checksum(lifter.model.parameters()),
        "detector": _detector(task, detector),
        "flip_test": lifter.detector.flip_test if lifter.detector else None,
        "num_hypotheses": lifter.num_hypotheses,
        "temperature": lifter.temperature,
        "seed": lifter.seed,
        "rule": motions.RULE if output.path else lifter.rule,
        "every": reading.every,
        "megapixels": reading.megapixels,
        "skeleton": reading.skeleton,
        "key": reading.key,
        "boxes": _boxes(boxes, reading),
        "overlays": output.overlays,
        "json_hypotheses": output.json_hypotheses,
        **_unusual(task),
    }


def _detector(
    task: Task, detector: str | os.PathLike[str] | None
) -> dict[str, Any] | None:
    if isinstance(task.lifter.detector, BlazePose):
        return {"name": task.lifter.detector.name}
    if detector is None:
        return None
    path = pathlib.Path(detector)
    # Of a run the checkpoint that counts; the others come and go.
    return run_files.identity(checkpoint.find(path) if path.is_dir() else path)


def _boxes(
    path: str | os.PathLike[str] | None, reading: Reading
) -> dict[str, Any] | None:
    if path is None or reading.boxes is None:
        return {"found_by": reading.finder.name} if reading.finder else None
    return {**run_files.identity(path), "score": reading.boxes.score}


def _unusual(task: Task) -> dict[str, Any]:
    """What was asked for; without them older folders can be gone on with."""
    about: dict[str, Any] = {}
    if task.reading.maps != "probability":
        about["maps"] = task.reading.maps
    detector = task.lifter.detector
    if detector is not None and detector.pixels != "imagenet":
        about["pixels"] = detector.pixels
    if task.output.formats:
        about["formats"] = list(task.output.formats)
    if task.reading.fps != Reading().fps:
        about["fps"] = task.reading.fps
    return about


def _whole(folder: pathlib.Path, note: Mapping[str, Any]) -> Done | None:
    """What an earlier run with the same note left, if it is whole."""
    summary = files.read_summary(folder)
    if summary is None or "frames_read" not in summary:
        return None
    if any(summary.get(name) != note[name] for name in note):
        return None
    if summary["people"] and not (folder / files.ARRAYS).is_file():
        return None
    return Done(folder, summary)


def _write(
    plan: Plan, task: Task, advance: Callable[[int], object], stop: Stop
) -> Iterator[tuple[Source, dict[str, Any] | str]]:
    """Each source with its summary, or with why there is nothing of it."""
    lifter, reading, output, clock = task
    starts = {
        name: Mark(begun.state["place"], begun.state.get("following"))
        for name, begun in plan.begun.items()
    }
    writer: PeopleWriter | None = None
    for source, event in stream.stream(plan.rest(), lifter, reading, clock, starts):
        with clock("write"):
            if writer is None:
                note, begun = plan.notes[source.name], plan.begun.get(source.name)
                fps = motions.rate(source, reading)
                writer = PeopleWriter(output, source.name, note, begun, fps)
            if not isinstance(event, Ended):
                if stop.requested and isinstance(event, Mark):
                    writer.save(event)
                    stop.check()
                advance(writer.take(event))
                continue
            if event.failed is not None and not writer.people:
                files.give_up(output.folder / source.name)
                yield source, event.failed
            else:
                if event.failed is not None:
                    writer.skip(Skipped(str(source.path), None, None, event.failed))
                yield source, writer.finish()
            writer = None
        stop.check()
