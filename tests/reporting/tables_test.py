"""Tables as text: aligned, escaped, the best of comparable rows in bold."""

import csv
import io
import re

from jaxflow.reporting import tables
from jaxflow.reporting.tables import Number, Row


def test_tables_as_text():
    rows = Row(("a,b", Number(1.0))), Row(("sum", Number(2.04)), closing=True)
    table = tables.Table("t", "T", ("Name", "P1 z0"), rows)
    lines = list(csv.reader(io.StringIO(tables.to_csv(table))))
    assert lines == [["Name", "P1 z0"], ["a,b", "1.0"], ["sum", "2.0"]]
    console = tables.to_console(table).splitlines()
    assert console[2:] == [
        "       P1",
        "Name   z0",
        "---------",
        "a,b   1.0",
        "---------",
        "sum   2.0",
    ]
    assert "| **sum** | **2.0** |" in tables.to_markdown(table)
    control = tables.Table("t", "T", ("Name",), (Row(("a\x1b[2J",)),))
    assert "\x1b" not in tables.to_console(control)


def test_the_best_of_comparable_rows_is_bold():
    rows = (
        Row(("a", Number(5.0, 1, 0.2), Number(90.0))),
        Row(("b", Number(4.04), Number(80.0))),
        Row(("c", None, Number(90.0))),
        Row(("e", Number(0.5), Number(99.0)), counts=False),
        Row(("d", Number(1.0), Number(1.0))),
    )
    columns = "Name", "P1 best", "PCK"
    table = tables.Table("t", "T", columns, rows, better=(0, -1, 1), groups=(4, 1))
    assert tables.best_cells(table) == {(1, 1), (0, 2), (2, 2)}
    assert "| b | **4.0** | 80.0 |" in tables.to_markdown(table)
    plain, bold = tables.to_console(table), tables.to_console(table, bold=True)
    assert "\x1b" not in plain and "\x1b[1m4.0\x1b[0m" in bold
    assert re.sub(r"\x1b\[[01]m", "", bold) == plain
    assert tables.to_json(table)["rows"][:3] == [
        ["a", "5.0 ± 0.2", 90.0],
        ["b", 4.0, 80.0],
        ["c", "–", 90.0],
    ]
    alone = table._replace(groups=())
    assert tables.best_cells(alone) == {(4, 1), (0, 2), (2, 2)}
    equal = table._replace(rows=(rows[0], rows[0]), groups=())
    assert not tables.best_cells(equal)


def test_numbers_that_look_equal_are_marked_alike():
    rows = tuple(Row((name, Number(v))) for name, v in [("a", 1.04), ("b", 1.0)])
    rows += (Row(("c", Number(2.0))),)
    table = tables.Table("t", "T", ("Name", "mm"), rows, better=(0, -1))
    assert tables.best_cells(table) == {(0, 1), (1, 1)}
    assert tables.to_json(table)["rows"][0] == ["a", 1.0]
    assert (
        type(
            tables.to_json(table._replace(rows=(Row(("7", tables.count(3))),)))["rows"][
                0
            ][1]
        )
        is int
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bold_is_for_terminals_that_want_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert tables.wants_bold(Terminal()) and not tables.wants_bold(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not tables.wants_bold(Terminal())
