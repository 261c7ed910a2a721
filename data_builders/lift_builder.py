"""What every builder shares: features, raw files on record, where they lie.

A data set is a subclass in ``<name>_dataset_builder.py`` that says which raw files it
needs and gives the examples of its splits. TFDS writes them unshuffled, so that the
order of a split is the order in which its examples are given.
"""

from __future__ import annotations

import abc
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format

from data_builders import features, files
from jaxflow.runs.errors import UserError

Examples = Iterator[tuple[int, dict[str, Any]]]


class LiftBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A data set for 2D-to-3D lifting.

    Attributes:
      CONFIG: class of the configurations, which makes one of a name (``from_name``);
        None: ``BUILDER_CONFIGS`` are all there are.
      EXTRA_FEATURES: features beyond those of ``features.lift_features``.
      TEST_STRIDE: the data set's test counts every so many test frames of an action.
      RAW_FOLDER: "none" if nothing is read, "needed" if the user must have fetched the
        files, "optional" if the builder can fetch them itself.
      raw_folder: where the user has the raw files; set before building.
    """

    CONFIG: Any = None
    EXTRA_FEATURES: dict[str, Any] = {}
    TEST_STRIDE = 16
    RAW_FOLDER = "none"
    raw_folder: pathlib.Path | None = None

    def __init__(self, **options: Any):
        """As TFDS: it reads what is known of a set that is there.

        Raises:
          DataFileError: that is damaged.
        """
        try:
            super().__init__(**options)
        except (json_format.ParseError, UnicodeDecodeError) as error:
            raise files.unreadable(self.data_dir, error) from error

    @classmethod
    def configuration(cls, name: str) -> tfds.core.BuilderConfig:
        """The configuration that a name after the slash stands for.

        Raises:
          UserError: there is none of this name; says which there are.
        """
        known = cls.builder_configs
        if cls.CONFIG:
            made: tfds.core.BuilderConfig = cls.CONFIG.from_name(name)
            return known.get(made.name, made)  # TFDS wants its own instance
        if name in known:
            return known[name]
        if not known:
            raise UserError(f"{cls.name} has no configurations; got {name!r}")
        raise UserError(
            f"expected a configuration of {cls.name}, one of {', '.join(known)}; got "
            f"{name!r}"
        )

    def raw_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The files below ``folder`` that the set is made of, in a fixed order.

        Reads no more than tells which files there must be: ``--check`` is quick.

        Raises:
          DataFileError: files are missing; the message lists all of them.
        """
        return []

    def fetch(self, downloads: tfds.download.DownloadManager) -> pathlib.Path:
        """The folder of the raw files where the user gave none.

        Args:
          downloads: fetches files, verifies and keeps them.
        """
        return pathlib.Path(self.data_dir)  # nothing is read

    @abc.abstractmethod
    def splits(self, folder: pathlib.Path) -> dict[str, Examples]:
        """The examples of each split by its name.

        Args:
          folder: of the raw files.
        """

    def extra_features(self) -> dict[str, Any]:
        """Features beyond the common ones; a configuration may add to them."""
        return self.EXTRA_FEATURES

    def note(self, line: str) -> None:
        """Adds a line to what the build tells about what it has read."""
        self.info.metadata["notes"].append(line)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.lift_features(**self.extra_features()),
            metadata=tfds.core.MetadataDict(raw_files={}, notes=[]),
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Examples]:
        folder = self.raw_folder or self.fetch(dl_manager)
        found = files.fingerprint(self.raw_files(folder), folder)
        self.info.metadata["raw_files"] = found
        splits = self.splits(folder)
        source = self.name if self.RAW_FOLDER == "none" else str(folder)
        return {
            name: self._generate_examples(own, f"{source} {name}")
            for name, own in splits.items()
        }

    def _generate_examples(self, examples: Examples, source: str) -> Examples:
        """A split as TFDS wants it: numbered examples, made as they are asked for."""
        try:
            for number, example in examples:
                _check_finite(example, source)
                yield number, example
        except (UserError, OSError, ImportError):
            raise
        except Exception as error:  # what reads the raw files has errors of many types
            if self.RAW_FOLDER == "none":
                raise
            raise files.DataFileError(
                f"{source}: the raw files cannot be read ({type(error).__name__}: "
                f"{error})"
            ) from error


def _check_finite(example: dict[str, Any], source: str) -> None:
    """Refuses what no reader of the set would take, before it is written."""
    for name, value in example.items():
        array = np.asarray(value)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = "/".join(str(example[field]) for field in features.TEXT_FIELDS)
            raise files.DataFileError(
                f"{source}: {name} is not finite in {row} frame {example['frame']}"
            )
