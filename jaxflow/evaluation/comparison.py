"""Several models beside each other, each with as many seeds as there are.

    entries (a name and its checkpoints), data, test -> Comparison: tables, JSON, text

Every model is tested as ``evaluate`` tests it, on the strided test set and on the
ambiguous subset; figures are means over seeds with their standard deviation. The second
table is the paper's Table 4 (its ablation study), with the paper's own numbers beside
the rows that are called as in `presets.ABLATIONS`. A model may have the better best of
M hypotheses and still be surer than it is right, so the calibration error stands beside
every such figure, and `Comparison.trade_offs` says where the two disagree.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxflow.config import DataConfig
from jaxflow.evaluation import protocol
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.metrics.sums import EvaluationResult
from jaxflow.reporting import published, seed_statistics, tables
from jaxflow.reporting.seed_statistics import ABLATION_COLUMNS, BEST, ECE, TEST_COLUMNS
from jaxflow.reporting.tables import Table
from jaxflow.runs import files

_PAPER = {row.method: row.values for row in published.ABLATIONS.rows}
# Differences that are worth a sentence: a share of the error, and a calibration error.
_BETTER_BY, _WORSE_BY = 0.005, 0.01
# Names of the tables' files.
_FILES = ("models", "ablations")


class Entry(NamedTuple):
    """What to compare.

    Attributes:
      name: of the model; one of `presets.ABLATIONS` gets the paper's row beside it.
      checkpoints: folders of the same model trained with different seeds.
      temperature: to draw its hypotheses at, as `EvaluationConfig.temperature`;
        default: the test's.
    """

    name: str
    checkpoints: tuple[str, ...]
    temperature: str | None = None


class Member(NamedTuple):
    """One model's evaluations, a seed each.

    Attributes:
      entry: what was asked for.
      test: on the strided test set.
      ambiguous: on the ambiguous subset; empty where the set has no such frames.
      temperatures: that each seed's hypotheses were drawn at.
    """

    entry: Entry
    test: tuple[EvaluationResult, ...]
    ambiguous: tuple[EvaluationResult, ...]
    temperatures: tuple[float, ...] = (1.0,)


class Comparison(NamedTuple):
    """What a comparison found: the members in the order they were asked for."""

    members: tuple[Member, ...]

    @property
    def has_ambiguous(self) -> bool:
        """Whether the test set has ambiguous frames."""
        return bool(self.members[0].ambiguous)

    def tables(self) -> list[Table]:
        """The strided test set's, and the ambiguous subset's where there is one."""
        found = [_test_table(self.members)]
        if self.has_ambiguous:
            found.append(_ablation_table(self.members))
        return found

    def trade_offs(self) -> list[str]:
        """A sentence on each model that beats another but is worse calibrated."""
        lines = (_trade_off(one, self.members) for one in self.members)
        return [line for line in lines if line]

    def notes(self) -> list[str]:
        """What the tables leave out."""
        told = [
            f"{one.entry.name} is drawn at temperature "
            f"{', '.join(f'{value:g}' for value in one.temperatures)}."
            for one in self.members
            if set(one.temperatures) != {1.0}
        ]
        if self.has_ambiguous:
            return told
        return [
            *told,
            "The test set has no ambiguous frame (a fitted sigma above 5 heatmap "
            "pixels), so there is no table of the ambiguous subset.",
        ]

    def describe(self, bold: bool = False) -> str:
        """Tables and sentences for the console; the best in bold or not."""
        shown = [tables.to_console(table, bold) for table in self.tables()]
        return "\n\n".join([*shown, *self.notes(), *self.trade_offs()])

    def to_json(self) -> dict[str, Any]:
        """The tables' figures per model, and every seed's whole evaluation."""
        return {
            "models": [
                {
                    "name": one.entry.name,
                    "checkpoints": list(one.entry.checkpoints),
                    "temperatures": list(one.temperatures),
                    "test": seed_statistics.to_json(one.test, TEST_COLUMNS),
                    "ambiguous": seed_statistics.to_json(
                        one.ambiguous, ABLATION_COLUMNS
                    ),
                    "evaluations": {
                        "test": [result.to_json() for result in one.test],
                        "ambiguous": [result.to_json() for result in one.ambiguous],
                    },
                }
                for one in self.members
            ],
            "trade_offs": self.trade_offs(),
        }


def parse(text: str) -> Entry:
    """``NAME=DIR,DIR`` or ``NAME=DIR,DIR@TEMPERATURE`` as an entry.

    Raises:
      ValueError: it does not look so.
    """
    name, _, rest = text.partition("=")
    folders, marked, temperature = rest.rpartition("@")
    if not marked:
        folders, temperature = rest, ""
    checkpoints = tuple(folder for folder in folders.split(",") if folder)
    if not (name and checkpoints):
        raise ValueError(
            f"expected NAME=DIR[,DIR...][@TEMPERATURE], a folder a seed; got {text!r}"
        )
    if temperature:
        calibration_file.check(temperature)
    return Entry(name, checkpoints, temperature or None)


def compare(
    entries: Sequence[Entry], source: DataConfig, test: protocol.EvaluationConfig
) -> Comparison:
    """Evaluates every checkpoint on the same frames with the same noise.

    Args:
      entries: at least one; names that differ, a checkpoint or more each.
      source: the data set, read once.
      test: how to test: frames, hypotheses and noise. Models are compared with each
        other alone, on both sets of frames, whatever it says about that.

    Raises:
      ValueError: no entries, a name twice, an entry without checkpoints, or a
        checkpoint or data set that is missing; before anything is tested.
    """
    _check(entries, test)
    test = dataclasses.replace(
        test, ambiguous=True, mean_pose=False, untrained=False, reductions=False
    )
    first = entries[0].checkpoints[0]
    shared = protocol.load(first, source, dataclasses.replace(test, temperature="1"))
    members = []
    for entry in entries:
        own = dataclasses.replace(
            test, temperature=entry.temperature or test.temperature
        )
        found = [_evaluate(shared, folder, own) for folder in entry.checkpoints]
        unsure = tuple(one.ambiguous for one in found if one.ambiguous is not None)
        tested = tuple(one.test for one in found)
        temperatures = tuple(one.temperature for one in found)
        members.append(Member(entry, tested, unsure, temperatures))
    return Comparison(tuple(members))


def _check(entries: Sequence[Entry], test: protocol.EvaluationConfig) -> None:
    if not entries:
        raise ValueError("expected at least one model to compare")
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{', '.join(twice)} is named more than once; give all seeds of a model "
            "together, their folders divided by commas"
        )
    for entry in entries:
        if not entry.checkpoints:
            raise ValueError(f"{entry.name} has no checkpoint")
        for folder in entry.checkpoints:
            calibration_file.resolve(folder, entry.temperature or test.temperature)


def _evaluate(
    shared: protocol.Loaded, folder: str, test: protocol.EvaluationConfig
) -> protocol.Evaluation:
    """One checkpoint on frames that are already loaded."""
    temperature = calibration_file.resolve(folder, test.temperature)
    print(f"testing {folder} at temperature {temperature:g}")
    loaded = shared._replace(
        params=checkpoint.load_params(folder),
        flow=checkpoint.load_config(folder).flow,
        temperature=temperature,
    )
    return protocol.evaluate(loaded, test)


def _test_table(members: Sequence[Member]) -> Table:
    first = members[0].test[0]
    title = (
        f"Models compared: {first.pooled.frames} test frames, {first.num_hypotheses} "
        "hypotheses each"
    )
    rows = [_row(one.entry, one.test, TEST_COLUMNS) for one in members]
    return _table(title, TEST_COLUMNS, rows, _note(members))


def _ablation_table(members: Sequence[Member]) -> Table:
    """The paper's Table 4, its own numbers last where a row is one of its."""
    first = members[0].ambiguous[0]
    title = (
        f"Ambiguous subset: {first.pooled.frames} frames, best of "
        f"{first.num_hypotheses} hypotheses"
    )
    rows = [_row(one.entry, one.ambiguous, ABLATION_COLUMNS) for one in members]
    table = _table(title, ABLATION_COLUMNS, rows, _note(members))
    theirs = [_PAPER.get(one.entry.name) for one in members]
    if not any(theirs):
        return table
    paper = published.ABLATIONS
    empty = (None,) * len(paper.columns)
    return table._replace(
        columns=table.columns + tuple(f"paper {name}" for name in paper.columns),
        better=table.better + paper.better,
        rows=tuple(
            row + tuple(published.cell(value) for value in values or empty)
            for row, values in zip(rows, theirs, strict=True)
        ),
        note=f"{table.note} Paper: {paper.place}, best of 200 on Human3.6M.",
    )


def _table(
    title: str,
    columns: Sequence[seed_statistics.Column],
    rows: Sequence[tuple[str, ...]],
    note: str,
) -> Table:
    return Table(
        title,
        ("Model", "seeds", *(column.name for column in columns)),
        tuple(rows),
        better=(0, 0, *(column.better for column in columns)),
        comparable=(tuple(range(len(rows))),),
        note=note,
    )


def _row(
    entry: Entry,
    results: Sequence[EvaluationResult],
    columns: Sequence[seed_statistics.Column],
) -> tuple[str, ...]:
    return entry.name, str(len(results)), *seed_statistics.cells(results, columns)


def _note(members: Sequence[Member]) -> str:
    """How to read a table."""
    text = (
        "P1 is MPJPE and P2 PA-MPJPE, mm; PCK in % within 150 mm; ECE the calibration "
        "error, 0 if calibrated. Means over actions, ECE over frames."
    )
    if any(len(one.entry.checkpoints) > 1 for one in members):
        text += " After ± the standard deviation over seeds."
    return text


def _trade_off(one: Member, members: Sequence[Member]) -> str:
    """What a sharper model pays; nothing where no other is better calibrated."""
    best, error = _figures(one)
    paid = [
        f"{other.entry.name} ({figures[0]:.1f} mm, {figures[1]:.3f})"
        for other, figures in zip(members, map(_figures, members), strict=True)
        if best < (1 - _BETTER_BY) * figures[0] and error > figures[1] + _WORSE_BY
    ]
    if not paid:
        return ""
    return (
        f"{one.entry.name} has a better best of {one.test[0].num_hypotheses} than "
        f"{', '.join(paid)} but is worse calibrated: {best:.1f} mm with a calibration "
        f"error of {error:.3f}."
    )


def _figures(member: Member) -> tuple[float, float]:
    """Best of M in mm and calibration error, means over seeds."""
    mean = seed_statistics.mean
    return mean(member.test, BEST), mean(member.test, ECE)


def write(comparison: Comparison, out: pathlib.Path) -> list[pathlib.Path]:
    """comparison.md and .json, each table as .csv and .json; returns their paths.

    Raises:
      OSError: the folder cannot be written to.
    """
    found = comparison.tables()
    lines = [f"- {line}" for line in (*comparison.notes(), *comparison.trade_offs())]
    text = "\n".join([*map(tables.to_markdown, found), *lines, ""])
    written = [
        files.write_text(out / "comparison.md", text),
        files.write_json(out / "comparison.json", comparison.to_json()),
    ]
    for name, table in zip(_FILES, found, strict=False):
        written.append(files.write_text(out / f"{name}.csv", tables.to_csv(table)))
        written.append(files.write_json(out / f"{name}.json", tables.to_json(table)))
    return written
