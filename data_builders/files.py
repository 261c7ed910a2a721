"""Raw files: the error that names them and the fingerprint that tells them apart."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterable
from typing import Any

from jaxflow.runs.errors import UserError

Fingerprint = dict[str, dict[str, int | str]]


class DataFileError(UserError):
    """A raw or prepared file is missing, damaged or not what was expected."""


def unreadable(folder: Any, error: Exception) -> DataFileError:
    """The error to raise where a prepared set's files cannot be read."""
    return DataFileError(
        f"{folder} cannot be read ({type(error).__name__}: {error}); remove the folder "
        "to build the set anew"
    )


def fingerprint(paths: Iterable[pathlib.Path], folder: pathlib.Path) -> Fingerprint:
    """Size and SHA-256 of files, by their paths below a folder."""
    result: Fingerprint = {}
    for path in paths:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        result[path.relative_to(folder).as_posix()] = {
            "bytes": path.stat().st_size,
            "sha256": digest.hexdigest(),
        }
    return result


def differing(recorded: Fingerprint, found: Fingerprint) -> list[str]:
    """Names of the files whose size or content is not the recorded one."""
    names = sorted(recorded.keys() | found.keys())
    return [name for name in names if recorded.get(name) != found.get(name)]
