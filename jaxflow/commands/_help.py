"""What ``--help`` prints: how to use it in a line, required flags, groups, examples."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

_GROUP = re.compile(r"\[([\w ]+)\] ")
_ALL = "of every command"
_EVERYWHERE = ("debug", "compilation_cache", "precision", "help", "helpfull")
_LEFT_OUT = ("helpshort", "helpxml", "only_check_args", "pdb_post_mortem")


def text(document: str, own: Iterable[Any], required: Sequence[str]) -> str:
    """The help of a command.

    Args:
      document: its docstring: a line, then commands that stand indented, then prose.
      own: its flags, as absl has them.
      required: names of the flags that must be given.
    """
    width = min(shutil.get_terminal_size().columns, 88)
    about, examples = parts(document)
    lines = [f"usage: {use_of(examples)}", ""] if examples else []
    lines += [about, ""]
    for heading, flags in groups(own, required).items():
        lines.append(f"{heading}:")
        for flag in flags:
            lines.append(f"  {spelled(flag)}")
            lines += textwrap.wrap(
                told(flag), width, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
        lines.append("")
    if examples:
        lines += ["example:", textwrap.indent(examples, "  ")]
    return "\n".join(lines).rstrip()


def parts(document: str) -> tuple[str, str]:
    """A docstring without its first indented block, and that block."""
    paragraphs = textwrap.dedent(document).strip().split("\n\n")
    for i, part in enumerate(paragraphs):
        if part.startswith("    "):
            rest = paragraphs[:i] + paragraphs[i + 1 :]
            return "\n\n".join(rest), textwrap.dedent(part)
    return "\n\n".join(paragraphs), ""


def use_of(examples: str) -> str:
    """The first command of some, in a line."""
    return " ".join(examples.replace("\\\n", "").splitlines()[0].split())


def groups(own: Iterable[Any], required: Sequence[str]) -> dict[str, list[Any]]:
    """Heading -> flags, in the order in which they were defined but for the required.

    What a flag's help has in brackets at its start is its group.
    """
    found: dict[str, list[Any]] = {"required": [], "options": []}
    last: list[Any] = []
    for flag in own:
        group = _GROUP.match(flag.help or "")
        if flag.name in _LEFT_OUT:
            continue
        if flag.name in required:
            found["required"].append(flag)
        elif flag.name in _EVERYWHERE:
            last.append(flag)
        else:
            found.setdefault(group[1] if group else "options", []).append(flag)
    return {name: flags for name, flags in {**found, _ALL: last}.items() if flags}


def spelled(flag: Any) -> str:
    """A flag as it is typed, such as ``--[no]clamp`` or ``--seed=INTEGER``."""
    if flag.boolean:
        return f"--[no]{flag.name}"
    values = getattr(flag.parser, "enum_values", None)
    return f"--{flag.name}={'|'.join(values) if values else kind_of(flag).upper()}"


def kind_of(flag: Any) -> str:
    """What a flag takes: integer, float, path, list, text."""
    kind = type(flag.parser).__name__.lower().strip("_").removesuffix("parser")
    names = {"argument": "text", "pathlist": "path,path,...", "list": "text,text,..."}
    return names.get(kind, kind)


def told(flag: Any) -> str:
    """A flag's help without its group, and its default where that says something."""
    said = _GROUP.sub("", flag.help or "", count=1)
    said = re.sub(r"^<[^>]*>:\s*", "", said)
    default = flag.default
    if default in (None, "", []) or "efault" in said:
        return said
    shown = str(default).lower() if flag.boolean else default
    return f"{said.rstrip('.')}. Default: {shown}."


def missing(flags: Any, names: Sequence[str]) -> str:
    """Which required flags were not given, and what they are for."""
    said = "; ".join(f"{spelled(flags[name])}: {told(flags[name])}" for name in names)
    return f"missing {said}".rstrip(".")
