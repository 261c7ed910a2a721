"""The page of a run: some of its people to turn, built from the files it left.

FOLDER/<source>/poses.npz, crops/ -> FOLDER/index.html

One file, nothing loaded from anywhere, below three megabytes. Built from the files
alone, so that it also shows what an earlier run did.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow._version import __version__
from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop
from jaxflow.prediction.files import ARRAYS
from jaxflow.reporting import page
from jaxflow.reporting.tables import Row, Table
from jaxflow.reporting.viewer import viewer
from jaxflow.runs import array_files, files
from jaxflow.types import Hypotheses

PAGE = "index.html"
SHOWN = 24  # persons
_HYPOTHESES = 200  # of each
_LISTED = 100  # of what was skipped
_TEXT = (
    "Every hypothesis is a pose for the same joints in the picture; where they lie "
    "apart, the picture does not tell. The slider leads through them, dragging turns "
    "the scene, and the ellipses show how unsure each joint is."
)


class Done(NamedTuple):
    """A finished source: its folder and its summary."""

    folder: pathlib.Path
    summary: dict[str, Any]


def write(
    out: pathlib.Path, done: Sequence[Done], failed: Sequence[str]
) -> pathlib.Path:
    """Writes the page and gives its path.

    Args:
      out: folder of the run.
      done: its finished sources.
      failed: a line for each source that could not be read.
    """
    poses = [_pose(folder, row) for folder, row in _chosen(done)]
    people = sum(source.summary["people"] for source in done)
    lines = [*failed, *(line for source in done for line in problems(source))]
    sections = []
    if poses:
        sections.append(viewer.section(poses, title="People in 3D", text=_TEXT))
    if lines:
        sections.append(_listed("What could not be used", "Skipped", lines))
    if noted := [line for source in done for line in notes(source)]:
        sections.append(_listed("What is to be known", "Notes", noted))
    run = done[0].summary["run"] if done else {}
    text = page.render(
        "From pictures to 3D",
        f"{len(poses)} of {people} people, {run.get('num_hypotheses', 0)} hypotheses "
        f"each; single poses by the rule {run.get('rule', '')}",
        [
            page.Tile(f"{len(done)}", "", "inputs"),
            page.Tile(f"{people}", "", "people"),
            page.Tile(f"{len(lines)}", "", "problems"),
        ],
        sections,
        f"jaxflow {__version__}; metres, hip at the origin, camera frame",
    )
    return files.write_text(out / PAGE, text)


def problems(done: Done) -> Iterator[str]:
    """A line for each frame or person of a source that was skipped."""
    for event in done.summary["skipped"]:
        yield problem(*(event[k] for k in ("source", "frame", "person_id", "reason")))
    if more := done.summary.get("skipped_left_out"):
        yield f"{done.folder.name}: and {more} more that could not be used"


def notes(done: Done) -> Iterator[str]:
    """A line for each person of a source of whom something is to be known."""
    for event in done.summary.get("noted", ()):
        yield problem(*(event[k] for k in ("source", "frame", "person_id", "reason")))
    if more := done.summary.get("noted_left_out"):
        yield f"{done.folder.name}: and {more} more with a note"


def problem(
    source: str, frame: int | None, person: int | str | None, reason: str
) -> str:
    """A skipped file, frame or person in a line."""
    where = "" if frame is None else f", frame {frame}"
    who = "" if person is None else f", person {person}"
    return reason if reason.startswith(source) else f"{source}{where}{who}: {reason}"


def _listed(title: str, name: str, lines: Sequence[str]) -> page.Section:
    more = len(lines) - _LISTED
    rows = tuple(Row((line,)) for line in lines[:_LISTED])
    note = f"and {more} more" if more > 0 else ""
    table = Table(name.lower(), name, ("What, and why",), rows, note=note)
    return page.Section(title, "", tables=[table])


def _chosen(done: Sequence[Done]) -> list[tuple[pathlib.Path, int]]:
    """Folder and row of at most ``SHOWN`` persons: fairly from all sources, in order.

    Those whose crops were kept come first; they are spread evenly over their source.
    """
    queues = [(s.folder, _rows(s)) for s in done if s.summary["people"]]
    step = -(-len(queues) // SHOWN) or 1
    counts = [len(rows) for _, rows in queues[::step]]
    # What sources of few people leave goes to the others.
    share = max(
        (n for n in range(1, SHOWN + 1) if sum(min(n, k) for k in counts) <= SHOWN),
        default=1,
    )
    picked = [
        (folder, row) for folder, rows in queues[::step] for row in _even(rows, share)
    ]
    return _even(picked, SHOWN)


def _rows(done: Done) -> list[int]:
    with_crop = sorted(int(path.stem) for path in done.folder.glob("crops/*.jpg"))
    return with_crop or list(range(done.summary["people"]))


def _even(items: list[Any], count: int) -> list[Any]:
    """At most so many of them, evenly spaced, the first among them."""
    if len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]


def _pose(folder: pathlib.Path, row: int) -> viewer.ViewerPose:
    """One row of poses.npz, of which only this row is read."""

    def read(name: str) -> Any:
        return np.asarray(array_files.open_maps(folder / ARRAYS, name)[row : row + 1])[
            0
        ]

    middle_x, middle_y, side = read("square")
    square = Crop(np.array([middle_x, middle_y]), np.float64(side))
    picture = folder / "crops" / f"{row:06d}.jpg"
    spread = 1000 * read("spread")
    try:
        log_density = read("log_density")[:_HYPOTHESES]
    except ValueError:  # of a model without a density
        log_density = None
    return viewer.ViewerPose(
        f"{read('source')}, frame {read('frame')}, person {read('person')}",
        f"spread {spread[1:, 0].mean():.0f} mm across, "
        f"{spread[1:, 1].mean():.0f} mm up, {spread[1:, 2].mean():.0f} mm in depth",
        Hypotheses(
            poses=read("hypotheses")[:_HYPOTHESES],
            log_density=log_density,
            mode=read("mode"),
            pose2d=crop.image_to_crop(read("pose2d").astype(np.float64), square),
            fit=read("fit"),
        ),
        picture.read_bytes() if picture.is_file() else None,
    )
