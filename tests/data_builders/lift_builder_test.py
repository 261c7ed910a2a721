"""What every builder does with raw files that it cannot use."""

import dataclasses
import pathlib
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders import features, files, registry
from data_builders.lift_builder import LiftBuilder
from data_builders.synthetic_lift import generation

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Mine(LiftBuilder):
    """One frame, or what stands in the raw file's way."""

    name = "mine"
    VERSION = tfds.core.Version("1.0.0")
    RAW_FOLDER = "needed"
    MANUAL_DOWNLOAD_INSTRUCTIONS = "none"
    fault: Exception | None = None

    def splits(self, folder):
        return {"train": self.read()}

    def read(self):
        if self.fault:
            raise self.fault
        frames = generation.generate("train", 2, seed=0)
        frames = dataclasses.replace(frames, pose3d=frames.pose3d * np.nan, extra={})
        yield from features.examples([frames], "train", 2)


@pytest.mark.parametrize("fault", [None, zipfile.BadZipFile("cut"), EOFError("cut")])
def test_raw_files_that_a_builder_cannot_use(tmp_path, monkeypatch, fault):
    """They are named, and no set is left that would have to be removed."""
    monkeypatch.setattr(registry, "_BUILDERS", {"mine": Mine})
    monkeypatch.setattr(Mine, "pkg_dir_path", REPOSITORY / "data_builders")
    monkeypatch.setattr(Mine, "fault", fault)
    message = f"read .{type(fault).__name__}: cut" if fault else "pose3d is not finite"
    with pytest.raises(files.DataFileError, match=f"{tmp_path} train: .*{message}"):
        registry.prepare("mine", tmp_path / "sets", tmp_path)
    assert not registry.builder("mine", tmp_path / "sets").is_prepared()
