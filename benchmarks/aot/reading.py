"""Figures read off a compiled module's text.

    text of the optimised HLO -> kernels, cycles, collectives, each times its trips

A loop of a known number of trips counts so many times, another once: its figures are
"a trip". What an iteration of a dispatch costs is the body of the outermost such loop.
The number is the compiler's, or what the loop's counter is compared with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# These start no kernel: they name, regroup or wait.
_FREE = frozenset(
    "parameter constant tuple get-tuple-element bitcast while conditional call "
    "after-all partition-id replica-id opt-barrier async-start async-update "
    "async-done copy-done all-reduce-done all-gather-done".split()
)
COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "all-to-all",
    "reduce-scatter",
    "collective-permute",
)
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = .*? ([a-z][a-z\-]*)\(")
_CALLED = re.compile(r"(?:to_apply|body|calls)=%?([\w.\-]+)")
_CONDITION = re.compile(r"condition=%?([\w.\-]+)")
_BELOW = re.compile(r"ROOT %?[\w.\-]+ = pred\[\]\S* compare\(.*direction=LT")
_NUMBER = re.compile(r" = s32\[\]\S* constant\((\d+)\)")
_BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_OF_PARTS = re.compile(
    r": \(tensor<[\dx]*xbf16>, tensor<[\dx]*xbf16>\) -> tensor<.*f32>"
)
_NAME = re.compile(r'op_name="([^"]*)"')


class Instruction(NamedTuple):
    """A line of a computation.

    Attributes:
      kind: its operation's name.
      cycles: that the compiler estimates, 0 where it does not say.
      trips: of a loop; 0 where they are not known.
      called: computations that it runs one after the other; of a loop whose trips the
        compiler knows, without its condition, which it then does not ask.
      source: of the traced program, JAX's name of the operation.
    """

    kind: str
    cycles: int
    trips: int
    called: tuple[str, ...]
    source: str


class Executed(NamedTuple):
    """An instruction, and how often it runs.

    Attributes:
      instruction: that runs.
      times: a call, loops of unknown length once.
      in_loop: whether it is within such a loop.
    """

    instruction: Instruction
    times: int
    in_loop: bool


class Figures(NamedTuple):
    """Of a program, and of a trip of its loops of unknown length."""

    kernels: int
    kernels_a_trip: int
    cycles: int
    cycles_a_trip: int
    collectives: dict[str, int]


def executed(text: str) -> list[Executed]:
    """Everything that runs in a call, in no particular order."""
    entry, computations = _parsed(text)
    return list(_walk(computations, entry, 1, False))


def figures(text: str) -> Figures:
    """See `Figures`."""
    everything = executed(text)
    kernels = [item for item in everything if item.instruction.kind not in _FREE]
    collectives: dict[str, int] = {}
    for kind in COLLECTIVES:
        names = kind, f"{kind}-start"
        found = sum(item.instruction.kind in names for item in everything)
        if found:
            collectives[kind] = found
    return Figures(
        kernels=sum(item.times for item in kernels),
        kernels_a_trip=sum(item.times for item in kernels if item.in_loop),
        cycles=sum(i.times * i.instruction.cycles for i in everything),
        cycles_a_trip=sum(i.times * i.instruction.cycles for i in everything if i[2]),
        collectives=collectives,
    )


def by_source(text: str, most: int = 40, depth: int = 4) -> list[tuple[str, int, int]]:
    """(source, kernels, cycles), the most first: where a program's kernels come from.

    Args:
      text: of the module.
      most: rows.
      depth: last parts of JAX's names that are told apart.
    """
    rows: dict[str, list[int]] = {}
    for item in executed(text):
        if item.instruction.kind in _FREE:
            continue
        parts = re.sub(r"closed_call/|jit\(|\)", "", item.instruction.source)
        name = "/".join(parts.split("/")[-depth:]) or f"({item.instruction.kind})"
        row = rows.setdefault(name, [0, 0])
        row[0] += item.times
        row[1] += item.times * item.instruction.cycles
    ordered = sorted(rows.items(), key=lambda row: (-row[1][1], -row[1][0]))
    return [(name, *counts) for name, counts in ordered[:most]]


def exact_products(text: str) -> tuple[int, int]:
    """Products of a lowered program (StableHLO): exact ones, and all.

    Those of bfloat16s are exact as they are, if float32s come out (`maths.narrow`),
    also the fewer that lower precision asks for.
    """
    lines = [
        line
        for line in text.splitlines()
        if "stablehlo.dot_general" in line or "stablehlo.convolution" in line
    ]
    exact = sum(
        line.count("HIGHEST") == 2 or bool(_OF_PARTS.search(line)) for line in lines
    )
    return exact, len(lines)


def _parsed(text: str) -> tuple[str, dict[str, list[Instruction]]]:
    """The entry's name, and the instructions of every computation."""
    bodies: dict[str, list[str]] = {}
    entry, lines = "", list[str]()
    for line in text.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            lines = bodies.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        else:
            lines.append(line)
    limits = {name: _limit(body) for name, body in bodies.items()}
    computations = {
        name: [
            _instruction(found[1], line, limits)
            for line in body
            if (found := _INSTRUCTION.match(line))
        ]
        for name, body in bodies.items()
    }
    return entry, computations


def _limit(lines: list[str]) -> int:
    """What a loop's counter stays below by this condition; 0: it says other things."""
    text = "\n".join(lines)
    numbers = _NUMBER.findall(text)
    return int(numbers[0]) if len(numbers) == 1 and _BELOW.search(text) else 0


def _instruction(kind: str, line: str, limits: dict[str, int]) -> Instruction:
    cycles, trips, name = (p.search(line) for p in (_CYCLES, _TRIPS, _NAME))
    called: list[str] = []
    number = int(trips[1]) if trips else 0
    # What a fusion, a reduction or a sort calls is within one kernel.
    if kind in ("while", "call", "conditional", "async-start"):
        called = _CALLED.findall(line)
        for names in _BRANCHES.findall(line):
            called += [name.strip(" %") for name in names.split(",")]
    if kind == "while" and not number:
        condition = _CONDITION.findall(line)[0]
        called.append(condition)
        number = limits.get(condition, 0)
    return Instruction(
        kind,
        int(cycles[1]) if cycles else 0,
        number,
        tuple(called),
        name[1] if name else "",
    )


def _walk(
    computations: dict[str, list[Instruction]], name: str, times: int, in_loop: bool
) -> Iterator[Executed]:
    for line in computations.get(name, []):
        yield Executed(line, times, in_loop)
        loop = line.kind == "while"
        inner = times * (line.trips or 1) if loop else times
        endless = in_loop or (loop and not line.trips)
        for called in line.called:
            yield from _walk(computations, called, inner, endless)
