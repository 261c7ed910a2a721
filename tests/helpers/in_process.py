"""A command run in this process: its errors as a user meets them, in milliseconds."""

import sys

import pytest
from absl import flags, logging

from jaxflow import commands
from jaxflow.runs import compilation_cache


def run(module, *flag_values, words=()):
    """The exit status of a command's ``main`` under `commands.run`.

    Args:
      module: the command's, such as ``jaxflow.fit``.
      *flag_values: as on its command line.
      words: what follows the flags.
    """
    own, status = module.flags.FLAGS, []
    verbosity = logging.get_verbosity()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "excepthook", sys.excepthook)  # the command sets them
        patch.setattr(sys, "unraisablehook", sys.unraisablehook)
        patch.setattr(compilation_cache, "enable", lambda *_: None)
        patch.setattr(commands, "_help_succeeds", lambda *_: None)
        patch.setattr(module.flags, "publish", lambda: None, raising=False)
        patch.setattr(
            commands.app,
            "run",
            lambda main, **_: status.append(main(["command", *words])),
        )
        flags.FLAGS.mark_as_parsed()
        try:
            own(["command", *flag_values])
            commands.run(module.main)
        finally:
            logging.set_verbosity(verbosity)
            for flag in flag_values:
                own[flag.lstrip("-").partition("=")[0].removeprefix("no")].unparse()
    return status[0]


def told(capsys, module, *arguments):
    """Status, output and errors of a command; what has no dashes follows the flags."""
    arguments = [str(argument) for argument in arguments]
    words = [argument for argument in arguments if not argument.startswith("--")]
    given = [argument for argument in arguments if argument.startswith("--")]
    status = run(module, *given, words=words)
    return status, *capsys.readouterr()
