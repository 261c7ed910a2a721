"""TFDS builder ``human36m_lift``: Human3.6M from the authors' merged pickles."""

from __future__ import annotations

import pathlib

import tensorflow_datasets as tfds

from data_builders import features, files
from data_builders.human36m_lift import parse
from data_builders.lift_builder import Examples, LiftBuilder


class Builder(LiftBuilder):
    """3D poses with HRNet detections and fitted Gaussians, in the pickles' order."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release: the merged pickles."}
    RAW_FOLDER = "needed"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put trainset_h36m.pickle and testset_h36m.pickle into one folder and give it "
        "as --manual_dir. data_builders/human36m_lift/README.md tells how to get them."
    )

    def raw_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The two pickles; see the base class."""
        return files.require(folder, tuple(parse.FILES.values()))

    def splits(self, folder: pathlib.Path) -> dict[str, Examples]:
        """Training and test frames; see the base class."""
        paths = self.raw_files(folder)
        return {
            split: features.examples(parse.read_merged(path), split)
            for split, path in zip(parse.FILES, paths, strict=True)
        }
