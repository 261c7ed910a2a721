"""SIGTERM and SIGINT as a request to stop, looked at between dispatches."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Stop:
    """Whether a signal has asked to stop.

    Attributes:
      signal: the one that did, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def requested(self) -> bool:
        """True once a signal has come."""
        return self.signal is not None

    def request(self, number: int, frame: FrameType | None) -> None:
        """The handler; a second signal of the kind stops at once."""
        del frame
        self.signal = signal.Signals(number)
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def caught() -> Iterator[Stop]:
    """While open, signals set the `Stop` instead of ending the program."""
    stop = Stop()
    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            # Outside the main thread (a notebook's worker) handlers cannot be set.
            with contextlib.suppress(ValueError):
                before[number] = signal.signal(number, stop.request)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
