"""JSON files of any size, an element at a time.

    [a, b, ...]                     -> (None, a), (None, b), ...
    {"k": [a, b, ...], "l": c}      -> ("k", a), ("k", b), ("l", c)

Keypoint files of a long video reach hundreds of megabytes, ten times that as Python
objects. They are lists of frames or persons, at the top or one level below it, so
those are what is decoded at once: memory is bounded by the largest of them. A parser
of events such as ijson would not do: it takes no NaN, which Python's own json writes
into files of joints that were not found, nor 1e999, and memory without bound for a list
in a list in a list.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any, TextIO

from jaxflow.runs.errors import UserError

EMPTY: Any = object()  # in place of elements
MEGABYTES = 16  # of one element; some 150 MB as Python objects
_CHUNK = 1 << 16


class JsonError(UserError):
    """A file that is not JSON, or whose elements are too large."""


def items(
    path: str | os.PathLike[str], *, tell_empty: bool = False
) -> Iterator[tuple[str | None, Any]]:
    """The elements of the lists in a file, and its other values.

    Args:
      path: a file with a JSON list or object.
      tell_empty: whether (key, EMPTY) is given for a list under a key without elements.

    Yields:
      (key, element): key None for a list at the top.

    Raises:
      FileNotFoundError: no such file.
      JsonError: not UTF-8, not JSON, cut short, or an element too long; names the file
        and about where in it.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with open(path, encoding="utf-8-sig") as file:
        reader = _Reader(path, file, int(MEGABYTES * 1e6))
        try:
            yield from _items(reader, tell_empty)
        except (UnicodeDecodeError, RecursionError) as error:
            kind = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "too deep"
            raise JsonError(f"{path}: {kind}, near {reader.place()}") from error


def _items(reader: _Reader, tell_empty: bool) -> Iterator[tuple[str | None, Any]]:
    if reader.peek() not in ("[", "{"):
        reader.fail("a list or an object")
    members = [None] if reader.peek() == "[" else _members(reader, "{}")
    for key in members:
        if reader.peek() == "[":
            empty = tell_empty and key is not None
            for _ in _members(reader, "[]"):
                empty = False
                yield key, reader.value()
            if empty:
                yield key, EMPTY
        else:
            yield key, reader.value()
    if reader.peek():
        reader.fail("nothing more")


def _members(reader: _Reader, brackets: str) -> Iterator[str | None]:
    """Goes to each value of the list or object that begins here; gives its key."""
    first, last = brackets[0], brackets[1]
    reader.take(first)
    if reader.peek() == last:
        reader.take(last)
        return
    while True:
        key = None
        if first == "{":
            if reader.peek() != '"':
                reader.fail("a key")
            key = reader.value()
            reader.take(":")
        yield key
        if reader.take("," + last) == last:
            return


class _Reader:
    """The text from the present place on, as much of it as is needed."""

    def __init__(self, path: pathlib.Path, file: TextIO, limit: int) -> None:
        self._path, self._file, self._limit = path, file, limit
        self._text, self._at, self._before, self._end = "", 0, 0, False
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if self._end:
                return ""
            self._more(_CHUNK)

    def take(self, allowed: str) -> str:
        """The next character, one of these."""
        character = self.peek()
        if not character or character not in allowed:
            self.fail(" or ".join(allowed))
        self._at += 1
        return character

    def value(self) -> Any:
        """The value that begins here, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._end:
                    raise JsonError(
                        f"{self._path}: damaged or cut short near {self.place()}: "
                        f"{error.msg}"
                    ) from error
            else:
                # A number may go on in what has not been read: 1 in 1e+10.
                if end + 2 < len(self._text) or self._end:
                    self._at = end
                    return value
            had = len(self._text) - self._at
            if had > self._limit:
                raise JsonError(
                    f"{self._path}: damaged, or one element is longer than "
                    f"{self._limit / 1e6:g} MB, near {self.place()}; expected a list "
                    "of frames or persons"
                )
            self._more(max(_CHUNK, had))

    def place(self) -> str:
        """Where the present place is, for messages."""
        return f"character {self._before + self._at}"

    def fail(self, expected: str) -> None:
        """Raises JsonError for what comes next."""
        got = repr(self.peek()) if self.peek() else "the end of the file"
        raise JsonError(
            f"{self._path}: expected {expected} near {self.place()}; got {got}"
        )

    def _more(self, size: int) -> None:
        """Reads on, and forgets what has been used."""
        read = self._file.read(size)
        self._end = not read
        self._before += self._at
        self._text, self._at = self._text[self._at :] + read, 0


def is_list(path: pathlib.Path) -> bool:
    """Whether the file holds a list, and not an object."""
    with open(path, "rb") as file:
        return file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
