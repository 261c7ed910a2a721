"""One object for a long job: its folder, lock, signals, logs, checkpoints, profile.

    with Run(folder, flag="--out") as run: ...

While it is open no other process runs in the folder. The system holds the lock on an
open file and lets it go when the process ends, however it ends; the file itself stays
and means nothing. On NFS the lock holds between machines where the server's lock
manager runs. A file system without locks (some mounted cloud drives) gets a warning
instead. Of several processes of one job the first alone holds, logs and saves.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import IO, Any

import filelock
import jax
import numpy as np

from jaxflow.runs import files, multihost
from jaxflow.runs.checkpointer import Checkpointer
from jaxflow.runs.errors import NonFiniteError
from jaxflow.runs.window import Window
from jaxflow.runs.writer import Writer

LOCK = "lock"


class LockedError(OSError):
    """Another run is under way in this folder."""


class Stop:
    """Whether a signal has asked to stop: looked at where stopping is cheap.

    Attributes:
      signal: the one that did, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def requested(self) -> bool:
        """True once a signal has come."""
        return self.signal is not None

    def check(self) -> None:
        """Stops a job that has kept what it has to.

        Raises:
          KeyboardInterrupt: a signal has come.
        """
        if self.requested:
            raise KeyboardInterrupt("the same command goes on where it was")

    def _request(self, number: int, frame: FrameType | None) -> None:
        """The handler; a second signal of the kind stops at once."""
        del frame
        self.signal = signal.Signals(number)
        signal.signal(number, signal.default_int_handler)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Stop]:
        """While open, SIGTERM and SIGINT are noted instead of ending the program."""
        before: dict[signal.Signals, Any] = {}
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                # Outside the main thread (a notebook's worker) handlers cannot be set.
                with contextlib.suppress(ValueError):
                    before[number] = signal.signal(number, self._request)
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Run:
    """A long job in a folder of its own, which is made if need be; a context manager.

    Attributes:
      folder: absolute.
      flag: by which the user names the folder.
      stop: whether a signal has come, from `listen` on.
      checkpoints: from `resume` on, in the first process; else None.
    """

    def __init__(self, folder: str | os.PathLike[str], *, flag: str = "--workdir"):
        """Nothing is touched before the object is entered."""
        self.folder = pathlib.Path(folder).expanduser().absolute()
        self.flag = flag
        self.stop = Stop()
        self.checkpoints: Checkpointer | None = None
        self._writer: Writer | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Run:
        """Takes the folder.

        Raises:
          LockedError: another process holds it; says which.
          OSError: the folder cannot be made or written to.
        """
        multihost.first_does(self._claim)
        return self

    def __exit__(self, *error: object) -> None:
        """Flushes what is open, waits for a save under way, lets the folder go."""
        self._stack.close()

    def _claim(self) -> None:
        files.check_folder(self.folder, self.flag)
        file = (self.folder / LOCK).open("a+", encoding="utf-8", errors="replace")
        self._stack.enter_context(file)
        try:
            self._lock(file)
        except BaseException:
            self._stack.close()
            raise
        file.seek(0)
        if (kept := file.read()) and not kept.startswith("process "):
            self._stack.close()
            raise FileExistsError(
                f"{file.name} is there already and is no run's lock; take another "
                f"{self.flag}, or move it"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()

    def _lock(self, file: IO[str]) -> None:
        """Locks the file or raises; closing it lets go."""
        try:
            if filelock.lock_descriptor(file.fileno(), blocking=False):
                return
        except OSError as error:
            # Some file systems answer with numbers that have no text.
            reason = _text(error)
            warnings.warn(
                f"{self.folder} lies on a file system without locks ({reason}): "
                "nothing keeps a second run from writing there",
                stacklevel=2,
            )
            return
        file.seek(0)
        holder = file.read().strip() or "it has just begun"
        raise LockedError(
            f"another run is under way in {self.folder} ({holder}); wait for it, stop "
            f"it, or take another {self.flag}"
        )

    def listen(self) -> Stop:
        """From here on SIGTERM and SIGINT set `stop` instead of ending the program."""
        return self._stack.enter_context(self.stop.listening())

    def note(self, name: str, text: str) -> None:
        """Writes a file of text beside the run's others."""
        if multihost.is_first():
            files.write_text(self.folder / name, text)

    def resume(self, opened: Callable[[], Checkpointer]) -> Any:
        """The newest state, from here on; None where there is none.

        Args:
          opened: opens the run's checkpoints; called in the first process.

        Raises:
          CheckpointError: the run there is another one, or none can be read.
        """

        def restored() -> Any:
            self.checkpoints = opened()
            self._stack.callback(self.checkpoints.close)
            return self.checkpoints.restore()

        return multihost.first_does(restored)

    def log_from(self, step: int) -> None:
        """Opens metrics.jsonl and tensorboard/ of a run that goes on at a step."""
        if multihost.is_first():
            opened = Writer(self.folder, step)
            self._writer = self._stack.enter_context(contextlib.closing(opened))

    def log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """A line of the log; without effect before `log_from`."""
        if self._writer:
            self._writer.write(kind, step, values)

    def window(self, names: Sequence[str], step: int) -> Window:
        """The losses since the last line of the log, at first none."""
        return Window(names, step, self.kept)

    def save(self, state: Any, figure: float | None = None) -> None:
        """Saves a state in the background, see `Checkpointer.save`.

        Raises:
          NonFiniteError: it is not worth keeping.
          CheckpointError: it could not be written.
        """
        host = jax.device_get(state)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host)):
            raise NonFiniteError(
                f"the parameters are not finite after iteration {host.step}; training "
                f"stopped, {self.kept()}"
            )
        if self.checkpoints:
            self.checkpoints.save(host, figure)

    def kept(self) -> str:
        """What a run that breaks down leaves behind."""
        if not self.checkpoints:
            return "process 0 says which checkpoint is kept"
        step = self.checkpoints.latest_step()
        if step is None:
            return "no checkpoint is kept"
        return f"the checkpoint of step {step} is kept"


def _text(error: OSError) -> str:
    """What an error of the system says, or its number where it has no text."""
    text = error.strerror or str(error)
    return f"error {error.errno}" if text.startswith("Unknown error") else text
