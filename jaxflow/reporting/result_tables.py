"""The tables of a test's results, and what one must know to read them.

In: results of ``evaluation``, which hold numbers. Out: ``Table``s by name, and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxflow import metrics
from jaxflow.evaluation.inference_time import InferenceTimes
from jaxflow.evaluation.mpi_inf_3dhp import ALL, PICKS, TARGETS, SettingsResult
from jaxflow.evaluation.protocol import Evaluation
from jaxflow.evaluation.reductions import ReductionResult
from jaxflow.metrics import selection
from jaxflow.metrics.sums import EvaluationResult, Means
from jaxflow.reporting import published, tables, uncertainty_tables
from jaxflow.reporting.tables import Cell, Number, Row, Table, count, numbers
from jaxflow.skeleton import H36M_JOINTS

LEGEND = """P1 MPJPE mm, P2 PA-MPJPE mm; PCK % of joints within 150 mm, best hypothesis;
CPS area of the correct poses score to 300 mm; ECE calibration error, 0 if calibrated.
"""
SETTINGS_LEGEND = """\
PCK: % of 14 joints strictly within 150 mm; AUC: mean % over the thresholds 0, 5, ...
150 mm, at most 96.8; MPJPE: mm over 17 joints. Pelvis at 0, no alignment, means over
frames; "best" takes for each frame the hypothesis that is best in the figure.
"""
_FIGURES = (
    *(f"P1 {name}" for name in metrics.ERROR_NAMES),
    *(f"P2 {name}" for name in metrics.ERROR_NAMES),
    "PCK",
    "CPS",
    "ECE",
)
_FIT = published.INFERENCE_TIME.columns[1]


def of_evaluation(evaluated: Evaluation) -> list[Table]:
    """Per action, the spread, the ambiguous subset per action, settings, reductions."""
    listed = of_tests(evaluated)
    if evaluated.settings is not None:
        listed += [by_setting(evaluated.settings), settings_beside(evaluated.settings)]
    listed += of_uncertainty(evaluated)
    if evaluated.reduced is not None:
        listed += [fewer(evaluated.reduced), one_pose(evaluated.reduced)]
    return listed


def of_uncertainty(evaluated: Evaluation) -> list[Table]:
    """Proper scores, calibration by joint and sigma, and the response."""
    listed: list[Table] = []
    if evaluated.uncertainty is not None:
        listed += uncertainty_tables.of_uncertainty(evaluated.uncertainty)
    if evaluated.response is not None:
        listed += uncertainty_tables.of_response(evaluated.response)
    return listed


def of_tests(evaluated: Evaluation) -> list[Table]:
    """Per action, the spread, and the ambiguous subset per action."""
    listed = [per_action("test", "Test", evaluated.test), spread(evaluated.test.pooled)]
    if evaluated.ambiguous is not None:
        title = "Ambiguous subset"
        listed.append(per_action("ambiguous-subset", title, evaluated.ambiguous))
    return listed


def describe(evaluated: Evaluation, bold: bool = False) -> str:
    """The tables and how to read them, for the console; the best in bold or not."""
    shown = [tables.to_console(table, bold) for table in of_evaluation(evaluated)]
    return "\n\n".join([*shown, remarks(evaluated)])


def remarks(evaluated: Evaluation) -> str:
    """How to read the tables, and what they compare with."""
    drawn = f"temperature {evaluated.temperature:g}{evaluated.applied}"
    text = f"{LEGEND}Hypotheses drawn at {drawn}.\n"
    if evaluated.settings is not None:
        text += SETTINGS_LEGEND
    if evaluated.mean_pose_mpjpe is not None:
        text += (
            "Always answering the training set's mean pose gives "
            f"{evaluated.mean_pose_mpjpe:.1f} mm in P1.\n"
        )
    if evaluated.untrained is not None:
        best = evaluated.untrained.average.mpjpe[metrics.ERROR_NAMES.index("best")]
        text += f"The same network untrained has {best:.1f} mm in P1 best.\n"
    return text


def to_json(evaluated: Evaluation) -> dict[str, Any]:
    """All numbers, and the paper's beside those of MPI-INF-3DHP."""
    document = evaluated.to_json()
    if evaluated.settings is not None:
        paper = published.MPI_INF_3DHP
        document["settings"]["paper_table_3_pck_percent"] = {
            published.label(row): dict(zip(paper.columns, row.values, strict=True))
            for row in paper.rows
        }
    return document


def per_action(name: str, title: str, result: EvaluationResult) -> Table:
    """A row an action, then the mean over actions and the mean over frames.

    P1 is MPJPE, P2 PA-MPJPE, both in mm; PCK in per cent; ECE the calibration error.
    """
    many, frames = result.num_hypotheses, result.pooled.frames
    rows = [Row(_figures(action, means)) for action, means in result.per_action.items()]
    for label, means in (
        ("Average of actions", result.average),
        ("All frames", result.pooled),
    ):
        rows.append(Row(_figures(label, means), closing=True))
    title = f"{title}: {frames} frames, {many} hypotheses each"
    return Table(name, title, ("Action", "frames", *_FIGURES), tuple(rows))


def _figures(name: str, means: Means) -> tuple[Cell, ...]:
    errors = numbers([*means.mpjpe, *means.pa_mpjpe, 100 * means.pck, means.cps])
    return name, count(means.frames), *errors, Number(means.ece, 3)


def spread(means: Means) -> Table:
    """Standard deviation over the hypotheses, a row a joint, a column an axis, mm."""
    rows = [
        Row((joint, *numbers(axes)))
        for joint, axes in zip(H36M_JOINTS, means.spread, strict=True)
    ]
    rows.append(Row(("Mean", *numbers(means.spread_per_axis)), closing=True))
    title = "Spread of the hypotheses (standard deviation, mm)"
    return Table(
        "spread-of-the-hypotheses", title, ("Joint", "x", "y", "z"), tuple(rows)
    )


def by_setting(result: SettingsResult) -> Table:
    """Every figure of MPI-INF-3DHP per setting."""
    rows = []
    for name, figures in result.figures.items():
        means = [*(100 * figures.pck), *(100 * figures.auc), *figures.mpjpe]
        cells: tuple[Cell, ...] = (name, count(figures.frames), *numbers(means))
        rows.append(Row(cells, closing=name == ALL))
    title = (
        f"MPI-INF-3DHP: {result.figures[ALL].frames} valid frames "
        f"({result.not_valid} more are not valid), {result.num_hypotheses} hypotheses "
        f"each, target {TARGETS[result.target]}"
    )
    names = [f"{name} {pick}" for name in ("PCK", "AUC", "MPJPE") for pick in PICKS]
    columns = ("Setting", "frames", *names)
    return Table("mpi-inf-3dhp", title, columns, tuple(rows))


def settings_beside(result: SettingsResult) -> Table:
    """PCK below the rows of the paper's Table 3, of which the best hypothesis counts.

    So the z = 0 pose does not compete.
    """
    paper, figures = published.MPI_INF_3DHP, result.figures
    rows = list(published.as_rows(paper, tuple(figures)))
    for i, name in enumerate((f"best of {result.num_hypotheses}", "z0")):
        shares = numbers(100 * figure.pck[i] for figure in figures.values())
        label = f"This model, {name}"
        rows.append(Row((label, *shares), counts=name != "z0", closing=True))
    frames = (count(figure.frames) for figure in figures.values())
    rows.append(Row(("Frames counted", *frames), counts=False, closing=True))
    notes = [f"{published.label(row)}: {row.note}" for row in paper.rows if row.note]
    if result.annotated_2d:
        notes.append("this model: given the true 2D joints")
    return Table(
        "table-3",
        f"{paper.place}: {paper.title}",
        ("Method", *figures),
        tuple(rows),
        better=(0, *(1 for _ in figures)),
        note="; ".join(notes) + ".",
    )


def fewer(result: ReductionResult) -> Table:
    """The best of few poses; MPJPE and PA-MPJPE, mm, averaged over actions."""
    asked, errors = result.reductions, result.average
    rows = _errors([f"{number} drawn" for number in asked.few], errors.drawn)
    rows += _errors([f"{k} K-means centres" for k in asked.centres], errors.centres)
    return Table(
        "fewer-hypotheses",
        "Fewer hypotheses: the best of them",
        ("Kept", "MPJPE", "PA-MPJPE"),
        tuple(rows),
        note="mm, averaged over actions. The best of a few drawn is the mean over all "
        "subsets of that size; K-means clusters all that were drawn.",
    )


def one_pose(result: ReductionResult) -> Table:
    """The one pose that each rule gives; MPJPE and PA-MPJPE, mm, over actions."""
    names = [selection.RULES[rule].text for rule in result.reductions.rules]
    return Table(
        "one-pose-out-of-many",
        "One pose out of many",
        ("Rule", "MPJPE", "PA-MPJPE"),
        tuple(_errors(names, result.average.poses)),
        better=(0, -1, -1),
        note="mm, averaged over actions: the error of the one pose that a rule gives, "
        "without knowing the truth.",
    )


def _errors(names: Sequence[str], errors: np.ndarray) -> list[Row]:
    pairs = zip(names, errors, strict=True)
    return [Row((name, *numbers(both))) for name, both in pairs]


def inference_time(times: InferenceTimes) -> Table:
    """Ours above the paper's."""
    paper = published.INFERENCE_TIME
    columns = (_FIT, *map(_drawing, times.sample_ms))
    ours = map(published.number, (times.fit_ms, *times.sample_ms.values()))
    detector = published.number(paper.rows[0].values[0])
    return Table(
        "inference-time",
        f"Inference time of one image, ms, medians of {times.repeats} runs or more",
        ("Method", *columns),
        (Row((f"jaxflow, {times.device}", *ours)), *published.as_rows(paper, columns)),
        note=f"{paper.place}: {paper.title[0].lower()}{paper.title[1:]}; its 2D "
        f"detector takes {detector} ms more.",
    )


def _drawing(hypotheses: int) -> str:
    """A column, by the name that the paper's row has."""
    return f"{hypotheses} hypothes{'i' if hypotheses == 1 else 'e'}s"
