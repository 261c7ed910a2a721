"""What the commands share: flags made from dataclasses, and errors in one line."""

from __future__ import annotations

import dataclasses
import io
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import app, flags, logging

from jaxflow.runs import compilation_cache
from jaxflow.runs.errors import UserError

_DEBUG = flags.DEFINE_bool(
    "debug", False, "Show where in the code an error arose, not only what it is."
)

_CACHE = flags.DEFINE_string(
    "compilation_cache",
    "",
    "Folder for compiled programs, which a later start need not compile again; off for "
    "none. Default: jaxflow in the user's cache folder.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "highest",
    ["default", "high", "highest"],
    "Of the networks' float32 products on an accelerator: exact, with about 16 "
    "significant bits, or whatever it does fastest. A CPU's are always exact.",
)

STOPPED = 130  # exit status, as a shell has it for SIGINT

# Mistakes of the user or the machine. Others are ours, and show their traceback.
# ValueError is here until every edge raises UserError.
EXPECTED = (UserError, OSError, ImportError, FloatingPointError, ValueError)


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs a command; an expected error prints one line and exits with status 1."""

    def guarded(argv: Sequence[str]) -> int | None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # names need not be UTF-8
            sys.stdout.reconfigure(errors="backslashreplace")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # orbax tells much otherwise
        try:
            compilation_cache.enable(_CACHE.value)
            if _PRECISION.value != "highest":
                jax.config.update("jax_default_matmul_precision", _PRECISION.value)
            return main(argv)
        except KeyboardInterrupt as error:
            told = f"; {error}" if str(error) else ""
            print(f"{_program(argv[0])}: stopped{told}", file=sys.stderr)
            return STOPPED
        except EXPECTED as error:
            if _DEBUG.value:
                traceback.print_exc()
            print(f"{_program(argv[0])}: error: {error}", file=sys.stderr)
            return 1

    app.run(guarded)


def _program(path: str) -> str:
    """What was run: ``jaxflow.train`` under ``python -m``, else the script."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else path


def no_arguments(argv: Sequence[str]) -> None:
    """Refuses words that are no flags.

    Raises:
      app.UsageError: there are some.
    """
    if len(argv) > 1:
        raise app.UsageError(
            f"expected flags only, got {' '.join(argv[1:])!r}; see --help"
        )


def define_flags(config: Any, group: str, skip: Sequence[str] = ()) -> None:
    """A flag for each plain field of a dataclass instance, with its help text.

    Args:
      config: gives names, defaults and help.
      group: heading under which ``--helpfull`` lists them.
      skip: names of fields that get no flag.
    """
    kinds: dict[type, Callable[..., Any]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in dataclasses.fields(config):
        default = getattr(config, field.name)
        if dataclasses.is_dataclass(default) or field.name in skip:
            continue
        text = f"[{group}] {field.metadata['help']}"
        kinds[type(default)](field.name, default, text)
        flags.declare_key_flag(field.name)


def from_flags(config: Any, skip: Sequence[str] = (), **others: Any) -> Any:
    """The dataclass with the values that its flags have.

    Args:
      config: gives the fields, and the values of those without a flag.
      skip: names of fields that have no flag.
      **others: further values, by field: set at once with the flags', since the
        dataclass checks them together.

    Raises:
      UserError: the dataclass refuses a value.
    """
    values = {
        field.name: flags.FLAGS[field.name].value
        for field in dataclasses.fields(config)
        if not dataclasses.is_dataclass(getattr(config, field.name))
        and field.name not in skip
    }
    try:
        return dataclasses.replace(config, **values, **others)
    except ValueError as error:
        raise UserError(str(error)) from error


def as_flagfile(names: Sequence[str]) -> str:
    """The named flags' present values, as a text that ``--flagfile`` reads."""
    lines = [flags.FLAGS[name].serialize() for name in names]
    return "\n".join(line for line in lines if line) + "\n"
