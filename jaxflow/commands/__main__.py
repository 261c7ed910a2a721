"""The commands of this package, by name.

    jaxflow COMMAND --flag=value ...
    python -m jaxflow COMMAND --flag=value ...

Each is python -m jaxflow.COMMAND, too, and says with --help which flags it has.
--completion=bash|fish|zsh prints what lets TAB complete commands and flags.
"""

from __future__ import annotations

import ast
import difflib
import pathlib
import runpy
import sys

from jaxflow._version import __version__
from jaxflow.runs.errors import stop_shortly


def names() -> dict[str, str]:
    """Command -> what it does in a line, read from the sources: nothing is imported."""
    folder = pathlib.Path(__file__).parent
    sources = sorted(folder.glob("[!_]*.py"))
    documents = {
        path.stem: ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        for path in sources
    }
    return {name: text.splitlines()[0] for name, text in documents.items()}


def listing() -> str:
    """What is printed where no command is named."""
    known = names()
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {line}" for name, line in known.items()]
    usage = (__doc__ or "").split("\n\n", 1)[1].strip("\n")
    version = f"jaxflow {__version__}: 2D joints and how sure they are, to 3D poses"
    return "\n".join([version, "", usage, "", *lines])


def complete(shell: str) -> int:
    """Prints what completes commands and flags in a shell of that name."""
    from jaxflow.commands import _completion

    if shell not in _completion.SHELLS:
        known = ", ".join(_completion.SHELLS)
        print(f"jaxflow: error: --completion={shell}: of {known}", file=sys.stderr)
        return 1
    print(_completion.script(shell, names()), end="")
    return 0


def main() -> int:
    """Runs the command that is named first, with the flags after it."""
    stop_shortly()
    asked, *rest = sys.argv[1:] or ["--help"]
    if asked in ("-h", "--help", "help"):
        print(listing())
        return 0
    if asked == "--version":
        print(__version__)
        return 0
    if asked.startswith("--completion="):
        return complete(asked.partition("=")[2])
    name, known = asked.replace("-", "_"), list(names())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        print(
            f"jaxflow: error: {asked} is no command; {hint}jaxflow --help lists them",
            file=sys.stderr,
        )
        return 1
    sys.argv[1:] = rest
    runpy.run_module(f"jaxflow.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
