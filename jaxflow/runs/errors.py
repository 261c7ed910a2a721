"""What a user can mend: told in one line by the commands, without a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """A flag, configuration or file that is not as it must be; says what is wrong."""


class NonFiniteError(FloatingPointError):
    """A loss or a parameter is no longer a number; training cannot go on."""
