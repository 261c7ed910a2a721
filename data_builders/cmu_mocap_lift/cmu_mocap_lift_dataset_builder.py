"""TFDS builder ``cmu_mocap_lift``: CMU motion capture, simulated detections."""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow_datasets as tfds

from data_builders import features
from data_builders.cmu_mocap_lift import download, generation, recordings, source
from data_builders.cmu_mocap_lift.configurations import CmuConfig
from data_builders.files import DataFileError
from data_builders.lift_builder import Examples, LiftBuilder
from data_builders.simulation import pictures
from data_builders.simulation.views import TRUE_2D

SPLITS: tuple[str, ...] = ("train", "test")


class Builder(LiftBuilder):
    """Poses of real people, with views and detections from a seed."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = CmuConfig
    BUILDER_CONFIGS = [CmuConfig(), CmuConfig(wild=True)]
    EXTRA_FEATURES = TRUE_2D
    RAW_FOLDER = "optional"

    def extra_features(self) -> dict[str, Any]:
        """Those of pictures, too, where there are some; see the base class."""
        return pictures.FEATURES if self.builder_config.wild else self.EXTRA_FEATURES

    def raw_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The ASF and AMC files, or the archive; see the base class.

        Raises:
          DataFileError: it is another folder, or no subject of a split is there.
        """
        with source.opened(folder) as found:
            _check_subjects(found, self.builder_config)
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
        parts: dict[str, list[recordings.Recording]] = {name: [] for name in SPLITS}
        for one in reading.recordings:
            tested = self.builder_config.test_subjects
            parts[generation.split_of(one.subject, tested)].append(one)
        if empty := [split for split in SPLITS if not parts[split]]:
            raise DataFileError(f"{folder}: no frame of the {' or '.join(empty)} split")
        return {split: self._generated(split, own) for split, own in parts.items()}

    def _generated(self, split: str, own: list[recordings.Recording]) -> Examples:
        total = sum(len(one.frame) for one in own)
        config = self.builder_config
        if config.wild:
            total *= config.views
            parts = generation.pictured(own, config.seed, config.views)
        else:
            parts = generation.generate(own, config.seed)
        yield from features.examples(parts, split, total)


def _check_subjects(found: source.Source, config: CmuConfig) -> None:
    """Refuses a source that lacks a whole split."""
    subjects = {take.subject for take in found.takes}
    splits = {generation.split_of(one, config.test_subjects) for one in subjects}
    if lacking := set(SPLITS) - splits:
        named = ", ".join(sorted(subjects, key=int))
        raise DataFileError(
            f"{found.where} has no subject of the {' and '.join(sorted(lacking))} "
            f"split, only {named}: {config.split_rule}, all others the training split"
        )
