"""The chosen poses as a table and as COCO's JSON, for other programs.

    a source's people -> poses.csv: a person a row, metres
                      -> poses_coco.json: images, annotations, categories

3D is in metres, Human3.6M's 17 joints, hip at the origin, in the camera's frame: x
right, y down, z away. COCO's ``keypoints`` are the sixteen 2D joints of MPII in image
px, as its programs expect them, 0 where one was not found; ``keypoints_3d`` are x, y, z
a joint, named by the category's ``keypoints_3d``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxflow.gaussians import keypoints
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_BONES, MPII_JOINTS


def table(people: Mapping[str, np.ndarray], fps: float) -> Iterator[str]:
    """The CSV's lines, the names of the columns first.

    Args:
      people: the arrays of poses.npz: source, frame, person (N,), chosen, spread
        (N, 17, 3) metres.
      fps: frames a second.
    """
    axes = [f"{joint}_{axis}" for joint in H36M_JOINTS for axis in "xyz"]
    spreads = [f"{joint}_spread" for joint in H36M_JOINTS]
    yield _line(["file", "frame", "seconds", "person", *axes, *spreads])
    for row in range(len(people["frame"])):
        spread = np.linalg.norm(people["spread"][row], axis=-1)
        numbers = [*np.ravel(people["chosen"][row]), *spread]
        frame = int(people["frame"][row])
        start = [people["source"][row], frame, f"{frame / fps:.6g}"]
        yield _line(
            [*start, people["person"][row], *(f"{number:.5f}" for number in numbers)]
        )


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def coco(people: Mapping[str, np.ndarray]) -> Iterator[str]:
    """The JSON's text in parts, an annotation a line.

    Args:
      people: as for `table`, with pose2d (N, 16, 2) image px and fit (N, 16, 7), which
        tells the joints that were found.
    """
    images: dict[tuple[str, int], int] = {}
    for key in zip(people["source"], people["frame"], strict=True):
        images.setdefault((str(key[0]), int(key[1])), len(images) + 1)
    heads = [
        {"id": number, "file_name": file, "frame_id": frame}
        for (file, frame), number in images.items()
    ]
    about = {
        "description": "jaxflow: keypoints_3d in metres, camera frame (x right, y "
        "down, z away), hip at the origin"
    }
    yield f'{{"info": {json.dumps(about)},\n"categories": {json.dumps([_CATEGORY])},\n'
    yield f'"images": {json.dumps(heads)},\n"annotations": ['
    for row in range(len(people["frame"])):
        file, frame = str(people["source"][row]), int(people["frame"][row])
        entry = _annotation(people, row, images[file, frame])
        yield ("," if row else "") + "\n" + json.dumps(entry, allow_nan=False)
    yield "\n]}\n"


# Names and bones; COCO counts joints from 1.
_CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(MPII_JOINTS),
    "skeleton": [[a + 1, b + 1] for a, b in MPII_BONES],
    "keypoints_3d": list(H36M_JOINTS),
    "skeleton_3d": [[a + 1, b + 1] for a, b in H36M_BONES],
}


def _annotation(
    people: Mapping[str, np.ndarray], row: int, image: int
) -> dict[str, Any]:
    places = np.asarray(people["pose2d"][row], np.float64)
    found = ~keypoints.are_missing(np.asarray(people["fit"][row]))
    # A person has joints that were found: with none surer, all were, if barely.
    found |= not found.any()
    low, size = places[found].min(axis=0), np.ptp(places[found], axis=0)
    # 0 0 0 of a joint that was not found; of the others, 2: labelled and visible.
    seen = np.c_[places, np.full(len(places), 2)] * found[:, None]
    return {
        "id": row + 1,
        "image_id": image,
        "category_id": 1,
        "person_id": str(people["person"][row]),
        "bbox": np.round([*low, *size], 2).tolist(),
        "area": round(float(size[0] * size[1]), 2),
        "iscrowd": 0,
        "num_keypoints": int(found.sum()),
        "keypoints": np.round(seen, 2).ravel().tolist(),
        "keypoints_3d": np.round(np.ravel(people["chosen"][row]), 5).tolist(),
    }
