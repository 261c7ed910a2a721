"""Frames of a split by their rows, read from its files when they are wanted.

    data set, split -> Source;  rows -> columns (n, ...)

What is read is not kept. `Ahead` reads what will be wanted next in threads, which work
outside of Python's lock for most of it; they end with the iterator.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from data_builders import files
from jaxflow.data import examples, records
from jaxflow.runs.errors import UserError
from jaxflow.types import PoseRecords

Item = TypeVar("Item")


class Source:
    """The frames of a split; threads may share it.

    Attributes:
      name: what messages call it.
    """

    def __init__(
        self,
        dataset: str,
        split: str,
        data_dir: str | os.PathLike[str] | None = None,
        manual_dir: str | os.PathLike[str] | None = None,
    ):
        """Builds the set if need be; reads nothing.

        Args:
          dataset: as `records.load_records` takes these.
          split: likewise.
          data_dir: likewise.
          manual_dir: likewise.

        Raises:
          DataFileError: as there.
          UserError: as there.
        """
        import grain

        builders = records.prepared(dataset, data_dir, manual_dir)
        self._folder = ", ".join(str(builder.data_dir) for builder in builders)
        self.name = f"{self._folder} {split}"
        self._features = records.features_of(builders)
        instructions: list[Any] = []
        for builder in builders:
            if not records.frames_of(builder, split):
                raise UserError(
                    f"{dataset}: split {split!r} of {builder.data_dir} is empty"
                )
            instructions += builder.info.splits[split].file_instructions
        try:
            self._files = grain.sources.ArrayRecordDataSource(instructions)
        except Exception as error:  # the reader's own errors are of many types
            raise files.unreadable(self._folder, error) from error

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._files)

    def columns(self, rows: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """Some of the frames' arrays and texts, by the names of `PoseRecords`.

        Args:
          rows: (n,) any, in any order.
          names: of pose3d (n, 17, 3), pose2d (n, 16, 2), gaussfit (n, 16, 7), subject,
            action, subaction and camera (n,).

        Raises:
          DataFileError: the files are damaged, or no data set of this package.
        """
        shapes = {name: records.ARRAYS.get(name, ()) for name in names}
        wanted = {
            name: math.prod(shape) if shape else examples.TEXT
            for name, shape in shapes.items()
        }
        try:
            found = examples.columns(self._read(rows), wanted)
        except Exception as error:
            raise files.unreadable(self._folder, error) from error
        return [
            found[name].reshape(-1, *shape)
            if shape
            else np.char.decode(found[name], "utf-8")
            for name, shape in shapes.items()
        ]

    def records(self, rows: np.ndarray) -> PoseRecords:
        """Frames with all that is known of them, checked.

        Raises:
          DataFileError: as `columns`, or a number is not finite.
        """
        try:
            return records.of_examples(self._read(rows), self._features, self.name)
        except files.DataFileError:
            raise
        except Exception as error:
            raise files.unreadable(self._folder, error) from error

    def _read(self, rows: np.ndarray) -> Sequence[bytes]:
        return self._files.__getitems__(np.asarray(rows).tolist())


class Ahead(Generic[Item]):
    """``read(0)``, ``read(1)``, ... in order, read ahead by threads; an iterator."""

    def __init__(
        self, read: Callable[[int], Item], count: int, buffer: int, threads: int = 0
    ):
        """Nothing is read before the first item is asked for.

        Args:
          read: gives an item by its number; called by several threads.
          count: of the items.
          buffer: how many are read before they are asked for.
          threads: default as many as there are cores, up to 8.
        """
        import grain

        threads = threads or min(8, os.cpu_count() or 1)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=buffer)
        numbered = grain.MapDataset.source(_Numbered(read, count))
        self._items: Any = iter(numbered.to_iter_dataset(options))

    def __iter__(self) -> Ahead[Item]:
        """Itself."""
        return self

    def __next__(self) -> Item:
        """The next item, waited for; what reading it raised is raised."""
        item, error = next(self._items)
        if error is not None:
            raise error
        return item

    def close(self) -> None:
        """What is not begun is not read any more; the threads end."""
        self._items.close()


class _Numbered(Generic[Item]):
    """A function of numbers as Grain wants a source of data."""

    def __init__(self, read: Callable[[int], Item], count: int):
        self._read, self._count = read, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> tuple[Item | None, Exception | None]:
        """An item, or what reading it raised: Grain would add words of its own."""
        try:
            return self._read(int(number)), None
        except Exception as error:
            return None, error
