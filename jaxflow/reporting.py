"""Puts a report together: the files, and what stands where on the page.

In: a loaded test and its evaluation. Out: a folder with report.html, evaluation.json,
tables/ and figures/, the same bytes for the same inputs.
"""

from __future__ import annotations

import datetime
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxflow import config, files, page, protocol, tables
from jaxflow._version import __version__
from jaxflow.training import writer

if TYPE_CHECKING:
    from jaxflow.report_figures import Drawn


class About(NamedTuple):
    """What the report is of.

    Attributes:
      checkpoint: as given.
      dataset: its name.
      test: how it was tested.
    """

    checkpoint: str
    dataset: str
    test: protocol.TestConfig


def check_matplotlib() -> None:
    """Refuses to begin what could not be drawn.

    Raises:
      ImportError: Matplotlib is not installed; says how to install it.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the report needs Matplotlib: pip install 'jaxflow[report]'"
        ) from error


def write(
    out: pathlib.Path,
    loaded: protocol.Loaded,
    evaluated: protocol.Evaluation,
    about: About,
) -> pathlib.Path:
    """Draws and writes everything; returns the page's path.

    Raises:
      OSError: the folder cannot be written to.
    """
    from jaxflow import report_figures

    baseline = report_figures.noise_baseline(loaded, about.test, evaluated)
    drawn = [
        report_figures.hypotheses(loaded, about.test),
        *report_figures.plots(evaluated, baseline),
    ]
    curves = report_figures.training(training_log(about.checkpoint))
    write_tables(out, evaluated, about)
    _save(out, [*drawn, *([curves] if curves else [])])
    date = datetime.date.today().isoformat()
    text = render(evaluated, about, drawn, curves, date)
    return files.write_text(out / "report.html", text)


def training_log(checkpoint: str) -> list[dict[str, Any]]:
    """Rows of the metrics.jsonl of the run that a checkpoint belongs to, if any."""
    folder = pathlib.Path(checkpoint).absolute()
    for workdir in (folder, *folder.parents[:2]):
        if (workdir / writer.FILE).is_file():
            return writer.read(workdir)
    return []


def write_tables(
    out: pathlib.Path, evaluated: protocol.Evaluation, about: About
) -> None:
    """evaluation.json, and every table as Markdown and CSV below tables/."""
    document = {**document_of(about), **evaluated.to_json()}
    files.write_json(out / "evaluation.json", document)
    for table in evaluated.tables():
        stem = out / "tables" / _file_name(table.title)
        files.write_text(stem.with_suffix(".md"), tables.to_markdown(table))
        files.write_text(stem.with_suffix(".csv"), tables.to_csv(table))


def document_of(about: About) -> dict[str, Any]:
    """What was tested and how, for JSON."""
    return {
        "checkpoint": about.checkpoint,
        "dataset": about.dataset,
        "test_config": config.to_dict(about.test),
    }


def _file_name(title: str) -> str:
    """``Ambiguous subset: 12 frames`` to ``ambiguous-subset``."""
    words = re.split(r"[:(]", title)[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def _save(out: pathlib.Path, drawn: Sequence[Drawn]) -> None:
    from jaxflow.figures import style

    for one in drawn:
        style.save(one.figure, out / "figures" / one.name)


def render(
    evaluated: protocol.Evaluation,
    about: About,
    drawn: Sequence[Drawn],
    curves: Drawn | None,
    date: str,
) -> str:
    """The page, which apart from ``date`` depends on the inputs alone."""
    pooled = evaluated.test.pooled
    count = evaluated.test.num_hypotheses
    subtitle = (
        f"{about.dataset}, {about.test.split}: {pooled.frames} frames (stride "
        f"{about.test.stride} per action), {count} hypotheses each, seed "
        f"{about.test.seed}. Checkpoint: {about.checkpoint}"
    )
    footer = f"jaxflow {__version__}; written {date}."
    first, *plots = drawn
    found = [
        page.Section("Hypotheses", "", [_drawing(first)]),
        page.Section("How good, how sure", "", [_drawing(one) for one in plots]),
        page.Section("Tables", protocol.LEGEND, (), evaluated.tables()),
    ]
    if curves is not None:
        found.append(page.Section("Training", "", [_drawing(curves)]))
    title = f"3D poses from 2D: {count} hypotheses"
    return page.render(title, subtitle, tiles(evaluated), found, footer)


def _drawing(one: Drawn) -> page.Drawing:
    from jaxflow.figures import style

    return page.Drawing(
        style.for_page(one.figure, one.name, one.name), one.caption, one.wide
    )


def tiles(evaluated: protocol.Evaluation) -> list[page.Tile]:
    """The first numbers to see: errors over actions, the rest over frames."""
    average, pooled = evaluated.test.average, evaluated.test.pooled
    count = evaluated.test.num_hypotheses
    found = [
        page.Tile(f"{average.mpjpe[1]:.1f}", "mm", f"MPJPE, best of {count}"),
        page.Tile(f"{average.mpjpe[0]:.1f}", "mm", "MPJPE, z = 0 pose"),
        page.Tile(f"{average.pa_mpjpe[1]:.1f}", "mm", f"PA-MPJPE, best of {count}"),
        page.Tile(f"{100 * pooled.pck:.1f}", "%", "PCK within 150 mm"),
        page.Tile(f"{pooled.cps:.0f}", "", "correct poses score"),
        page.Tile(f"{pooled.ece:.3f}", "", "calibration error"),
    ]
    if evaluated.mean_pose_mpjpe is not None:
        label = "MPJPE of the mean training pose"
        found.append(page.Tile(f"{evaluated.mean_pose_mpjpe:.1f}", "mm", label))
    return found
