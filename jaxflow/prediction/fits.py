"""Fits of whole files: block by block, resumable, written in one piece at the end.

While it runs, the fits so far lie beside the output as FILE.part.npy with a note,
FILE.part.json, of how many there are and of what. Both are flushed block by block, the
note last, so whatever interrupts the run, the next one continues behind the last whole
block. Then the .npz takes its name and both go, and with them the lock in FILE.part/.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxflow.gaussians import fitting
from jaxflow.runs import files
from jaxflow.runs.array_files import Flat
from jaxflow.runs.run import Run, Stop
from jaxflow.types import GaussianFit


@contextlib.contextmanager
def alone(out: pathlib.Path) -> Iterator[Stop]:
    """While open, no other run writes this output; gives whether to stop.

    Raises:
      LockedError: another run writes it; says which.
      OSError: the folder cannot be made or written to.
    """
    with Run(out.with_name(out.name + ".part"), flag="--out") as run:
        try:
            yield run.listen()
        finally:
            shutil.rmtree(run.folder)


class PartFile:
    """The unfinished output: N rows of seven numbers and whether each converged."""

    def __init__(self, out: pathlib.Path, count: int, source: dict[str, Any]) -> None:
        self._rows = out.with_name(out.name + ".part.npy")
        self._note = out.with_name(out.name + ".part.json")
        self._source = {**source, "count": count}
        self.done = self._resume()
        mode: Any = "r+" if self.done else "w+"
        out.parent.mkdir(parents=True, exist_ok=True)
        self.rows = np.lib.format.open_memmap(
            self._rows, mode, dtype=np.float64, shape=(count, 8)
        )
        _reserve(self._rows)  # on a full disk writing to a map ends the process

    def _resume(self) -> int:
        """How many fits of this very source an earlier run left."""
        try:
            note = json.loads(self._note.read_text())
            rows = np.load(self._rows, mmap_mode="r")
        except (OSError, ValueError):
            return 0
        matches = note.get("source") == self._source
        return note["done"] if matches and len(rows) == self._source["count"] else 0

    def append(self, fit: GaussianFit) -> None:
        """Adds the fits that follow, and makes a note of it."""
        numbers = np.column_stack([np.asarray(fit.as_array()), fit.converged])
        self.rows[self.done : self.done + len(numbers)] = numbers
        self.rows.flush()
        self.done += len(numbers)
        files.write_json(self._note, {"source": self._source, "done": self.done})

    def remove(self) -> None:
        """Deletes both files, and notes that a kill left half written."""
        del self.rows
        files.remove(self._note)
        files.remove(self._rows)


def _reserve(path: pathlib.Path) -> None:
    """Makes sure that the disk has room for all of a file.

    Raises:
      OSError: there is none.
    """
    try:
        with open(path, "r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def identity(path: pathlib.Path, maps: Flat, options: dict[str, Any]) -> dict[str, Any]:
    """What must be the same for a run to continue another."""
    return {
        **files.identity(path),
        "shape": list(maps.batch + maps.shape[1:]),
        "dtype": str(maps.dtype),
        **options,
    }


def fit_rest(maps: Any, starts: Any, part: PartFile) -> Iterator[int]:
    """Fits what ``part`` lacks; yields how many maps each step added."""
    for fit in fitting.fit_blocks(maps, starts, start=part.done):
        part.append(fit)
        yield len(fit.amplitude)


def write_npz(out: pathlib.Path, part: PartFile, batch: tuple[int, ...]) -> None:
    """Writes the finished fits: each field of ``GaussianFit``, and ``fits`` (..., 7).

    Raises:
      OSError: no space, no permission. What was there before stays.
    """
    numbers = np.asarray(part.rows[:, :7], np.float32).reshape(*batch, 7)
    amplitude, x0, y0, sx, theta, sy, rmse = np.moveaxis(numbers, -1, 0)
    files.write_npz(
        out,
        {
            "fits": numbers,
            "amplitude": amplitude,
            "mean": np.stack([x0, y0], -1),
            "sigma": np.stack([sx, sy], -1),
            "theta": theta,
            "rmse": rmse,
            "converged": part.rows[:, 7].astype(bool).reshape(batch),
        },
    )
