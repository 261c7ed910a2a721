"""Builds a data set, or finds it built, and tells what it holds.

    python -m data_builders.build NAME [--manual_dir=DIR] [--data_dir=DIR]
    python -m data_builders.build NAME --manual_dir=DIR --check

NAME is synthetic_lift, human36m_lift, mpi_inf_3dhp_lift or cmu_mocap_lift, with a
configuration behind a slash if need be; each has a README.md in data_builders/NAME that
tells where its raw files come from. --check looks whether they are all there, and
builds nothing. A set that is there already is reused; an interrupted build leaves
nothing half built. cmu_mocap_lift/wild and human36m_lift/wild are motion capture in
pictures as anybody takes them: for models of photographs; human36m_lift/studio has its
poses before other cameras. Beside the set lies data_card.png: sample frames and counts.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, logging

from data_builders import registry
from data_builders.cmu_mocap_lift.configurations import WILD_VIEWS, CmuConfig
from data_builders.human36m_lift.configurations import Human36mConfig
from data_builders.lift_builder import LiftBuilder
from data_builders.synthetic_lift.synthetic_lift_dataset_builder import SyntheticConfig
from jaxflow import commands, data
from jaxflow.reporting import inventory, tables
from jaxflow.runs.errors import install
from jaxflow.types import PoseRecords

flags = commands.Flags(__name__)

_DEFAULT = SyntheticConfig()
# Data sets that flags configure, and which do.
_CONFIGURED: dict[str, set[str]] = {
    "synthetic_lift": {"seed", "train_frames", "test_frames"},
    "cmu_mocap_lift": {"seed", "test_subjects"},
    "cmu_mocap_lift/wild": {"seed", "views", "test_subjects"},
    "human36m_lift/wild": {"seed", "views"},
    "human36m_lift/studio": {"seed"},
}

_DATASET = flags.DEFINE_string(
    "dataset", None, "Data set to build, as an alternative to the first argument."
)
_DATA_DIR = flags.path(
    "data_dir",
    None,
    "Folder of prepared data sets; default $TFDS_DATA_DIR or ~/tensorflow_datasets.",
)
_MANUAL_DIR = flags.path(
    "manual_dir", None, "Folder of the raw files that you have fetched."
)
_CHECK = flags.DEFINE_bool(
    "check", False, "Only look whether all raw files are there, and name the missing."
)
_CARD = flags.DEFINE_bool(
    "card", True, "Draw data_card.png beside the set (needs the extra 'report')."
)
_SEED = flags.DEFINE_integer(
    "seed",
    None,
    "synthetic_lift, cmu_mocap_lift, human36m_lift/wild, human36m_lift/studio: seed of "
    f"everything random; default {_DEFAULT.seed}.",
)
_TRAIN_FRAMES = flags.DEFINE_integer(
    "train_frames",
    None,
    f"synthetic_lift: number of training frames; default {_DEFAULT.train_frames}.",
)
_TEST_FRAMES = flags.DEFINE_integer(
    "test_frames",
    None,
    f"synthetic_lift: number of test frames; default {_DEFAULT.test_frames}.",
)
_VIEWS = flags.DEFINE_integer(
    "views",
    None,
    "cmu_mocap_lift/wild, human36m_lift/wild: pictures of each pose, each by a camera "
    f"and of a body of its own; default {WILD_VIEWS} and {Human36mConfig().views}.",
)
_TEST_SUBJECTS = flags.DEFINE_list(
    "test_subjects",
    None,
    "cmu_mocap_lift: numbers of the test split's subjects, such as 3,5,9; default "
    "every eighth, of cmu_mocap_lift/wild 3,5,9.",
)
flags.adopt(commands)


def main(argv: Sequence[str]) -> None:
    """Checks or builds, and reports."""
    logging.set_verbosity(logging.ERROR)  # TFDS comments on every step
    dataset = _chosen_dataset(argv[1:])
    if _CHECK.value:
        _check(dataset)
        return
    started = time.monotonic()
    built = registry.builder(dataset, _DATA_DIR.value).is_prepared()
    builder = registry.prepare(dataset, _DATA_DIR.value, _MANUAL_DIR.value)
    seconds = time.monotonic() - started
    splits = {
        name: data.load_records(dataset, name, _DATA_DIR.value)
        for name in data.splits(dataset, _DATA_DIR.value)
    }
    frames = sum(map(len, splits.values()))
    rate = "" if built else f", {frames / seconds:,.0f} frames/s"
    made = pathlib.Path(builder.data_dir).glob("*.array_record*")
    size = sum(path.stat().st_size for path in made) / 1e6
    print(
        f"{'reused' if built else 'built'} {builder.data_dir} in {seconds:.1f} s{rate}"
        f", {size:,.1f} MB"
    )
    _tell(dataset, builder, splits)


def _chosen_dataset(arguments: Sequence[str]) -> str:
    """The data set's name with its configuration, from a flag or the first argument."""
    names = [name for name in [_DATASET.value, *arguments] if name]
    if len(set(names)) != 1:
        raise app.UsageError(
            f"expected one data set of {', '.join(registry.NAMES)}; got "
            f"{' '.join(names) or 'none'}"
        )
    if "," in names[0]:
        raise app.UsageError(f"expected one data set at a time; got {names[0]}")
    given: dict[str, Any] = {
        flag.name: flag.value
        for flag in (_SEED, _TRAIN_FRAMES, _TEST_FRAMES, _VIEWS, _TEST_SUBJECTS)
        if flag.value is not None
    }
    if not given and names[0] != "synthetic_lift":
        return names[0]
    if not given.keys() <= _CONFIGURED.get(names[0], set()):
        fitting = [name for name, own in _CONFIGURED.items() if given.keys() <= own]
        raise app.UsageError(
            f"--{', --'.join(given)} are for {' or '.join(fitting) or 'different sets'}"
            f", with no other configuration in the name; got {names[0]}"
        )
    return configured(names[0], given)


def configured(name: str, given: dict[str, Any]) -> str:
    """The full name of a data set that flags configure."""
    if name == "synthetic_lift":
        return f"{name}/{SyntheticConfig(**given).name}"
    if name.startswith("human36m_lift/"):
        parts = [f"-{what}{number}" for what, number in sorted(given.items())]
        return name + "".join(parts)
    kind, _, wild = name.partition("/")
    subjects = given.get("test_subjects", ())
    if not all(number.isdecimal() for number in subjects):
        raise app.UsageError(
            f"expected --test_subjects=3,5,9 or the like; got {','.join(subjects)}"
        )
    given["test_subjects"] = tuple(map(int, subjects))
    return f"{kind}/{CmuConfig(wild=bool(wild), **given).name}"


def _check(dataset: str) -> None:
    """Says whether the set could be built."""
    builder = registry.builder(dataset, _DATA_DIR.value)
    if builder.is_prepared():
        print(f"{dataset} is built: {builder.data_dir}")
    if _MANUAL_DIR.value:
        builder.raw_folder = pathlib.Path(_MANUAL_DIR.value).expanduser().absolute()
    elif builder.is_prepared():
        return
    raw_files = registry.check(builder)
    if raw_files:
        size = sum(path.stat().st_size for path in raw_files) / 1e6
        print(
            f"{dataset}: all {len(raw_files)} raw files ({size:,.1f} MB) are in "
            f"{builder.raw_folder}; nothing is missing"
        )
    else:
        print(f"{dataset} needs no raw files from you")


def _tell(
    dataset: str, builder: LiftBuilder, splits: Mapping[str, PoseRecords]
) -> None:
    """Prints what was read and what there is, and draws the card."""
    for note in (builder.info.metadata or {}).get("notes", ()):
        print(f"  {note}")
    counts = {split: inventory.of(records) for split, records in splits.items()}
    print()
    print(tables.to_console(inventory.table(dataset, counts)))
    if not _CARD.value:
        return
    stem = pathlib.Path(builder.data_dir) / "data_card"
    try:
        from jaxflow.reporting.figures import data_card, style
    except ImportError:
        print(f"\nno data card: {install('report')} to have it drawn")
        return
    if not stem.with_suffix(".png").is_file():
        style.save(data_card.card(dataset, splits), stem)
    print(f"\ndata card: {stem}.png")


if __name__ == "__main__":
    commands.run(main)
