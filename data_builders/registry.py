"""The data sets by name: where they lie, whether they are built, building them.

A data set is named ``synthetic_lift``, ``human36m_lift`` or, with a configuration,
``synthetic_lift/seed1-train1000-test100``. Prepared sets lie in TFDS's folders below
the data folder and are never half built: TFDS renames a finished folder into place.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

from data_builders import files
from data_builders.human36m_lift import human36m_lift_dataset_builder
from data_builders.synthetic_lift import synthetic_lift_dataset_builder

_BUILDERS: dict[str, Any] = {
    "human36m_lift": human36m_lift_dataset_builder.Builder,
    "synthetic_lift": synthetic_lift_dataset_builder.Builder,
}
NAMES: tuple[str, ...] = tuple(_BUILDERS)


def default_data_dir() -> pathlib.Path:
    """TFDS's folder: $TFDS_DATA_DIR or ~/tensorflow_datasets."""
    folder = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(folder).expanduser()


def builder(
    dataset: str, data_dir: str | os.PathLike[str] | None = None
) -> tfds.core.DatasetBuilder:
    """The TFDS builder of a data set, whether prepared or not.

    Args:
      dataset: name, or name/configuration.
      data_dir: folder of prepared sets; the default is TFDS's.

    Raises:
      ValueError: no such data set or configuration.
    """
    name, _, config = dataset.partition("/")
    if name not in _BUILDERS:
        raise ValueError(f"expected a data set of {', '.join(NAMES)}; got {dataset!r}")
    data_dir = pathlib.Path(data_dir or default_data_dir()).expanduser().absolute()
    options = {"data_dir": data_dir, "file_format": "array_record"}
    if config:
        options["config"] = _configuration(name, config)
    return _BUILDERS[name](**options)


def _configuration(name: str, config: str) -> tfds.core.BuilderConfig:
    if name != "synthetic_lift":
        raise ValueError(f"{name} has no configurations; got {name}/{config}")
    made = synthetic_lift_dataset_builder.SyntheticConfig.from_name(config)
    known = _BUILDERS[name].builder_configs  # TFDS wants its own instance of these
    return known.get(made.name, made)


def prepare(
    dataset: str,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> tfds.core.DatasetBuilder:
    """Builds a data set unless it is there already.

    Args:
      dataset: name, or name/configuration.
      data_dir: folder of prepared sets; the default is TFDS's.
      manual_dir: folder of the raw files that the user has fetched. Needed to build a
        set that has such files. Where the set is there already, the files must be those
        from which it was built.

    Returns:
      The builder of the prepared set.

    Raises:
      DataFileError: raw files are missing, damaged or others than the prepared set's.
      ValueError: no such data set.
    """
    chosen = builder(dataset, data_dir)
    raw_files = getattr(chosen, "RAW_FILES", ())
    if chosen.is_prepared():
        if raw_files and manual_dir:
            _check_same_files(chosen, pathlib.Path(manual_dir), raw_files)
        return chosen
    if raw_files:
        if not manual_dir:
            raise files.DataFileError(
                f"{dataset} is not in {chosen.data_dir} and needs raw files to be "
                f"built: {chosen.MANUAL_DOWNLOAD_INSTRUCTIONS}"
            )
        files.require(pathlib.Path(manual_dir), raw_files)
    config = tfds.download.DownloadConfig(
        manual_dir=pathlib.Path(manual_dir) if manual_dir else None,
        try_download_gcs=False,
    )
    try:
        with _quiet_tfds():
            chosen.download_and_prepare(download_config=config)
    except OSError:
        # Another process may have finished the same set in the meantime.
        if not builder(dataset, data_dir).is_prepared():
            raise
    return builder(dataset, data_dir)


def _check_same_files(
    chosen: tfds.core.DatasetBuilder, manual_dir: pathlib.Path, names: tuple[str, ...]
) -> None:
    found = files.fingerprint(files.require(manual_dir, names))
    recorded = (chosen.info.metadata or {}).get("raw_files", {})
    if differing := files.differing(recorded, found):
        raise files.DataFileError(
            f"{chosen.data_dir} was built from other raw files than those in "
            f"{manual_dir}: {', '.join(differing)} differs. Use another data_dir, or "
            "remove that folder to build the set anew"
        )


@contextlib.contextmanager
def _quiet_tfds() -> Iterator[None]:
    """Silences TFDS's words on downloads and its bars, which know no total.

    The bars of ``features.examples`` take their place.
    """
    active = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(active)
