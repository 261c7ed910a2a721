"""What a prediction leaves behind: numbers, pictures, and a note that it is whole.

Lifted persons of a source -> FOLDER/poses.npz     every array, all hypotheses
                                     poses.json    one line a person, for any language
                                     overlays/     pictures with joints and ellipses
                                     crops/        what the detector saw, 256 x 256
                                     summary.json  written last: the source is done

3D is in metres, Human3.6M's 17 joints, hip at the origin, in the camera's frame: x
right, y down, z away. While a source is under way its people lie in columns on disk
(``unfinished``), so that a video of any length takes little memory. Every file takes
its name when it is whole.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.readers.records import Skipped
from jaxflow.prediction import document, unfinished
from jaxflow.prediction.records import STORED, Lifted
from jaxflow.prediction.unfinished import Begun, Columns, Drawings
from jaxflow.runs import files
from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS

ARRAYS, DOCUMENT, SUMMARY = "poses.npz", "poses.json", "summary.json"
SKIPPED_LISTED = 1000  # of a source; the others are counted
_DRAWN = 64  # people in one overlay, at most
_NONE = np.zeros(0, np.float32)


class Artist(NamedTuple):
    """Who draws; each gives a JPEG, or None if there is nothing to be had.

    Attributes:
      frame: a frame with its people.
      crop: what the detector saw of a person.
    """

    frame: Callable[[Sequence[Lifted]], bytes | None]
    crop: Callable[[Lifted], bytes | None]


class Writer:
    """Collects the people of one source, and writes its files when it is whole.

    Attributes:
      people: so far.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        about: dict[str, Any],
        artist: Artist,
        *,
        overlays: int,
        crops: int,
        json_hypotheses: int,
        begun: Begun | None = None,
    ) -> None:
        """Makes the folder if need be.

        Args:
          folder: of the source; files of an earlier run go, others stay.
          about: the run and the source, plain values for both files.
          artist: makes the pictures.
          overlays: frames that are drawn, at most, spread evenly.
          crops: persons whose crops are kept, at most, spread evenly.
          json_hypotheses: hypotheses a person in poses.json.
          begun: what an earlier run about the same saved, to go on from.
        """
        clear(folder, underway=begun is None)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._about, self._artist = folder, about, artist
        self._json_hypotheses = json_hypotheses
        self._columns = Columns(folder, about, begun)
        self._drawings = {"overlays": Drawings(overlays), "crops": Drawings(crops)}
        self._frame: list[Lifted] = []
        self._shapes: dict[str, list[int]] = {}
        self._skipped: dict[str, Any] = {"skipped": [], "skipped_left_out": 0}
        self.people = 0
        if begun is not None:
            state = begun.state
            self.people, self._shapes = state["people"], state["shapes"]
            self._skipped = {name: state[name] for name in self._skipped}
            for kind, drawings in self._drawings.items():
                drawings.go_on(folder, kind, begun, state["spread"][kind])

    def add(self, person: Lifted) -> None:
        """The next person; frames come in order."""
        seen = person.seen
        if self._frame and self._frame[0].seen[:2] != seen[:2]:  # file and frame
            self._end_frame()
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
        line = document.line(person, self._json_hypotheses)
        self._columns.append("lines", line + b",\n")
        if person.crop is not None or seen.picture is not None:
            draw = functools.partial(self._artist.crop, person)
            self._drawings["crops"].offer(f"{self.people:06d}.jpg", draw)
        if len(self._frame) < _DRAWN:
            # Without the hypotheses, which would hold the whole batch in memory.
            self._frame.append(person._replace(hypotheses=_NONE, log_density=_NONE))
        self.people += 1

    def skip(self, event: Skipped) -> None:
        """A frame or person that cannot be used."""
        if len(self._skipped["skipped"]) < SKIPPED_LISTED:
            self._skipped["skipped"].append(event._asdict())
        else:
            self._skipped["skipped_left_out"] += 1

    def _end_frame(self) -> None:
        if self._frame:
            seen = self._frame[0].seen
            name = f"{pathlib.PurePath(seen.file).stem}-{seen.frame:06d}.jpg"
            draw = functools.partial(self._artist.frame, self._frame)
            self._drawings["overlays"].offer(name, draw)
        self._frame = []

    def save(self, **place: int) -> None:
        """Keeps all there is, so that a later run can go on from here.

        Args:
          **place: what it has to know; comes back in ``Begun.state``.

        Raises:
          OSError: no space, no permission.
        """
        self._end_frame()
        state = {**place, "people": self.people, "shapes": self._shapes}
        steps = {kind: one.state() for kind, one in self._drawings.items()}
        self._columns.save({**state, **self._skipped, "spread": steps}, self._drawings)

    def finish(self, frames_read: int) -> dict[str, Any]:
        """Writes everything; gives the summary.

        Args:
          frames_read: those of which nobody could be used among them.

        Raises:
          OSError: no space, no permission.
        """
        self._end_frame()
        frames = self._write_arrays() if self.people else 0
        if self.people:
            lines = (line[:-1] for line in self._columns.lines("lines"))
            path = self._folder / DOCUMENT
            document.write(path, self._about, self._skipped, lines)
        for kind, drawings in self._drawings.items():
            for name, content in drawings.contents.items():
                files.write_bytes(self._folder / kind / name, content)
        summary = {
            **self._about,
            "people": self.people,
            "frames": frames,
            "frames_read": frames_read,
            **self._skipped,
        }
        files.write_json(self._folder / SUMMARY, summary)
        unfinished.remove(self._folder)
        return summary

    def _write_arrays(self) -> int:
        """poses.npz, straight from the columns; gives the number of frames."""
        count, column = self.people, self._columns.array
        arrays = {
            name: column(name, np.float32, (count, *shape))
            for name, shape in self._shapes.items()
        }
        names = [json.loads(line) for line in self._columns.lines("names")]
        frame = np.array(column("frame", np.int64, (count,)))
        arrays |= {
            "source": np.array([file for file, _ in names]),
            "frame": frame,
            "person": np.array([person for _, person in names]),
            "square": column("square", np.float64, (count, 3)),
            "joints": np.array(H36M_JOINTS),
            "joints2d": np.array(MPII_JOINTS),
            "about": np.array(json.dumps(self._about)),
        }
        files.write_npz(self._folder / ARRAYS, arrays)
        return len({(file, i) for (file, _), i in zip(names, frame, strict=True)})


def clear(folder: pathlib.Path, underway: bool = True) -> None:
    """Removes what `Writer` writes, the summary first.

    Args:
      folder: of a source.
      underway: whether also what was saved of a source under way.
    """
    drawn = [*folder.glob("overlays/*.jpg"), *folder.glob("crops/*.jpg")]
    for path in [*(folder / name for name in (SUMMARY, DOCUMENT, ARRAYS)), *drawn]:
        path.unlink(missing_ok=True)
    if underway:
        unfinished.remove(folder)


def read_summary(folder: pathlib.Path) -> dict[str, Any] | None:
    """What `Writer.finish` wrote last; None if it did not come to that."""
    try:
        summary = json.loads((folder / SUMMARY).read_text())
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) else None
