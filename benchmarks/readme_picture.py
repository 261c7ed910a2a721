"""Draws docs/idea.png, the README's picture of the method, from a trained model.

    python benchmarks/readme_picture.py CHECKPOINT DATASET DATA_DIR [ROW] [OUT]

The picture is made of the model's own output for one test frame: by default the walking
frame whose widest Gaussian is nearest to 7 px. The README's is row 804 of the benchmark
data set.
"""

import pathlib
import sys

import jax
import numpy as np

from jaxflow import data, methods
from jaxflow.reporting.figures import idea, style
from jaxflow.types import Hypotheses, PoseRecords

HYPOTHESES = 200
WIDEST = 7.0  # heatmap px


def choose(records: PoseRecords) -> int:
    """A walking frame, or any where nobody walks, with one unsure joint."""
    widest = np.abs(records.gaussfit[..., [3, 5]]).max(axis=(1, 2))
    walking = records.action == "Walking"
    away = np.abs(widest - WIDEST) + 100 * (~walking & walking.any())
    return int(np.argmin(away))


def main() -> None:
    """Draws and says where."""
    folder, dataset, data_dir, *rest = sys.argv[1:]
    records = data.load_records(dataset, "test", data_dir)
    row = int(rest[0]) if rest and rest[0] else choose(records)
    frame = records.take(slice(row, row + 1))
    batch = data.to_batch(frame)
    model = methods.load(folder)
    inputs = batch.pose2d, batch.cond, jax.random.key(0)
    drawn = Hypotheses(
        poses=np.asarray(model.sample(*inputs, num_hypotheses=HYPOTHESES))[0],
        log_density=None,
        mode=np.asarray(model.sample(*inputs, num_hypotheses=1, temperature=0.0))[0, 0],
        pose2d=frame.pose2d[0],
        fit=frame.gaussfit[0],
    )
    latents = np.asarray(jax.random.normal(jax.random.key(0), (HYPOTHESES, 2)))
    out = pathlib.Path(rest[1] if len(rest) > 1 else "docs/idea")
    print(data.describe(records, row), *style.save(idea.idea(drawn, latents), out))


if __name__ == "__main__":
    main()
