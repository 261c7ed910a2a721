"""One self-contained HTML page: no network, inline drawings, light and dark.

In: text from anywhere, tables, drawings as SVG elements, interactive parts of the
project's own. Out: the page as a string. The template (`page.html`) escapes whatever it
is not told to trust, so that names from data are shown, not run; and the page's own
policy lets a browser run nothing but the scripts that were put in here.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jinja2

from jaxflow.reporting.tables import Table, best_cells

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# An equation stands on one line: (M = 1).
_TEMPLATES.filters["unbroken"] = lambda text: text.replace(" = ", "\u00a0=\u00a0")


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
    parts = [section.markup for section in sections if section.markup]
    scripts = _distinct(f"\n{part.script}\n" for part in parts if part.script)
    return from_template(
        "page.html",
        policy=_policy(scripts),
        title=title,
        subtitle=subtitle,
        footer=footer,
        styles=_distinct(part.style for part in parts),
        scripts=scripts,
        tiles=tiles,
        sections=list(zip(_anchors(sections), sections, strict=True)),
        best_cells=best_cells,
    )


def from_template(template: str, /, **values: Any) -> str:
    """A template of this folder with its values, all text of which is escaped."""
    return _TEMPLATES.get_template(template).render(**values)


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
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
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
