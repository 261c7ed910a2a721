"""One run at a time in a workdir, by a lock that no crash leaves behind.

The system holds the lock on an open file and lets it go when the process ends, however
it ends; the file itself stays and means nothing. On NFS the lock holds between machines
where the server's lock manager runs. A file system without locks (some mounted cloud
drives) gets a warning instead.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
import warnings
from collections.abc import Iterator

FILE = "lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class LockedError(OSError):
    """Another run is under way in this workdir."""


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
    """Holds the workdir while open; makes the folder if need be.

    Args:
      workdir: the run's folder.

    Raises:
      LockedError: another process holds it; says which.
      OSError: the folder cannot be made or written to.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise type(error)(
            f"--workdir {workdir} cannot be written to: {error.strerror or error}"
        ) from error
    with file:
        _take(file.fileno(), workdir)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _take(descriptor: int, workdir: pathlib.Path) -> None:
    """Locks the file or raises; closing it lets go."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = (workdir / FILE).read_text(encoding="utf-8").strip()
        raise LockedError(
            f"another run is under way in {workdir} ({holder or 'it has just begun'}); "
            "wait for it, stop it, or take another --workdir"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"{workdir} lies on a file system without locks ({error.strerror}): "
            "nothing keeps a second run from writing there",
            stacklevel=2,
        )
