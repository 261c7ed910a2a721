r"""A model's figures by what the picture was like: pitch, distance, cut-off joints.

    python -m benchmarks.cameras --checkpoint=cmu --dataset=cmu_mocap_lift/wild \
      --data_dir=runs/data --stride=16

Every frame of the data set's test split that the stride leaves is counted; the set must
know its cameras, as `cmu_mocap_lift/wild` does. Prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import tqdm
from absl import app, flags, logging

from jaxflow import data, methods
from jaxflow.evaluation import measuring
from jaxflow.evaluation.calibrated import Applied, calibrated
from jaxflow.metrics import ERROR_NAMES, sums
from jaxflow.metrics.sums import Means, Total
from jaxflow.types import Model, PoseRecords

_CHECKPOINT = flags.DEFINE_string("checkpoint", "cmu", "a run, or a shipped model")
_DATASET = flags.DEFINE_string("dataset", "cmu_mocap_lift/wild", "a set with cameras")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "where it lies")
_STRIDE = flags.DEFINE_integer("stride", 16, "test every so many frames")
_TEMPERATURE = flags.DEFINE_string("temperature", "auto", "of the latents")


def bins(records: PoseRecords) -> dict[str, np.ndarray]:
    """(N,) text by name: what each frame belongs to."""
    pitch, distance = records.extra["pitch"], records.extra["distance"]
    cut = records.extra["cut"].sum(axis=-1)

    def labels(values: np.ndarray, edges: Sequence[float], names: str) -> np.ndarray:
        return np.asarray(names.split("|"))[np.digitize(values, edges)]

    return {
        "all": np.full(len(records), "all"),
        "pitch": labels(
            pitch,
            (-25, -10, 10, 25),
            "looks down by more than 25°|down by 10° to 25°|level within 10°|"
            "up by 10° to 25°|up by more than 25°",
        ),
        "distance": labels(
            distance, (2.5, 5, 8), "nearer than 2.5 m|2.5 to 5 m|5 to 8 m|beyond 8 m"
        ),
        "cut": labels(
            cut, (1, 3, 6), "nothing cut off|1 or 2 joints cut off|3 to 5|6 and more"
        ),
    }


def main(argv: Sequence[str]) -> None:
    """Prints the table."""
    del argv
    logging.set_verbosity(logging.ERROR)
    records, model, temperature = opened()
    if "pitch" not in records.extra:
        sys.exit(f"{_DATASET.value} does not say what its cameras are like")
    totals = measured(model, temperature, records, bins(records))
    begin_table(records, model, temperature)
    for labels in totals.values():
        for label in sorted(labels, key=lambda label: -labels[label].frames):
            print(row(label, Means.of(labels[label])))


def opened() -> tuple[PoseRecords, Model, float]:
    """The test frames that the flags ask for, the model and its temperature."""
    records = data.load_records(_DATASET.value, "test", _DATA_DIR.value)
    records = data.every_nth_per_action(records, _STRIDE.value)
    model = methods.load(_CHECKPOINT.value)
    return records, *calibrated(model, _CHECKPOINT.value, _TEMPERATURE.value)


def begin_table(records: PoseRecords, model: Model, temperature: float) -> None:
    """Prints what was drawn, and the table's head."""
    drawn = f"T = {temperature:g}{Applied.to(model)}"
    print(f"{drawn}, 200 hypotheses, {len(records)} frames")
    print("\n| frames | | z0 | best | mean | PA best | ECE |")
    print("|---|---|---|---|---|---|---|")


def measured(
    model: Model,
    temperature: float,
    records: PoseRecords,
    groups: Mapping[str, np.ndarray],
) -> dict[str, dict[str, Total]]:
    """Totals of each label of each group, of 200 hypotheses a frame."""
    totals: dict[str, dict[str, Total]] = {}
    stream = measuring.stream(
        model,
        data.to_batch(records),
        data.targets_of(records),
        jax.random.key(0),
        draw=measuring.Draw(temperature=temperature),
    )
    with tqdm.tqdm(total=len(records), unit="pose") as bar:
        for rows, (errors,) in stream:
            for name, labels in groups.items():
                part = sums.grouped(labels[rows], sums.Sums.of(errors))
                sums.add_by_name(totals.setdefault(name, {}), part)
            bar.update(rows.stop - rows.start)
    return totals


def row(label: str, means: Means) -> str:
    """A row of the table."""
    z0, best, mean = (
        means.mpjpe[ERROR_NAMES.index(name)] for name in ("z0", "best", "mean")
    )
    aligned = means.pa_mpjpe[ERROR_NAMES.index("best")]
    cells = [f"{error:.1f}" for error in (z0, best, mean, aligned)]
    return f"| {label} | {means.frames} | {' | '.join(cells)} | {means.ece:.3f} |"


if __name__ == "__main__":
    app.run(main)
