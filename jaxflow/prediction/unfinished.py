"""A source under way, on disk: what a run that was killed need not do again.

    columns of bytes, appended -> FOLDER/unfinished/<column>
    drawings                   -> FOLDER/unfinished/<kind>/<name>
    how far all of it is whole -> FOLDER/unfinished/state.json

Bytes wait in memory until there are many of them or they are saved, so that the few of
a picture never see the disk and a video of any length takes little memory. A state that
counts nothing is there from the beginning: the folder is a run's, not a user's. It is
replaced in one piece, after all that it counts; what lies beyond it was not finished
and is cut off.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jaxflow.runs import files

FOLDER, STATE = "unfinished", "state.json"
_MOST_BYTES = 2**26  # that wait in memory


class Begun(NamedTuple):
    """How far an earlier run came with a source.

    Attributes:
      state: what was given to `Columns.save`.
      sizes: bytes of each column.
      drawings: names of the drawings of each kind.
    """

    state: dict[str, Any]
    sizes: dict[str, int]
    drawings: dict[str, list[str]]


def begun(folder: pathlib.Path, about: Mapping[str, Any]) -> Begun | None:
    """What an earlier run left of a source; None where there is nothing to go on from.

    Args:
      folder: of the source.
      about: plain values; the earlier run's must be the same.
    """
    columns = folder / FOLDER
    try:
        saved = json.loads((columns / STATE).read_text())
        begun = Begun(*(saved[name] for name in Begun._fields))
        if saved["about"] != about:
            return None
        for name, size in begun.sizes.items():
            if (columns / name).stat().st_size < size:
                return None
        kinds = begun.drawings.items()
        drawings = [columns / kind / name for kind, names in kinds for name in names]
        whole = all(path.is_file() for path in drawings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return begun if whole else None


def is_marked(folder: pathlib.Path) -> bool:
    """Whether a run has begun a source in the folder, however far it came."""
    return (folder / FOLDER / STATE).is_file()


def remove(folder: pathlib.Path, marked: bool = False) -> None:
    """Forgets what was begun of the source in the folder; the mark goes last.

    Args:
      folder: of the source.
      marked: whether the mark is to stay, with nothing to go on from.
    """
    for path in (folder / FOLDER).glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != STATE:
            path.unlink()
    if marked:
        files.write_json(folder / FOLDER / STATE, {})
    elif (folder / FOLDER).is_dir():
        shutil.rmtree(folder / FOLDER)


class Columns:
    """Columns of bytes that grow.

    Args:
      folder: of the source.
      about: plain values that tell this run's state from another's.
      begun: to go on from, if anything.
    """

    def __init__(
        self, folder: pathlib.Path, about: Mapping[str, Any], begun: Begun | None
    ) -> None:
        """Cuts off what an earlier run did not finish, or marks the folder as ours."""
        self._own, self._about = folder / FOLDER, about
        self._waiting: defaultdict[str, list[bytes]] = defaultdict(list)
        self._bytes = 0
        self._drawn: dict[tuple[str, str], bytes] = {}
        self._sizes = dict(begun.sizes) if begun else {}
        for name, size in self._sizes.items():
            os.truncate(self._own / name, size)
        if begun is None:
            files.write_json(self._own / STATE, {"about": about})

    def append(self, name: str, content: bytes) -> None:
        """Adds to the end of a column."""
        self._waiting[name].append(content)
        self._bytes += len(content)
        if self._bytes > _MOST_BYTES:
            self._flush()

    def save(self, state: dict[str, Any], drawings: Mapping[str, Drawings]) -> None:
        """Makes all that was appended last, and with it a state.

        Args:
          state: plain values.
          drawings: of each kind.

        Raises:
          OSError: no space, no permission.
        """
        self._flush()
        for kind, few in drawings.items():
            for name, content in few.contents.items():
                if self._drawn.get((kind, name)) is not content:
                    files.write_bytes(self._own / kind / name, content)
                    self._drawn[kind, name] = content
        names = {kind: list(few.contents) for kind, few in drawings.items()}
        begun = Begun(state, self._sizes, names)._asdict()
        files.write_json(self._own / STATE, {"about": self._about, **begun})
        for kind, kept in names.items():
            for path in self._own.glob(f"{kind}/*"):
                if path.name not in kept:
                    path.unlink()
                    self._drawn.pop((kind, path.name), None)

    def _flush(self) -> None:
        self._own.mkdir(parents=True, exist_ok=True)
        for name, contents in self._waiting.items():
            # Another run's rest may lie there, which the state did not count.
            mode = "ab" if name in self._sizes else "wb"
            with open(self._own / name, mode) as file:
                file.writelines(contents)
                self._sizes[name] = file.tell()
                file.flush()
                os.fsync(file.fileno())
        self._waiting.clear()
        self._bytes = 0

    def array(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]
    ) -> np.ndarray:
        """A column as an array, mapped from disk if it is there."""
        if name not in self._sizes:
            content = b"".join(self._waiting[name])
            return np.frombuffer(content, dtype).reshape(shape)
        self._flush()
        return np.memmap(self._own / name, dtype, "r", 0, shape)

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a column of text, without their ends."""
        if name not in self._sizes:
            yield from b"".join(self._waiting[name]).splitlines()
            return
        self._flush()
        with open(self._own / name, "rb") as file:
            yield from (line[:-1] for line in file)


class Drawings:
    """A few of many drawings of one kind that come one by one, evenly spaced.

    Every step-th is kept; where there are too many, every other one goes and the step
    doubles.
    """

    def __init__(self, limit: int) -> None:
        self.contents: dict[str, bytes] = {}
        self._limit, self._step, self._count = limit, 1, 0

    def offer(self, name: str, make: Callable[[], bytes | None]) -> None:
        """The next one; made only if it is kept."""
        number, self._count = self._count, self._count + 1
        if self._limit < 1 or number % self._step:
            return
        if len(self.contents) == self._limit:
            self.contents = dict(list(self.contents.items())[::2])
            self._step *= 2
            if number % self._step:
                return
        content = make()
        if content is not None:
            self.contents[name] = content

    def state(self) -> list[int]:
        """What, beside the drawings, it takes to go on."""
        return [self._step, self._count]

    def go_on(
        self, folder: pathlib.Path, kind: str, begun: Begun, state: list[int]
    ) -> None:
        """As it was when the source in the folder was last saved.

        Raises:
          OSError: a drawing cannot be read.
        """
        self._step, self._count = state
        for name in begun.drawings[kind]:
            self.contents[name] = (folder / FOLDER / kind / name).read_bytes()
