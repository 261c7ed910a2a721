"""Our figures beside the paper's: its tables with a test's rows below the published.

In: an evaluation and the data set's name. Out: ``tables.Table`` in the paper's order.
Published figures are of Human3.6M. Only on a set with exactly its actions and cameras,
as they stood, do ours compete with them for the best of a column; elsewhere each are
marked by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxflow.evaluation.protocol import Evaluation
from jaxflow.evaluation.reductions import ReductionResult
from jaxflow.metrics.errors import ERROR_NAMES
from jaxflow.metrics.sums import EvaluationResult
from jaxflow.reporting import published, result_tables
from jaxflow.reporting.published import ACTIONS, AVERAGE, Published
from jaxflow.reporting.tables import Number, Row, Table, numbers

_Z0, _BEST = ERROR_NAMES.index("z0"), ERROR_NAMES.index("best")
_OTHER_DATA = (
    "This set has not exactly the actions and cameras of Human3.6M, which the "
    "published figures are of: beside each other they show an order of magnitude, not "
    "who is better. Bold is the best of the published and the best of ours."
)
# How configurations of `human36m_lift` begin whose cameras are others, or turned.
_OTHER_CAMERAS = ("centred", "studio", "wild")
_SAME_ACTIONS = (
    "The rows compare if this set is Human3.6M itself, which the published figures are "
    "of."
)


def beside_published(evaluated: Evaluation, dataset: str) -> list[Table]:
    """Tables 1, 2, 3 and 5, calibration and spread, as far as they were evaluated."""
    test = evaluated.test
    same = is_human36m(test, dataset)
    tables = [
        per_action(test, published.PROTOCOL_1, "mpjpe", same),
        per_action(test, published.PROTOCOL_2, "pa_mpjpe", same),
    ]
    if evaluated.ambiguous is not None:
        tables.append(ambiguous(evaluated.ambiguous, same))
    if evaluated.settings is not None:
        tables.append(result_tables.by_setting(evaluated.settings))
        tables.append(result_tables.settings_beside(evaluated.settings))
    if evaluated.reduced is not None:
        tables.append(fewer(evaluated.reduced, same))
    return [*tables, calibration(test, same), spread(test, same)]


def introduction(test: EvaluationResult, dataset: str) -> str:
    """What to bear in mind of all of these tables."""
    return _SAME_ACTIONS if is_human36m(test, dataset) else _OTHER_DATA


def is_human36m(test: EvaluationResult, dataset: str) -> bool:
    """Whether the set can be Human3.6M: its layout, cameras, and all of its actions."""
    name, _, configuration = dataset.partition("/")
    own = name == "human36m_lift" and not configuration.startswith(_OTHER_CAMERAS)
    return own and "," not in dataset and set(test.totals) == set(ACTIONS)


def per_action(
    test: EvaluationResult, paper: Published, figure: str, same: bool
) -> Table:
    """Table 1, one protocol: a column an action, then the average.

    Args:
      test: what was found.
      paper: its rows.
      figure: ``mpjpe`` or ``pa_mpjpe``, of ``sums.Means``.
      same: whether the data are the paper's.
    """
    actions = [name for name in ACTIONS if name in test.totals]
    actions += [name for name in test.totals if name not in ACTIONS]
    figures = [*(test.per_action[name] for name in actions), test.average]
    ours = [
        Row((name, *numbers(getattr(means, figure)[place] for means in figures)))
        for name, place in (("This model, z = 0 (M = 1)", _Z0), (_many(test), _BEST))
    ]
    return _joined(paper, [*actions, AVERAGE], ours, same)


def ambiguous(result: EvaluationResult, same: bool) -> Table:
    """Table 2, with the calibration error beside it."""
    paper = published.AMBIGUOUS
    average = result.average
    errors = average.mpjpe[_BEST], average.pa_mpjpe[_BEST]
    figures = numbers([*errors, 100 * average.pck, average.cps])
    row = Row((_many(result), *figures, Number(result.pooled.ece, 3)))
    columns = [*paper.columns, "ECE"]
    note = (
        f"{result.pooled.frames} frames with a fitted sigma above 5 heatmap px. PCK in "
        "per cent within 150 mm, CPS the area to 300 mm, ECE the calibration error of "
        "all frames, which the paper does not give."
    )
    return _joined(paper, columns, [row], same, (*paper.better, -1), note)


def fewer(reduced: ReductionResult, same: bool) -> Table:
    """Table 5: the best of a few that were drawn, or of K-means centres."""
    paper = published.FEWER_SAMPLES
    asked, errors = reduced.reductions, reduced.average
    pairs = [
        *zip((f"drawn (M = {m})" for m in asked.few), errors.drawn, strict=True),
        *zip(
            (f"K-means (M = {k})" for k in asked.centres), errors.centres, strict=True
        ),
    ]
    ours = [Row((f"This model, {name}", *numbers(both))) for name, both in pairs]
    note = (
        "The best of a few drawn is the mean over all subsets of that size; K-means "
        f"clusters the {max(asked.few)} that were drawn."
    )
    return _joined(paper, paper.columns, ours, same, note=note)


def calibration(test: EvaluationResult, same: bool) -> Table:
    """The calibration error beside what was measured of others."""
    paper = published.CALIBRATION
    row = Row((_many(test), Number(test.pooled.ece, 3)))
    note = (
        "0 is ideal; training for the best of many alone makes a model over-confident."
    )
    return _joined(paper, paper.columns, [row], same, note=note)


def spread(test: EvaluationResult, same: bool) -> Table:
    """How far the hypotheses scatter along each axis beside the paper's."""
    paper = published.SPREAD
    row = Row((_many(test), *numbers(test.pooled.spread_per_axis)))
    note = "x across, y down, z away from the camera; mean over all joints and frames."
    return _joined(paper, paper.columns, [row], same, note=note)


def _many(result: EvaluationResult) -> str:
    return f"This model (M = {result.num_hypotheses})"


def _joined(
    paper: Published,
    columns: Sequence[str],
    ours: Sequence[Row],
    same: bool,
    better: Sequence[int] | None = None,
    note: str = "",
) -> Table:
    """Published rows, then ours as the closing ones."""
    theirs = published.as_rows(paper, columns)
    source = f"Published, on Human3.6M: {paper.source}."
    numbered = paper.place.startswith("Table")
    return Table(
        paper.name,
        f"{paper.place}: {paper.title}" if numbered else paper.title,
        ("Method", *columns),
        (*theirs, *(row._replace(closing=True) for row in ours)),
        better=(0, *(better or (paper.better[:1] * len(columns)))),
        groups=() if same else (len(theirs), len(ours)),
        note=" ".join(filter(None, [note, source, *_remarks(paper)])),
    )


def _remarks(paper: Published) -> Iterable[str]:
    """What the source says of single rows, rows of the same remark together."""
    remarks = dict.fromkeys(row.note for row in paper.rows if row.note)
    for remark in remarks:
        rows = [published.label(row) for row in paper.rows if row.note == remark]
        yield f"{'; '.join(rows)}: {remark}."
