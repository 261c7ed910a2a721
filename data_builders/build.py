"""Builds a data set: ``python -m data_builders.build --dataset=NAME --data_dir=DIR``.

Reuses a set that is there already. An interrupted build leaves nothing half built.
"""

from __future__ import annotations

import sys
import time

from absl import app, flags, logging

from data_builders import files, registry
from data_builders.synthetic_lift.synthetic_lift_dataset_builder import SyntheticConfig
from jaxflow import data

_DEFAULT = SyntheticConfig()

_DATASET = flags.DEFINE_enum(
    "dataset", None, list(registry.NAMES), "Data set to build."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of prepared data sets; default $TFDS_DATA_DIR or ~/tensorflow_datasets.",
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir",
    None,
    "human36m_lift: folder that holds trainset_h36m.pickle and testset_h36m.pickle.",
)
_SEED = flags.DEFINE_integer(
    "seed", _DEFAULT.seed, "synthetic_lift: seed of everything random.", lower_bound=0
)
_TRAIN_FRAMES = flags.DEFINE_integer(
    "train_frames",
    _DEFAULT.train_frames,
    "synthetic_lift: number of training frames.",
    lower_bound=1,
)
_TEST_FRAMES = flags.DEFINE_integer(
    "test_frames",
    _DEFAULT.test_frames,
    "synthetic_lift: number of test frames.",
    lower_bound=1,
)


def _chosen_dataset(arguments: list[str]) -> str:
    """The data set's name with its configuration, from a flag or the first argument."""
    names = [name for name in [_DATASET.value, *arguments] if name]
    if len(set(names)) != 1 or names[0] not in registry.NAMES:
        raise app.UsageError(
            f"expected one data set of {', '.join(registry.NAMES)}; got "
            f"{' '.join(names) or 'none'}"
        )
    if names[0] != "synthetic_lift":
        return names[0]
    config = SyntheticConfig(
        seed=_SEED.value,
        train_frames=_TRAIN_FRAMES.value,
        test_frames=_TEST_FRAMES.value,
    )
    return f"{names[0]}/{config.name}"


def main(argv: list[str]) -> None:
    """Builds the set, or finds it built, and reports what it holds."""
    dataset = _chosen_dataset(argv[1:])
    logging.set_verbosity(logging.ERROR)  # TFDS comments on every step
    started = time.monotonic()
    try:
        built = registry.builder(dataset, _DATA_DIR.value).is_prepared()
        builder = registry.prepare(dataset, _DATA_DIR.value, _MANUAL_DIR.value)
        counts = data.counts(dataset, _DATA_DIR.value)
    except (files.DataFileError, OSError) as error:
        sys.exit(f"data_builders.build: {error}")
    seconds = time.monotonic() - started
    print(f"{'reused' if built else 'built'} {builder.data_dir} in {seconds:.1f} s")
    print(counts)


if __name__ == "__main__":
    app.run(main)
