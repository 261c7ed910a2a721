"""Writing files so that a reader never sees half of one.

The text goes to a temporary file in the same folder, which then takes the name.
"""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
from typing import Any


def write_bytes(path: str | os.PathLike[str], content: bytes) -> pathlib.Path:
    """Writes the whole file or leaves what was there; makes the folder if need be.

    Raises:
      OSError: the folder cannot be made or written to.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp allows only the owner; use what an ordinary new file would get.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def write_text(path: str | os.PathLike[str], text: str) -> pathlib.Path:
    """``write_bytes`` of UTF-8 text."""
    return write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], data: Any) -> pathlib.Path:
    """Indented JSON with a final newline.

    Raises:
      ValueError: a number in it is not finite, which JSON cannot hold.
    """
    return write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")
