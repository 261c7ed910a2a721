"""What a Common Data Format file claims, looked at before anything is believed.

A reader goes by the counts and sizes in the file, so a damaged or hostile one can make
it loop for hours or fill the memory. In: a file and the name of a variable. Here the
same way is walked that a reader goes - file, global record, variable records, index,
blocks - and every count on it must be small and every block unpack to few bytes.

Records begin with their size, a word of w bytes (8 since version 3, 4 before), and
their kind in 4 bytes; all numbers are big-endian.
"""

from __future__ import annotations

import pathlib
import zlib
from typing import NamedTuple

LARGEST = 32 << 20  # bytes of a file, as it is and unpacked
MOST = 1000  # variables, dimensions, index entries
MOST_BLOCKS = 4  # that hold one variable of one record

_WORDS = {bytes.fromhex("cdf30001"): 8, bytes.fromhex("cdf26002"): 4}
_NAME_LENGTH = {8: 256, 4: 64}
_PLAIN = bytes.fromhex("0000ffff")
_INDEX, _Z_VARIABLE, _PACKED_BLOCK = 6, 8, 13  # kinds of records


class RefusedError(Exception):
    """The file is no such file, or claims what no recording has."""


class _Image(NamedTuple):
    """A file's bytes after unpacking; w bytes are a word."""

    content: bytes
    w: int

    def word(self, at: int) -> int:
        return self._number(at, self.w)

    def count(self, at: int, most: int = MOST) -> int:
        """Four bytes that must be a small number."""
        value = self._number(at, 4)
        if not 0 <= value <= most:
            raise RefusedError(
                f"byte {at} counts {value:,} where at most {most:,} are plausible"
            )
        return value

    def _number(self, at: int, length: int) -> int:
        raw = self.content[at : at + length] if at >= 0 else b""
        if len(raw) < length:
            raise RefusedError(f"it ends, or is damaged, before byte {at + length}")
        return int.from_bytes(raw, "big", signed=True)


def check(path: pathlib.Path, variable: str) -> None:
    """Refuses a file whose reading would take more than a recording's time and space.

    Args:
      path: of the file.
      variable: that is going to be read.

    Raises:
      RefusedError: says what is wrong.
      OSError: the file cannot be read.
    """
    image = _unpacked_image(path)
    w = image.w
    # The global record follows the first one.
    at = 8 + image.word(8)
    if (end := image.word(at + 4 * w + 4)) > len(image.content):
        raise RefusedError(f"it is truncated: {len(image.content):,} of {end:,} bytes")
    image.count(at + 5 * w + 16)  # dimensions of r-variables
    for head, count in ((2 * w + 4, 5 * w + 20), (w + 4, 5 * w + 4)):
        place = image.word(at + head)
        for _ in range(image.count(at + count)):
            _check_variable(image, place, variable)
            place = image.word(place + w + 4)


def _unpacked_image(path: pathlib.Path) -> _Image:
    size = path.stat().st_size
    if size > LARGEST:
        raise RefusedError(f"{size:,} bytes are more than any recording has")
    content = path.read_bytes()
    w = _WORDS.get(content[:4])
    if w is None:
        raise RefusedError("it does not begin as a CDF file of version 2.6 or later")
    if content[4:8] != _PLAIN:  # the whole file is packed, behind one header
        content = content[:8] + _unpack(content, 8 + 2 * w + 8 + w, len(content))
    return _Image(content, w)


def _unpack(content: bytes, start: int, stop: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        unpacked = stream.decompress(content[start:stop], LARGEST + 1)
    except zlib.error as error:
        raise RefusedError(f"what is packed in it is damaged: {error}") from None
    if len(unpacked) > LARGEST:
        raise RefusedError(
            f"it unpacks to more than {LARGEST:,} bytes, more than any recording has"
        )
    return unpacked


def _check_variable(image: _Image, at: int, variable: str) -> None:
    """Checks a variable's record and, of the one to be read, the blocks."""
    w = image.w
    image.count(at + 4 * w + 32)  # elements of a value, the letters of a text
    name_at = at + 5 * w + 44
    if image.count(at + w) == _Z_VARIABLE:  # others have the dimensions of the file
        image.count(name_at + _NAME_LENGTH[w])
    name = image.content[name_at : name_at + _NAME_LENGTH[w]]
    if name.split(b"\0")[0].strip().lower() == variable.lower().encode():
        index = image.word(at + 2 * w + 12)
        for block in _blocks(image, index) if index > 0 else ():
            if image.count(block + w) == _PACKED_BLOCK:
                start = block + 2 * w + 8
                _unpack(image.content, start, start + image.word(start - w))


def _blocks(image: _Image, index: int) -> list[int]:
    """Where the blocks of a variable begin, by the tree of its index."""
    w, visited = image.w, 0
    blocks: list[int] = []
    waiting = [index]
    while waiting:
        at, visited = waiting.pop(), visited + 1
        entries, used = image.count(at + 2 * w + 4), image.count(at + 2 * w + 8)
        following = image.word(at + w + 4)
        waiting += [following] if following else []
        for entry in range(used):
            place = image.word(at + 2 * w + 12 + 8 * entries + w * entry)
            kind = image.count(place + w)
            (waiting if kind == _INDEX else blocks).append(place)
        if visited > MOST or len(blocks) > MOST_BLOCKS:
            raise RefusedError("its index goes in circles or names too many blocks")
    return blocks
