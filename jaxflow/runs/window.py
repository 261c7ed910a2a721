"""Losses between two lines of a log, and the refusal of numbers that are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jaxflow.runs.errors import NonFiniteError


class Window:
    """Losses since the last log line; refuses numbers that are not finite.

    Attributes:
      step: iterations whose losses have come.
      last: the newest losses, by name.
    """

    def __init__(self, names: Sequence[str], step: int, kept: Callable[[], str]):
        """Holds nothing yet.

        Args:
          names: of the losses.
          step: iterations done before.
          kept: says what a run that breaks down leaves behind.
        """
        self.step = step
        self.last: dict[str, float] = {}
        self._names, self._kept = tuple(names), kept
        self._rows: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """Takes the losses of further iterations, (iterations, losses).

        Raises:
          NonFiniteError: names the losses and the iteration.
        """
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=-1))
        if broken.size:
            first = broken[0]
            terms = np.asarray(self._names)[~np.isfinite(rows[first])]
            raise NonFiniteError(
                f"loss {', '.join(terms)} of iteration {self.step + first + 1} is not "
                f"finite; training stopped, {self._kept()}"
            )
        self._rows.extend(rows)
        self.step += len(rows)
        self.last = dict(zip(self._names, rows[-1].tolist(), strict=True))

    @property
    def iterations(self) -> int:
        """Of how many `means` is. A stop leaves fewer to the run that goes on."""
        return len(self._rows)

    def means(self) -> dict[str, float]:
        """Of all since the last call, by name."""
        means = np.mean(np.asarray(self._rows, np.float64), axis=0).tolist()
        self._rows.clear()
        return dict(zip(self._names, means, strict=True))
