"""Tables as text: aligned, escaped, the best of comparable rows in bold."""

import csv
import io
import re

import pytest

from jaxflow.reporting import tables


def test_tables_as_text():
    table = tables.Table("T", ("Name", "P1 z0"), (("a,b", "1.0"), ("sum", "2.0")), 1)
    rows = list(csv.reader(io.StringIO(tables.to_csv(table))))
    assert rows == [["Name", "P1 z0"], ["a,b", "1.0"], ["sum", "2.0"]]
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
    control = tables.Table("T", ("Name",), (("a\x1b[2J",),))
    assert "\x1b" not in tables.to_console(control)


def test_the_best_of_comparable_rows_is_bold():
    rows = (
        ("a", "5.0 ± 0.2", "90.0"),
        ("b", "4.0", "80.0"),
        ("c", "–", "90.0"),
        ("d", "1.0", "1.0"),
    )
    table = tables.Table(
        "T",
        ("Name", "P1 best", "PCK"),
        rows,
        better=(0, -1, 1),
        comparable=((0, 1, 2),),
    )
    assert tables.best_cells(table) == {(1, 1), (0, 2), (2, 2)}
    assert "| b | **4.0** | 80.0 |" in tables.to_markdown(table)
    plain, bold = tables.to_console(table), tables.to_console(table, bold=True)
    assert "\x1b" not in plain and "\x1b[1m4.0\x1b[0m" in bold
    assert re.sub(r"\x1b\[[01]m", "", bold) == plain
    assert tables.ranked(table).better == (0, -1, 1)
    assert tables.to_json(table)["rows"][1] == ["b", 4.0, 80.0]
    equal = table._replace(rows=(rows[0], rows[0]), comparable=((0, 1),))
    assert not tables.best_cells(equal)
    with pytest.raises(ValueError, match="3 entries of better"):
        tables.best_cells(table._replace(better=(0,)))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bold_is_for_terminals_that_want_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert tables.wants_bold(Terminal()) and not tables.wants_bold(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not tables.wants_bold(Terminal())
