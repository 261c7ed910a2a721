"""How a run shows that it lives: a bar in a terminal, else a line now and then.

In: how many iterations are done and what their losses were. Out: text on stderr with
the rate and the time left. All times are differences of the monotonic clock, so that a
clock that is set back or forth changes nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import tqdm


class Progress:
    """A bar, or heartbeat lines; close it at the end."""

    def __init__(
        self,
        total: int,
        done: int,
        per_iteration: int,
        *,
        unit: str = "poses",
        every: float = 30.0,
        quiet: bool = False,
    ):
        """Shows nothing yet but an empty bar.

        Args:
          total: iterations of the whole run.
          done: iterations done before this call.
          per_iteration: what an iteration consumes.
          unit: of that.
          every: seconds between lines where the output is no terminal.
          quiet: show nothing at all.
        """
        terminal = sys.stderr.isatty() and not quiet
        self._total, self._done = total, done
        self._each, self._unit = per_iteration, unit
        self._quiet, self._lines = quiet, not (terminal or quiet)
        self._every = 0.5 if terminal else every
        self._text = ""
        self._since = time.monotonic()  # start of the time not yet counted
        self._told_at = -float("inf")
        self._told = done
        self._iterations, self._seconds = 0, 0.0  # since the last line
        # Not tqdm's own rate, whose clock may be set back.
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            bar_format="training: {percentage:3.0f}%|{bar:20}| {desc}",
            dynamic_ncols=True,
            disable=not terminal,
        )

    def write(self, text: str) -> None:
        """A line of its own on stdout, beside the bar."""
        if not self._quiet:
            tqdm.tqdm.write(text)
            sys.stdout.flush()

    def unpause(self) -> None:
        """Leaves out of the rate what happened since the last iterations."""
        self._since = time.monotonic()

    def update(self, iterations: int, text: str) -> None:
        """Some more are done; ``text`` says what came out."""
        now = time.monotonic()
        self._seconds += now - self._since
        self._since = now
        self._iterations += iterations
        self._done += iterations
        self._text = text
        if not self._quiet and now - self._told_at >= self._every:
            self._tell(now)

    def close(self) -> None:
        """Shows the last state."""
        if not self._quiet and self._done > self._told:
            self._tell(time.monotonic())
        self._bar.close()

    def _tell(self, now: float) -> None:
        self._told_at, self._told = now, self._done
        if self._lines:
            print(self._line(), file=sys.stderr, flush=True)
            self._iterations, self._seconds = 0, 0.0
            return
        self._bar.n = self._done
        self._bar.set_description_str(self._line())

    def _line(self) -> str:
        rate = self._iterations / max(self._seconds, 1e-9)
        left = (self._total - self._done) / rate
        return (
            f"{self._done} of {self._total} iterations, {rate:.3g} it/s, "
            f"{rate * self._each:.3g} {self._unit}/s, {duration(left)} left: "
            f"{self._text}"
        )


def duration(seconds: float) -> str:
    """``2 d 3 h``, ``3 h 20 min``, ``4 min 5 s`` or ``12 s``."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    whole = int(min(max(seconds, 0), 1e9))
    parts: list[str] = []
    for name, length in units:
        count, whole = divmod(whole, length)
        if count or parts or name == "s":
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def terms_text(step: int, values: Mapping[str, float]) -> str:
    """Loss terms for the bar: ``step 100 l2d 0.12 mmd 0.03 ...``.

    A term that is 0 has no weight, or is not computed yet, and is left out.
    """
    return f"step {step} " + " ".join(
        f"{name} {value:.3g}" for name, value in values.items() if value
    )
