"""Pictures of drawn stick figures with their labels, as a COCO keypoint data set."""

import json

import numpy as np
from PIL import Image, ImageDraw

from jaxflow.skeleton import MPII_BONES, MPII_JOINTS

# A person who stands, arms out, in a square of side 1: MPII order.
STANDING = np.array(
    [
        [0.40, 0.97],
        [0.41, 0.76],
        [0.43, 0.55],
        [0.57, 0.55],
        [0.59, 0.76],
        [0.60, 0.97],
        [0.50, 0.55],
        [0.50, 0.42],
        [0.50, 0.25],
        [0.50, 0.05],
        [0.20, 0.45],
        [0.28, 0.35],
        [0.38, 0.25],
        [0.62, 0.25],
        [0.72, 0.35],
        [0.80, 0.45],
    ]
)


def colours():
    """One for each joint, far apart, so that left and right can be told."""
    rng = np.random.default_rng(1)
    return [tuple(int(c) for c in row) for row in rng.integers(40, 256, (16, 3))]


def draw(points, size):
    """A picture (size, size) of joints (16, 2) px, on grey."""
    image = Image.new("RGB", (size, size), (90, 90, 90))
    pen = ImageDraw.Draw(image)
    for a, b in MPII_BONES:
        pen.line([*points[a], *points[b]], fill=(20, 20, 20), width=max(2, size // 60))
    radius = size / 28
    for (x, y), colour in zip(points, colours(), strict=True):
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    return image


def poses(count, size, seed=0):
    """(count, 16, 2) px: the standing person with every joint moved."""
    rng = np.random.default_rng(seed)
    moved = STANDING + rng.uniform(-0.06, 0.06, (count, 16, 2))
    return size * (0.15 + 0.7 * np.clip(moved, 0, 1))


def box_of(points):
    """[left, top, width, height] of joints (J, 2)."""
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]


def write(folder, count=4, size=160, seed=0, names=MPII_JOINTS):
    """Writes pictures and coco.json; returns its path and the joints (count, 16, 2)."""
    points = poses(count, size, seed)
    content = {"images": [], "annotations": [], "categories": []}
    content["categories"].append({"id": 1, "name": "person", "keypoints": list(names)})
    for i, joints in enumerate(points):
        name = f"{i}.png"
        draw(joints, size).save(folder / name)
        image = {"id": i, "file_name": name, "width": size, "height": size}
        content["images"].append(image)
        labels = np.concatenate([joints, np.full((16, 1), 2)], axis=1)
        content["annotations"].append(
            {
                "id": 100 + i,
                "image_id": i,
                "category_id": 1,
                "bbox": box_of(joints),
                "keypoints": labels.ravel().tolist(),
                "num_keypoints": 16,
                "iscrowd": 0,
            }
        )
    path = folder / "coco.json"
    path.write_text(json.dumps(content))
    return path, points
