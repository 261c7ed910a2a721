"""Serialised examples, as builders write them, as columns.

    n records of bytes, names -> arrays (n, ...)

TFDS decodes each example by itself, in a quarter of a millisecond: an iteration would
wait for its batches. Examples of one data set are laid out alike but for the lengths of
their texts, so the layout is read from one, and of all others of its length that have
the same bytes around the numbers the numbers are cut out at once. Source: the wire
format of Protocol Buffers, and `tf.train.Example`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Of a feature that is wanted, instead of how many floats: a text, or a whole number (of
# many that are all below 128: so many times this).
TEXT, WHOLE = 0, -1
_TEXTS, _FLOATS, _WHOLES = 1, 2, 3  # kinds of a feature
_LONGEST = 10  # bytes of a whole number
_SIZED = 2  # the wire type of what says its length


class LayoutError(ValueError):
    """Bytes that are no example with the features wanted."""


class _Place(NamedTuple):
    """Where a feature lies in an example: its words from ``begin``, itself to `end`."""

    begin: int
    start: int
    end: int
    kind: int


def columns(
    records: Sequence[bytes], wanted: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Features of some examples.

    Args:
      records: n examples.
      wanted: how many float32 numbers each feature has, or `TEXT`, or `WHOLE`.

    Returns:
      (n, numbers) float32 or int64, or (n,) bytes, by name.

    Raises:
      LayoutError: an example lacks a feature or has another kind or number of values.
    """
    lengths = np.fromiter(map(len, records), int, len(records))
    found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    order: list[np.ndarray] = []
    for length in np.unique(lengths):
        left = np.flatnonzero(lengths == length)
        block = np.frombuffer(b"".join(records[row] for row in left.tolist()), np.uint8)
        block = block.reshape(-1, length)
        while len(left):
            places = _places(block[0].tobytes(), wanted)
            alike = np.ones(len(left), bool)
            for place in places.values():
                words = slice(place.begin, place.start)
                alike &= (block[:, words] == block[0, words]).all(axis=1)
            for name, place in places.items():
                values = block[alike, place.start : place.end]
                found[name].append(_read(values, wanted[name]))
            order.append(left[alike])
            left, block = left[~alike], block[~alike]
    back = np.argsort(np.concatenate(order)) if order else np.zeros(0, int)
    return {
        name: np.concatenate(parts)[back] if parts else _none(wanted[name])
        for name, parts in found.items()
    }


def _read(values: np.ndarray, numbers: int) -> np.ndarray:
    """Bytes (n, k) of a feature as what it holds."""
    if numbers < 0:
        return _whole(values, -numbers)
    if numbers:
        seen = np.ascontiguousarray(values).view("<f4")
        return seen.astype(np.float32, copy=False)
    if not values.shape[1]:  # an empty text
        return np.zeros(len(values), "S1")
    return np.ascontiguousarray(values).view(f"S{values.shape[1]}")[:, 0]


def _whole(values: np.ndarray, numbers: int) -> np.ndarray:
    """Whole numbers (n, numbers), seven bits a byte, the last byte below 128."""
    more = values >= 128
    if not 0 < values.shape[1] <= max(numbers, _LONGEST):
        raise LayoutError(f"expected {numbers} whole numbers")
    alone = numbers == 1 and not more[:, -1].any() and more[:, :-1].all()
    if not alone and (values.shape[1] != numbers or more.any()):
        raise LayoutError(f"expected {numbers} whole numbers, of many below 128 each")
    if not alone:
        return values.astype(np.int64)
    shifts = 7 * np.arange(values.shape[1], dtype=np.uint64)
    bits = (values & 127).astype(np.uint64) << shifts
    return np.bitwise_or.reduce(bits, axis=1)[:, None].view(np.int64)


def _none(numbers: int) -> np.ndarray:
    if not numbers:
        return np.zeros(0, "S1")
    return np.zeros((0, abs(numbers)), np.float32 if numbers > 0 else np.int64)


def _places(record: bytes, wanted: Mapping[str, int]) -> dict[str, _Place]:
    """Where the features wanted lie in an example."""
    every = dict(_features(record))
    places = {}
    for name, numbers in wanted.items():
        if name not in every:
            raise LayoutError(f"expected a feature {name}; got {', '.join(every)}")
        place = places[name] = every[name]
        if place.kind != (_FLOATS, _TEXTS, _WHOLES)[1 - int(np.sign(numbers))]:
            raise LayoutError(f"{name} is not of the kind expected")
        if numbers > 0 and place.end - place.start != 4 * numbers:
            raise LayoutError(
                f"expected {name} of {numbers} numbers; got {place.end - place.start} "
                "bytes"
            )
    return places


def _features(record: bytes) -> Iterator[tuple[str, _Place]]:
    """All features of an example."""
    for _, start, end in _fields(record, 0, len(record)):  # its features
        for begin, entry, entry_end in _fields(record, start, end):
            # A name, and its value: one kind of list, of one text or all numbers.
            parts = [place[1:] for place in _fields(record, entry, entry_end)]
            if len(parts) != 2:
                continue
            (name, name_end), (value, value_end) = parts
            kind = record[value] >> 3 if value < value_end else 0
            if kind not in (_TEXTS, _FLOATS, _WHOLES):
                continue
            lists = list(_fields(record, value, value_end))
            if len(lists) != 1:
                continue
            inner = list(_fields(record, *lists[0][1:]))
            if len(inner) == 1:
                _, at, at_end = inner[0]
                yield record[name:name_end].decode(), _Place(begin, at, at_end, kind)


def _fields(record: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(where it begins, its content's start and end) of each field of a message."""
    while at < end:
        begin = at
        if record[at] & 7 != _SIZED:
            raise LayoutError("not the bytes of an example")
        size = shift = 0
        while True:
            at += 1
            if at >= end:
                raise LayoutError("an example that breaks off")
            size |= (record[at] & 127) << shift
            shift += 7
            if record[at] < 128:
                break
        at += 1
        if at + size > end:
            raise LayoutError("an example that breaks off")
        yield begin, at, at + size
        at += size
