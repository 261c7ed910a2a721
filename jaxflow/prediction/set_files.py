"""Hypotheses of a whole set in files: shards of frames, and what they are of.

    DIR/manifest.json              settings, columns, units, joints, key, checksums
        shard-00000-of-00012.npz   (or .array_record) columns (n, ...) of n frames

In: columns of a shard's frames. Out: files that appear when they are complete, and
`read`, which gives them back frame by frame. A shard stands under its name or not at
all; it names the manifest it belongs to, so that a folder holds samples of one kind.

A record of an .array_record file is one frame: its columns' bytes one after the other,
as ``np.dtype`` packs them, in the manifest's order.
"""

from __future__ import annotations

import glob
import json
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxflow.runs import files, plain_config
from jaxflow.runs.errors import UserError

MANIFEST = "manifest.json"
FORMATS = ("npz", "array_record")
_NONE = TypeError, AttributeError  # of values that are of another kind
MARK = "manifest_crc32"  # the column that names the manifest
Columns = dict[str, np.ndarray]


class SampleFileError(UserError):
    """Samples that are missing, damaged, or of other settings."""


class SampledFrame(NamedTuple):
    """One frame's hypotheses.

    Attributes:
      hypotheses: (M, 17, 3) metres, H36M-17 order, hip at the origin, camera frame
        (x right, y down, z away); float32 or float16.
      log_density: (M,) nats, see ``sampling.sample_with_log_density``; None where it
        was not asked for.
      example: the frame's number among those sampled, which keys its noise.
      row: its row in the data set's split.
      subject: as in the data set; so are the others.
      action: text.
      subaction: text.
      camera: text.
      frame: number within its recording.
    """

    hypotheses: np.ndarray
    log_density: np.ndarray | None
    example: int
    row: int
    subject: str
    action: str
    subaction: str
    camera: str
    frame: int


def read(folder: str | os.PathLike[str]) -> Iterator[SampledFrame]:
    """The sampled frames of a folder in order, one shard in memory at a time.

    Raises:
      SampleFileError: no samples, or not all of them yet; while iterating, a damaged
        shard. Says which.
    """
    return _frames(read_shards(folder))


def read_shards(folder: str | os.PathLike[str]) -> Iterator[Columns]:
    """The same a shard at a time, as columns (n, ...) by the manifest's names.

    Raises:
      SampleFileError: as `read`.
    """
    shards = Shards(pathlib.Path(folder), read_manifest(folder))
    lacking = [number for number in range(shards.count) if not shards.exists(number)]
    if lacking:
        raise SampleFileError(
            f"{folder} lacks {len(lacking)} of {shards.count} shards, first "
            f"{shards.path(lacking[0]).name}: jaxflow.sample_set with the same flags "
            "completes it"
        )
    return (shards.read(number) for number in range(shards.count))


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What the folder's samples are of.

    Raises:
      SampleFileError: it has no manifest, or none that can be read.
    """
    path = pathlib.Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        Shards(pathlib.Path(folder), manifest)  # it says what they take
    except FileNotFoundError as error:
        raise SampleFileError(
            f"{folder} holds no samples: there is no {MANIFEST}"
        ) from error
    except (ValueError, LookupError, ArithmeticError, *_NONE) as error:
        raise SampleFileError(
            f"{path} is damaged: expected what jaxflow.sample_set writes; got {error!r}"
        ) from error
    return dict(manifest)


def claim(folder: str | os.PathLike[str], manifest: Mapping[str, Any]) -> Shards:
    """Makes the folder these samples' own, or finds that it is.

    Args:
      folder: made if need be.
      manifest: plain values; has ``frames``, ``columns`` (see `describe_columns`) and,
        under ``settings``, ``format`` and ``shard_size``.

    Raises:
      SampleFileError: it holds samples of other settings; names every difference.
      OSError: it cannot be written to.
    """
    folder, ours = pathlib.Path(folder), json.loads(json.dumps(manifest))
    if not (folder / MANIFEST).exists():
        files.write_json(folder / MANIFEST, ours)
    # The columns follow from the rest.
    lines = plain_config.differences(ours, read_manifest(folder), skip=("columns",))
    if lines:
        listed = "\n  ".join(lines)
        raise SampleFileError(
            f"{folder} holds samples of other settings:\n  {listed}\n"
            "take the same flags and checkpoint, or another --out"
        )
    return Shards(folder, ours)


def describe_columns(columns: Mapping[str, np.dtype]) -> dict[str, Any]:
    """Names and each frame's dtype and shape, for a manifest; adds the mark."""
    columns = {**columns, MARK: np.dtype("<u4")}
    return {
        name: {"dtype": dtype.base.str, "shape": list(dtype.shape)}
        for name, dtype in columns.items()
    }


class Shards:
    """The shards that a manifest describes.

    Attributes:
      folder: where they lie.
      count: how many.
      set_aside: a line for each damaged shard that `missing` has found.
    """

    def __init__(self, folder: pathlib.Path, manifest: Mapping[str, Any]) -> None:
        """Reads and writes nothing yet."""
        settings = manifest["settings"]
        self.folder, self._frames = folder, manifest["frames"]
        self._size, self._format = settings["shard_size"], settings["format"]
        self.count = -(-self._frames // self._size)
        self._layout = np.dtype(
            [
                (name, column["dtype"], tuple(column["shape"]))
                for name, column in manifest["columns"].items()
            ]
        )
        text = json.dumps(manifest, sort_keys=True)
        self._mark = zlib.crc32(text.encode())
        self.set_aside: list[str] = []

    def path(self, number: int) -> pathlib.Path:
        """Where a shard lies."""
        name = f"shard-{number:05d}-of-{self.count:05d}.{self._format}"
        return self.folder / name

    def exists(self, number: int) -> bool:
        """Whether the shard is there."""
        return self.path(number).exists()

    def rows(self, number: int) -> np.ndarray:
        """The numbers of a shard's frames among those sampled."""
        start = number * self._size
        return np.arange(start, min(start + self._size, self._frames))

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those that are not there, or are not what was written."""
        missing = []
        for number in numbers:
            try:
                if self.exists(number):
                    self.read(number)
                    continue
            except SampleFileError as error:
                self.set_aside.append(f"{error}; it is sampled again")
            missing.append(number)
        return missing

    def write(self, number: int, columns: Columns) -> None:
        """Writes a shard, whole or not at all.

        Args:
          number: of the shard.
          columns: arrays (n, ...), all of the manifest's but the mark.

        Raises:
          OSError: no space, no permission. What was there before stays.
        """
        path, count = self.path(number), len(self.rows(number))
        columns = {**columns, MARK: np.full(count, self._mark, np.uint32)}
        arrays = {
            name: np.asarray(columns[name], self._layout[name].base).reshape(
                count, *self._layout[name].shape
            )
            for name in self._layout.names or ()
        }
        for litter in path.parent.glob(f".{glob.escape(path.name)}.*"):
            litter.unlink(missing_ok=True)  # of a run that was killed
        with files.aside(path) as temporary:
            if self._format == "npz":
                with open(temporary, "wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]
            else:
                _write_array_record(temporary, arrays, self._layout)

    def read(self, number: int) -> Columns:
        """A shard's columns.

        Raises:
          SampleFileError: it is damaged, or belongs to another manifest.
        """
        path, names = self.path(number), self._layout.names or ()
        try:
            if self._format == "npz":
                with np.load(path, allow_pickle=False) as file:
                    columns = {name: file[name] for name in names}
            else:
                columns = _read_array_record(path, self._layout)
        except Exception as error:  # the readers' own errors are of many types
            raise SampleFileError(
                f"{path} cannot be read, it may be damaged: {error}"
            ) from error
        count = len(self.rows(number))
        if any(len(column) != count for column in columns.values()):
            raise SampleFileError(f"{path}: expected {count} frames")
        if (columns[MARK] != self._mark).any():
            raise SampleFileError(f"{path} belongs to samples of other settings")
        return columns


def _frames(shards: Iterator[Columns]) -> Iterator[SampledFrame]:
    _, _, *names = SampledFrame._fields
    for columns in shards:
        density = columns.get("log_density")
        for i, poses in enumerate(columns["hypotheses"]):
            plain = (columns[name][i].item() for name in names)
            yield SampledFrame(poses, None if density is None else density[i], *plain)


def _write_array_record(path: str, arrays: Columns, layout: np.dtype) -> None:
    from array_record.python import array_record_module

    frames = np.empty(len(next(iter(arrays.values()))), layout)
    for name, array in arrays.items():
        frames[name] = array
    # Noise does not compress; single records can be read at random.
    writer = array_record_module.ArrayRecordWriter(path, "group_size:1,uncompressed")
    try:
        for frame in frames:
            writer.write(frame.tobytes())
        writer.close()
    except RuntimeError as error:
        raise OSError(f"{path}: {error}") from error


def _read_array_record(path: pathlib.Path, layout: np.dtype) -> Columns:
    from array_record.python import array_record_module

    reader = array_record_module.ArrayRecordReader(str(path))
    try:
        if not reader.ok() or not reader.num_records():
            raise UserError("it ends early or is no such file")
        frames = np.frombuffer(b"".join(reader.read_all()), layout)
    finally:
        reader.close()
    return {name: frames[name] for name in layout.names or ()}
