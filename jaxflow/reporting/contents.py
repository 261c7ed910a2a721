"""What stands where on a report's page.

In: everything a report holds. Out: the page as text, which but for its date depends on
that alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from jaxflow._version import __version__
from jaxflow.evaluation import protocol
from jaxflow.evaluation.comparison import Comparison
from jaxflow.evaluation.inference_time import InferenceTimes
from jaxflow.reporting import (
    beside_paper,
    comparison,
    page,
    published,
    result_tables,
    tables,
)
from jaxflow.reporting.tables import Table
from jaxflow.reporting.viewer import viewer

if TYPE_CHECKING:
    from jaxflow.reporting.drawings import Picture


class About(NamedTuple):
    """What the report is of.

    Attributes:
      checkpoint: as given.
      dataset: its name.
      test: how it was tested, its stride and temperature resolved.
    """

    checkpoint: str
    dataset: str
    test: protocol.EvaluationConfig


class Extras(NamedTuple):
    """What a report may hold beside the evaluation.

    Attributes:
      times: of inference.
      comparison: of several seeds or models.
    """

    times: InferenceTimes | None = None
    comparison: Comparison | None = None


class Content(NamedTuple):
    """Everything that a page shows.

    Attributes:
      evaluated: the tests.
      about: what was tested.
      extras: times and other models.
      viewer_poses: for the interactive part.
      frames: drawings of single frames.
      plots: curves.
      models: curves of several models.
      training: the training log's curves, if there is one.
      response: coverage against sigma, if it was measured.
    """

    evaluated: protocol.Evaluation
    about: About
    extras: Extras
    viewer_poses: Sequence[viewer.ViewerPose]
    frames: Sequence[Picture]
    plots: Sequence[Picture]
    models: Sequence[Picture]
    training: Picture | None
    response: Picture | None = None

    def figures(self) -> list[Picture]:
        """All of them."""
        last = [picture for picture in (self.response, self.training) if picture]
        return [*self.frames, *self.plots, *self.models, *last]


def all_tables(
    evaluated: protocol.Evaluation, about: About, extras: Extras
) -> dict[str, list[Table]]:
    """The tables of a report by the section they stand in."""
    sections = {"paper": beside_paper.beside_published(evaluated, about.dataset)}
    uncertain = result_tables.of_uncertainty(evaluated)
    if uncertain:
        sections["uncertainty"] = uncertain
    if evaluated.reduced is not None:
        sections["one"] = [result_tables.one_pose(evaluated.reduced)]
    if extras.comparison is not None:
        sections["models"] = list(comparison.tables_of(extras.comparison).values())
    if extras.times is not None:
        sections["times"] = [result_tables.inference_time(extras.times)]
    return {**sections, "actions": result_tables.of_tests(evaluated)}


def console(
    evaluated: protocol.Evaluation, about: About, extras: Extras, stream: TextIO
) -> str:
    """What a report prints: the tables but those a column an action, and sentences."""
    bold = tables.wants_bold(stream)
    sections = all_tables(evaluated, about, extras)
    first = sections.pop("actions")
    wide = {published.PROTOCOL_1.name, published.PROTOCOL_2.name}
    narrow = [
        table for table in sum(sections.values(), first) if table.name not in wide
    ]
    shown = [tables.to_console(table, bold) for table in narrow]
    said = comparison.trade_offs(extras.comparison) if extras.comparison else []
    note = tables.wrapped(beside_paper.introduction(evaluated.test, about.dataset))
    return "\n\n".join([*shown, result_tables.remarks(evaluated), note, *said])


def render(content: Content, date: str) -> str:
    """The page."""
    evaluated, about = content.evaluated, content.about
    pooled, count = evaluated.test.pooled, evaluated.test.num_hypotheses
    subtitle = (
        f"{about.dataset}, {about.test.split}: {pooled.frames} frames (stride "
        f"{about.test.stride} per action), {count} hypotheses each, seed "
        f"{about.test.seed}. Checkpoint: {about.checkpoint}"
    )
    footer = f"jaxflow {__version__}; written {date}."
    title = f"3D poses from 2D: {count} hypotheses"
    return page.render(title, subtitle, tiles(evaluated), _sections(content), footer)


def _sections(content: Content) -> list[page.Section]:
    """In the order of reading: look, compare, understand, look up."""
    tables_of = all_tables(content.evaluated, content.about, content.extras)
    test, dataset = content.evaluated.test, content.about.dataset
    note = beside_paper.introduction(test, dataset)
    sections = [
        viewer.section(content.viewer_poses),
        page.Section("Beside the paper", note, (), tables_of["paper"]),
        page.Section("How good, how sure", "", _drawings(content.plots)),
    ]
    if "uncertainty" in tables_of:
        text = (
            "Hypotheses should spread as widely as the detector was unsure, joint by "
            "joint. One joint at a time is made less sure, and calibrated hypotheses "
            "still hold the truth as often as their regions say."
        )
        drawn = _drawings([content.response] if content.response else [])
        section = page.Section(
            "As uncertain as the detector", text, drawn, tables_of["uncertainty"]
        )
        sections.append(section)
    if content.extras.comparison is not None:
        sections.append(
            _models(content, content.extras.comparison, tables_of["models"])
        )
    if "one" in tables_of:
        text = (
            "Many poses explain a picture. Where one is asked for, these are ways to "
            "choose it."
        )
        sections.append(
            page.Section("One pose out of many", text, (), tables_of["one"])
        )
    sections.append(page.Section("Frames", "", _drawings(content.frames)))
    if "times" in tables_of:
        sections.append(page.Section("Inference time", "", (), tables_of["times"]))
    sections.append(
        page.Section("Per action", result_tables.LEGEND, (), tables_of["actions"])
    )
    if content.training is not None:
        sections.append(page.Section("Training", "", _drawings([content.training])))
    return sections


def _models(
    content: Content, compared: Comparison, listed: Sequence[Table]
) -> page.Section:
    """Models side by side; first of all where sharpness and honesty disagree."""
    text = " ".join([*comparison.trade_offs(compared), *comparison.notes(compared)])
    return page.Section("Models", text, _drawings(content.models), listed)


def _drawings(drawn: Sequence[Picture]) -> list[page.Drawing]:
    from jaxflow.reporting.figures import style

    return [
        page.Drawing(
            style.for_page(each.svg, each.name, each.name), each.caption, each.wide
        )
        for each in drawn
    ]


def tiles(evaluated: protocol.Evaluation) -> list[page.Tile]:
    """The first numbers to see: errors over actions, the rest over frames."""
    average, pooled = evaluated.test.average, evaluated.test.pooled
    count = evaluated.test.num_hypotheses
    first = [
        page.Tile(f"{average.mpjpe[1]:.1f}", "mm", f"MPJPE, best of {count}"),
        page.Tile(f"{average.mpjpe[0]:.1f}", "mm", "MPJPE, z = 0 pose"),
        page.Tile(f"{average.pa_mpjpe[1]:.1f}", "mm", f"PA-MPJPE, best of {count}"),
        page.Tile(f"{100 * pooled.pck:.1f}", "%", "PCK within 150 mm"),
        page.Tile(f"{pooled.cps:.0f}", "", "correct poses score"),
        page.Tile(f"{pooled.ece:.3f}", "", "calibration error"),
    ]
    if evaluated.mean_pose_mpjpe is not None:
        label = "MPJPE of the mean training pose"
        first.append(page.Tile(f"{evaluated.mean_pose_mpjpe:.1f}", "mm", label))
    return first
