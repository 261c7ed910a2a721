"""One self-contained HTML page: no network, inline drawings, light and dark.

In: text from anywhere, tables, drawings as SVG elements. Out: the page as a string.
Everything that is text is escaped here, so that names from data are shown, not run.
"""

from __future__ import annotations

import html
import pathlib
import string
from collections.abc import Sequence
from typing import NamedTuple

from jaxflow.tables import Table

_TEMPLATE = pathlib.Path(__file__).with_name("page.html")


class Tile(NamedTuple):
    """A number to see first: the number, its unit if any, and what it is."""

    value: str
    unit: str
    label: str


class Drawing(NamedTuple):
    """A figure of the page.

    Attributes:
      svg: an ``<svg>`` element, from ``figures.style.for_page``.
      caption: text.
      wide: takes the whole width, and scrolls on a phone rather than shrink.
    """

    svg: str
    caption: str
    wide: bool = False


class Section(NamedTuple):
    """A heading, a paragraph, then drawings side by side and tables."""

    title: str
    text: str
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()


def render(
    title: str,
    subtitle: str,
    tiles: Sequence[Tile],
    sections: Sequence[Section],
    footer: str = "",
) -> str:
    """The page."""
    template = string.Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        footer=html.escape(footer),
        tiles="\n".join(map(_tile, tiles)),
        sections="\n".join(map(_section, sections)),
    )


def _tile(tile: Tile) -> str:
    value, unit, label = map(html.escape, tile)
    number = f"{value} <small>{unit}</small>" if unit else value
    return f'<div class="tile"><b>{number}</b><span>{label}</span></div>'


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.drawings:
        drawings = "\n".join(map(_drawing, section.drawings))
        parts.append(f'<div class="grid">\n{drawings}\n</div>')
    parts += map(_table, section.tables)
    return "\n".join([*parts, "</section>"])


def _drawing(drawing: Drawing) -> str:
    kind = ' class="wide" tabindex="0"' if drawing.wide else ""
    caption = html.escape(drawing.caption)
    return (
        f"<figure{kind}>\n{drawing.svg}\n<figcaption>{caption}</figcaption>\n</figure>"
    )


def _table(table: Table) -> str:
    body = len(table.rows) - table.closing
    rows = [
        f"<tr{' class=closing' if number >= body else ''}>{_cells('td', row)}</tr>"
        for number, row in enumerate(table.rows)
    ]
    title = html.escape(table.title)
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{title}">'
        f"<h3>{title}</h3>\n<table>\n<thead><tr>{_cells('th', table.columns)}</tr>"
        f"</thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table></div>"
    )


def _cells(tag: str, cells: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
