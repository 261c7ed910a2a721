"""Tables as text: for the console, as Markdown, as CSV and as JSON.

In: an ``EvaluationResult``. Out: a ``Table`` of strings, and from it text in which the
best of comparable rows is bold.
"""

from __future__ import annotations

import csv
import io
import os
import re
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

from jaxflow import metrics
from jaxflow.metrics.sums import EvaluationResult, Figures


class Table(NamedTuple):
    """Rows of text under named columns; the first column holds the rows' names.

    Attributes:
      title: one line.
      columns: names.
      rows: as many cells each as there are columns.
      closing: how many of the last rows sum up the others.
      better: for each column -1 where less is better, 1 where more is, 0 where neither
        is; nothing is marked where it is empty.
      comparable: groups of row numbers; in each group the best of a column is bold.
      note: what one must know to read it, and where quoted rows come from.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    closing: int = 0
    better: tuple[int, ...] = ()
    comparable: tuple[tuple[int, ...], ...] = ()
    note: str = ""


_WIDTH = 88  # columns of text on the console
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def best_cells(table: Table) -> frozenset[tuple[int, int]]:
    """The (row, column) of the cells that are bold: the best of their group.

    Cells are compared as they are shown, so that what looks equal is marked alike; of
    ``54.2 ± 0.3`` the mean counts. A group in which all are equal has no best.

    Raises:
      ValueError: ``better`` has not one entry a column.
    """
    if not table.better:
        return frozenset()
    if len(table.better) != len(table.columns):
        raise ValueError(
            f"{table.title}: expected {len(table.columns)} entries of better, one a "
            f"column; got {len(table.better)}"
        )
    found = set()
    for group in table.comparable:
        for column, sign in enumerate(table.better):
            values = {
                row: sign * float(number[0])
                for row in group
                if sign and (number := _NUMBER.match(table.rows[row][column]))
            }
            if len(set(values.values())) > 1:
                top = max(values.values())
                found |= {(row, column) for row, one in values.items() if one == top}
    return frozenset(found)


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


_MORE_IS_BETTER = ("PCK", "CPS", "AUC")
_LESS_IS_BETTER = ("MPJPE", "PMPJPE", "PA-MPJPE", "P1", "P2", "ECE")


def ranked(table: Table) -> Table:
    """The table with the best row of every column that bears an error's name marked."""
    words = [set(name.split()) for name in table.columns]
    better = [
        1 if one & set(_MORE_IS_BETTER) else -1 if one & set(_LESS_IS_BETTER) else 0
        for one in words
    ]
    everyone = tuple(range(len(table.rows)))
    return table._replace(better=(0, *better[1:]), comparable=(everyone,))


def to_console(table: Table, bold: bool = False) -> str:
    """Aligned columns, rules above and below the rows; names from data made safe.

    Args:
      table: to show.
      bold: mark the best with the terminal's bold type; see ``wants_bold``.
    """
    header = _header(table)
    cells = [[_printable(cell) for cell in row] for row in (*header, *table.rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    marked = best_cells(table) if bold else frozenset()
    lines = []
    for number, row in enumerate(cells, start=-len(header)):
        padded = map(_pad, row, widths, _left(row))
        shown = (
            _bold(cell) if (number, column) in marked else cell
            for column, cell in enumerate(padded)
        )
        lines.append("  ".join(shown).rstrip())
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines.insert(len(header), rule)
    if table.closing:
        lines.insert(len(lines) - table.closing, rule)
    note = ["", wrapped(table.note)] if table.note else []
    return "\n".join([_printable(table.title), "", *lines, *note])


def wrapped(text: str) -> str:
    """Text in lines of a console's width."""
    return textwrap.fill(_printable(text), _WIDTH)


def wants_bold(stream: TextIO) -> bool:
    """Whether bold type would be shown: a terminal, and nobody has asked for none.

    Source: no-color.org for ``NO_COLOR``.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def _bold(cell: str) -> str:
    """Bold type for the text alone, not for the space that aligns it."""
    text = cell.strip(" ")
    return cell.replace(text, f"\x1b[1m{text}\x1b[0m", 1) if text else cell


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
    """A GitHub table under a heading.

    Bold is the best of comparable rows; where no rows are compared, the closing ones.
    """
    body = len(table.rows) - table.closing
    marked = best_cells(table)
    lines = [
        "| " + " | ".join(map(_escaped, table.columns)) + " |",
        "|" + "|".join([" :-- "] + [" --: "] * (len(table.columns) - 1)) + "|",
    ]
    for number, row in enumerate(table.rows):
        closing = number >= body and not table.comparable
        cells = [
            f"**{_escaped(cell)}**"
            if cell and (closing or (number, column) in marked)
            else _escaped(cell)
            for column, cell in enumerate(row)
        ]
        lines.append("| " + " | ".join(cells) + " |")
    note = [_escaped(table.note), ""] if table.note else []
    return "\n".join([f"### {_escaped(table.title)}", "", *lines, "", *note])


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


def to_json(table: Table) -> dict[str, Any]:
    """Title, columns, rows and note; cells that are plain numbers as numbers."""
    return {
        "title": table.title,
        "columns": list(table.columns),
        "rows": [[_plain(cell) for cell in row] for row in table.rows],
        "note": table.note,
    }


def _plain(cell: str) -> str | int | float:
    if not _NUMBER.fullmatch(cell):
        return cell
    return float(cell) if "." in cell else int(cell)
