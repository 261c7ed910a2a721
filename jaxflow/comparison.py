"""Several models beside each other, each with as many seeds as there are.

    entries (a name and its checkpoints), data, test -> Comparison: tables, JSON, text

Every model is tested as ``evaluate`` tests it, on the strided test set and on the
ambiguous subset; figures are means over seeds with their standard deviation. The second
table is the paper's Table 4 (its ablation study), with the paper's own numbers beside
the rows that are called as in `presets.ABLATIONS`. A model can lower its best-of-M by
being over-confident, so the calibration error stands beside every best-of-M figure, and
`Comparison.trade_offs` says where the two disagree.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxflow import files, protocol, seed_statistics, tables
from jaxflow.config import DataConfig
from jaxflow.seed_statistics import ABLATION_COLUMNS, BEST, ECE, TEST_COLUMNS
from jaxflow.summary import EvaluationResult
from jaxflow.tables import Table
from jaxflow.training import checkpoint

# Table 4 of the paper: MPJPE and PA-MPJPE of the best of 200 in mm, PCK in %, CPS.
PAPER_ABLATIONS = {
    "full": (71.0, 54.2, 93.4, 171.0),
    "no_condition": (71.7, 57.2, 91.2, 137.6),
    "no_heatmap": (72.4, 56.2, 92.2, 157.3),
    "no_gen": (73.6, 58.2, 92.5, 165.5),
    "no_best_of_m": (76.0, 58.5, 91.6, 161.4),
    "k1": (71.8, 54.9, 92.6, 167.4),
    "k10": (70.7, 54.9, 93.3, 168.3),
    "k50": (71.0, 55.2, 93.1, 168.0),
}
# Names of the tables' files.
_FILES = ("models", "ablations")


class Entry(NamedTuple):
    """What to compare.

    Attributes:
      name: of the model; one of `presets.ABLATIONS` gets the paper's row beside it.
      checkpoints: folders of the same model trained with different seeds.
    """

    name: str
    checkpoints: tuple[str, ...]


class Member(NamedTuple):
    """One model's evaluations, a seed each.

    Attributes:
      entry: what was asked for.
      test: on the strided test set.
      ambiguous: on the ambiguous subset; empty where the set has no such frames.
    """

    entry: Entry
    test: tuple[EvaluationResult, ...]
    ambiguous: tuple[EvaluationResult, ...]


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
        """Sentences on pairs of which one is better and the other better calibrated."""
        pairs = itertools.combinations(self.members, 2)
        return [line for line in itertools.starmap(_trade_off, pairs) if line]

    def notes(self) -> list[str]:
        """How to read the tables, and what they leave out."""
        found = [
            "Errors are means over actions, calibration errors (ECE, 0 is ideal) over "
            "frames. P1 MPJPE mm, P2 and PMPJPE after Procrustes alignment mm, PCK % "
            "within 150 mm."
        ]
        if any(len(one.entry.checkpoints) > 1 for one in self.members):
            found.append("After ± the standard deviation over seeds (divisor n - 1).")
        if not self.has_ambiguous:
            found.append(
                "The test set has no ambiguous frame (a fitted sigma above 5 heatmap "
                "pixels), so there is no table of the ambiguous subset."
            )
        return found

    def describe(self) -> str:
        """Tables and notes for the console."""
        text = "\n\n".join(map(tables.to_console, self.tables()))
        return "\n".join([text, "", *self.notes(), *self.trade_offs()])

    def to_json(self) -> dict[str, Any]:
        """The tables' figures per model, and every seed's whole evaluation."""
        return {
            "models": [
                {
                    "name": one.entry.name,
                    "checkpoints": list(one.entry.checkpoints),
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
    """``NAME=DIR,DIR`` as an entry.

    Raises:
      ValueError: it does not look so.
    """
    name, _, folders = text.partition("=")
    checkpoints = tuple(folder for folder in folders.split(",") if folder)
    if not (name and checkpoints):
        raise ValueError(f"expected NAME=DIR[,DIR...], a folder a seed; got {text!r}")
    return Entry(name, checkpoints)


def compare(
    entries: Sequence[Entry], source: DataConfig, test: protocol.TestConfig
) -> Comparison:
    """Evaluates every checkpoint on the same frames with the same noise.

    Args:
      entries: at least one; names that differ, a checkpoint or more each.
      source: the data set, read once.
      test: how to test. Models are compared with each other on both sets of frames,
        whatever it says about that, and not with a mean pose or an untrained network.

    Raises:
      ValueError: no entries, a name twice, an entry without checkpoints, or a
        checkpoint or data set that is missing; before anything is tested.
    """
    _check(entries)
    test = dataclasses.replace(test, mean_pose=False, untrained=False, ambiguous=True)
    shared = protocol.load(entries[0].checkpoints[0], source, test)
    members = []
    for entry in entries:
        found = [_evaluate(shared, folder, test) for folder in entry.checkpoints]
        unsure = tuple(one.ambiguous for one in found if one.ambiguous is not None)
        members.append(Member(entry, tuple(one.test for one in found), unsure))
    return Comparison(tuple(members))


def _check(entries: Sequence[Entry]) -> None:
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
            checkpoint.find(folder)


def _evaluate(
    shared: protocol.Loaded, folder: str, test: protocol.TestConfig
) -> protocol.Evaluation:
    """One checkpoint on frames that are already loaded."""
    print(f"testing {folder}")
    loaded = shared._replace(
        params=checkpoint.load_params(folder),
        flow=checkpoint.load_config(folder).flow,
    )
    return protocol.evaluate(loaded, test)


def _test_table(members: Sequence[Member]) -> Table:
    first = members[0].test[0]
    title = (
        f"Models compared: {first.pooled.frames} test frames, {first.num_hypotheses} "
        "hypotheses each"
    )
    rows = [_row(one.entry, one.test, TEST_COLUMNS) for one in members]
    return Table(title, _header(TEST_COLUMNS), tuple(rows))


def _ablation_table(members: Sequence[Member]) -> Table:
    """The paper's Table 4, its own numbers last where a row is one of its."""
    first = members[0].ambiguous[0]
    title = (
        f"Ambiguous subset: {first.pooled.frames} frames, best of "
        f"{first.num_hypotheses} hypotheses"
    )
    columns = _header(ABLATION_COLUMNS)
    rows = [_row(one.entry, one.ambiguous, ABLATION_COLUMNS) for one in members]
    published = [PAPER_ABLATIONS.get(one.entry.name) for one in members]
    if any(published):
        title += "; beside it the paper's Table 4, best of 200 on Human3.6M"
        columns += tuple(f"paper {name}" for name in ("MPJPE", "PMPJPE", "PCK", "CPS"))
        rows = [
            row + (tuple(f"{value:.1f}" for value in paper) if paper else ("",) * 4)
            for row, paper in zip(rows, published, strict=True)
        ]
    return Table(title, columns, tuple(rows))


def _header(columns: Sequence[seed_statistics.Column]) -> tuple[str, ...]:
    return "Model", "seeds", *(column.name for column in columns)


def _row(
    entry: Entry,
    results: Sequence[EvaluationResult],
    columns: Sequence[seed_statistics.Column],
) -> tuple[str, ...]:
    return entry.name, str(len(results)), *seed_statistics.cells(results, columns)


def _trade_off(one: Member, other: Member) -> str:
    """What is to be said on two models; nothing where one is better in both."""

    def figures(member: Member) -> tuple[float, float]:
        mean = seed_statistics.mean
        return mean(member.test, BEST), mean(member.test, ECE)

    sharp, honest = sorted((one, other), key=figures)
    (best, error), (other_best, other_error) = figures(sharp), figures(honest)
    if best >= other_best or error <= other_error:
        return ""
    return (
        f"{sharp.entry.name} has the lower best of {sharp.test[0].num_hypotheses} "
        f"({best:.1f} against {other_best:.1f} mm), but {honest.entry.name} is better "
        f"calibrated (error {other_error:.3f} against {error:.3f})."
    )


def write(comparison: Comparison, out: pathlib.Path) -> list[pathlib.Path]:
    """comparison.md, comparison.json and a CSV file a table; returns their paths.

    Raises:
      OSError: the folder cannot be written to.
    """
    found = comparison.tables()
    lines = [f"- {line}" for line in (*comparison.notes(), *comparison.trade_offs())]
    text = "\n".join([*map(tables.to_markdown, found), *lines, ""])
    return [
        files.write_text(out / "comparison.md", text),
        files.write_json(out / "comparison.json", comparison.to_json()),
        *(
            files.write_text(out / f"{name}.csv", tables.to_csv(table))
            for name, table in zip(_FILES, found, strict=False)
        ),
    ]
