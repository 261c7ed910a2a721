"""What JAX says of an accelerator that it cannot use, in one line.

A plugin that finds no driver or device is logged with its whole traceback. Where the
user has asked for it the error that follows tells why; else a line is enough.
"""

from __future__ import annotations

import logging
import os

from jaxflow.runs.errors import reason

_reasons: list[str] = []


class _Shortly(logging.Filter):
    """Keeps a plugin's error, without where in the code it arose."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False where the record needs not be shown."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        _reasons.append(reason(error))
        record.msg, record.args = f"no accelerator in use: {_reasons[-1]}", ()
        record.exc_info = record.exc_text = None
        return not os.environ.get("JAX_PLATFORMS")


def say_shortly() -> None:
    """From now on."""
    logger = logging.getLogger("jax._src.xla_bridge")
    if not any(isinstance(each, _Shortly) for each in logger.filters):
        logger.addFilter(_Shortly())


def unusable(error: Exception) -> str:
    """What the user is told where JAX has none of the platforms that were asked for."""
    why = _reasons[-1] if _reasons else reason(error)
    if why == "AssertionError":
        why = "it knows no such platform here"
    wanted = os.environ.get("JAX_PLATFORMS", "")
    return (
        f"JAX cannot compute on JAX_PLATFORMS={wanted} ({why}); unset it, or install "
        "what it needs"
    )
