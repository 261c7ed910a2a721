"""Tables as text: for the console, as Markdown, as CSV and as JSON.

In: a ``Table`` of names and numbers. Out: text in which the best of comparable rows is
bold. A number keeps its value; its digits are those that are shown.
"""

from __future__ import annotations

import csv
import io
import os
import textwrap
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple, TextIO

MISSING = "–"  # how a cell without a number is shown
_WIDTH = 88  # columns of text on the console


class Number(NamedTuple):
    """A cell that holds a number.

    Attributes:
      value: as it was found.
      digits: shown behind the point.
      deviation: shown behind it, if there is one.
    """

    value: float
    digits: int = 1
    deviation: float | None = None

    def __str__(self) -> str:
        """As it is shown: ``71.0``, or ``71.0 ± 0.4``."""
        text = f"{self.value:.{self.digits}f}"
        if self.deviation is None:
            return text
        return f"{text} ± {self.deviation:.{self.digits}f}"

    @property
    def shown(self) -> float:
        """The value that is shown."""
        return float(f"{self.value:.{self.digits}f}")


# A name, a number, or nothing.
Cell = str | Number | None


def numbers(values: Iterable[float], digits: int = 1) -> tuple[Number, ...]:
    """Cells of so many digits."""
    return tuple(Number(float(value), digits) for value in values)


def count(value: int) -> Number:
    """A cell for a number of things."""
    return Number(value, 0)


class Row(NamedTuple):
    """The cells of a line.

    Attributes:
      cells: the row's name, then a cell a column.
      counts: whether it competes for the best of a column.
      closing: whether it sums up others above it.
    """

    cells: tuple[Cell, ...]
    counts: bool = True
    closing: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The cells as they are shown."""
        return tuple(MISSING if cell is None else str(cell) for cell in self.cells)


class Table(NamedTuple):
    """Rows under named columns; the first column holds the rows' names.

    Attributes:
      name: of letters and hyphens, as of a file; what code knows it by.
      title: one line.
      columns: names.
      rows: as many cells each as there are columns.
      better: for each column -1 where less is better, 1 where more is, 0 where neither
        is; nothing is marked where it is empty.
      groups: how many rows, from the first on, compete with each other, then how many
        further ones; by default all rows do.
      note: what one must know to read it, and where quoted rows come from.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    better: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    note: str = ""

    @property
    def closing(self) -> int:
        """How many of the last rows sum up the others."""
        return sum(row.closing for row in self.rows)


def best_cells(table: Table) -> frozenset[tuple[int, int]]:
    """The (row, column) of the cells that are bold: the best of their group.

    Numbers are compared as they are shown, so that what looks equal is marked alike. A
    group in which all are equal has no best.
    """
    if not table.better:
        return frozenset()
    best = set()
    start = 0
    for size in table.groups or (len(table.rows),):
        group = range(start, start + size)
        start += size
        for column, sign in enumerate(table.better):
            values = {
                number: sign * cell.shown
                for number in group
                if sign
                and table.rows[number].counts
                and isinstance(cell := table.rows[number].cells[column], Number)
            }
            if len(set(values.values())) > 1:
                top = max(values.values())
                best |= {(row, column) for row, value in values.items() if value == top}
    return frozenset(best)


def to_console(table: Table, bold: bool = False) -> str:
    """Aligned columns, rules above and below the rows; names from data made safe.

    Args:
      table: to show.
      bold: mark the best with the terminal's bold type; see ``wants_bold``.
    """
    header = _header(table)
    cells = [
        [_printable(cell) for cell in row]
        for row in (*header, *(row.texts for row in table.rows))
    ]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    marked = best_cells(table) if bold else frozenset()
    lines = []
    for number, row in enumerate(cells, start=-len(header)):
        # Only names are flush left; numbers are flush right.
        padded = map(_pad, row, widths, [True] + [False] * (len(row) - 1))
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


def _pad(cell: str, width: int, left: bool) -> str:
    space = " " * (width - _width(cell))
    return cell + space if left else space + cell


def _width(text: str) -> int:
    """Columns on a console: East Asian wide characters take two, accents none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _printable(text: str) -> str:
    """Control characters written out, so that a name cannot steer the console."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def to_markdown(table: Table) -> str:
    """A GitHub table under a heading.

    Bold is the best of comparable rows; where no rows are compared, the closing ones.
    """
    marked = best_cells(table)
    lines = [
        "| " + " | ".join(map(_escaped, table.columns)) + " |",
        "|" + "|".join([" :-- "] + [" --: "] * (len(table.columns) - 1)) + "|",
    ]
    for number, row in enumerate(table.rows):
        closing = row.closing and not table.better
        cells = [
            f"**{_escaped(cell)}**"
            if cell and (closing or (number, column) in marked)
            else _escaped(cell)
            for column, cell in enumerate(row.texts)
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
    writer.writerows(row.texts for row in table.rows)
    return text.getvalue()


def to_json(table: Table) -> dict[str, object]:
    """Title, columns, rows and note; numbers as they are shown."""
    return {
        "title": table.title,
        "columns": list(table.columns),
        "rows": [[_plain(cell) for cell in row.cells] for row in table.rows],
        "note": table.note,
    }


def _plain(cell: Cell) -> str | int | float:
    if isinstance(cell, Number) and cell.deviation is None:
        return cell.shown if cell.digits else int(cell.shown)
    return MISSING if cell is None else str(cell)
