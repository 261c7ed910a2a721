"""Writing files so that a reader never sees half of one.

The content goes to a temporary file in the same folder, which then takes the name.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


@contextlib.contextmanager
def aside(path: str | os.PathLike[str]) -> Iterator[str]:
    """A file to write, which takes the path's name when it is whole and on disk.

    Yields:
      The name to write to; the folder is made if need be.

    Raises:
      OSError: the folder cannot be made or written to. What was there before stays.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = str(path.parent / f".{path.name}.{secrets.token_hex(4)}")
    # The system takes from the mode what the user's mask does not allow.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_bytes(path: str | os.PathLike[str], content: bytes) -> pathlib.Path:
    """Writes the whole file or leaves what was there; makes the folder if need be.

    Raises:
      OSError: the folder cannot be made or written to.
    """
    with aside(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
    return pathlib.Path(path)


def write_npz(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]
) -> pathlib.Path:
    """``write_bytes`` of an .npz file; mapped arrays pass through unloaded."""
    with aside(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return pathlib.Path(path)


def write_text(path: str | os.PathLike[str], text: str) -> pathlib.Path:
    """``write_bytes`` of UTF-8 text."""
    return write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], data: Any) -> pathlib.Path:
    """Indented JSON with a final newline.

    Raises:
      ValueError: a number in it is not finite, which JSON cannot hold.
    """
    return write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")
