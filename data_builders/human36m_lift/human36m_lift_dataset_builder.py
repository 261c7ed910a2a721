"""TFDS builder ``human36m_lift``: Human3.6M from the original files or from pickles."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_builders import features
from data_builders.files import DataFileError
from data_builders.human36m_lift import forms, recordings, refilmed, sources
from data_builders.human36m_lift.configurations import PROTOCOL_STRIDE, Human36mConfig
from data_builders.lift_builder import Examples, LiftBuilder
from data_builders.simulation import centred, pictures
from data_builders.simulation.views import TRUE_2D
from jaxflow.types import PoseRecords


class Builder(LiftBuilder):
    """3D poses with 2D detections and fitted Gaussians, every 4th video frame.

    Attributes:
      chosen: cameras, subjects and test frames.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = Human36mConfig
    TEST_STRIDE = PROTOCOL_STRIDE
    RAW_FOLDER = "needed"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Give a folder as --manual_dir: {forms.EXPECTED}."

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.TEST_STRIDE = self.chosen.protocol_stride

    @property
    def chosen(self) -> Human36mConfig:
        """Cameras, subjects and test frames."""
        return self.builder_config or Human36mConfig()

    def extra_features(self) -> dict[str, Any]:
        """Those of the cameras; see the base class."""
        return {
            "own": {},
            "centred": centred.FEATURES,
            "wild": pictures.FEATURES,
            "studio": TRUE_2D,
        }[self.chosen.cameras]

    def raw_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Pickles, files of 3D poses and of fits; see the base class.

        Reads the pickles, which tell what recordings there must be.
        """
        subjects = {split: self._subjects(split) for split in recordings.SUBJECTS}
        return forms.recognise(folder).files(subjects)

    def splits(self, folder: pathlib.Path) -> dict[str, Examples]:
        """Training and test frames; see the base class."""
        source = forms.recognise(folder)
        return {split: self._examples(source, split) for split in recordings.SUBJECTS}

    def _subjects(self, split: str) -> sources.Subjects:
        return self.chosen.subjects.get(split)

    def _examples(self, source: sources.Source, split: str) -> Examples:
        """Numbered examples, recording by recording, so that little is held at once.

        Before other cameras all poses of the split are.
        """
        tally = sources.Tally()
        readers = source.recordings(split, self._subjects(split), tally)
        anew = self.chosen.cameras in ("wild", "studio")
        doing = "reading" if anew else "writing"
        with tqdm.tqdm(readers, desc=f"{doing} {split}", unit=" recordings") as bar:
            stream: Iterator[PoseRecords] = (
                records for reader in bar if len(records := reader())
            )
            if anew:
                stream = refilmed.generate(stream, self.chosen)
            if self.chosen.cameras == "centred":
                stream = map(centred.records, stream)
            if split == "test":
                stream = self.chosen.choose_test(stream)
            row = 0
            for records in stream:
                for example in features.rows(records):
                    yield row, example
                    row += 1
                bar.set_postfix(frames=row, refresh=False)
        if not row:
            raise DataFileError(f"{source.folder} holds no frames for split {split!r}")
        for line in tally.lines():
            self.note(f"{split}: {line}")
