"""The documents' fenced blocks, and the site's pages as files."""

import importlib.util
import pathlib
import re
import shlex
import textwrap
from typing import NamedTuple

from tests.helpers.training import REPOSITORY

FENCE = re.compile(r"^( *)```([\w+-]*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(
    r"^(?:jaxflow (?P<name>[a-z_]+)|python -m jaxflow\.(?P<module>\w+)"
    r"|python -m data_builders\.(?P<build>build))\b(?P<flags>.*)$"
)
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
DOCUMENTS = [
    REPOSITORY / "README.md",
    *PAGES,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "launch/README.md",
    REPOSITORY / "jaxflow/detector/README.md",
    *sorted(REPOSITORY.glob("data_builders/*/README.md")),
]


class Block(NamedTuple):
    """A fenced block: its language as it stands, its text without indent."""

    language: str
    text: str


class Command(NamedTuple):
    """A line that starts a command: its module's name, its flags and words."""

    line: str
    name: str
    words: list[str]


def blocks(path: pathlib.Path) -> list[Block]:
    """All fenced blocks of a document in their order."""
    found = FENCE.findall(path.read_text())
    return [Block(language, textwrap.dedent(text)) for _, language, text in found]


def commands(text: str) -> list[Command]:
    """The commands of this package in a shell's lines."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        match = COMMAND.match(line.strip())
        if not match or match["module"] == "NAME":
            continue
        words = shlex.split(match["flags"], comments=True)
        name = match["name"] or match["module"] or "build_data"
        found.append(Command(line.strip(), name, words))
    return found


def name_of(path: pathlib.Path) -> str:
    """A document's path in the repository."""
    return str(path.relative_to(REPOSITORY))


def hooks():
    """The module of the site's made pages."""
    path = REPOSITORY / "docs/hooks/pages.py"
    spec = importlib.util.spec_from_file_location("site_pages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
