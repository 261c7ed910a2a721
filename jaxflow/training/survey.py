"""One look at all training frames of which none is kept: what a run must know of them.

    Source -> Survey

A frame leaves the number of its recording and whether it is trained on. Of several
processes each looks through its part, and they exchange what they found.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from typing import NamedTuple

import numpy as np
import tqdm

from data_builders.features import TEXT_FIELDS
from jaxflow import data
from jaxflow.data.source import Ahead, Source
from jaxflow.runs import multihost
from jaxflow.training import augmentation, frames

_CHUNK = 4096  # frames looked at together
_ZEROS = bytes(1 << 20)
_ARRAYS = ("pose3d", "pose2d", "gaussfit")


@dataclasses.dataclass(frozen=True)
class Survey:
    """What is known of a split.

    Attributes:
      rows: (N,) int32 of the split, that are trained on.
      held_out: rows of the subjects held out.
      recordings: those that the frames to train on are of.
      recording: (N,) int32 each such frame's.
      crc32: of what is trained on, as `frames.fingerprint` has it.
      nearest: the least depth of the joints trained on, mm.
      torsos: their `augmentation.torsos`.
    """

    rows: np.ndarray
    held_out: np.ndarray
    recordings: frames.Recordings
    recording: np.ndarray
    crc32: int
    nearest: float
    torsos: np.ndarray

    def groups(self, groups: int) -> np.ndarray:
        """(N,) int32: `frames.group_of` the frames to train on."""
        return frames.group_of(self.recordings, groups)[self.recording]


class _Chunk(NamedTuple):
    """Some frames' names, and the arrays of those that are trained on."""

    names: list[tuple[str, ...]]
    arrays: list[np.ndarray]


def survey(source: Source, held_out: tuple[str, ...]) -> Survey:
    """Looks at every frame once.

    Args:
      source: of the training split.
      held_out: subjects not to train on.

    Raises:
      DataFileError: a number is not finite, or files are damaged.
      UserError: see `frames.held_out_of`; or a frame's 2D joints all coincide.
    """
    own = multihost.own_rows(len(source))
    starts = range(own.start, own.stop, _CHUNK)

    def read(number: int) -> _Chunk:
        start = starts[number]
        rows = np.arange(start, min(start + _CHUNK, own.stop))
        return _look(source, rows, held_out)

    numbers: dict[tuple[str, ...], int] = {}
    each = [np.zeros(0, np.int32)]
    checksums, nearest, torsos = np.zeros((3, 2), np.int64), np.inf, np.zeros(3, int)
    ahead = Ahead(read, len(starts), 8)
    bar = tqdm.tqdm(
        desc="looking through the frames",
        total=len(own),
        unit=" frames",
        leave=False,
        disable=None if multihost.is_first() else True,
    )
    try:
        for chunk in ahead:
            found = [numbers.setdefault(name, len(numbers)) for name in chunk.names]
            each.append(np.asarray(found, np.int32))
            for row, array in zip(checksums, chunk.arrays, strict=True):
                row[0] = zlib.crc32(array.data, int(row[0]))
                row[1] += array.nbytes
            pose3d = chunk.arrays[0]
            nearest = min(nearest, float(pose3d[..., 2].min(initial=np.inf)))
            torsos = torsos + augmentation.torsos(pose3d)
            bar.update(len(chunk.names))
    finally:
        ahead.close()
        bar.close()
    part = _Found(list(numbers), np.concatenate(each), checksums)
    least = float(multihost.gather_column(np.asarray([nearest])).min())
    summed = multihost.gather_column(torsos[None]).sum(axis=0)
    return _whole(_exchanged(part), least, summed, held_out)


class _Found(NamedTuple):
    """What was found in the parts: names, each frame's, and parts' checksums."""

    names: list[tuple[str, ...]]
    each: np.ndarray
    checksums: np.ndarray  # (parts * 3, 2): CRC-32 of an array's bytes, and how many


def _look(source: Source, rows: np.ndarray, held_out: tuple[str, ...]) -> _Chunk:
    found = source.columns(rows, (*TEXT_FIELDS, *_ARRAYS))
    texts, arrays = found[:4], found[4:]
    flat = np.ptp(arrays[1], axis=1).max(axis=1) == 0
    if flat.any() or not all(np.isfinite(array).all() for array in arrays):
        data.to_raw(source.records(rows))  # says which frame
    if held_out:
        kept = ~np.isin(texts[0], held_out)
        arrays = [np.ascontiguousarray(array[kept]) for array in arrays]
    names = list(zip(*(text.tolist() for text in texts), strict=True))
    return _Chunk(names, arrays)


def _whole(
    found: _Found, nearest: float, torsos: np.ndarray, held_out: tuple[str, ...]
) -> Survey:
    columns = np.asarray(found.names).reshape(-1, 4).T
    every = frames.Recordings(*columns)
    theirs = np.zeros(len(found.names), bool)
    if held_out:
        theirs = frames.held_out_of(every.subject, held_out)
    kept = ~theirs[found.each]
    number = np.cumsum(~theirs) - 1  # among the recordings that are left
    parts = found.checksums.reshape(-1, 3, 2).swapaxes(0, 1).reshape(-1, 2)
    return Survey(
        rows=np.flatnonzero(kept).astype(np.int32),
        held_out=np.flatnonzero(~kept),
        recordings=frames.Recordings(*(column[~theirs] for column in every)),
        recording=number[found.each[kept]].astype(np.int32),
        crc32=functools.reduce(_joined, parts.tolist(), [0, 0])[0],
        nearest=nearest,
        torsos=torsos,
    )


def _joined(first: list[int], second: list[int]) -> list[int]:
    """The checksum of bytes that follow others, each a CRC-32 and how many bytes.

    A CRC is affine in what it begins with, so that zeros instead of the second bytes
    tell what the first do to the whole.
    """
    (begun, before), (checksum, count) = first, second
    after, alone, left = begun, 0, count
    while left:
        piece = _ZEROS[: min(left, len(_ZEROS))]
        after, alone = zlib.crc32(piece, after), zlib.crc32(piece, alone)
        left -= len(piece)
    return [after ^ alone ^ checksum, before + count]


def _exchanged(part: _Found) -> _Found:
    """What all processes found."""
    if not multihost.several():
        return part
    names = np.asarray(part.names, dtype=str).reshape(-1, 4)
    counts = multihost.gather_column(np.asarray([[len(names), len(part.each)]]))
    table = [tuple(row) for row in multihost.gather_column(names).tolist()]
    each = multihost.gather_column(part.each)
    offsets = np.concatenate([[0], np.cumsum(counts[:-1, 0])])
    each = each + np.repeat(offsets, counts[:, 1])
    numbers: dict[tuple[str, ...], int] = {}
    known = np.asarray([numbers.setdefault(row, len(numbers)) for row in table])
    checksums = multihost.gather_column(part.checksums)
    return _Found(list(numbers), known[each].astype(np.int32), checksums)
