"""Whom a source shows: of pictures, videos, heatmap and keypoint files.

a Source -> Seen | Skipped, one person after the other, and now and then a Mark, where
reading can start again

Readers hand on one frame at a time, so memory does not grow with a video's length.
"""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import CROP_SIZE
from jaxflow.detector.network import onnx_detector
from jaxflow.detector.readers import people, pictures, videos
from jaxflow.detector.readers.boxes import BoxTable
from jaxflow.detector.readers.joint_orders import joints_of
from jaxflow.detector.readers.pictures import Picture
from jaxflow.detector.readers.records import Seen, Skipped
from jaxflow.gaussians import scales
from jaxflow.gaussians.keypoints import HEATMAP_SIZE
from jaxflow.prediction.records import Mark
from jaxflow.prediction.sources import HEATMAPS, NEED_DETECTOR, PICTURE, VIDEO, Source
from jaxflow.runs import array_files
from jaxflow.runs.errors import UserError
from jaxflow.runs.files import printable

_MAPS_AT_ONCE = 32
# Multiples of the detector's batch, which a Mark ends.
_FRAMES_A_MARK, _PEOPLE_A_MARK = 16, 256


class Reading(NamedTuple):
    """How files are read.

    Attributes:
      every: one in so many frames of a video.
      megapixels: of a picture, at most.
      skeleton: of keypoints and heatmaps, a name of ``gaussians.skeletons``; None for
        what the file says, or what their number tells.
      boxes: where people are in pictures and videos; None: one fills each frame.
      key: name of the array of heatmaps inside an .npz or HDF5 file.
      finder: who finds people in pictures and videos without boxes, if anybody does.
      maps: what the values in files of heatmaps are, of ``gaussians.scales``.
      fps: frames a second of what does not say it: all but videos.
    """

    every: int = 1
    megapixels: float = pictures.MEGAPIXELS
    skeleton: str | None = None
    boxes: BoxTable | None = None
    key: str | None = None
    maps: str = "probability"
    finder: Any = None
    fps: float = 30.0


def check_boxes(sources: Sequence[Source | Skipped], boxes: BoxTable) -> list[str]:
    """What there is to know of boxes and inputs that do not belong together.

    Raises:
      UserError: no box belongs to any picture or video.
    """
    pictured = [
        s.path for s in sources if isinstance(s, Source) and s.kind in NEED_DETECTOR
    ]
    return boxes.join(pictured)


def read(
    source: Source, reading: Reading, start: int = 0
) -> Iterator[Seen | Skipped | Mark]:
    """The persons of a source, frame by frame.

    Args:
      source: which.
      reading: how.
      start: the place of a Mark that an earlier call gave; what follows is what
        followed there.

    Raises:
      ImportError: what reads such files is not installed.
      OSError, UserError: the file cannot be read at all.
    """
    if source.kind == PICTURE:
        picture = pictures.read(source.path, reading.megapixels)
        return _in_frame(source, reading, 0, picture)
    if source.kind == VIDEO:
        return _video(source, reading, start)
    reader = _heatmaps if source.kind == HEATMAPS else _keypoints
    return _marked(reader(source, reading), start)


def count(source: Source, reading: Reading) -> int:
    """About how many frames a source has; for a progress bar."""
    try:
        if source.kind == VIDEO:
            about = videos.info(source.path)
            return max(1, round(about.fps * about.seconds / reading.every))
        if source.kind == HEATMAPS:
            shape = array_files.open_maps(source.path, reading.key).shape
            return int(np.prod(shape[:-3]))
    except (ImportError, OSError, ValueError):
        pass  # reading will say what is wrong
    return 1


def _in_frame(
    source: Source, reading: Reading, frame: int, picture: Picture
) -> Iterator[Seen | Skipped]:
    """Those whose boxes were given, or the one who fills the picture."""
    file = printable(source.path.name)
    if reading.boxes is None:
        square = crop.of_picture(picture.width, picture.height)
        yield Seen(file, frame, 0, square, picture)
        return
    for box in reading.boxes.of(source.path, frame):
        try:
            square = crop.from_box(box.box)
            person = Seen(file, frame, box.person_id, square, picture)
            yield person._replace(numbered=box.numbered)
        except ValueError as error:
            yield Skipped(str(source.path), frame, box.person_id, str(error))


def _video(
    source: Source, reading: Reading, start: int
) -> Iterator[Seen | Skipped | Mark]:
    frames = videos.frames(
        source.path, reading.every, start=start, megapixels=reading.megapixels
    )
    for frame in frames:
        if isinstance(frame, Skipped):
            yield frame
            continue
        if frame.number > start and not frame.number % (_FRAMES_A_MARK * reading.every):
            yield Mark(frame.number)
        yield from _in_frame(source, reading, frame.number, frame.picture)


def _marked(
    events: Iterator[Seen | Skipped], start: int
) -> Iterator[Seen | Skipped | Mark]:
    """The events from a place on, with Marks where a frame begins."""
    count, last = 0, None
    for place, event in enumerate(itertools.islice(events, start, None), start):
        # And its file, which who was skipped calls by another name.
        frame = event[:2] if isinstance(event, Seen) else last
        if count >= _PEOPLE_A_MARK and frame != last:
            yield Mark(place)
            count = 0
        count, last = count + 1, frame
        yield event


def _heatmaps(source: Source, reading: Reading) -> Iterator[Seen | Skipped]:
    """Persons in crops of their own, of which the picture is unknown."""
    maps = array_files.open_maps(source.path, reading.key)
    skeleton = reading.skeleton or "mpii_16"
    shape = joints_of(skeleton), HEATMAP_SIZE, HEATMAP_SIZE
    if tuple(maps.shape[-3:]) != shape:
        raise UserError(
            f"{source.path}: expected heatmaps (..., {shape[0]}, 64, 64) of "
            f"{skeleton}; got {tuple(maps.shape)}; --skeleton tells of others"
        )
    if not (np.issubdtype(maps.dtype, np.floating) or maps.dtype == np.uint8):
        raise UserError(
            f"{source.path}: expected floating point or uint8; got {maps.dtype}"
        )
    flat, square = array_files.Flat(maps), crop.of_picture(CROP_SIZE, CROP_SIZE)
    name = printable(source.path.name)
    step = _MAPS_AT_ONCE * shape[0]
    for start in range(0, flat.shape[0], step):
        block = flat[slice(start, start + step)].reshape(-1, *shape)
        for i, heatmaps in enumerate(block, start // shape[0]):
            try:
                usable = scales.usable(heatmaps, reading.maps)
            except UserError as error:
                yield Skipped(str(source.path), i, None, str(error))
                continue
            note = scales.above_one(usable)
            usable = _as_mpii(usable, skeleton)
            yield Seen(name, i, 0, square, _drawn(usable), usable, note=note)


def _as_mpii(maps: np.ndarray, skeleton: str) -> np.ndarray:
    """A person's heatmaps (n, 64, 64) as those (16, 64, 64) of MPII's joints."""
    if skeleton == "mpii_16":
        return maps
    scale = 255 if maps.dtype == np.uint8 else 1
    return onnx_detector.to_mpii(maps[None].astype(np.float32) / scale, skeleton)[0]


def _drawn(maps: np.ndarray) -> Picture:
    """Heatmaps as a picture of their crop, for want of a better one."""
    most = np.nan_to_num(maps.astype(np.float32), nan=0, posinf=0, neginf=0).max(axis=0)
    if maps.dtype == np.uint8:
        most = most / 255
    grey = (40 + 180 * np.clip(most, 0, 1)).astype(np.uint8)
    return pictures.from_array(np.kron(grey, np.ones((4, 4), np.uint8)))


def _keypoints(source: Source, reading: Reading) -> Iterator[Seen | Skipped]:
    """Persons of a keypoint file, each with the picture if it lies beside it."""
    for person in people.read_people(source.path, reading.skeleton):
        if isinstance(person, Seen):
            picture = _beside(source.path, person.file)
            unnamed = person.file == str(source.path)
            name = printable(source.path.name if unnamed else person.file)
            who = person.person
            who = printable(who) if isinstance(who, str) else who
            person = person._replace(file=name, person=who, picture=picture)
        yield person


def _beside(file: pathlib.Path, name: str) -> pathlib.Path | None:
    """The picture that a keypoint file names, if there is one to draw on."""
    path = file.parent / name
    try:
        is_there = path.suffix.lower() in pictures.SUFFIXES and path.is_file()
    except (OSError, ValueError):  # no name that a file can have
        return None
    return path if is_there else None
