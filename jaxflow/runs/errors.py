"""What a user can mend: told in one line by the commands, without a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from types import TracebackType

_LONGEST = 240  # characters of another library's words


class UserError(ValueError):
    """A flag, configuration or file that is not as it must be; says what is wrong."""


class CheckpointError(UserError):
    """A checkpoint that is missing, of another model, damaged, or cannot be written."""


class DamagedError(CheckpointError):
    """A checkpoint that is there and cannot be read as what was written."""


class NonFiniteError(FloatingPointError):
    """A loss or a parameter is no longer a number; training cannot go on."""


def stop_shortly() -> None:
    """A Ctrl-C that comes while a command is being loaded shows no traceback."""
    sys.excepthook = _stopped


def _stopped(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def missing(what: str, package: str, extra: str) -> ImportError:
    """The error to raise where an optional package is not installed.

    Args:
      what: that needs it, such as "the report".
      package: as people call it.
      extra: of this distribution, that brings it.
    """
    return ImportError(
        f"{what} needs {package}, which is not installed: {install(extra)}"
    )


def install(extra: str) -> str:
    """The command that adds an extra, in a checkout: the package is on no index yet."""
    return f"pip install -e '.[{extra}]' in the checkout"


def listed(lines: Sequence[str], most: int) -> str:
    """The first of some problems, each on a line of its own, and how many more."""
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n  ".join([*lines[:most], *more])


def reason(error: BaseException) -> str:
    """Another library's error in one line, however many it has itself."""
    text = str(error).strip() or type(error).__name__
    for known in ("No space left on device", "File too large", "Disk quota exceeded"):
        if known in text:
            return known
    line = re.sub(r"\s*\[[\w ]*source locations?=.*", "", text.splitlines()[0])
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
