"""A comparison of models as tables and sentences, and the files of both.

In: a ``Comparison``, which holds numbers. Out: the strided test set's table, and the
ambiguous subset's: the paper's Table 4 (its ablation study), with the paper's own
numbers beside the rows that are called as in `presets.ABLATIONS`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxflow.evaluation import seed_statistics
from jaxflow.evaluation.comparison import Comparison, Member
from jaxflow.evaluation.seed_statistics import ABLATION_COLUMNS, TEST_COLUMNS, Column
from jaxflow.metrics.sums import EvaluationResult
from jaxflow.reporting import choice_tables, published, tables, uncertainty_tables
from jaxflow.reporting.tables import Number, Row, Table
from jaxflow.runs import errors, files

# All that `write` may write, by name.
_TABLES = "models", "ablations", "uncertainty", "paired", "cost"
_FIGURES = "best_of", "operations", "temperature"
PAPER = {row.method: row.values for row in published.ABLATIONS.rows}


def models(comparison: Comparison) -> Table:
    """The strided test set's: a row a model."""
    members = comparison.members
    first = members[0].test[0]
    title = (
        f"Models compared: {first.pooled.frames} test frames, {first.num_hypotheses} "
        "hypotheses each"
    )
    results = [member.test for member in members]
    return _table("models-compared", title, members, results, TEST_COLUMNS)


def ablations(comparison: Comparison) -> Table | None:
    """The paper's Table 4, its own numbers last where a row is one of its.

    None where the set has no ambiguous frames.
    """
    members = comparison.members
    if not comparison.has_ambiguous:
        return None
    first = members[0].ambiguous[0]
    title = (
        f"Ambiguous subset: {first.pooled.frames} frames, best of "
        f"{first.num_hypotheses} hypotheses"
    )
    results = [member.ambiguous for member in members]
    table = _table("ambiguous-subset", title, members, results, ABLATION_COLUMNS)
    theirs = [PAPER.get(member.entry.name) for member in members]
    if not any(theirs):
        return table
    paper = published.ABLATIONS
    empty = (None,) * len(paper.columns)
    return table._replace(
        columns=table.columns + tuple(f"paper {name}" for name in paper.columns),
        better=table.better + paper.better,
        rows=tuple(
            row._replace(
                cells=row.cells + tuple(map(published.number, values or empty))
            )
            for row, values in zip(table.rows, theirs, strict=True)
        ),
        note=f"{table.note} Paper: {paper.place}, best of 200 on Human3.6M.",
    )


def uncertainty(comparison: Comparison) -> Table | None:
    """Proper scores and the response; None where they were not measured."""
    if not all(member.uncertainty for member in comparison.members):
        return None
    return uncertainty_tables.compared(comparison)


def tables_of(comparison: Comparison) -> dict[str, Table]:
    """The tables there are, by the names of their files."""
    by_name = {
        "models": models(comparison),
        "ablations": ablations(comparison),
        "uncertainty": uncertainty(comparison),
        "paired": choice_tables.paired(comparison),
        "cost": choice_tables.cost(comparison),
    }
    return {name: table for name, table in by_name.items() if table is not None}


def _table(
    name: str,
    title: str,
    members: Sequence[Member],
    results: Sequence[Sequence[EvaluationResult]],
    columns: Sequence[Column],
) -> Table:
    rows = [
        Row((member.entry.name, tables.count(len(seeds)), *cells(seeds, columns)))
        for member, seeds in zip(members, results, strict=True)
    ]
    note = (
        "P1 is MPJPE and P2 PA-MPJPE, mm; PCK in % within 150 mm; ECE the calibration "
        "error, 0 if calibrated. Means over actions, ECE over frames."
    )
    if any(len(member.entry.checkpoints) > 1 for member in members):
        note += " After ± the standard deviation over seeds."
    return Table(
        name,
        title,
        ("Model", "seeds", *(column.name for column in columns)),
        tuple(rows),
        better=(0, 0, *(column.better for column in columns)),
        note=note,
    )


def cells(
    results: Sequence[EvaluationResult], columns: Sequence[Column]
) -> tuple[Number, ...]:
    """``71.0 ± 0.4`` for each column, or ``71.0`` where there is one seed."""
    values = [seed_statistics.values(results, column) for column in columns]
    return tuple(
        Number(float(np.mean(seeds)), column.digits, seed_statistics.deviation(seeds))
        for seeds, column in zip(values, columns, strict=True)
    )


def trade_offs(comparison: Comparison) -> list[str]:
    """A sentence on each model that beats another but is worse calibrated."""
    lines = []
    for member, others in comparison.trade_offs():
        best, error = member.sharpness
        beaten = ", ".join(
            f"{other.entry.name} ({other.sharpness[0]:.1f} mm, "
            f"{other.sharpness[1]:.3f})"
            for other in others
        )
        lines.append(
            f"{member.entry.name} has a better best of "
            f"{member.test[0].num_hypotheses} than {beaten} but is worse calibrated: "
            f"{best:.1f} mm with a calibration error of {error:.3f}."
        )
    return lines


def notes(comparison: Comparison) -> list[str]:
    """What the tables leave out."""
    lines = [
        f"{member.entry.name} is drawn at temperature {', '.join(_drawn_at(member))}."
        for member in comparison.members
        if set(_drawn_at(member)) != {"1"}
    ]
    if not comparison.has_ambiguous:
        lines.append(
            "The test set has no ambiguous frame (a fitted sigma above 5 heatmap "
            "pixels), so there is no table of the ambiguous subset."
        )
    return lines


def _drawn_at(member: Member) -> list[str]:
    """Each seed's temperature, and what else was fitted."""
    drawn = zip(member.temperatures, member.applied, strict=True)
    return [f"{temperature:g}{applied}" for temperature, applied in drawn]


def sentences(comparison: Comparison) -> list[str]:
    """All that is to be said beside the tables."""
    return [*notes(comparison), *trade_offs(comparison)]


def describe(comparison: Comparison, bold: bool = False) -> str:
    """Tables and sentences for the console; the best in bold or not."""
    found = tables_of(comparison).values()
    shown = [tables.to_console(table, bold) for table in found]
    return "\n\n".join([*shown, *sentences(comparison)])


def to_json(comparison: Comparison) -> dict[str, Any]:
    """All figures, and the sentences on them."""
    return {**comparison.to_json(), "trade_offs": trade_offs(comparison)}


def write(comparison: Comparison, out: pathlib.Path) -> list[pathlib.Path]:
    """comparison.md and .json, each table as .csv and .json; returns their paths.

    Tables and figures of an earlier comparison go first.

    Raises:
      OSError: the folder cannot be written to.
    """
    files.remove_any(out, _TABLES, ("csv", "json"))
    files.remove_any(out, _FIGURES, ("png", "svg"))
    named = tables_of(comparison)
    lines = [f"- {line}" for line in sentences(comparison)]
    text = "\n".join([*map(tables.to_markdown, named.values()), *lines, ""])
    written = [
        files.write_text(out / "comparison.md", text),
        files.write_json(out / "comparison.json", to_json(comparison)),
    ]
    for name, table in named.items():
        written.append(files.write_text(out / f"{name}.csv", tables.to_csv(table)))
        written.append(files.write_json(out / f"{name}.json", tables.to_json(table)))
    return [*written, *_drawn(comparison, out)]


def _drawn(comparison: Comparison, out: pathlib.Path) -> list[pathlib.Path]:
    """The figures' files; none where what draws them is not installed."""
    try:
        from jaxflow.reporting.figures import choice, style
    except ImportError:
        print(f"no figures: they need {errors.install('report')}")
        return []
    drawn = choice.draw(comparison).items()
    paths = [path for name, figure in drawn for path in style.save(figure, out / name)]
    return [pathlib.Path(path) for path in paths]
