"""One self-contained HTML page: no network, inline drawings, light and dark.

In: text from anywhere, tables, drawings as SVG elements, interactive parts of the
project's own. Out: the page as a string. Everything that is text is escaped here, so
that names from data are shown, not run; and the page's own policy lets a browser run
nothing but the scripts that were put in here.
"""

from __future__ import annotations

import base64
import hashlib
import html
import pathlib
import re
import string
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxflow.reporting.tables import Table, best_cells

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


class Markup(NamedTuple):
    """An interactive part, trusted as it stands: made by this project's modules alone.

    Attributes:
      html: its elements; text from data in them must be escaped already.
      style: CSS, put into the page once however many parts share it.
      script: a classic script, put in once, after all elements.
    """

    html: str
    style: str = ""
    script: str = ""


class Section(NamedTuple):
    """A heading, a paragraph, then an interactive part, drawings and tables."""

    title: str
    text: str
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    markup: Markup | None = None


def render(
    title: str,
    subtitle: str,
    tiles: Sequence[Tile],
    sections: Sequence[Section],
    footer: str = "",
) -> str:
    """The page."""
    template = string.Template(_TEMPLATE.read_text(encoding="utf-8"))
    parts = [section.markup for section in sections if section.markup]
    styles = _distinct(part.style for part in parts)
    scripts = _distinct(f"\n{part.script}\n" for part in parts if part.script)
    names = _anchors(sections)
    return template.substitute(
        policy=_policy(scripts),
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        footer=html.escape(footer),
        styles="\n".join(styles),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        contents=_contents(sections, names),
        tiles=_tiles(tiles),
        sections="\n".join(map(_section, sections, names)),
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _policy(scripts: Sequence[str]) -> str:
    """What a browser may load and run: nothing but what the page itself holds.

    Scripts are named by their hashes, so that one which slipped in with the data would
    be refused even if it had not been escaped. Matplotlib's drawings have style
    attributes, which only 'unsafe-inline' allows.
    """
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in scripts
    ]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _anchors(sections: Sequence[Section]) -> list[str]:
    """An id for each section, told apart where titles are alike."""
    names: list[str] = []
    for section in sections:
        words = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
        name = f"section-{words}"
        names.append(f"{name}-{len(names)}" if name in names else name)
    return names


def _contents(sections: Sequence[Section], names: Sequence[str]) -> str:
    if len(sections) < 2:
        return ""
    links = "\n".join(
        f'<a href="#{name}">{html.escape(section.title)}</a>'
        for section, name in zip(sections, names, strict=True)
    )
    return f'<nav class="contents" aria-label="Contents">\n{links}\n</nav>'


def _tiles(tiles: Sequence[Tile]) -> str:
    if not tiles:
        return ""
    inner = "\n".join(map(_tile, tiles))
    return f'<div class="tiles">\n{inner}\n</div>'


def _tile(tile: Tile) -> str:
    value, unit, label = map(html.escape, tile)
    number = f"{value} <small>{unit}</small>" if unit else value
    return f'<div class="tile"><b>{number}</b><span>{label}</span></div>'


def _section(section: Section, name: str) -> str:
    parts = [f'<section id="{name}">\n<h2>{html.escape(section.title)}</h2>']
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.markup:
        parts.append(section.markup.html)
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
    best = best_cells(table)
    rows = []
    for number, row in enumerate(table.rows):
        names = ["rule"] if number == body else []
        if number >= body and not table.comparable:
            names.append("closing")
        kind = f' class="{" ".join(names)}"' if names else ""
        bold = {column for line, column in best if line == number}
        rows.append(f"<tr{kind}>{_cells('td', row, bold)}</tr>")
    title = html.escape(table.title)
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{title}">'
        f"<h3>{title}</h3>\n<table>\n<thead><tr>{_cells('th', table.columns)}</tr>"
        f"</thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>{note}</div>"
    )


def _cells(tag: str, cells: Sequence[str], bold: Iterable[int] = ()) -> str:
    marked = set(bold)
    return "".join(
        f"<{tag}><b>{html.escape(cell)}</b></{tag}>"
        if column in marked
        else f"<{tag}>{html.escape(cell)}</{tag}>"
        for column, cell in enumerate(cells)
    )
