"""What a prediction leaves behind: numbers, pictures, and a note that it is whole.

Lifted persons of a source -> FOLDER/poses.npz     every array, all hypotheses
                                     poses.json    one line a person, for any language
                                     overlays/     pictures with joints and ellipses
                                     crops/        what the detector saw, 256 x 256
                                     summary.json  written last: the source is done

3D is in metres, Human3.6M's 17 joints, hip at the origin, in the camera's frame: x
right, y down, z away. While a source is under way its hypotheses lie in a temporary
file without a name, so that a video of any length takes little memory and a killed run
leaves nothing. Every file takes its name when it is whole.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow._version import __version__
from jaxflow.detector.readers.records import Skipped
from jaxflow.prediction import unfinished as prediction_parts
from jaxflow.prediction.inputs import Seen
from jaxflow.prediction.unfinished import Begun, Parts, Spread
from jaxflow.runs import files
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_BONES, MPII_JOINTS

ARRAYS, DOCUMENT, SUMMARY = "poses.npz", "poses.json", "summary.json"
SKIPPED_LISTED = 1000  # of a source; the others are counted
_DRAWN = 64  # people in one overlay, at most
_FRAME_OF_REFERENCE = "camera: x right, y down, z away; hip at the origin"
_BETWEEN_LINES = b",\n"
_NONE = np.zeros(0, np.float32)
_RULES = {
    "z0": "the pose of the latents' mode",
    "mean": "the mean of the hypotheses, joint by joint",
    "medoid": "the hypothesis with the least summed distance to the others",
    "largest_cluster": "the centre of the largest of five K-means clusters",
    "most_likely": "the hypothesis of the highest log-density",
}


class Lifted(NamedTuple):
    """A person in 3D.

    Attributes:
      seen: where it comes from.
      hypotheses: (M, 17, 3) metres.
      chosen: (17, 3) metres.
      mode: (17, 3) metres, the z = 0 pose.
      spread: (17, 3) metres, standard deviation over the hypotheses.
      log_density: (M,) nats; None of a model that has no density.
      pose2d: (16, 2) image px.
      fit: (16, 7) heatmap px of the crop.
      crop: (256, 256, 3) uint8, what the detector saw, if it was one of this run.
    """

    seen: Seen
    hypotheses: np.ndarray
    chosen: np.ndarray
    mode: np.ndarray
    spread: np.ndarray
    log_density: np.ndarray | None
    pose2d: np.ndarray
    fit: np.ndarray
    crop: np.ndarray | None = None


_STORED = {
    "hypotheses": "metres",
    "chosen": "metres",
    "mode": "metres",
    "spread": "metres",
    "log_density": "nats",
    "pose2d": "image px",
    "fit": "heatmap px of the crop",
}


class Artist(NamedTuple):
    """Who draws; each gives a JPEG, or None if there is nothing to be had.

    Attributes:
      frame: a frame with its people.
      crop: what the detector saw of a person.
    """

    frame: Callable[[Sequence[Lifted]], bytes | None]
    crop: Callable[[Lifted], bytes | None]


class Writer:
    """Collects the persons of one source and writes them in one go.

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
        clear(folder, unfinished=begun is None)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._about, self._artist = folder, about, artist
        self._json_hypotheses = json_hypotheses
        self._parts = Parts(folder, about, begun)
        self._drawings = {"overlays": Spread(overlays), "crops": Spread(crops)}
        self._frame: list[Lifted] = []
        self._shapes: dict[str, list[int]] = {}
        self._skipped: list[dict[str, Any]] = []
        self._left_out, self.people = 0, 0
        if begun is not None:
            self._go_on(begun)

    def _go_on(self, begun: Begun) -> None:
        state = begun.state
        self.people, self._shapes = state["people"], state["shapes"]
        self._skipped, self._left_out = state["skipped"], state["skipped_left_out"]
        for kind, spread in self._drawings.items():
            spread.go_on(self._folder, kind, begun, state["spread"][kind])

    def add(self, person: Lifted) -> None:
        """The next person; frames come in order."""
        if self._frame and not _same_frame(self._frame[0].seen, person.seen):
            self._end_frame()
        seen = person.seen
        for name in _STORED:
            array = np.asarray(getattr(person, name), np.float32)
            self._shapes[name] = list(array.shape)
            self._parts.append(name, array.tobytes())
        square = np.array([*seen.square.center, seen.square.side], np.float64)
        self._parts.append("square", square.tobytes())
        self._parts.append("frame", np.int64(seen.frame).tobytes())
        names = json.dumps([seen.file, str(seen.person)])
        self._parts.append("names", names.encode() + b"\n")
        line = _line(person, self._json_hypotheses)
        self._parts.append("lines", line.encode() + _BETWEEN_LINES)
        if person.crop is not None or seen.picture is not None:
            name = f"{self.people:06d}.jpg"
            self._drawings["crops"].offer(name, lambda: self._artist.crop(person))
        if len(self._frame) < _DRAWN:
            # Without the hypotheses, which would hold the whole batch in memory.
            self._frame.append(person._replace(hypotheses=_NONE, log_density=_NONE))
        self.people += 1

    def skip(self, one: Skipped) -> None:
        """A frame or person that cannot be used."""
        if len(self._skipped) < SKIPPED_LISTED:
            self._skipped.append(one._asdict())
        else:
            self._left_out += 1

    def _end_frame(self) -> None:
        people = self._frame
        if people:
            seen = people[0].seen
            name = f"{pathlib.PurePath(seen.file).stem}-{seen.frame:06d}.jpg"
            self._drawings["overlays"].offer(name, lambda: self._artist.frame(people))
        self._frame = []

    def save(self, **place: int) -> None:
        """Keeps all there is, so that a later run can go on from here.

        Args:
          **place: what it has to know; comes back in ``Begun.state``.

        Raises:
          OSError: no space, no permission.
        """
        self._end_frame()
        state = {
            **place,
            "people": self.people,
            "shapes": self._shapes,
            "skipped": self._skipped,
            "skipped_left_out": self._left_out,
            "spread": {kind: one.state() for kind, one in self._drawings.items()},
        }
        self._parts.save(state, self._drawings)

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
            self._write_document()
        for kind, kept in self._drawings.items():
            for name, content in kept.contents.items():
                files.write_bytes(self._folder / kind / name, content)
        summary = {
            **self._about,
            "people": self.people,
            "frames": frames,
            "frames_read": frames_read,
            "skipped": self._skipped,
            "skipped_left_out": self._left_out,
        }
        files.write_json(self._folder / SUMMARY, summary)
        prediction_parts.remove(self._folder)
        return summary

    def _write_arrays(self) -> int:
        """poses.npz, straight from the parts; gives the number of frames."""
        count = self.people
        arrays = {
            name: self._parts.array(name, np.float32, (count, *self._shapes[name]))
            for name in _STORED
        }
        rows = [json.loads(row) for row in _lines(self._parts.chunks("names"))]
        frame = np.array(self._parts.array("frame", np.int64, (count,)))
        arrays |= {
            "source": np.array([file for file, _ in rows]),
            "frame": frame,
            "person": np.array([person for _, person in rows]),
            "square": self._parts.array("square", np.float64, (count, 3)),
            "joints": np.array(H36M_JOINTS),
            "joints2d": np.array(MPII_JOINTS),
            "about": np.array(json.dumps(self._about)),
        }
        files.write_npz(self._folder / ARRAYS, arrays)
        return len({(row[0], one) for row, one in zip(rows, frame, strict=True)})

    def _write_document(self) -> None:
        """poses.json: the heading on lines of its own, then a line a person."""
        rule = self._about["run"]["rule"]
        heading = {
            "jaxflow": __version__,
            "jax": jax.__version__,
            **self._about,
            "units": {**_STORED, "pose": "metres", "square": "image px"},
            "frame_of_reference": _FRAME_OF_REFERENCE,
            "rule": {"name": rule, "pose": _RULES[rule]},
            "joints": H36M_JOINTS,
            "bones": H36M_BONES,
            "joints2d": MPII_JOINTS,
            "bones2d": MPII_BONES,
            "skipped": self._skipped,
            "skipped_left_out": self._left_out,
        }
        lines = [f"{json.dumps(k)}: {json.dumps(v)},\n" for k, v in heading.items()]
        with files.aside(self._folder / DOCUMENT) as path, open(path, "wb") as file:
            file.write(("{\n" + "".join(lines) + '"people": [\n').encode())
            file.writelines(self._parts.chunks("lines"))
            file.seek(-len(_BETWEEN_LINES), 2)
            file.write(b"\n]\n}\n")


def clear(folder: pathlib.Path, unfinished: bool = True) -> None:
    """Removes what `Writer` writes, the summary first.

    Args:
      folder: of a source.
      unfinished: whether also what was saved of a source under way.
    """
    drawn = [*folder.glob("overlays/*.jpg"), *folder.glob("crops/*.jpg")]
    for path in [*(folder / one for one in (SUMMARY, DOCUMENT, ARRAYS)), *drawn]:
        path.unlink(missing_ok=True)
    if unfinished:
        prediction_parts.remove(folder)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a text that comes in pieces."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def _same_frame(one: Seen, other: Seen) -> bool:
    return (one.file, one.frame) == (other.file, other.frame)


def _line(person: Lifted, count: int) -> str:
    """A person in JSON: millimetres and tenths of a pixel are enough to show."""
    seen = person.seen
    document = {
        "source": seen.file,
        "frame": seen.frame,
        "person": seen.person,
        "square": _rounded([*seen.square.center, seen.square.side], 2),
        "pose": _rounded(person.chosen, 4),
        "spread": _rounded(person.spread, 4),
        "log_density_mean": _rounded(person.log_density.mean(), 3),
        "log_density_max": _rounded(person.log_density.max(), 3),
        "pose2d": _rounded(person.pose2d, 2),
        "heatmap_peaks": _rounded(person.fit[:, 0], 3),
        "heatmap_sigmas": _rounded(np.abs(person.fit[:, [3, 5]]), 2),
    }
    if count:
        document["hypotheses"] = _rounded(person.hypotheses[:count], 4)
        document["log_density"] = _rounded(person.log_density[:count], 3)
    if seen.note:
        document["note"] = seen.note
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _rounded(values: Any, digits: int) -> Any:
    return np.round(np.asarray(values, np.float64), digits).tolist()


def read_summary(folder: pathlib.Path) -> dict[str, Any] | None:
    """What `Writer.finish` wrote last; None if it did not come to that."""
    try:
        found = json.loads((folder / SUMMARY).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
