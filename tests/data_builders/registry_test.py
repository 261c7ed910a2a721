"""A data set of one's own: known by its name, and what it lacks is named."""

import pytest
import tensorflow_datasets as tfds

from data_builders import registry
from data_builders.files import DataFileError
from data_builders.lift_builder import LiftBuilder
from jaxflow.runs.errors import UserError


def own(name):
    class Builder(LiftBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        RAW_FOLDER = "needed"
        MANUAL_DOWNLOAD_INSTRUCTIONS = "two files"

        def raw_files(self, folder):
            return [folder / "train.npz", folder / "test.npz"]

        def splits(self, folder):
            return {}

    Builder.name = name
    return Builder


@pytest.fixture
def builders(monkeypatch):
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))


def test_it_is_known_by_its_name(builders, tmp_path):
    with pytest.raises(UserError, match="expected a data set of .*synthetic_lift; got"):
        registry.builder("mine", tmp_path)
    registry.add(own("mine"))
    kind = own("mine")
    registry.add(kind)  # a cell that is run again makes another class
    assert isinstance(registry.builder("mine", tmp_path), kind)
    with pytest.raises(UserError, match="synthetic_lift is there already"):
        registry.add(own("synthetic_lift"))


def test_files_that_are_not_there_are_named(builders, tmp_path):
    registry.add(own("mine"))
    chosen = registry.builder("mine", tmp_path)
    with pytest.raises(DataFileError, match="two files"):
        registry.check(chosen)
    chosen.raw_folder = tmp_path
    (tmp_path / "train.npz").touch()
    with pytest.raises(DataFileError, match=r"not there: \S+test\.npz$"):
        registry.check(chosen)
    (tmp_path / "test.npz").touch()
    assert len(registry.check(chosen)) == 2
