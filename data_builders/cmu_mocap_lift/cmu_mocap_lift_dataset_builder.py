"""TFDS builder ``cmu_mocap_lift``: CMU motion capture, simulated detections."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np
import tensorflow_datasets as tfds

from data_builders import features
from data_builders.cmu_mocap_lift import download, generation, recordings, source
from data_builders.files import DataFileError
from data_builders.lift_builder import Examples, LiftBuilder
from jaxflow.runs.errors import UserError

SPLITS: tuple[str, ...] = ("train", "test")


@dataclasses.dataclass
class CmuConfig(tfds.core.BuilderConfig):
    """From which seed cameras and detector are simulated; named after it, ``seed0``."""

    name: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Names the configuration."""
        if self.seed < 0:
            raise UserError(f"expected a seed of at least 0; got {self.seed}")
        self.name = f"seed{self.seed}"

    @classmethod
    def from_name(cls, name: str) -> CmuConfig:
        """The configuration of a name.

        Raises:
          UserError: no such name.
        """
        match = re.fullmatch(r"seed(\d{1,18})", name)
        if match is None:
            raise UserError(
                f"expected a cmu_mocap_lift configuration such as seed0; got {name!r}"
            )
        return cls(seed=int(match.group(1)))


class Builder(LiftBuilder):
    """Poses of real people, with views and detections from a seed."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [CmuConfig()]
    EXTRA_FEATURES = {
        "pose2d_true": tfds.features.Tensor(shape=(16, 2), dtype=np.float32)
    }
    RAW_FOLDER = "optional"

    @classmethod
    def configuration(cls, name: str) -> tfds.core.BuilderConfig:
        """A configuration of any seed; see the base class."""
        made = CmuConfig.from_name(name)
        return cls.builder_configs.get(made.name, made)  # TFDS wants its own instance

    def raw_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The ASF and AMC files, or the archive; see the base class.

        Raises:
          DataFileError: it is another folder, or no subject of a split is there.
        """
        with source.opened(folder) as found:
            _check_subjects(found)
            return list(found.files)

    def fetch(self, downloads: tfds.download.DownloadManager) -> pathlib.Path:
        """Downloads the official archive; see the base class."""
        return download.fetch(downloads)

    def splits(self, folder: pathlib.Path) -> dict[str, Examples]:
        """Reads everything, then gives training and test frames; see the base class."""
        with source.opened(folder) as found:
            reading = recordings.read(found)
        for line in reading.notes(found):
            self.note(line)
        chosen = {
            split: [
                one
                for one in reading.recordings
                if generation.split_of(one.subject) == split
            ]
            for split in SPLITS
        }
        if empty := [split for split in SPLITS if not chosen[split]]:
            raise DataFileError(f"{folder}: no frame of the {' or '.join(empty)} split")
        return {split: self._generated(split, own) for split, own in chosen.items()}

    def _generated(self, split: str, own: list[recordings.Recording]) -> Examples:
        total = sum(len(one.frame) for one in own)
        parts = generation.generate(own, self.builder_config.seed)
        yield from features.examples(parts, split, total)


def _check_subjects(found: source.Source) -> None:
    """Refuses a source that lacks a whole split."""
    subjects = {take.subject for take in found.takes}
    lacking = set(SPLITS) - {generation.split_of(subject) for subject in subjects}
    if lacking:
        named = ", ".join(sorted(subjects, key=int))
        raise DataFileError(
            f"{found.where} has no subject of the {' and '.join(sorted(lacking))} "
            f"split, only {named}: subjects 8, 16, 24, ... are the test split, all "
            "others the training split"
        )
