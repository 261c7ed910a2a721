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
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

import jax
import numpy as np

from jaxflow import files
from jaxflow._version import __version__
from jaxflow.detector.records import Skipped
from jaxflow.prediction_inputs import Seen
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_BONES, MPII_JOINTS

ARRAYS, DOCUMENT, SUMMARY = "poses.npz", "poses.json", "summary.json"
_FRAME_OF_REFERENCE = "camera: x right, y down, z away; hip at the origin"
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
      log_density: (M,) nats.
      pose2d: (16, 2) image px.
      fit: (16, 7) heatmap px of the crop.
      crop: (256, 256, 3) uint8, what the detector saw, if it was one of this run.
    """

    seen: Seen
    hypotheses: np.ndarray
    chosen: np.ndarray
    mode: np.ndarray
    spread: np.ndarray
    log_density: np.ndarray
    pose2d: np.ndarray
    fit: np.ndarray
    crop: np.ndarray | None = None


_STORED = {
    "hypotheses": "metres", "chosen": "metres", "mode": "metres", "spread": "metres",
    "log_density": "nats", "pose2d": "image px", "fit": "heatmap px of the crop",
}  # fmt: skip


class Artist(NamedTuple):
    """Who draws; each gives a JPEG, or None if there is nothing to be had.

    Attributes:
      frame: a frame with its people.
      crop: what the detector saw of a person.
    """

    frame: Callable[[Sequence[Lifted]], bytes | None]
    crop: Callable[[Lifted], bytes | None]


class Writer:
    """Collects the persons of one source and writes them in one go."""

    def __init__(
        self,
        folder: pathlib.Path,
        about: dict[str, Any],
        artist: Artist,
        *,
        overlays: int,
        crops: int,
        json_hypotheses: int,
    ) -> None:
        """Makes the folder if need be.

        Args:
          folder: of the source; files of an earlier run go, others stay.
          about: the run and the source, plain values for both files.
          artist: makes the pictures.
          overlays: frames that are drawn, at most, spread evenly.
          crops: persons whose crops are kept, at most, spread evenly.
          json_hypotheses: hypotheses a person in poses.json.
        """
        _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._about, self._artist = folder, about, artist
        self._json_hypotheses = json_hypotheses
        self._columns: dict[str, IO[bytes]] = {
            name: tempfile.TemporaryFile(dir=folder) for name in _STORED
        }
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._lines: list[str] = []
        self._seen: list[Seen] = []
        self._overlays, self._crops = Spread(overlays), Spread(crops)
        self._frame: list[Lifted] = []
        self.skipped: list[Skipped] = []

    def add(self, person: Lifted) -> None:
        """The next person; frames come in order."""
        if self._frame and not _same_frame(self._frame[0].seen, person.seen):
            self._end_frame()
        self._frame.append(person)
        for name, column in self._columns.items():
            array = np.ascontiguousarray(getattr(person, name), np.float32)
            self._shapes[name] = array.shape
            column.write(array.tobytes())
        if person.crop is not None or person.seen.picture is not None:
            name = f"{len(self._seen):06d}.jpg"
            self._crops.offer(name, lambda: self._artist.crop(person))
        # Without the pixels, which nobody needs any more.
        self._seen.append(person.seen._replace(picture=None, maps=None))
        self._lines.append(_line(person, self._json_hypotheses))

    @property
    def count(self) -> int:
        """People so far."""
        return len(self._seen)

    def _end_frame(self) -> None:
        people = self._frame
        if people:
            seen = people[0].seen
            name = pathlib.PurePath(seen.file).stem
            self._overlays.offer(
                f"{name}-{seen.frame:06d}.jpg", lambda: self._artist.frame(people)
            )
        self._frame = []

    def finish(self) -> dict[str, Any]:
        """Writes everything; gives the summary.

        Raises:
          OSError: no space, no permission.
        """
        self._end_frame()
        if self._seen:
            self._write_arrays()
            self._write_document()
        for kind, kept in (("overlays", self._overlays), ("crops", self._crops)):
            for name, content in kept.contents.items():
                files.write_bytes(self._folder / kind / name, content)
        frames = {(one.file, one.frame) for one in self._seen}
        summary = {
            **self._about,
            "people": self.count,
            "frames": len(frames),
            "skipped": [one._asdict() for one in self.skipped],
        }
        files.write_json(self._folder / SUMMARY, summary)
        self.close()
        return summary

    def close(self) -> None:
        """Gives up what is not written yet."""
        for column in self._columns.values():
            column.close()

    def _write_arrays(self) -> None:
        """poses.npz, straight from the temporary files."""
        count = len(self._seen)
        arrays: dict[str, np.ndarray] = {
            name: np.memmap(column, np.float32, "r", 0, (count, *self._shapes[name]))
            for name, column in self._columns.items()
        }
        squares = [[*one.square.center, one.square.side] for one in self._seen]
        arrays |= {
            "source": np.array([one.file for one in self._seen]),
            "frame": np.array([one.frame for one in self._seen], np.int64),
            "person": np.array([str(one.person) for one in self._seen]),
            "square": np.array(squares, np.float64),
            "joints": np.array(H36M_JOINTS),
            "joints2d": np.array(MPII_JOINTS),
            "about": np.array(json.dumps(self._about)),
        }
        files.write_npz(self._folder / ARRAYS, arrays)

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
            "skipped": [one._asdict() for one in self.skipped],
        }
        lines = [f"{json.dumps(k)}: {json.dumps(v)}," for k, v in heading.items()]
        people = ",\n".join(self._lines)
        text = "{\n" + "\n".join(lines) + f'\n"people": [\n{people}\n]\n}}\n'
        files.write_text(self._folder / DOCUMENT, text)


def _clear(folder: pathlib.Path) -> None:
    """Removes what `Writer` writes, the summary first."""
    drawn = [*folder.glob("overlays/*.jpg"), *folder.glob("crops/*.jpg")]
    for path in [*(folder / one for one in (SUMMARY, DOCUMENT, ARRAYS)), *drawn]:
        path.unlink(missing_ok=True)


class Spread:
    """Keeps a few of many things that come one by one, evenly spaced.

    Every step-th is kept; where there are too many, every other one goes and the step
    doubles.
    """

    def __init__(self, limit: int) -> None:
        self.contents: dict[str, bytes] = {}
        self._limit, self._step, self._count = limit, 1, 0

    def offer(self, name: str, make: Callable[[], bytes | None]) -> None:
        """The next one; made only if it is kept."""
        number, self._count = self._count, self._count + 1
        if self._limit < 1 or number % self._step:
            return
        if len(self.contents) == self._limit:
            kept = list(self.contents)[::2]
            self.contents = {one: self.contents[one] for one in kept}
            self._step *= 2
            if number % self._step:
                return
        content = make()
        if content is not None:
            self.contents[name] = content


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
