"""Raw files: the error that names them and the fingerprint that tells them apart."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterable, Sequence

Fingerprint = dict[str, dict[str, int | str]]

_CHUNK = 1 << 20


class DataFileError(ValueError):
    """A raw or prepared file is missing, damaged or not what was expected."""


def require(folder: str | pathlib.Path, names: Sequence[str]) -> list[pathlib.Path]:
    """The named files of a folder.

    Raises:
      DataFileError: some are missing; all of them are listed.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise DataFileError(
            f"{folder} is not a folder; expected {', '.join(names)} in it"
        )
    paths = [folder / name for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataFileError(f"{folder} lacks {', '.join(missing)}")
    return paths


def fingerprint(paths: Iterable[pathlib.Path], folder: pathlib.Path) -> Fingerprint:
    """Size and SHA-256 of files, by their paths below a folder."""
    result: Fingerprint = {}
    for path in paths:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        result[path.relative_to(folder).as_posix()] = {
            "bytes": path.stat().st_size,
            "sha256": digest.hexdigest(),
        }
    return result


def differing(recorded: Fingerprint, found: Fingerprint) -> list[str]:
    """Names of the files whose size or content is not the recorded one."""
    names = sorted(recorded.keys() | found.keys())
    return [name for name in names if recorded.get(name) != found.get(name)]
