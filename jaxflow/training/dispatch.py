"""How many iterations to dispatch next; all processes agree.

In: how fast the last ones were, and whether a signal has come. Out: the next dispatch's
number of iterations, or none. Of several processes each must send the same, so they
vote: a small program, queued on the devices behind every dispatch, tells each of them
the fewest iterations that any wants and whether any was told to stop. Votes arrive with
the dispatch's losses; a signal to one process stops all within three dispatches.
"""

from __future__ import annotations

import collections
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxflow.maths import threads
from jaxflow.runs import multihost
from jaxflow.runs.run import Stop
from jaxflow.training import parallel

# Iterations are dispatched so many at a time that a call takes about this long: short
# enough to stop quickly, long enough that the dispatch costs nothing.
SECONDS_PER_DISPATCH = 1.0
MOST_PER_DISPATCH = 100
_LOOK_EVERY = 0.1  # seconds between looks for a signal while compiling


class Plan:
    """What to send next.

    Attributes:
      fresh: nothing was sent yet; the first dispatch is compiled.
      abandoned: the first dispatch was given up while it was compiled; the compiler
        goes on in a thread that cannot be stopped.
    """

    def __init__(self, most: int, devices: tuple[jax.Device, ...], stop: Stop):
        """Begins with single iterations.

        Args:
          most: iterations of a dispatch.
          devices: of the run, in all processes.
          stop: this process's.
        """
        self.abandoned = False
        self._stop = stop
        self._pace = Pace(most)
        self.fresh = True
        self._agreed_count, self._agreed_stop = 1, False
        self._votes: collections.deque[jax.Array] = collections.deque()
        self._vote = parallel.make_vote(devices) if multihost.several() else None
        if self._vote:
            # Connects the devices while the processes are side by side: the first to
            # have compiled the iteration would wait for the others for 30 s only.
            jax.block_until_ready(self._vote([0, 0]))

    @property
    def stopping(self) -> bool:
        """Whether a signal, here or elsewhere, has asked to stop."""
        return self._agreed_stop if self._vote else self._stop.requested

    def count(self) -> int:
        """How many iterations to dispatch next."""
        return self._agreed_count if self._vote else self._pace.count

    def send(self, run: Callable[..., Any], *arguments: Any) -> Any:
        """Calls ``run``; None if a signal came while it was compiled.

        Of several processes none gives up alone, since the others would wait for it:
        there a signal is acted on after compilation.
        """
        fresh = self.fresh
        if fresh:
            give_back_memory()
        if self._vote:
            result = run(*arguments)
            mine = [int(self._stop.requested), -self._pace.count]
            self._votes.append(self._vote(mine))
        elif fresh:
            result = _interruptible(run, arguments, self._stop)
            self.abandoned = result is None
        else:
            result = run(*arguments)
        self.fresh = False
        if fresh:
            give_back_memory()
        return result

    def arrived(self, count: int) -> None:
        """The losses of the oldest dispatch under way have arrived."""
        self._pace.finished(count)
        if self._vote:
            stop, fewest = np.asarray(self._votes.popleft()).tolist()
            self._agreed_stop, self._agreed_count = bool(stop), -fewest

    def restart(self) -> None:
        """The device has been idle or busy with something else."""
        self._pace.restart()


def give_back_memory() -> None:
    """Free memory that the allocator holds goes back to the machine, where it can.

    The compiler leaves half a gigabyte of it, which no array would ever be laid in.
    """
    try:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    except (OSError, TypeError):
        return
    if trim is not None:
        trim(0)


class Pace:
    """How many iterations make a dispatch of the wanted length.

    Attributes:
      count: so many.
    """

    def __init__(self, most: int):
        """Begins with 1; never more than ``most``."""
        self.count = 1
        self._most = most
        self._since: float | None = None

    def restart(self) -> None:
        """The time until the next dispatch arrives says nothing."""
        self._since = None

    def finished(self, count: int) -> None:
        """A dispatch's losses have arrived; the next one is running since then."""
        now = time.monotonic()
        if self._since is not None:
            each = max((now - self._since) / count, 1e-6)
            wanted = int(SECONDS_PER_DISPATCH / each)
            self.count = int(np.clip(wanted, 1, self._most))
        self._since = now


def _interruptible(
    run: Callable[..., Any], arguments: tuple[Any, ...], stop: Stop
) -> Any:
    """``run(*arguments)`` in a thread, so that signals are heard; None once one came.

    Python acts on a signal in its main thread alone, and not while that compiles.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    @threads.carrying
    def call() -> None:
        try:
            results.append(run(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY)
        if stop.requested and thread.is_alive():
            return None
    if errors:
        raise errors[0]
    return results[0]
