"""What TAB offers: the shells themselves complete, from the printed scripts."""

import shutil
import subprocess

import pytest

from jaxflow.commands import __main__ as door
from jaxflow.commands import _completion

# Each puts the words of a line that is being typed before the shell's own machinery.
ASK = {
    "bash": """source {file}; COMP_WORDS=({split}); COMP_CWORD=$(({count} - 1))
        _jaxflow; printf '%s\\n' "${{COMPREPLY[@]}}" """,
    "fish": "source {file}; complete -C '{line}' | string split -f 1 \\t; true",
    # zsh completes in a terminal alone: what the function would add is printed.
    "zsh": """compdef() {{ : }}; compset() {{ : }}; _files() {{ : }}
        compadd() {{ print -l -- "${{@:#-*[^=a-z]}}" }}
        source {file}; words=({line}); CURRENT={shorter}; _jaxflow""",
}


@pytest.fixture(scope="module", params=_completion.SHELLS)
def offered(request, tmp_path_factory):
    """A function from a typed line to the words offered, in each of the shells."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed here")
    file = tmp_path_factory.mktemp("completion") / "script"
    file.write_text(_completion.script(request.param, door.names()))

    def answer(line):
        split = line.replace("=", " = ").split() + [""] * line.endswith((" ", "="))
        ask = ASK[request.param].format(
            file=file,
            line=line,
            split=" ".join(word or "''" for word in split),
            count=len(split),
            shorter=len(line.split()),
        )
        done = subprocess.run(
            [request.param, "-c", ask], capture_output=True, text=True, check=True
        )
        last = line.split()[-1].rpartition("=")[2]
        words = [w.rpartition("=")[2] or w for w in done.stdout.split()]
        return {word for word in words if word.startswith(last)}

    return answer


def test_commands_flags_and_values_are_offered(offered):
    assert {w.rstrip("=") for w in offered("jaxflow ca")} == {"calibrate"}
    flags = {word.rstrip("=") for word in offered("jaxflow train --work")}
    assert flags == {"--workdir"}
    assert {"--check", "--nocheck", "--debug"} <= offered("jaxflow export --")
    assert offered("jaxflow train --recipe=") == {"paper", "sharp"}
    assert offered("jaxflow train --recipe=sh") == {"sharp"}
    assert "--help" not in offered("jaxflow evaluate --out=--h")


def test_another_shell_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(door.sys, "argv", ["jaxflow", "--completion=tcsh"])
    assert door.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "tcsh" in line and "bash, fish, zsh" in line
