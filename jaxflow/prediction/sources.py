"""What there is to predict: pictures, folders, videos, heatmap and keypoint files.

paths -> Source, Source, ...

A source is a file; a folder stands for the pictures in it, or, without any, for the
keypoints of a video, a JSON file a frame.
"""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxflow.detector.readers import people, pictures, videos
from jaxflow.detector.readers.records import Skipped
from jaxflow.runs import array_files
from jaxflow.runs.errors import UserError
from jaxflow.runs.files import free, short

PICTURE, VIDEO, HEATMAPS, KEYPOINTS = "picture", "video", "heatmaps", "keypoints"
NEED_DETECTOR = PICTURE, VIDEO
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
