"""Where the database's files are: an unpacked folder, or the archive as downloaded.

In: a folder. Out: a ``Source``, which names the takes and reads their files. Of an
archive nothing is ever unpacked: its members are read into memory, so that no name in
it can lead anywhere.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from data_builders.files import DataFileError

# Parents of the subjects' folders, below the folder that the user names.
_ROOTS = ("all_asfamc/subjects", "subjects", ".")
_ARCHIVES = "*allasfamc*.zip"
# A subject's number names its folder and, with the take's number, the files in it.
_NAME = re.compile(r"(?:.*/)?(\d{1,4})/\1(?:_(\d{1,4}))?\.(asf|amc)", re.IGNORECASE)

_LIMIT = 128 << 20  # bytes; the longest takes have about 30 million
_DAMAGE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Take(NamedTuple):
    """Names of a take and its files.

    Attributes:
      subject: as the folder has it, "05".
      number: of the take, "03".
      motion: the AMC file.
      skeleton: the ASF file; empty where the subject has none.
    """

    subject: str
    number: str
    motion: str
    skeleton: str


class Source(NamedTuple):
    """The database's files.

    Attributes:
      where: the folder or archive, for errors.
      takes: in order of subject and number.
      others: how many AMC files have other names, and are left alone.
      files: on disk, in a fixed order.
      read: gives the text of a file by the name that ``Take`` has for it.
    """

    where: str
    takes: tuple[Take, ...]
    others: int
    files: tuple[pathlib.Path, ...]
    read: Callable[[str], str]


@contextlib.contextmanager
def opened(folder: pathlib.Path) -> Iterator[Source]:
    """The source in a folder.

    Args:
      folder: holds ``subjects`` or ``all_asfamc/subjects`` or the subjects' folders, or
        else the archive.

    Raises:
      DataFileError: it holds none of these, or a damaged archive.
    """
    if not folder.is_dir():
        raise DataFileError(f"{folder} is not a folder")
    for root in _ROOTS:
        paths = sorted((folder / root).glob("[0-9]*/*.[aA][sSmM][fFcC]"))
        if any(_NAME.fullmatch(path.as_posix()) for path in paths):
            yield _of_folder(folder / root, paths)
            return
    archives = sorted(folder.glob(_ARCHIVES))
    if not archives:
        raise DataFileError(
            f"{folder} is not the CMU database: expected subjects/01/01.asf, "
            "subjects/01/01_01.amc, ... in it, or the archive allasfamc.zip"
        )
    with _named(str(archives[0])):
        file = zipfile.ZipFile(archives[0])
    with file:
        yield _of_archive(archives[0], file)


def _of_folder(root: pathlib.Path, paths: list[pathlib.Path]) -> Source:
    names = [path.relative_to(root).as_posix() for path in paths]

    def read(name: str) -> str:
        path = root / name
        with _named(str(path)):
            _check_size(path.stat().st_size)
            return path.read_bytes().decode("ascii", errors="replace")

    takes, others = _takes(names, str(root))
    used = {name for take in takes for name in (take.skeleton, take.motion)}
    files = tuple(path for path, name in zip(paths, names, strict=True) if name in used)
    return Source(str(root), takes, others, files, read)


def _of_archive(path: pathlib.Path, file: zipfile.ZipFile) -> Source:
    def read(name: str) -> str:
        with _named(f"{path}/{name}"):
            _check_size(file.getinfo(name).file_size)
            return file.read(name).decode("ascii", errors="replace")

    takes, others = _takes(file.namelist(), str(path))
    return Source(str(path), takes, others, (path,), read)


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """Turns whatever reading may raise into an error that names the file."""
    try:
        yield
    except _DAMAGE as error:
        raise DataFileError(
            f"{where} cannot be read ({type(error).__name__}: {error})"
        ) from error


def _check_size(size: int) -> None:
    if size > _LIMIT:
        raise OSError(f"{size:,} bytes are more than any take has")


def _takes(names: list[str], where: str) -> tuple[tuple[Take, ...], int]:
    """The takes among file names, and how many motions have other names."""
    motions: dict[tuple[str, str], str] = {}
    skeletons: dict[str, str] = {}
    others = 0
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            others += name.lower().endswith(".amc")
            continue
        subject, number, kind = match.groups()
        if kind.lower() == "amc" and number:
            motions.setdefault((subject, number), name)
        elif kind.lower() == "asf" and not number:
            skeletons.setdefault(subject, name)
    if not motions:
        raise DataFileError(f"{where} holds no motion such as 01/01_01.amc")
    order = sorted(motions, key=lambda key: (int(key[0]), int(key[1]), key))
    takes = tuple(
        Take(subject, number, motions[subject, number], skeletons.get(subject, ""))
        for subject, number in order
    )
    return takes, others
