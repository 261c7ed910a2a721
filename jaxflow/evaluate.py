"""Evaluates a checkpoint on a test set: prints the tables, writes JSON.

    python -m jaxflow.evaluate --checkpoint=DIR --dataset=NAME --out=FILE.json

For every frame, 200 hypotheses and the z = 0 pose; the best, mean, median and worst
error under protocol 1 (MPJPE) and 2 (PA-MPJPE), PCK, CPS and the calibration error, per
action, averaged over actions and over frames; then the same on the ambiguous frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from jaxflow import commands, data, files, protocol
from jaxflow.config import TrainConfig
from jaxflow.training import checkpoint

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of a checkpoint, or the workdir of a run: its latest.",
    required=True,
)  # fmt: skip
_DATASET = flags.DEFINE_string("dataset", "synthetic_lift", "Name of the data set.")
_SPLIT = flags.DEFINE_string("split", "test", "Which part of it to test on.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where built data sets lie.")
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", None, "Where the files that you downloaded lie, to build from."
)
_STRIDE = flags.DEFINE_integer(
    "stride", 16, "Test on every so many frames of each action.", lower_bound=1
)
_NUM_HYPOTHESES = flags.DEFINE_integer(
    "num_hypotheses", 200, "Hypotheses drawn for each pose.", lower_bound=2
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the hypotheses' noise.", lower_bound=0)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 64, "Poses at a time; decides memory, not results.", lower_bound=1
)
_AMBIGUOUS = flags.DEFINE_bool(
    "ambiguous", True, "Test the ambiguous frames, without stride, as well."
)
_MEAN_POSE = flags.DEFINE_bool(
    "mean_pose", True, "Compare with the mean pose of the data set's training frames."
)
_OUT = flags.DEFINE_string("out", None, "JSON file to write; none if not given.")


def main(argv: Sequence[str]) -> None:
    """Loads, evaluates, prints, writes."""
    commands.no_arguments(argv)
    params = checkpoint.load_params(_CHECKPOINT.value)
    config = checkpoint.load_config(_CHECKPOINT.value)
    result = protocol.evaluate(params, _load(_SPLIT.value), _settings(config), _train())
    print(result.describe())
    if _OUT.value:
        print(f"\nWritten: {files.write_json(_OUT.value, _document(result))}")


def _load(split: str) -> Any:
    return data.load_records(_DATASET.value, split, _DATA_DIR.value, _MANUAL_DIR.value)


def _train() -> Any:
    return _load("train") if _MEAN_POSE.value else None


def _settings(config: TrainConfig) -> protocol.Settings:
    return protocol.Settings(
        stride=_STRIDE.value,
        num_hypotheses=_NUM_HYPOTHESES.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        clamp=config.flow.clamp,
        ambiguous=_AMBIGUOUS.value,
    )


def _document(result: protocol.Evaluation) -> dict[str, Any]:
    return {
        "checkpoint": _CHECKPOINT.value,
        "dataset": _DATASET.value,
        "split": _SPLIT.value,
        "stride": _STRIDE.value,
        "seed": _SEED.value,
        **result.to_json(),
    }


if __name__ == "__main__":
    commands.run(main)
