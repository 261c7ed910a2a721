"""TFDS builder ``human36m_lift``: Human3.6M from the authors' merged pickles."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from data_builders import features, files
from data_builders.human36m_lift import parse


class Builder(tfds.core.GeneratorBasedBuilder):
    """3D poses with HRNet detections and fitted Gaussians, in the pickles' order."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release: the merged pickles."}
    RAW_FILES = tuple(parse.FILES.values())
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put trainset_h36m.pickle and testset_h36m.pickle into one folder and give it "
        "as --manual_dir. data_builders/human36m_lift/README.md tells how to get them."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.lift_features(),
            metadata=tfds.core.MetadataDict(raw_files={}),
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        paths = files.require(dl_manager.manual_dir, self.RAW_FILES)
        self.info.metadata["raw_files"] = files.fingerprint(paths)
        return {
            split: self._generate_examples(split, path)
            for split, path in zip(parse.FILES, paths, strict=True)
        }

    def _generate_examples(
        self, split: str, path: pathlib.Path
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from features.examples(parse.read_merged(path), split)
