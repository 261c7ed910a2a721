"""Traces of where the time goes, for TensorBoard and Perfetto.

    a folder -> <folder>/plugins/profile/<time>/*, written by JAX's profiler

TensorBoard's profile plugin reads the folder; ui.perfetto.dev opens the file
``perfetto_trace.json.gz`` in it.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import jax


@contextlib.contextmanager
def traced(folder: str | pathlib.Path) -> Iterator[None]:
    """Traces what happens inside; nothing where the folder is ""."""
    if not str(folder):
        yield
        return
    _start(folder)
    try:
        yield
    finally:
        jax.profiler.stop_trace()


class Steady:
    """Traces some turns of a loop, once it runs steadily."""

    def __init__(self, folder: str | pathlib.Path, after: int = 3, turns: int = 3):
        """The first ``after`` turns, which compile, are left out.

        Args:
          folder: where to write; "" for no trace.
          after: turns before the trace.
          turns: turns in it.
        """
        self._folder = folder
        self._first, self._last = after, after + turns
        self._turn = 0
        self._running = False

    def turn(self, running: Any) -> None:
        """Says that a turn begins, and what of the last one may be under way."""
        if str(self._folder) and self._turn == self._first:
            jax.block_until_ready(running)
            _start(self._folder)
            self._running = True
        elif self._turn == self._last:
            jax.block_until_ready(running)
            self.close()
        self._turn += 1

    def close(self) -> None:
        """Writes the trace, if one is under way."""
        if self._running:
            jax.profiler.stop_trace()
        self._running = False


def _start(folder: str | pathlib.Path) -> None:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python's calls would bury the device's work
    jax.profiler.start_trace(
        str(pathlib.Path(folder).absolute()), create_perfetto_trace=True,
        profiler_options=options,
    )  # fmt: skip
