"""What a shell completes after ``jaxflow``: a script, made of the commands' own flags.

All lies in the script, so that a press of TAB starts no Python.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from jaxflow.commands import _help

SHELLS = ("bash", "fish", "zsh")
_COMMON = ("compilation_cache", "debug", "precision")

# Both ask for place:command:flag=, and get words, or a file where none are known.
_BASH = """\
_jaxflow() {
    local word=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} words=
    if [ "$word" = = ]; then  # --flag=, which bash sees as two words
        flag=$flag= word=
    elif [ "$flag" = = ]; then
        flag=${COMP_WORDS[COMP_CWORD-2]}=
    fi
    _jaxflow_add() { words="$*"; }
    case $COMP_CWORD:${COMP_WORDS[1]}:$flag in
    1:*) _jaxflow_add NAMES ;;
CASES
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ ${COMPREPLY-} != *= ]] || compopt -o nospace 2>/dev/null
}
complete -o default -F _jaxflow jaxflow
"""
_ZSH = """\
#compdef jaxflow
_jaxflow() {
    local word=${words[CURRENT]} flag=
    [[ $word != --*=* ]] || { flag=${word%%=*}=; compset -P '*='; }
    _jaxflow_add() {
        [ $# -gt 0 ] || _files
        compadd -S '' -- ${(M)@:#*=}
        compadd -- ${@:#*=}
    }
    case $CURRENT:${words[2]}:$flag in
    2:*) _jaxflow_add NAMES ;;
CASES
    esac
}
compdef _jaxflow jaxflow
"""


def _fish(commands: Mapping[str, Sequence[Any]], lines: Mapping[str, str]) -> str:
    """The script for fish, which shows what commands and flags are for, too."""
    said = ["complete -c jaxflow -f"]
    for name, line in lines.items():
        about = f"-a {name} -d {_quoted(line)}"
        said.append(f"complete -c jaxflow -n __fish_use_subcommand {about}")
    for name, flags in commands.items():
        start = f"complete -c jaxflow -n '__fish_seen_subcommand_from {name}'"
        for flag in flags:
            takes = "" if flag.boolean else " -rF"
            if values := _values(flag):
                takes = f" -x -a '{' '.join(values)}'"
            about = _quoted(_help.told(flag).split(". ")[0])
            said.append(f"{start} -l {flag.name}{takes} -d {about}")
            said += [f"{start} -l no{flag.name}"] if flag.boolean else []
    return "\n".join([*said, ""])


def script(shell: str, lines: Mapping[str, str]) -> str:
    """What to source in a shell of that name.

    Args:
      shell: one of SHELLS.
      lines: command -> what it does in a line.
    """
    commands = {}
    for name in lines:
        own = importlib.import_module(f"jaxflow.{name}").flags.FLAGS
        shared = [absl_flags.FLAGS[flag] for flag in _COMMON]
        commands[name] = [*(own[flag] for flag in own), *shared]
    if shell == "fish":
        return _fish(commands, lines)
    frame = _BASH if shell == "bash" else _ZSH
    return frame.replace("NAMES", " ".join(lines)).replace("CASES", _cases(commands))


def _cases(commands: Mapping[str, Sequence[Any]]) -> str:
    """Lines of a shell's ``case``: the values of flags, then files, then flags."""
    values: list[tuple[str, Sequence[str]]] = []
    flags: list[tuple[str, Sequence[str]]] = []
    for name, own in commands.items():
        words = ["--help", "--flagfile="]
        for flag in own:
            words += [f"--{flag.name}{'' if flag.boolean else '='}"]
            words += [f"--no{flag.name}"] if flag.boolean else []
            if known := _values(flag):
                values.append((f"{name}:--{flag.name}=", known))
        flags.append((f"{name}:*", words))
    cases = [*values, ("*=", []), *flags]
    return "\n".join(f"    *:{at}) _jaxflow_add {' '.join(w)} ;;" for at, w in cases)


def _values(flag: Any) -> list[str]:
    return getattr(flag.parser, "enum_values", None) or []


def _quoted(text: str) -> str:
    """A text in single quotes, for fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
