"""What there is to predict: pictures, folders, videos, heatmap and keypoint files.

paths -> Source, Source, ...; a Source -> Seen | Skipped, one person after the other,
and now and then a Mark, where reading can start again

A source is a file; a folder stands for the pictures in it, or, without any, for the
keypoints of a video, a JSON file a frame. Readers hand on one frame at
a time, so memory does not grow with a video's length.
"""

from __future__ import annotations

import itertools
import os
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
from jaxflow.runs import array_files
from jaxflow.runs.errors import UserError
from jaxflow.runs.files import free, printable, short

PICTURE, VIDEO, HEATMAPS, KEYPOINTS = "picture", "video", "heatmaps", "keypoints"
NEED_DETECTOR = PICTURE, VIDEO
_MAPS_AT_ONCE = 32
# Multiples of the detector's batch, which a Mark ends.
_FRAMES_A_MARK, _PEOPLE_A_MARK = 16, 256
# Pictures all the same, of phones and cameras.
_UNREADABLE = ".heic .heif .dng .cr2 .cr3 .nef .arw .orf .raf .rw2 .svg".split()
_OTHERS = ("lock", "index.html")  # that lie beside the sources' folders


class Source(NamedTuple):
    """A file to predict from.

    Attributes:
      path: of the file.
      kind: picture, video, heatmaps or keypoints.
      name: of its folder among the outputs, unlike any other's.
    """

    path: pathlib.Path
    kind: str
    name: str


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


def find(
    paths: Sequence[str | os.PathLike[str]], key: str | None = None
) -> list[Source | Skipped]:
    """The sources that paths name, in order; Skipped for a path that names none.

    Args:
      paths: files and folders.
      key: the array of heatmaps in an .npz file, where its user has named one.

    Raises:
      UserError: one is empty, as a shell makes it of what is not set.
    """
    if "" in paths:
        raise UserError("expected names of files and folders; got an empty one")
    named: list[tuple[pathlib.Path, str] | Skipped] = []
    for path in map(pathlib.Path, paths):
        try:
            named += _expand(path, key)
        except (OSError, ValueError) as error:
            named.append(Skipped(str(path), None, None, str(error)))
    files = [entry[0] for entry in named if not isinstance(entry, Skipped)]
    names = iter(_names(files))
    return [
        entry if isinstance(entry, Skipped) else Source(*entry, next(names))
        for entry in named
    ]


def _expand(
    path: pathlib.Path, key: str | None
) -> list[tuple[pathlib.Path, str] | Skipped]:
    """(file, kind) of what one path names, and what of a folder is left out."""
    if path.is_dir():
        try:
            kind, files = PICTURE, pictures.list_folder(path)
        except FileNotFoundError:
            if not any(path.glob("*.json")):
                raise
            kind, files = KEYPOINTS, [path]
        return [*((file, kind) for file in files), *_left_out(path, kind)]
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return [(path, HEATMAPS if _has_maps(path, key) else KEYPOINTS)]
    kinds = {
        PICTURE: pictures.SUFFIXES,
        VIDEO: videos.SUFFIXES,
        HEATMAPS: array_files.SUFFIXES,
        KEYPOINTS: people.SUFFIXES,
    }
    for kind, suffixes in kinds.items():
        if suffix in suffixes:
            return [(path, kind)]
    known = ", ".join(dict.fromkeys(itertools.chain(*kinds.values())))
    raise UserError(f"{path}: expected a folder or a file that ends in {known}")


def _left_out(folder: pathlib.Path, kind: str) -> Iterator[Skipped]:
    """What lies beside the files of a kind and may be meant, too."""
    others = (*videos.SUFFIXES, *array_files.SUFFIXES)
    for path in sorted(folder.glob("[!.]*")):
        suffix, name = path.suffix.lower(), path.name
        reason = ""
        if path.is_dir():
            try:
                within = {file.suffix.lower() for file in path.iterdir()}
            except OSError:
                within = {*_UNREADABLE}
            if within & {*pictures.SUFFIXES, *_UNREADABLE, *videos.SUFFIXES}:
                reason = "a folder in a folder is left out; name it among the inputs"
        elif suffix in _UNREADABLE:
            reason = f"{suffix} pictures are not read; save it as JPEG or PNG"
        elif suffix in others or (kind == PICTURE and name.endswith("_keypoints.json")):
            reason = f"left out of a folder of {kind}s; name it among the inputs"
        if reason:
            yield Skipped(str(path), None, None, f"{path}: {reason}")


def _has_maps(path: pathlib.Path, key: str | None) -> bool:
    """Whether an .npz file has heatmaps rather than keypoints: by its arrays' names."""
    names = array_files.names_in_npz(path)
    if "keypoints" not in names and key is None and "heatmaps" not in names:
        _check_no_keypoints(path, names)
    if "keypoints" not in names or key in names:
        return True
    if names == ["keypoints"]:  # of the wrong name, but alone
        return array_files.open_maps(path).shape[-1:] > (3,)
    return "heatmaps" in names


def _check_no_keypoints(path: pathlib.Path, names: Sequence[str]) -> None:
    """Refuses an .npz file whose keypoints have another name, by their shape."""
    for name in names:
        shape = array_files.open_maps(path, name).shape
        if len(shape) in (3, 4) and shape[-1] in (2, 3):
            raise UserError(
                f"{path}: expected keypoints in an array called keypoints; got "
                f"{tuple(shape)} in {name}"
            )


def _names(files: Sequence[pathlib.Path]) -> list[str]:
    """Each file's stem, or its whole name where stems are alike, or that numbered."""
    stems = [short(path.stem if path.stem.strip(".") else path.name) for path in files]
    names: list[str] = []
    taken = set(_OTHERS)
    for path, stem in zip(files, stems, strict=True):
        name = free(stem if stems.count(stem) == 1 else short(path.name), taken)
        taken.add(name)
        names.append(name)
    return names


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
