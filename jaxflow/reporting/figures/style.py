"""Colours and the ways a figure leaves the house: PNG, SVG, SVG inside a page.

A figure is drawn in the light palette. Inside a page its colours become the page's, so
that one drawing serves light and dark.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxflow.runs import files

INK = "#1d2733"  # text and the truth
MUTED = "#66727f"  # axes and notes
RULE = "#d5dce4"  # grids and frames
PAPER = "#ffffff"
LEFT = "#1f78b4"  # the body's left limbs
RIGHT = "#d9632b"  # its right limbs
MIDDLE = "#6d7a88"  # spine and head
MODE = "#7b3fb5"  # the z = 0 pose
GOOD = "#2a9d6f"

# What a page calls these colours; see ``for_page``.
CSS_NAMES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    LEFT: "--left",
    RIGHT: "--right",
    MIDDLE: "--middle",
    MODE: "--mode",
    GOOD: "--good",
}

_SETTINGS: Any = {
    "font.size": 9,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "text.parse_math": False,  # names from data may hold dollar signs
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "jaxflow",
}


@contextlib.contextmanager
def themed() -> Iterator[None]:
    """The project's look, for the drawing of one figure."""
    with matplotlib.rc_context(_SETTINGS):
        yield


@contextlib.contextmanager
def plot(size: tuple[float, float] = (4.4, 3.5)) -> Iterator[tuple[Figure, Axes]]:
    """A figure of one plot, inches, and its axes, for its drawing."""
    with themed():
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.subplots()


def bare(axes: Axes) -> None:
    """No ticks, grid or frame: a drawing, not a plot; equal scales."""
    axes.set_axis_off()
    axes.set_aspect("equal")


def save(
    figure: Figure, stem: str | os.PathLike[str], document: str | None = None
) -> list[str]:
    """Writes ``<stem>.png`` and ``<stem>.svg``, the same bytes every time.

    Args:
      figure: to write.
      stem: of the two paths.
      document: the figure by `svg`, where that is at hand.

    Returns:
      The two paths.
    """
    png = io.BytesIO()
    with themed():
        _lay_out(figure)
        figure.savefig(png, format="png", metadata={"Software": None})
    paths = [
        files.write_bytes(f"{os.fspath(stem)}.png", png.getvalue()),
        files.write_text(f"{os.fspath(stem)}.svg", document or svg(figure)),
    ]
    return [str(path) for path in paths]


def svg(figure: Figure) -> str:
    """The figure as an SVG document; places to a hundredth of a point."""
    text = io.StringIO()
    with themed():
        _lay_out(figure)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"<[^>]*>", _shortened, text.getvalue())


def _lay_out(figure: Figure) -> None:
    """Finds the places of all axes, once: for each saving it would be done again."""
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _shortened(tag: re.Match[str]) -> str:
    """A tag whose numbers have two digits behind the point; text stays as it is."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0])


def for_page(document: str, name: str, description: str) -> str:
    """A figure as an ``<svg>`` element whose colours are the page's.

    Args:
      document: by `svg`, drawn with this module's colours.
      name: unique in the page; keeps this element's internal links its own.
      description: what it shows, for those who cannot see it; must be HTML-safe.
    """
    element = document[document.index("<svg") :]
    for colour, variable in CSS_NAMES.items():
        element = element.replace(colour, f"var({variable})")
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r"url\(#", f"url(#{name}-", element)
    element = re.sub(r'href="#', f'href="#{name}-', element)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    return element.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
