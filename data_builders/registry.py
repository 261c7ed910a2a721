"""The data sets by name: where they lie, whether they are built, building them.

A data set is named ``synthetic_lift``, ``human36m_lift`` or, with a configuration,
``synthetic_lift/seed1-train1000-test100``. Prepared sets lie in TFDS's folders below
the data folder and are never half built: TFDS renames a finished folder into place.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

from data_builders import files
from data_builders.cmu_mocap_lift import cmu_mocap_lift_dataset_builder
from data_builders.human36m_lift import human36m_lift_dataset_builder
from data_builders.lift_builder import LiftBuilder
from data_builders.mpi_inf_3dhp_lift import mpi_inf_3dhp_lift_dataset_builder
from data_builders.synthetic_lift import synthetic_lift_dataset_builder
from jaxflow.runs.errors import UserError, reason
from jaxflow.runs.files import check_folder

_BUILDERS: dict[str, Any] = {
    "cmu_mocap_lift": cmu_mocap_lift_dataset_builder.Builder,
    "human36m_lift": human36m_lift_dataset_builder.Builder,
    "mpi_inf_3dhp_lift": mpi_inf_3dhp_lift_dataset_builder.Builder,
    "synthetic_lift": synthetic_lift_dataset_builder.Builder,
}
NAMES: tuple[str, ...] = tuple(_BUILDERS)


def add(kind: type[LiftBuilder]) -> None:
    """Makes a builder of one's own known by its name, to this process.

    One of one's own of that name is replaced: a notebook's cell may be run again.

    Raises:
      UserError: one of this name comes with the package.
    """
    if kind.name in NAMES and _BUILDERS[kind.name] is not kind:
        raise UserError(f"a data set {kind.name} is there already; take another name")
    if "." not in kind.__module__:  # of a notebook or a script: has no package
        kind.pkg_dir_path = pathlib.Path(__file__).parent
    _BUILDERS[kind.name] = kind


def named(dataset: str) -> list[str]:
    """The data sets of a name: itself, or several with commas between.

    Raises:
      UserError: nothing between two commas, or a set that is named twice.
    """
    names = [name.strip() for name in dataset.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise UserError(
            f"expected data sets with commas between, each once; got {dataset!r}"
        )
    return names


def default_data_dir() -> pathlib.Path:
    """TFDS's folder: $TFDS_DATA_DIR or ~/tensorflow_datasets."""
    folder = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(folder).expanduser()


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Silences TFDS's warnings, which no user can do anything about."""
    log = logging.getLogger("absl")  # TFDS's, orbax's and everybody's
    before = log.level
    log.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        log.setLevel(before)


@_quiet_log()
def builder(
    dataset: str, data_dir: str | os.PathLike[str] | None = None
) -> LiftBuilder:
    """The TFDS builder of a data set, whether prepared or not.

    Args:
      dataset: name, or name/configuration.
      data_dir: folder of prepared sets; the default is TFDS's.

    Raises:
      UserError: no such data set or configuration.
    """
    name, _, config = dataset.partition("/")
    if name not in _BUILDERS:
        known = ", ".join(_BUILDERS)
        raise UserError(f"expected a data set of {known}; got {dataset!r}")
    data_dir = pathlib.Path(data_dir or default_data_dir()).expanduser().absolute()
    kind = _BUILDERS[name]
    options = {"data_dir": data_dir, "file_format": "array_record"}
    if config:
        options["config"] = kind.configuration(config)
    return kind(**options)


@_quiet_log()
def prepare(
    dataset: str,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> LiftBuilder:
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
      OSError: the set cannot be written.
      UserError: no such data set.
    """
    chosen = builder(dataset, data_dir)
    if manual_dir:
        chosen.raw_folder = pathlib.Path(manual_dir).expanduser().absolute()
    if chosen.is_prepared():
        _check_same_files(chosen)
        return chosen
    check(chosen)
    check_folder(data_dir or default_data_dir(), "data_dir")  # or TFDS says it worse
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        with _quiet_tfds():
            chosen.download_and_prepare(download_config=config)
    except (OSError, RuntimeError) as error:
        # Another process may have finished the same set in the meantime.
        if not builder(dataset, data_dir).is_prepared():
            if str(error).startswith("Failed to finalize writing"):  # as of a full disk
                raise OSError(
                    f"{chosen.data_dir} cannot be written: {reason(error)}"
                ) from error
            raise
    built = builder(dataset, data_dir)
    if not built.is_prepared():  # TFDS builds nothing where the folder is there
        missing = FileNotFoundError("it has no dataset_info.json")
        raise files.unreadable(built.data_dir, missing)
    return built


def check(chosen: LiftBuilder) -> list[pathlib.Path]:
    """The raw files from which a set would be built.

    Raises:
      DataFileError: some are missing; all of them are named.
    """
    if chosen.raw_folder is not None:
        if chosen.RAW_FOLDER == "none":
            return []
        wanted = chosen.raw_files(chosen.raw_folder)
        if missing := [str(path) for path in wanted if not path.exists()]:
            raise files.DataFileError(
                f"{chosen.name} needs files that are not there: {', '.join(missing)}"
            )
        return wanted
    if chosen.RAW_FOLDER == "needed":
        raise files.DataFileError(
            f"{chosen.name} is not in {chosen.data_dir} and needs raw files to be "
            f"built: {chosen.MANUAL_DOWNLOAD_INSTRUCTIONS}"
        )
    return []


def _check_same_files(chosen: LiftBuilder) -> None:
    """Refuses a prepared set whose raw files are not those in ``raw_folder``."""
    folder = chosen.raw_folder
    recorded = (chosen.info.metadata or {}).get("raw_files", {})
    if folder is None or not recorded:
        return
    found = files.fingerprint(chosen.raw_files(folder), folder)
    if differing := files.differing(recorded, found):
        named = ", ".join(differing[:5]) + (" ..." if len(differing) > 5 else "")
        raise files.DataFileError(
            f"{chosen.data_dir} was built from other raw files than those in "
            f"{folder}: {named} differs. Use another data_dir, or remove that folder "
            "to build the set anew"
        )


@contextlib.contextmanager
def _quiet_tfds() -> Iterator[None]:
    """Silences TFDS's words on downloads and its bars, which know no total.

    The bars of ``features.examples`` take their place.
    """
    bar = tqdm_utils.tqdm((), disable=True)  # nothing where the user wants none
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(not isinstance(bar, tqdm_utils.EmptyTqdm))
