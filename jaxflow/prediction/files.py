"""What a prediction leaves behind: numbers, pictures, and a note that it is whole.

Lifted persons of a source -> FOLDER/poses.npz     every array, all hypotheses
                                     poses.json    one line a person, for any language
                                     overlays/     pictures with joints and ellipses
                                     pictures/     the same without, reduced
                                     crops/        what the detector saw, 256 x 256
                                     motions/, ...  for other programs (``exports``)
                                     summary.json  written last: the source is done

3D is in metres, Human3.6M's 17 joints, hip at the origin, in the camera's frame: x
right, y down, z away. While a source is under way its people lie in columns on disk
(``unfinished``), so that a video of any length takes little memory. Every file takes
its name when it is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxflow.detector.readers.records import Skipped
from jaxflow.prediction import document, exports, motions, pictures, unfinished
from jaxflow.prediction.records import STORED, Lifted, Mark, Noted, same_frame
from jaxflow.prediction.tracks import Numbering
from jaxflow.prediction.unfinished import Begun, Columns, Drawings
from jaxflow.runs import files
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS

ARRAYS, DOCUMENT, SUMMARY = "poses.npz", "poses.json", "summary.json"
KEPT = 24  # crops, and pictures, of a source, spread evenly
SKIPPED_LISTED = 1000  # of a source; the others are counted
_DRAWN = 64  # people in one overlay, at most
_NONE = np.zeros(0, np.float32)


@dataclasses.dataclass(frozen=True)
class Output:
    """What is written.

    Attributes:
      folder: everything goes below it.
      overlays: frames a source that are drawn, at most.
      json_hypotheses: hypotheses a person in poses.json; all are in poses.npz.
      save_every: seconds between saves of a source under way, about.
      path: whether the chosen poses are ``motions.likeliest``.
      formats: of ``exports.FORMATS``.
    """

    folder: pathlib.Path
    overlays: int = 24
    json_hypotheses: int = 0
    save_every: float = 5.0
    path: bool = False
    formats: tuple[str, ...] = ()


class PeopleWriter:
    """Collects the people of one source, and writes its files when it is whole.

    Attributes:
      people: so far.
      frames: so far, those of which nobody could be used among them.
    """

    def __init__(
        self,
        output: Output,
        name: str,
        about: dict[str, Any],
        begun: Begun | None,
        fps: float = motions.FPS,
    ) -> None:
        """Makes the source's folder; files of an earlier run go, others stay.

        Args:
          output: what is written, and below which folder.
          name: of the source's folder.
          about: the run and the source, plain values for both files.
          begun: what an earlier run about the same saved, to go on from.
          fps: frames a second of the source.
        """
        folder = output.folder / name
        clear(folder, underway=begun is None)
        folder.mkdir(parents=True, exist_ok=True)
        self._output, self._folder, self._about = output, folder, about
        self._columns = Columns(folder, about, begun)
        self._drawings = {
            "overlays": Drawings(output.overlays),
            "pictures": Drawings(KEPT),
            "crops": Drawings(KEPT),
        }
        self._frame: list[Lifted] = []  # as far as it is kept, and what is not yet
        self._waiting: list[Lifted] = []
        self._fps, self._numbering = fps, Numbering(fps)
        self._shapes: dict[str, list[int]] = {}
        self._skipped: dict[str, Any] = {"skipped": [], "skipped_left_out": 0}
        self._noted: dict[str, Any] = {"noted": [], "noted_left_out": 0}
        self.people = self.frames = 0
        self._last: tuple[Any, ...] = ("", None)
        self._saved = time.monotonic()
        if begun is not None:
            state = begun.state
            self.people, self.frames = state["people"], state["frames"]
            self._shapes = state["shapes"]
            self._numbering = Numbering(fps, state.get("tracks"))
            self._skipped = {name: state[name] for name in self._skipped}
            self._noted = {name: state.get(name, v) for name, v in self._noted.items()}
            for kind, drawings in self._drawings.items():
                if kind in state["spread"]:
                    drawings.go_on(folder, kind, begun, state["spread"][kind])

    def take(self, event: Lifted | Skipped | Noted | Mark) -> int:
        """Keeps what came; gives how many frames it begins."""
        if isinstance(event, Mark):
            if time.monotonic() - self._saved >= self._output.save_every:
                self.save(event)
            return 0
        if isinstance(event, Lifted):
            self.add(event)
        elif isinstance(event, Noted):
            note = Skipped(event.source, event.frame, None, event.reason)
            _list(self._noted, "noted", note)
        else:
            self.skip(event)
        frame = (event.seen if isinstance(event, Lifted) else event)[:2]
        begins, self._last = not same_frame(frame, self._last), frame
        self.frames += begins
        return int(begins)

    def add(self, person: Lifted) -> None:
        """The next person; frames come in order."""
        before = [*self._frame, *self._waiting][:1]
        if before and before[0].seen[:2] != person.seen[:2]:  # file and frame
            self._end_frame()
        self._waiting.append(person)
        self.people += 1
        # A crowd keeps its own numbers, as it would fill the memory.
        crowd = len(self._frame) + len(self._waiting) > _DRAWN
        if crowd or not person.seen.numbered:
            self._keep_waiting()

    def _keep_waiting(self) -> None:
        start = self.people - len(self._waiting)
        for row, person in enumerate(self._waiting, start):
            self._keep(person, row)
        self._waiting = []

    def _keep(self, person: Lifted, row: int) -> None:
        """Appends a person to the columns."""
        seen = person.seen
        for name in STORED:
            if (array := getattr(person, name)) is not None:
                array = np.asarray(array, np.float32)
                self._shapes[name] = list(array.shape)
                self._columns.append(name, array.tobytes())
        square = np.array([*seen.square.center, seen.square.side], np.float64)
        self._columns.append("square", square.tobytes())
        self._columns.append("frame", np.int64(seen.frame).tobytes())
        names = json.dumps([seen.file, str(seen.person)])
        self._columns.append("names", names.encode() + b"\n")
        if seen.note:
            _list(self._noted, "noted", Skipped(*seen[:3], seen.note))
        line = document.line(person, self._output.json_hypotheses)
        self._columns.append("lines", line + b",\n")
        if person.crop is not None or seen.picture is not None:
            draw = functools.partial(pictures.crop_of, person)
            self._drawings["crops"].offer(f"{row:06d}.jpg", draw)
        if len(self._frame) < _DRAWN:
            # Without the hypotheses, which would hold the whole batch in memory.
            self._frame.append(person._replace(hypotheses=_NONE, log_density=_NONE))

    def skip(self, event: Skipped) -> None:
        """A frame or person that cannot be used."""
        _list(self._skipped, "skipped", event)

    def _end_frame(self) -> None:
        self._waiting = self._numbering.of(self._waiting)
        self._keep_waiting()
        if self._frame:
            seen = self._frame[0].seen
            name = pictures.name_of(seen.file, seen.frame)
            for kind, make in (
                ("overlays", pictures.frame),
                ("pictures", pictures.alone),
            ):
                draw = functools.partial(make, self._frame)
                self._drawings[kind].offer(name, draw)
        self._frame = []

    def save(self, mark: Mark) -> None:
        """Keeps all there is, so that a later run can go on from a mark.

        Raises:
          OSError: no space, no permission.
        """
        self._end_frame()
        state = {
            "place": mark.place,
            "following": mark.following,
            "frames": self.frames,
            "people": self.people,
            "shapes": self._shapes,
            "tracks": self._numbering.state(),
            **self._skipped,
            **self._noted,
            "spread": {kind: few.state() for kind, few in self._drawings.items()},
        }
        self._columns.save(state, self._drawings)
        self._saved = time.monotonic()

    def finish(self) -> dict[str, Any]:
        """Writes everything; gives the summary.

        Raises:
          OSError: no space, no permission.
        """
        self._end_frame()
        frames = self._write_people() if self.people else 0
        for kind, drawings in self._drawings.items():
            for name, content in drawings.contents.items():
                files.write_bytes(self._folder / kind / name, content)
        summary = {
            **self._about,
            "people": self.people,
            "frames": frames,
            "frames_read": self.frames,
            **self._skipped,
            **self._noted,
        }
        files.write_json(self._folder / SUMMARY, summary)
        unfinished.remove(self._folder)
        return summary

    def _write_people(self) -> int:
        """poses.npz, poses.json, and what other programs read; of how many frames."""
        arrays = self._arrays()
        lines: Iterator[bytes] = (line[:-1] for line in self._columns.lines("lines"))
        moving = motions.find(arrays, self._fps)
        if self._output.path:
            poses = motions.likeliest(moving, arrays["mode"], arrays["spread"])
            arrays["chosen"] = poses
            lines = map(document.moved, lines, poses)
        files.write_npz(self._folder / ARRAYS, arrays)
        document.write(self._folder / DOCUMENT, self._about, self._skipped, lines)
        exports.write(self._folder, self._output.formats, arrays, moving, self._fps)
        places = zip(arrays["source"].tolist(), arrays["frame"].tolist(), strict=True)
        return len({*places})

    def _arrays(self) -> dict[str, np.ndarray]:
        """Those of poses.npz, straight from the columns."""
        count, column = self.people, self._columns.array
        arrays = {
            name: column(name, np.float32, (count, *shape))
            for name, shape in self._shapes.items()
        }
        names = [json.loads(line) for line in self._columns.lines("names")]
        return arrays | {
            "source": np.array([file for file, _ in names]),
            "frame": np.array(column("frame", np.int64, (count,))),
            "person": np.array([person for _, person in names]),
            "square": column("square", np.float64, (count, 3)),
            "joints": np.array(H36M_JOINTS),
            "joints2d": np.array(MPII_JOINTS),
            "about": np.array(json.dumps(self._about)),
        }


def _list(lists: dict[str, Any], name: str, event: Skipped) -> None:
    """Keeps the event, or counts it where there are many."""
    if len(lists[name]) < SKIPPED_LISTED:
        lists[name].append(event._asdict())
    else:
        lists[f"{name}_left_out"] += 1


def check_owned(folder: pathlib.Path) -> None:
    """Refuses to write into a folder that is the user's own.

    Args:
      folder: of a source; not there, empty, or left by a run, whole or killed.

    Raises:
      UserError: it is there and holds neither a summary nor a source under way.
    """
    if not folder.exists() or unfinished.is_marked(folder):
        return
    if not folder.is_dir() or (read_summary(folder) is None and any(folder.iterdir())):
        raise UserError(
            f"{folder} is there already and holds no predictions; take another --out, "
            "or move it"
        )


def clear(folder: pathlib.Path, underway: bool = True) -> None:
    """Removes what `PeopleWriter` writes, and what killed ones left half written.

    The arrays go first, without which nothing counts as whole; the summary, which tells
    that the folder is no user's, last.

    Args:
      folder: of a source, for which `check_owned` holds.
      underway: whether also what was saved of a source under way.
    """
    files.remove(folder / ARRAYS)
    files.remove(folder / DOCUMENT)
    for kind in ("overlays", "pictures", "crops"):
        for path in folder.glob(f"{kind}/*.jpg*"):
            path.unlink()
        with contextlib.suppress(OSError):  # not there, or the user's files are in it
            (folder / kind).rmdir()
    exports.clear(folder)
    if underway:
        unfinished.remove(folder)
    files.remove(folder / SUMMARY)


def give_up(folder: pathlib.Path) -> None:
    """As `clear`; a mark stays beside files that are no run's, for a later run."""
    clear(folder, underway=False)
    others = any(path.name != unfinished.FOLDER for path in folder.iterdir())
    unfinished.remove(folder, marked=others)


def read_summary(folder: pathlib.Path) -> dict[str, Any] | None:
    """What `PeopleWriter.finish` wrote last; None if it did not come to that."""
    try:
        summary = json.loads((folder / SUMMARY).read_text())
        return summary if {"run", "input", "people"} <= summary.keys() else None
    except (OSError, ValueError, AttributeError):
        return None
