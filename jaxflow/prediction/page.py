"""The page of a run: some of its people to turn, built from the files it left.

FOLDER/<source>/poses.npz, pictures/, crops/ -> FOLDER/index.html

One file, nothing loaded from anywhere, below three megabytes. Built from the files
alone, so that it also shows what an earlier run did.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jaxflow._version import __version__
from jaxflow.detector.readers.pictures import SUFFIXES
from jaxflow.metrics import selection
from jaxflow.prediction import motions, page_people
from jaxflow.reporting import page
from jaxflow.reporting.tables import Row, Table
from jaxflow.reporting.viewer import viewer
from jaxflow.runs import files
from jaxflow.runs.errors import UserError

PAGE = "index.html"
_TITLE = "From pictures to 3D"
# What a kind of event is called where only their number is told.
_MORE = {"skipped": "that could not be used", "noted": "with a note"}
LISTED = 100  # of what was skipped
_TEXT = (
    "First the chosen pose: {}. The slider leads through all hypotheses: poses for the "
    "same joints in the picture. Where they lie apart, the picture does not tell. "
    "Dragging turns the scene, and the ellipses show how unsure each joint is."
)


class Done(NamedTuple):
    """A finished source: its folder and its summary."""

    folder: pathlib.Path
    summary: dict[str, Any]


def check_owned(out: pathlib.Path) -> None:
    """Refuses a folder whose page is another.

    Raises:
      UserError: what is there is not from `write`.
    """
    path = out / PAGE
    if path.exists() and f"<title>{_TITLE}</title>" not in path.read_text(
        errors="replace"
    ):
        raise UserError(
            f"{path} is there already and is no page of predictions; take another "
            "--out, or move it"
        )


def write(
    out: pathlib.Path, done: Sequence[Done], failed: Sequence[str]
) -> pathlib.Path:
    """Writes the page and gives its path.

    Args:
      out: folder of the run.
      done: its finished sources.
      failed: a line for each source that could not be read.
    """
    run = done[0].summary["run"] if done else {}
    rule = run.get("rule", "z0")
    peopled = [source for source in done if source.summary["people"]]
    poses, scenes = page_people.shown(peopled, rule)
    people = sum(source.summary["people"] for source in done)
    lines = [*failed, *(line for source in done for line in told(source, "skipped"))]
    sections = []
    if poses:
        text = _TEXT.format(_rule_in_words(rule))
        sections.append(viewer.section(poses, "People in 3D", text, scenes=scenes))
    if lines:
        sections.append(_listed("What could not be used", "Skipped", lines))
    if noted := [line for source in done for line in told(source, "noted")]:
        sections.append(_listed("What is to be known", "Notes", noted))
    of_all = f"{len(poses)} of " if len(poses) < people else ""
    who = "person" if people == 1 else "people"
    tiles = [
        page.Tile(f"{len(done)}", "", "input" if len(done) == 1 else "inputs"),
        page.Tile(f"{people}", "", who),
    ]
    if lines:
        named = "problem" if len(lines) == 1 else "problems"
        tiles.append(page.Tile(f"{len(lines)}", "", named))
    text = page.render(
        _TITLE,
        f"{of_all}{people} {who}, {run.get('num_hypotheses', 0)} hypotheses each",
        tiles,
        sections,
        f"jaxflow {__version__}; metres, hip at the origin, camera frame",
    )
    return files.write_text(out / PAGE, text)


def _rule_in_words(rule: str) -> str:
    known = selection.RULES.get(rule)
    return motions.TEXT if known is None else known.text


def told(done: Done, kind: str) -> Iterator[str]:
    """A line for each frame or person of a source that was "skipped", or "noted"."""
    for event in done.summary.get(kind, ()):
        yield problem(*(event[k] for k in ("source", "frame", "person_id", "reason")))
    if more := done.summary.get(f"{kind}_left_out"):
        yield f"{done.folder.name}: and {more} more {_MORE[kind]}"


def problem(
    source: str, frame: int | None, person: int | str | None, reason: str
) -> str:
    """A skipped file, frame or person in a line."""
    alone = pathlib.Path(source).suffix.lower() in SUFFIXES  # a picture has one frame
    where = "" if frame is None or alone else f", frame {frame}"
    who = "" if person is None else f", person {person}"
    return reason if reason.startswith(source) else f"{source}{where}{who}: {reason}"


def _listed(title: str, name: str, lines: Sequence[str]) -> page.Section:
    more = len(lines) - LISTED
    rows = tuple(Row((line,)) for line in lines[:LISTED])
    note = f"and {more} more" if more > 0 else ""
    table = Table(name.lower(), name, ("What, and why",), rows, note=note)
    return page.Section(title, "", tables=[table])
