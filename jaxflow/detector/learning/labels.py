"""Labelled persons in pictures, from COCO's keypoint JSON: what a detector learns from.

    coco.json, folder -> Labels: box (N, 4), points (N, 16, 2), found (N, 16)

The file has ``images`` (id, file_name) and ``annotations`` (image_id, keypoints x1, y1,
v1, ..., perhaps bbox). v = 0 means that a joint is not labelled, 1 that it is hidden, 2
that it is seen; hidden ones count as much as seen ones. The joints are MPII's 16 or any
that ``gaussians.skeletons`` knows.
"""

from __future__ import annotations

import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxflow.detector.readers import joint_orders, json_stream
from jaxflow.gaussians import keypoints as detections
from jaxflow.gaussians.keypoints import Keypoints
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.runs.errors import UserError, listed

_LISTED = 5
# Of each kind of record; the rest is not kept.
_FIELDS = {
    "images": {"id", "file_name"},
    "annotations": {"id", "image_id", "category_id", "iscrowd", "keypoints", "bbox"},
    "categories": {"id", "keypoints"},
}


class Labels(NamedTuple):
    """N labelled persons.

    Attributes:
      picture: path of each one's picture.
      box: (N, 4) float64 left, top, width, height, image px.
      points: (N, 16, 2) float32 image px, MPII order.
      found: (N, 16) bool, whether a joint is labelled; where not, its point means
        nothing.
    """

    picture: list[pathlib.Path]
    box: np.ndarray
    points: np.ndarray
    found: np.ndarray

    def fingerprint(self) -> dict[str, int]:
        """Changes with the labels; tells whether a run goes on with the same data."""
        points = np.where(self.found[..., None], self.points, 0)
        checksum = zlib.crc32(points.tobytes(), zlib.crc32(self.box.tobytes()))
        return {"persons": len(self.picture), "crc32": checksum}


def read(
    path: str | pathlib.Path, pictures: str | pathlib.Path, skeleton: str = "auto"
) -> Labels:
    """The persons of an annotation file who have labelled joints.

    Crowds (``iscrowd``) and persons without a labelled joint are left out. A person
    without a box gets that of the labelled joints.

    Args:
      path: COCO keypoint JSON.
      pictures: the folder that its file names start from.
      skeleton: a name of ``gaussians.skeletons``, or "auto": by the joints' names in
        ``categories``, by their number where there are none. Joints in another order
        than the skeleton's are told apart by their names.

    Raises:
      FileNotFoundError: the file or some of its pictures are missing.
      UserError: it is no such JSON, a record is damaged, its joints' names are no known
        skeleton's, or nobody is left; names the file and the record.
    """
    path, pictures = pathlib.Path(path), pathlib.Path(pictures)
    content = _content(path)
    try:
        images = {image["id"]: str(image["file_name"]) for image in content["images"]}
        records = [
            record
            for record in content["annotations"]
            if not record.get("iscrowd")
            and any(map(_may_be_labelled, record.get("keypoints", [])[2::3]))
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected 'images' with id and file_name and 'annotations' with "
            f"image_id and keypoints; {error!r}"
        ) from error
    skeleton, persons = _persons(path, content, records, skeleton)
    boxes = [_box(path, record, labels) for record, labels in persons]
    files = [_picture(path, pictures, record, images) for record, _ in persons]
    _check_present(path, files)
    labels = np.stack([labels for _, labels in persons])
    return Labels(files, np.stack(boxes), *_to_mpii(labels, skeleton))


def _content(path: pathlib.Path) -> Mapping[str, Any]:
    """What counts of the file; read an element at a time, as outlines take far more."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected COCO keypoint JSON; there is none")
    content: dict[str, list[Any]] = {"annotations": []}
    whole = True
    try:
        for key, entry in json_stream.items(path):
            whole &= key is not None
            if key in _FIELDS:
                if isinstance(entry, Mapping):
                    entry = {name: entry[name] for name in _FIELDS[key] & entry.keys()}
                content.setdefault(key, []).append(entry)
    except ValueError as error:
        raise UserError(f"{path}: no JSON, or damaged: {error}") from error
    if not whole or content == {"annotations": []}:
        raise UserError(
            f"{path}: expected an object with 'images' and 'annotations'; got "
            f"{'a list' if not whole else 'neither'}"
        )
    return content


def _may_be_labelled(mark: Any) -> bool:
    """Whether v says that a joint is labelled; damaged ones are refused later."""
    return not isinstance(mark, int | float) or not mark <= 0


def _persons(
    path: pathlib.Path,
    content: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    skeleton: str,
) -> tuple[str, list[tuple[Mapping[str, Any], np.ndarray]]]:
    """The skeleton, and each record with its labels (n, 3) in the skeleton's order."""
    if skeleton not in (*SKELETONS, "auto"):
        known = ", ".join(SKELETONS)
        raise UserError(f"expected a skeleton among {known}, or auto; got {skeleton}")
    persons = []
    if records:
        names = _names(path, content, records)
        asked = None if skeleton == "auto" else skeleton
        told, order = joint_orders.of_file(path, names, asked)
        skeleton = told or asked or _by_count(path, len(records[0]["keypoints"]) // 3)
        rows = list(order or range(len(SKELETONS[skeleton].joints)))
        count = len(names) if order else len(rows)
        labels = [_keypoints(path, record, count)[rows] for record in records]
        # Somebody may have labelled joints that the skeleton lacks alone: a hand's.
        persons = [
            (record, own)
            for record, own in zip(records, labels, strict=True)
            if (own[:, 2] > 0).any()
        ]
    if not persons:
        raise UserError(f"{path}: expected persons with labelled keypoints; got none")
    return skeleton, persons


def _names(
    path: pathlib.Path, content: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """What the file calls the records' joints; empty if it does not say."""
    try:
        named = {
            str(category.get("id")): tuple(map(str, category["keypoints"]))
            for category in content.get("categories", [])
            if category.get("keypoints")
        }
    except (AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: expected 'categories' with id and a list of keypoints; {error!r}"
        ) from error
    only = next(iter(named.values())) if len(named) == 1 else ()
    found = {
        named.get(str(record["category_id"]), ()) if "category_id" in record else only
        for record in records
    }
    if len(found) > 1:
        raise UserError(
            f"{path}: expected annotations whose joints have the same names; got "
            f"{len(found)} categories with others"
        )
    return found.pop()


def _by_count(path: pathlib.Path, count: int) -> str:
    """The skeleton, where the number of joints belongs to one alone."""
    fitting = [name for name, s in SKELETONS.items() if len(s.joints) == count]
    if len(fitting) != 1:
        raise UserError(
            f"{path}: the skeleton of its {count} joints is not clear (names in "
            f"'categories' would tell); name it: one of {', '.join(SKELETONS)}"
        )
    return fitting[0]


def _keypoints(
    path: pathlib.Path, record: Mapping[str, Any], joints: int
) -> np.ndarray:
    """(joints, 3) x, y, v of one record."""
    try:
        labels = np.asarray(record["keypoints"], np.float64)
    except (TypeError, ValueError, OverflowError):
        labels = np.empty(0)
    if labels.shape != (3 * joints,) or not np.isfinite(labels).all():
        raise UserError(
            f"{path}, annotation {record.get('id')}: expected {joints} keypoints as "
            f"{3 * joints} finite numbers; got {_short(record['keypoints'])}"
        )
    return labels.reshape(joints, 3)


def _box(
    path: pathlib.Path, record: Mapping[str, Any], labels: np.ndarray
) -> np.ndarray:
    """(4,) left, top, width, height."""
    if not record.get("bbox"):
        found = labels[labels[:, 2] > 0, :2]
        box = np.concatenate([found.min(0), np.ptp(found, axis=0)])
    else:
        try:
            box = np.asarray(record["bbox"], np.float64)
        except (TypeError, ValueError, OverflowError):
            box = np.empty(0)
    if box.shape != (4,) or not np.isfinite(box).all() or box[2:].max(initial=0) <= 0:
        raise UserError(
            f"{path}, annotation {record.get('id')}: expected bbox [left, top, width, "
            f"height] that is not empty; got {_short(record.get('bbox'))}"
        )
    # Joints in a line span no width; the crop takes the longer side.
    return np.concatenate([box[:2], np.maximum(box[2:], 1)])


def _picture(
    path: pathlib.Path,
    pictures: pathlib.Path,
    record: Mapping[str, Any],
    images: Mapping[Any, str],
) -> pathlib.Path:
    number = record.get("image_id")
    name = images.get(number) if isinstance(number, int | str) else None
    if name is None:
        raise UserError(
            f"{path}, annotation {record.get('id')}: expected the id of one of its "
            f"images; got image_id {number!r}"
        )
    return pictures / name


def _check_present(path: pathlib.Path, files: Sequence[pathlib.Path]) -> None:
    missing = [str(file) for file in dict.fromkeys(files) if not file.is_file()]
    if missing:
        first = listed(missing, _LISTED)
        raise FileNotFoundError(
            f"{path}: these of its pictures are missing:\n  {first}"
        )


def _to_mpii(labels: np.ndarray, skeleton: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, n, 3) as MPII's points (N, 16, 2) and whether they are found."""
    found = labels[..., 2] > 0
    points = np.where(found[..., None], labels[..., :2], 0).astype(np.float32)
    exact = np.zeros((*found.shape, 2, 2), np.float32)
    keypoints = Keypoints(*map(jnp.asarray, (points, exact, found)))
    mpii = detections.to_mpii(keypoints, skeleton)
    return np.asarray(mpii.mean), np.asarray(mpii.found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
