"""What an example of every builder holds, and how records become examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from jaxflow.types import PoseRecords

TEXT_FIELDS = ("subject", "action", "subaction", "camera")


def lift_features(**extra: Any) -> tfds.features.FeaturesDict:
    """Features of a data set for 2D-to-3D lifting.

    pose3d is in mm, H36M-17 order, camera frame; pose2d in pixels of a 256-px crop,
    MPII-16 order; gaussfit in heatmap pixels: A, x0, y0, sx, theta, sy, rmse.

    Args:
      **extra: further features of one builder.
    """
    return tfds.features.FeaturesDict(
        {
            "pose3d": tfds.features.Tensor(shape=(17, 3), dtype=np.float32),
            "pose2d": tfds.features.Tensor(shape=(16, 2), dtype=np.float32),
            "gaussfit": tfds.features.Tensor(shape=(16, 7), dtype=np.float32),
            **{name: tfds.features.Text() for name in TEXT_FIELDS},
            "frame": tfds.features.Scalar(np.int32),
            **extra,
        }
    )


def examples(
    parts: Iterable[PoseRecords], split: str, total: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered examples in the records' order, with a progress bar.

    The numbers rise, so a builder that writes unshuffled keeps the order.

    Args:
      parts: the split in pieces, of which one is held at a time.
      split: its name, for the bar.
      total: frames of all parts.
    """
    stream = (row for records in parts for row in rows(records))
    bar = tqdm.tqdm(stream, desc=f"writing {split}", unit=" frames", total=total)
    yield from enumerate(bar)


def rows(records: PoseRecords) -> Iterator[dict[str, Any]]:
    """Each frame as a dict of what TFDS writes."""
    columns: dict[str, Any] = dict(records.columns())
    for name, column in columns.items():
        if column.dtype.kind == "U":
            columns[name] = column.tolist()
    for row in range(len(records)):
        yield {name: column[row] for name, column in columns.items()}
