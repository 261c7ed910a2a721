"""TFDS builder ``mpi_inf_3dhp_lift``: the test set of MPI-INF-3DHP."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from data_builders import features
from data_builders.files import DataFileError
from data_builders.lift_builder import Examples, LiftBuilder
from data_builders.mpi_inf_3dhp_lift import parse

DETECTED, ANNOTATED = "detections", "ground_truth_2d"
_ARCHIVE = "mpi_inf_3dhp_test_set"  # the folder that the download unpacks to


class Builder(LiftBuilder):
    """Six videos in three settings, with detections or with their annotated joints."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release: the test set."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name=DETECTED, description="2D joints and Gaussians of detections.npz"
        ),
        tfds.core.BuilderConfig(
            name=ANNOTATED, description="the annotated 2D joints, certain Gaussians"
        ),
    ]
    EXTRA_FEATURES = {
        "pose3d_universal": tfds.features.Tensor(shape=(17, 3), dtype=np.float32),
        "setting": tfds.features.Text(),
        "valid": tfds.features.Scalar(np.bool_),
    }
    TEST_STRIDE = 1
    _raw_folder: pathlib.Path | None = None
    RAW_FOLDER = "needed"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put annot_data.mat and detections.npz of TS1 to TS6 into folders of these "
        "names and give the folder around them as --manual_dir. "
        "data_builders/mpi_inf_3dhp_lift/README.md tells how to get them."
    )

    @property
    def raw_folder(self) -> pathlib.Path | None:
        """The folder that holds TS1, ..., TS6, also where the one around it was set."""
        return self._raw_folder

    @raw_folder.setter
    def raw_folder(self, folder: pathlib.Path | None) -> None:
        if folder is not None and (folder / _ARCHIVE).is_dir():
            folder = folder / _ARCHIVE
        self._raw_folder = folder

    def raw_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Every sequence's annotations, and its detections where they are used."""
        if not folder.is_dir():
            raise DataFileError(
                f"{folder} is not a folder; expected one with TS1, ..., TS6 in it"
            )
        names = [parse.ANNOTATIONS]
        if self.builder_config.name == DETECTED:
            names.append(parse.DETECTIONS)
        paths = [folder / one / name for one in parse.SEQUENCES for name in names]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise DataFileError(_about_missing(folder, missing, len(paths)))
        return paths

    def splits(self, folder: pathlib.Path) -> dict[str, Examples]:
        """Test frames alone; see the base class."""
        detected = self.builder_config.name == DETECTED
        with tqdm.tqdm(parse.SEQUENCES, desc="reading", unit=" videos") as bar:
            read = [parse.read_sequence(folder, one, detected=detected) for one in bar]
        for sequence in read:
            self.note(sequence.describe())
        self.note(
            f"2D joints: {parse.DETECTIONS}"
            if detected
            else "2D joints: annot2, in a crop 1.25 times as wide as they are"
        )
        parts = [sequence.records for sequence in read]
        return {"test": features.examples(parts, "test", sum(map(len, parts)))}


def _about_missing(
    folder: pathlib.Path, missing: list[pathlib.Path], count: int
) -> str:
    """All missing files, and what may be the matter."""
    named = ", ".join(path.relative_to(folder).as_posix() for path in missing)
    text = f"{folder} lacks {named}"
    if len(missing) == count:
        text = f"{folder} is not the MPI-INF-3DHP test set: it lacks {named}"
    elif all(path.name == parse.DETECTIONS for path in missing):
        text += (
            ". They hold a 2D detector's output, which is not part of the download; "
            f"mpi_inf_3dhp_lift/{ANNOTATED} does without"
        )
    return text
