"""What a source's people are for other programs: BVH, CSV, COCO's JSON.

the arrays of poses.npz -> FOLDER/motions/<person>.bvh
                           FOLDER/poses.csv
                           FOLDER/poses_coco.json
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jaxflow.prediction import export_bvh, export_tables, motions
from jaxflow.prediction.motions import Motion
from jaxflow.runs import files

BVH, CSV, COCO = "bvh", "csv", "coco"
FORMATS = (BVH, CSV, COCO)
MOTIONS, TABLE, ANNOTATIONS = "motions", "poses.csv", "poses_coco.json"
_LONGEST = 100  # characters of a file's name


def write(
    folder: pathlib.Path,
    formats: Sequence[str],
    people: Mapping[str, np.ndarray],
    moving: Sequence[Motion],
    fps: float,
) -> None:
    """Writes the files of some formats.

    Args:
      folder: of the source.
      formats: of ``FORMATS``.
      people: the arrays of poses.npz.
      moving: the motions of these people.
      fps: frames a second.

    Raises:
      OSError: no space, no permission.
    """
    if CSV in formats:
        _write(folder / TABLE, export_tables.table(people, fps))
    if COCO in formats:
        _write(folder / ANNOTATIONS, export_tables.coco(people))
    if BVH in formats:
        for name, motion in zip(_names(moving), moving, strict=True):
            poses = motions.whole(motion, people["chosen"])
            text = export_bvh.text(poses, motion.seconds)
            _write(folder / MOTIONS / f"{name}.bvh", [text])


def clear(folder: pathlib.Path) -> None:
    """Removes what `write` writes."""
    for name in (TABLE, ANNOTATIONS):
        files.remove(folder / name)
    for path in folder.glob(f"{MOTIONS}/*.bvh*"):
        path.unlink()
    with contextlib.suppress(OSError):  # not there, or the user's files are in it
        (folder / MOTIONS).rmdir()


def _names(moving: Sequence[Motion]) -> list[str]:
    """A file's name for each motion: whose it is, and where it starts."""
    files_of = {one.file for one in moving}
    names: list[str] = []
    for one in moving:
        stem = pathlib.PurePath(one.file).stem
        of = f"{stem}-" if len(files_of) > 1 else ""
        name = f"{of}person-{one.person}-from-{one.first}"
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
        names.append(files.free(files.short(safe, _LONGEST), names))
    return names


def _write(path: pathlib.Path, parts: Iterable[str]) -> None:
    with files.aside(path) as temporary, open(temporary, "wb") as file:
        file.writelines(part.encode(errors="backslashreplace") for part in parts)
