"""Damages users' files at random and watches what the commands make of them.

    python -m benchmarks.damages --count=200 --seed=0

Every damage (bytes flipped, files cut, JSON keys dropped, types swapped) is given to
the command that reads such a file: predict, fit, evaluate, import_torch or build. A
command may read the file all the same, if what is in it is still what such a file
holds; it may skip it or refuse it. It must not show a traceback, tell more than
three lines of one error, hang, die of a signal, or end with status 0 after it took
something broken for a result. The script ends with status 1 if any did.

Each command runs in a process forked from one that has imported everything, so that a
damage costs a second or two. Small inputs are made here; nothing else is read.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import os
import pathlib
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import damage_subjects
from benchmarks.damage_subjects import Run, Subject, same

_LIMIT = 300  # seconds a command may take
_MOST_LINES = 3  # of one error


def main() -> int:
    """Makes the inputs, damages, runs, tells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="damages (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    parser.add_argument("--first", type=int, default=0, help="begin with damage N")
    parser.add_argument("--only", default="", help="subjects whose name holds this")
    options = parser.parse_args()
    _import_all()
    outcomes: collections.Counter[str] = collections.Counter()
    faults = []
    with tempfile.TemporaryDirectory(prefix="damages") as folder:
        made = damage_subjects.make(pathlib.Path(folder), execute)
        subjects = [subject for subject in made if options.only in subject.name]
        intact = {subject.name: _intact(subject, folder) for subject in subjects}
        for number in range(options.first, options.first + options.count):
            began = time.monotonic()
            rng = random.Random(f"{options.seed} {number}")
            subject = subjects[number % len(subjects)]
            what, run, verdict = one(rng, subject, pathlib.Path(folder), intact)
            outcomes[verdict.split(":")[0]] += 1
            took = time.monotonic() - began
            line = f"{number:4d} {subject.name}: {what}: {verdict} ({took:.1f} s)"
            print(line, flush=True)
            if verdict.startswith("FAULT"):
                print("     | " + run.text.strip().replace("\n", "\n     | "))
                faults.append(line)
    print("\n" + ", ".join(f"{count} {name}" for name, count in outcomes.items()))
    print("\n".join(["", *faults]) if faults else "no fault")
    return 1 if faults else 0


def one(
    rng: random.Random, subject: Subject, folder: pathlib.Path, intact: dict[str, Any]
) -> tuple[str, Run, str]:
    """Damages a copy, runs the command on it: what was done, the run, the verdict."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    copy = work / subject.source.name
    if subject.source.is_dir():
        shutil.copytree(subject.source, copy)
        victims = sorted(path for path in copy.rglob(subject.victims) if path.is_file())
        victim = rng.choice([path for path in victims if path.stat().st_size])
    else:
        shutil.copy(subject.source, copy)
        victim = copy
    original = subject.source / victim.relative_to(copy)
    what = damage(rng, victim)
    out = work / "out"
    run = execute(subject.arguments(copy, out))
    return (
        f"{victim.name} {what}",
        run,
        judge(subject, run, victim, original, out, intact),
    )


def judge(
    subject: Subject,
    run: Run,
    victim: pathlib.Path,
    original: pathlib.Path,
    out: pathlib.Path,
    intact: dict[str, Any],
) -> str:
    """What a run amounts to; begins with FAULT where it should have been another."""
    if run.status < 0:
        name = signal.Signals(-run.status).name
        return f"FAULT: ended by {name}"
    if "Traceback (most recent call last)" in run.text:
        return "FAULT: a traceback"
    longest = _longest_error(run.text)
    if longest > _MOST_LINES:
        return f"FAULT: an error of {longest} lines"
    if run.status:
        return "refused" if run.status == 1 else "skipped"
    try:
        answer = subject.answer(out)
    except Exception as error:
        return f"FAULT: status 0, and its answer cannot be read: {error}"
    if same(answer, intact[subject.name]):
        return "no harm"
    if subject.whole(victim, original):
        return "read: still such a file"
    if any(word in run.text for word in ("note", "not found", "warning", "nobody")):
        return "read with a note"
    return "FAULT: status 0, another answer, and not a word"


def _longest_error(text: str) -> int:
    """Lines of the longest message: an error, or one item of what was skipped."""
    longest = count = 0
    skipped = False
    for line in text.splitlines():
        skipped = line.startswith("skipped") or (skipped and line.startswith("  "))
        item = skipped and line.startswith("  ") and not line.startswith("   ")
        if ": error: " in line or item:
            count = 1
        elif count and line.startswith((" ", "\t")):
            count += 1
        else:
            count = 0
        longest = max(longest, count)
    return longest


# Damages.


def damage(rng: random.Random, path: pathlib.Path) -> str:
    """Damages a file in place and says how."""
    kinds: list[Callable[[random.Random, pathlib.Path], str]] = [_flip, _cut]
    if path.suffix == ".json":
        kinds += [_drop_key, _swap_type] * 2
    return rng.choice(kinds)(rng, path)


def _flip(rng: random.Random, path: pathlib.Path) -> str:
    content = bytearray(path.read_bytes())
    places = [rng.randrange(len(content)) for _ in range(rng.choice([1, 1, 8, 64]))]
    if rng.random() < 0.3:  # heads are where formats are known by
        places = [place % min(len(content), 128) for place in places]
    for place in places:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"with {len(places)} bits flipped, the first at {places[0]}"


def _cut(rng: random.Random, path: pathlib.Path) -> str:
    content = path.read_bytes()
    size = rng.choice([0, rng.randrange(len(content)), len(content) - 1])
    path.write_bytes(content[:size])
    return f"cut to {size} of {len(content)} bytes"


def _drop_key(rng: random.Random, path: pathlib.Path) -> str:
    document = json.loads(path.read_text())
    places = [(node, key) for node, key in _places(document) if isinstance(node, dict)]
    node, key = rng.choice(places)
    del node[key]
    path.write_text(json.dumps(document))
    return f"without a key {key!r}"


def _swap_type(rng: random.Random, path: pathlib.Path) -> str:
    document = json.loads(path.read_text())
    node, key = rng.choice(list(_places(document)))
    value = rng.choice([None, "text", {}, [], True, -1, 1e300, [[[]]], float("nan")])
    node[key] = value
    path.write_text(json.dumps(document))
    return f"with {key!r} = {value!r}"


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, value in list(items):
        yield node, key
        yield from _places(value)


# Commands, each in a process of its own.


def _import_all() -> None:
    """What forked processes then need not import; starts no backend of JAX."""
    for name in ("jax", "orbax.checkpoint", "tensorflow_datasets"):
        importlib.import_module(name)


def execute(arguments: list[str]) -> Run:
    """``python -m MODULE FLAGS`` in a forked process."""
    with tempfile.TemporaryFile() as told:
        child = os.fork()
        if not child:
            _run_module(arguments, told.fileno())
        deadline = time.monotonic() + _LIMIT
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
                break
            time.sleep(0.02)
        told.seek(0)
        text = told.read().decode(errors="replace")
    return Run(os.waitstatus_to_exitcode(status), text)


def _run_module(arguments: list[str], told: int) -> None:
    """Becomes the command; never returns."""
    status = 70
    try:
        os.dup2(told, 1)
        os.dup2(told, 2)
        sys.argv = ["-m", *arguments[1:]]
        try:
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as end:
            status = (
                end.code if isinstance(end.code, int) else int(end.code is not None)
            )
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _intact(subject: Subject, folder: str) -> Any:
    """The answer for the intact file: the command must work in the first place."""
    out = pathlib.Path(folder) / f"intact-{subject.name.replace(' ', '-')}"
    run = execute(subject.arguments(subject.source, out))
    if run.status:
        raise SystemExit(f"{subject.name}: the intact file fails:\n{run.text}")
    return subject.answer(out)


if __name__ == "__main__":
    sys.exit(main())
