"""What the commands share: flags of their own, and errors in one line."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
import tqdm
from absl import app, flags, logging

from jaxflow.commands import _help, _platform
from jaxflow.commands._flags import CHECKPOINT, Flags
from jaxflow.runs import compilation_cache
from jaxflow.runs.errors import UserError, reason

__all__ = ["CHECKPOINT", "EXPECTED", "STOPPED", "Flags", "no_arguments", "run"]

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
EXPECTED = (UserError, OSError, ImportError, FloatingPointError, app.UsageError)


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs a command; an expected error prints one line and exits with status 1."""

    def guarded(argv: Sequence[str]) -> int | None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # names need not be UTF-8
            sys.stdout.reconfigure(errors="backslashreplace")
        sys.excepthook = sys.__excepthook__
        sys.unraisablehook = _unraisable
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # orbax tells much otherwise
        _platform.say_shortly()
        try:
            # Settings for users' own code; what broadcasts in here is meant to.
            jax.config.update("jax_numpy_rank_promotion", "allow")
            compilation_cache.enable(_CACHE.value)
            if _PRECISION.value != "highest":
                jax.config.update("jax_default_matmul_precision", _PRECISION.value)
            return main(argv)
        except KeyboardInterrupt as error:
            _end_bars()
            hint = f"; {error}" if str(error) else ""
            print(f"{_program(argv[0])}: stopped{hint}", file=sys.stderr)
            return STOPPED
        except (*EXPECTED, RuntimeError, AssertionError) as error:
            if _DEBUG.value:
                traceback.print_exc()
            line = _told(error)
            if line is None:
                raise
            _end_bars()
            print(f"{_program(argv[0])}: error: {line}", file=sys.stderr)
            return 1

    module = getattr(main, "__globals__", {})
    defined, document = module.get("flags"), module.get("__doc__") or ""
    required: Sequence[str] = ()
    if isinstance(defined, Flags):
        defined.publish()
        required = defined.required
    _help_succeeds(document, required)
    app.run(guarded, flags_parser=lambda argv: _parse(argv, required))


def _parse(argv: list[str], required: Sequence[str]) -> list[str]:
    """The words that are no flags; what is wrong with a flag is said in one line."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        name, line = _program(argv[0]), str(error)
        missing = [flag for flag in required if flags.FLAGS[flag].value is None]
        if missing and "other than None" in line:
            line = _help.missing(flags.FLAGS, missing)
        if isinstance(error, flags.CantOpenFlagFileError):
            told = line.rpartition("] ")[2]
            line = f"--flagfile: {told}, seen from {os.getcwd()}; "
            line += "launch/flags/ is in the checkout"
        line = f"{line.strip()} ({_started(name)} --help tells more)"
        print(f"{name}: error: {line}", file=sys.stderr)
        raise SystemExit(1) from None


def _end_bars() -> None:
    """Ends the lines of progress bars that are still open, as in halted generators."""
    for bar in list(getattr(tqdm.tqdm, "_instances", ())):
        bar.close()


def _told(error: Exception) -> str | None:
    """What the user is told of an error; None where it is one of ours."""
    if isinstance(error, EXPECTED):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    no_platform = isinstance(error, AssertionError) or "backend" in str(error)
    if no_platform and frames and frames[-1].filename.endswith("xla_bridge.py"):
        return _platform.unusable(error)
    if "RESOURCE_EXHAUSTED" in str(error):
        return f"out of memory ({reason(error)}); ask for less at a time"
    return None


def _unraisable(about: Any) -> None:
    """Keeps to itself what orbax's loops say when they end after an error."""
    if "Event loop is closed" not in str(about.exc_value):
        sys.__unraisablehook__(about)


def _help_succeeds(document: str, required: Sequence[str]) -> None:
    """--help in groups; it and its kin end with status 0, where absl has 1."""
    app.define_help_flags()
    for name in ("help", "helpshort", "helpfull", "helpxml"):
        flag: Any = flags.FLAGS[name]
        own = name in ("help", "helpshort")
        flag.parse = _told_well(document, required) if own else _ending_well(flag.parse)


def _told_well(document: str, required: Sequence[str]) -> Callable[[str], None]:
    def parsed(argument: str) -> None:
        if argument:
            own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
            try:
                print(_help.text(document, own, required), flush=True)
            except BrokenPipeError:  # --help | head; nobody reads what is left
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)

    return parsed


def _ending_well(parse: Callable[[str], None]) -> Callable[[str], None]:
    def parsed(argument: str) -> None:
        try:
            parse(argument)
        except SystemExit:
            raise SystemExit(0) from None

    return parsed


def _program(path: str) -> str:
    """What was run: ``jaxflow.train`` under ``python -m``, else the script."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else path


def _started(name: str) -> str:
    return f"python -m {name}" if os.sep not in name else name


def no_arguments(argv: Sequence[str]) -> None:
    """Refuses words that are no flags.

    Raises:
      app.UsageError: there are some.
    """
    if len(argv) > 1:
        raise app.UsageError(
            f"expected flags only, got {' '.join(argv[1:])!r}; see --help"
        )
