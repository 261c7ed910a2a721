"""Writing files so that a reader never sees half of one.

The content goes to a temporary file in the same folder, which then takes the name.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import itertools
import json
import os
import pathlib
import secrets
import unicodedata
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

_DIGITS = 8  # of a temporary file's name
_ODD = ("Cc", "Cs")  # control characters and halves of pairs


def check_folder(path: str | os.PathLike[str], what: str = "") -> pathlib.Path:
    """Makes a folder if need be, and refuses one that cannot be written to.

    Args:
      path: of the folder; ``~`` is the home folder.
      what: how the message calls it, such as a flag.

    Returns:
      The folder, absolute.

    Raises:
      OSError: it cannot be made or written to; says which and why.
    """
    folder = pathlib.Path(path).expanduser().absolute()
    called = f"{what} {folder}".strip()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # Mounts that are read-only or full say so only when they are written to.
        probe = folder / f".{secrets.token_hex(8)}"
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(f"{called} cannot be written to: {reason}") from error
    return folder


def check_file(path: str | os.PathLike[str], what: str = "") -> pathlib.Path:
    """`check_folder` of the folder of a file that will be written, and of its name.

    Raises:
      OSError: it cannot be written.
    """
    place = pathlib.Path(path).expanduser().absolute()
    if place.is_dir():
        raise IsADirectoryError(
            f"{what} {place} is a folder; expected the name of a file".strip()
        )
    check_folder(place.parent, what)
    return place


@contextlib.contextmanager
def aside(path: str | os.PathLike[str]) -> Iterator[str]:
    """A file to write, which takes the path's name when it is whole and on disk.

    Yields:
      The name to write to; the folder is made if need be.

    Raises:
      OSError: the folder cannot be made or written to. What was there before stays.
    """
    path = pathlib.Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = str(path.parent / f".{path.name}.{secrets.token_hex(_DIGITS // 2)}")
    # The system takes from the mode what the user's mask does not allow.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and not error.filename:
            # A write that fails, such as on a full disk, does not say of which file.
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def identity(path: str | os.PathLike[str], within: str = "**/*") -> dict[str, Any]:
    """What tells whether a file is the same as before, or the files of a folder.

    Args:
      path: of either; where there is nothing, its name alone counts.
      within: a pattern of a folder's files; the others do not count.
    """
    place = pathlib.Path(path).absolute()
    about: dict[str, Any] = {"path": str(place)}
    try:
        if place.is_dir():
            names = sorted(one for one in place.glob(within) if one.is_file())
            stats = [(str(one), *_size_and_time(one)) for one in names]
            return about | {"files": zlib.crc32(repr(stats).encode())}
        size, modified = _size_and_time(place)
    except OSError:
        return about
    return about | {"bytes": size, "modified": modified}


def _size_and_time(path: pathlib.Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def remove(path: str | os.PathLike[str]) -> None:
    """Deletes a file if it is there, and what killed writers of it left: see `aside`.

    Raises:
      OSError: no permission.
    """
    path = pathlib.Path(path)
    litter = f".{glob.escape(path.name)}.{'[0-9a-f]' * _DIGITS}"
    for one in (path, *path.parent.glob(litter)):
        one.unlink(missing_ok=True)


def remove_any(
    folder: pathlib.Path, names: Iterable[str], endings: Iterable[str]
) -> None:
    """Deletes those of these names, each with any of the endings, that are there.

    Raises:
      OSError: no permission.
    """
    for name, ending in itertools.product(names, endings):
        remove(folder / f"{name}.{ending}")


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
    """``write_bytes`` of UTF-8 text; what it cannot hold is written in ASCII."""
    return write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: str | os.PathLike[str], data: Any) -> pathlib.Path:
    """Indented JSON with a final newline.

    Raises:
      ValueError: a number in it is not finite, which JSON cannot hold.
    """
    return write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def printable(name: str) -> str:
    """A name without what UTF-8 or a line cannot hold: that is written in ASCII."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _ODD else c
        for c in name
    )


def free(name: str, taken: Container[str]) -> str:
    """The name, with the first number from 2 on behind it that tells it from others."""
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], numbered) if one not in taken)


def short(name: str, longest: int = 200) -> str:
    """A `printable` name that leaves room for more in what a file's may have: 255 B."""
    return printable(name).encode()[:longest].decode(errors="ignore")
