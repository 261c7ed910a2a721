"""Whom the page shows, and as what: frames with everyone in them, from files alone.

FOLDER/poses.npz, pictures/, crops/ of each source -> viewer.ViewerPose, viewer.Scene

Frames are taken fairly from all sources, those first whose pictures were kept; of each
everybody is shown, as far as the page's size allows.
"""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop
from jaxflow.prediction import pictures
from jaxflow.prediction.files import ARRAYS
from jaxflow.reporting.viewer import viewer
from jaxflow.runs import array_files
from jaxflow.skeleton import H36M_JOINTS
from jaxflow.types import Hypotheses

SHOWN = 24  # persons
_HYPOTHESES = 200  # of each
_DRAWN = 64  # others in a picture
_BYTES = 1_100_000  # of all pictures together
# Of a picture's longer side: a square from so large to so large needs no other picture.
_FILLS, _DWARFS = 0.9, 1.25


class Frame(NamedTuple):
    """People who are in one picture.

    Attributes:
      folder: of their source.
      file: name of the picture or video.
      number: of the frame.
      rows: theirs in poses.npz.
      picture: the file that was kept, if it was.
    """

    folder: pathlib.Path
    file: str
    number: int
    rows: list[int]
    picture: pathlib.Path | None


class Shown(NamedTuple):
    """What the viewer takes."""

    poses: list[viewer.ViewerPose]
    scenes: list[viewer.Scene]


def shown(sources: Sequence[tuple[pathlib.Path, Any]], rule: str) -> Shown:
    """At most `SHOWN` people of sources in which there are some.

    Args:
      sources: their folders and summaries.
      rule: by which single poses were chosen.
    """
    found = Shown([], [])
    frames = fairly([of_folder(folder) for folder, _ in sources])
    pictured = sum(frame.picture is not None for frame in frames)
    noted = {folder: _notes(summary) for folder, summary in sources}
    for frame in frames:
        people = _People(frame.folder, noted[frame.folder])
        picture = None
        if frame.picture is not None:
            picture = pictures.kept(frame.picture.read_bytes(), _BYTES / pictured)
        poses = [_pose(people, row, rule) for row in frame.rows[:SHOWN]]
        scene = _scene(people, frame, picture)
        if scene is not None:
            squares = [people.read("square", row) for row in frame.rows]
            poses = [
                pose._replace(scene=viewer.Place(len(found.scenes), square))
                for pose, square in zip(poses, squares, strict=False)
            ]
            found.scenes.append(scene)
        found.poses.extend(poses)
    return found


def of_folder(folder: pathlib.Path) -> list[Frame]:
    """The frames of a source with people in them, of pictures that were kept if any."""
    arrays = array_files.Npz(folder / ARRAYS)
    names, numbers = arrays.array("source")[:], arrays.array("frame")[:]
    rows: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(names, numbers, strict=True)):
        rows.setdefault((str(key[0]), int(key[1])), []).append(row)
    paths = {key: folder / "pictures" / pictures.name_of(*key) for key in rows}
    alike = Counter(paths.values())  # of x.jpg and x.png only the last was kept
    frames = [
        Frame(folder, *key, own, path if alike[path] == 1 and path.is_file() else None)
        for (key, own), path in zip(rows.items(), paths.values(), strict=True)
    ]
    return [frame for frame in frames if frame.picture] or frames


def fairly(sources: Sequence[Sequence[Frame]]) -> list[Frame]:
    """Some frames of each, evenly spread, of at most `SHOWN` people if it can be."""
    queues = _even([queue for queue in sources if queue], SHOWN)

    def taken(each: int) -> list[Frame]:
        return [frame for queue in queues for frame in _even(queue, each)]

    def people(frames: Sequence[Frame]) -> int:
        return sum(min(len(frame.rows), SHOWN) for frame in frames)

    each = next(n for n in range(SHOWN, 0, -1) if n == 1 or people(taken(n)) <= SHOWN)
    frames = taken(each)
    while len(frames) > 1 and people(frames) > SHOWN:
        frames = _even(frames, len(frames) - 1)
    return frames


def _even(items: Sequence[Any], count: int) -> list[Any]:
    """At most so many of them, evenly spaced, the first among them."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


class _People:
    """poses.npz of a source, of which only the rows that are asked for are read."""

    def __init__(self, folder: pathlib.Path, notes: dict[Any, str]) -> None:
        self.folder, self.notes = folder, notes
        self._arrays = array_files.Npz(folder / ARRAYS)

    def read(self, name: str, row: int) -> Any:
        """A row of an array."""
        return np.asarray(self._arrays.array(name)[row : row + 1])[0]


def _notes(summary: dict[str, Any]) -> dict[Any, str]:
    """What is to be known of people, by file, frame and person."""
    return {
        (event["source"], event["frame"], str(event["person_id"])): event["reason"]
        for event in summary.get("noted", ())
    }


def _pose(people: _People, row: int, rule: str) -> viewer.ViewerPose:
    def read(name: str) -> Any:
        return people.read(name, row)

    middle_x, middle_y, side = read("square")
    square = Crop(np.array([middle_x, middle_y]), np.float64(side))
    picture = people.folder / "crops" / f"{row:06d}.jpg"
    try:
        log_density = read("log_density")[:_HYPOTHESES]
    except ValueError:  # of a model without a density
        log_density = None
    file, number, person = str(read("source")), int(read("frame")), str(read("person"))
    frame = f", frame {number}" if number else ""
    return viewer.ViewerPose(
        f"{file}{frame}, person {person}",
        people.notes.get((file, number, person), ""),
        Hypotheses(
            poses=read("hypotheses")[:_HYPOTHESES],
            log_density=log_density,
            mode=read("mode"),
            pose2d=crop.image_to_crop(read("pose2d").astype(np.float64), square),
            fit=read("fit"),
        ),
        picture.read_bytes() if picture.is_file() else None,
        single=viewer.Single(read("chosen"), rule),
        words=in_words(read("spread")),
    )


def in_words(spread: np.ndarray) -> list[str]:
    """A line a joint about its standard deviations (17, 3) metres, the widest first."""
    across = np.sqrt(np.mean(np.square(spread[:, :2]), axis=1))
    order = np.argsort(-np.linalg.norm(spread, axis=1), kind="stable")
    return [
        f"{_spoken(H36M_JOINTS[joint])}: {_centimetres(across[joint])} across, "
        f"{_centimetres(spread[joint, 2])} in depth"
        for joint in order
        if H36M_JOINTS[joint] != "Hip"
    ]


def _spoken(joint: str) -> str:
    sides = {"L": "left ", "R": "right "}
    if joint[0] in sides and joint[1].isupper():
        return sides[joint[0]] + joint[1:].lower()
    return joint.lower()


def _centimetres(metres: float) -> str:
    whole = round(100 * float(metres))
    return f"\u00b1 {whole} cm" if whole else "below 1 cm"


def _scene(
    people: _People, frame: Frame, picture: pictures.Kept | None
) -> viewer.Scene | None:
    """The picture with everyone; None where it would show no more than the crop."""
    squares = np.stack([people.read("square", row) for row in frame.rows[:_DRAWN]])
    if picture is not None:
        bounds = np.array([0.0, 0.0, *picture.size])
        alone = len(frame.rows) == 1
        share = squares[0, 2] / picture.size.max()
        if alone and _FILLS <= share <= _DWARFS:
            return None
    elif len(frame.rows) == 1:
        return None
    else:
        half = squares[:, 2:] / 2
        low = (squares[:, :2] - half).min(axis=0)
        bounds = np.array([*low, *((squares[:, :2] + half).max(axis=0) - low)])
    others = [people.read("pose2d", row) for row in frame.rows[SHOWN:_DRAWN]]
    return viewer.Scene(bounds, picture.content if picture else None, others)
