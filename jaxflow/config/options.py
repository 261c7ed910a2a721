"""Fields with their help text, and what their values are checked by."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

# What a configuration or a command may ask for a pose: with many poses at a time, more
# takes gigabytes. What a call of the library draws at most is `sampling.MOST_DRAWN`.
MOST_HYPOTHESES = 100_000
MOST_SEED = 2**31 - 1


def option(default: Any, text: str, **added: Any) -> Any:
    """A dataclass field with its help text.

    ``before=VALUE`` is for a field that was added later: what a configuration means
    that was stored without it (`runs.plain_config.from_dict`). ``path=True`` is for a
    file or folder, ``choices=(...)`` for a text that is one of few.
    """
    return dataclasses.field(default=default, metadata={"help": text, **added})


def whole(owner: Any, /, *names: str) -> None:
    """Refuses an owner one of whose attributes, by name, is no whole number.

    Raises:
      ValueError: names the first that is none, and says what came.
    """
    for name in names:
        if not isinstance(value := getattr(owner, name), numbers.Integral):
            raise ValueError(f"{name} must be a whole number, not {value!r}")


def at_least(owner: Any, /, **least: int) -> None:
    """Refuses an owner one of whose attributes, by name, lies below its least value.

    Raises:
      ValueError: names the first that does, and says what was expected and what came.
    """
    for name, value in least.items():
        if (actual := getattr(owner, name)) < value:
            raise ValueError(f"{name} must be at least {value}, not {actual}")


def at_most(owner: Any, /, **most: int) -> None:
    """The same of greatest values."""
    for name, value in most.items():
        if (actual := getattr(owner, name)) > value:
            raise ValueError(f"{name} must be at most {value}, not {actual}")


def finite(owner: Any, /, *names: str) -> None:
    """The same of numbers that must be 0 or more, and finite."""
    for name in names:
        value = getattr(owner, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be 0 or more and finite, not {value}")


def one_of_choices(owner: Any, /) -> None:
    """Refuses an owner one of whose texts is none of its field's choices.

    Raises:
      ValueError: names the field, and says what was expected and what came.
    """
    for field in dataclasses.fields(owner):
        choices = field.metadata.get("choices")
        if choices and getattr(owner, field.name) not in choices:
            raise ValueError(
                f"{field.name} must be one of {', '.join(choices)}, not "
                f"{getattr(owner, field.name)!r}"
            )
