"""Tables as text: for the console, as Markdown and as CSV.

In: an ``EvaluationResult``. Out: a ``Table`` of strings, and from it text.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from jaxflow import metrics
from jaxflow.summary import EvaluationResult, Figures


class Table(NamedTuple):
    """Rows of text under named columns; the first column holds the rows' names.

    Attributes:
      title: one line.
      columns: names.
      rows: as many cells each as there are columns.
      closing: how many of the last rows sum up the others.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    closing: int = 0


_MPJPE = tuple(f"P1 {name}" for name in metrics.ERROR_NAMES)
_PA_MPJPE = tuple(f"P2 {name}" for name in metrics.ERROR_NAMES)


def of_result(result: EvaluationResult, title: str) -> Table:
    """A row an action, then the mean over actions and the mean over frames.

    P1 is MPJPE, P2 PA-MPJPE, both in mm; PCK in per cent; ECE the calibration error.
    """
    rows = [_row(action, one) for action, one in result.per_action.items()]
    rows.append(_row("Average of actions", result.average))
    rows.append(_row("All frames", result.pooled))
    columns = ("Action", "frames", *_MPJPE, *_PA_MPJPE, "PCK", "CPS", "ECE")
    return Table(title, columns, tuple(rows), closing=2)


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    errors = [*figures.mpjpe, *figures.pa_mpjpe]
    return (
        name,
        str(figures.frames),
        *(f"{error:.1f}" for error in errors),
        f"{100 * figures.pck:.1f}",
        f"{figures.cps:.1f}",
        f"{figures.ece:.3f}",
    )


def spread(figures: Figures, joints: Sequence[str]) -> Table:
    """Standard deviation over the hypotheses, a row a joint, a column an axis, mm."""
    rows = [
        (joint, *(f"{value:.1f}" for value in axes))
        for joint, axes in zip(joints, figures.spread, strict=True)
    ]
    rows.append(("Mean", *(f"{value:.1f}" for value in figures.spread_per_axis)))
    title = "Spread of the hypotheses (standard deviation, mm)"
    return Table(title, ("Joint", "x", "y", "z"), tuple(rows), closing=1)


def to_console(table: Table) -> str:
    """Aligned columns, rules above and below the rows; names from data made safe."""
    cells = [
        [_printable(cell) for cell in row] for row in (*_header(table), *table.rows)
    ]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(_pad, row, widths, _left(row))).rstrip() for row in cells]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines.insert(len(_header(table)), rule)
    if table.closing:
        lines.insert(len(lines) - table.closing, rule)
    return "\n".join([table.title, "", *lines])


def _header(table: Table) -> list[list[str]]:
    """The columns' names, in two lines where some consist of two words."""
    names = [name.rpartition(" ") for name in table.columns]
    lines = [[first for first, _, _ in names], [last for _, _, last in names]]
    return lines if any(lines[0]) else lines[1:]


def _left(row: Sequence[str]) -> list[bool]:
    """Only names are flush left; numbers are flush right."""
    return [i == 0 for i in range(len(row))]


def _pad(cell: str, width: int, left: bool) -> str:
    space = " " * (width - _width(cell))
    return cell + space if left else space + cell


def _width(text: str) -> int:
    """Columns on a console: East Asian wide characters take two, accents none."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)


def _printable(text: str) -> str:
    """Control characters written out, so that a name cannot steer the console."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def to_markdown(table: Table) -> str:
    """A GitHub table under a heading; the closing rows in bold."""
    body = len(table.rows) - table.closing
    lines = [
        "| " + " | ".join(map(_escaped, table.columns)) + " |",
        "|" + "|".join([" :-- "] + [" --: "] * (len(table.columns) - 1)) + "|",
    ]
    for number, row in enumerate(table.rows):
        mark = "**" if number >= body else ""
        lines.append("| " + " | ".join(mark + _escaped(c) + mark for c in row) + " |")
    return "\n".join([f"### {table.title}", "", *lines, ""])


def _escaped(cell: str) -> str:
    """Text that Markdown and the HTML inside it show as it stands."""
    text = _printable(cell).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\|*_`[]" else c for c in text)


def to_csv(table: Table) -> str:
    """A header and a line a row, quoted where need be, Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()
