"""The figures of a report, from an evaluation and the test frames it chose.

In: a loaded test, its evaluation, the training log. Out: named figures with captions,
in the order of the page. Needs the extra ``report``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxflow import baselines, data, protocol, sampling
from jaxflow.figures import curves, poses
from jaxflow.summary import EvaluationResult
from jaxflow.training import evaluation
from jaxflow.types import PoseRecords


class Drawn(NamedTuple):
    """A figure of the report.

    Attributes:
      name: of its files.
      figure: the drawing.
      caption: what it shows.
      wide: as of ``page.Drawing``.
    """

    name: str
    figure: Figure
    caption: str
    wide: bool = False


def hypotheses(loaded: protocol.Loaded, test: protocol.TestConfig) -> Drawn:
    """Hypotheses of chosen test frames (paper figures 3 and 4)."""
    rows = choose(loaded.records)
    chosen = loaded.records.take(np.asarray(list(rows.values())))
    batch = data.to_batch(chosen)
    key = jax.random.fold_in(jax.random.key(test.seed), 2)
    draw = functools.partial(
        sampling.sample, loaded.params, batch.pose2d, batch.cond, key,
        clamp=loaded.flow.clamp,
    )  # fmt: skip
    drawn = np.asarray(draw(num_hypotheses=test.num_hypotheses))
    modes = np.asarray(draw(num_hypotheses=1, temperature=0.0))[:, 0]
    targets = evaluation.targets_of(chosen)
    examples = [
        poses.PoseExample(
            title=title, pose2d=chosen.pose2d[i], fit=chosen.gaussfit[i],
            hypotheses=drawn[i], mode=modes[i], target=targets[i],
        )
        for i, title in enumerate(rows)
    ]  # fmt: skip
    named = "; ".join(
        f"{title}: {data.describe(chosen, i)}" for i, title in enumerate(rows)
    )
    caption = (
        "Left: the 2D detection and the Gaussians fitted to its heatmaps, at one and "
        "two standard deviations. Middle and right: hypotheses, the z = 0 pose and the "
        "truth. Seen from the camera they scatter where the detector is unsure; from "
        f"the side, along the depth that a picture does not tell. {named}."
    )
    return Drawn("hypotheses", poses.hypotheses_figure(examples), caption, wide=True)


def choose(records: PoseRecords) -> dict[str, int]:
    """Rows to draw by why: a sure, a typical, an unsure, the least sure detection."""
    widest = np.abs(records.gaussfit[..., [3, 5]]).max(axis=(1, 2))
    order = np.argsort(widest, kind="stable")
    last = len(order) - 1
    places = {"Sure": 0, "Typical": last // 2, "Unsure": round(0.96 * last),
              "Least sure": last}  # fmt: skip
    return {title: int(order[place]) for title, place in places.items()}


def series(evaluated: protocol.Evaluation) -> dict[str, Any]:
    """The pooled figures of the tests by name."""
    named = {"all test frames": evaluated.test.pooled}
    if evaluated.ambiguous is not None:
        named["ambiguous frames"] = evaluated.ambiguous.pooled
    return named


def noise_baseline(
    loaded: protocol.Loaded,
    test: protocol.TestConfig,
    evaluated: protocol.Evaluation,
) -> EvaluationResult:
    """The z = 0 pose with detector noise, on the frames of figure 5.

    Its depth noise is as wide as the flow's own hypotheses are on average.
    """
    unsure = data.ambiguous(loaded.records)
    if evaluated.ambiguous is None:
        frames = data.every_nth_per_action(loaded.records, test.stride)
    else:
        frames = loaded.records.take(unsure)
    spread = (evaluated.ambiguous or evaluated.test).pooled.spread_per_axis
    sampler = baselines.ModeWithNoise(depth=float(spread[2]) / 1000)
    key = jax.random.fold_in(jax.random.key(test.seed), 3)
    return protocol.run(loaded, frames, key, test, "noise baseline", sampler=sampler)


def plots(
    evaluated: protocol.Evaluation, baseline: EvaluationResult | None
) -> list[Drawn]:
    """Calibration, sample size, correct poses score, spread."""
    named = series(evaluated)
    drawn = dict(named)
    if baseline is not None:
        drawn["z = 0 with detector noise"] = baseline.pooled
    count = evaluated.test.num_hypotheses
    return [
        Drawn("calibration", curves.calibration(named),
              "How often the truth lies within a quantile of the hypotheses; on the "
              "dashed line the hypotheses are as sure as they are right."),
        Drawn("samples", curves.samples(drawn, count),
              "The error of the best of m hypotheses. The baseline draws from the "
              "fitted Gaussians round the z = 0 pose, and saturates."),
        Drawn("cps", curves.cps(named),
              "Frames with a hypothesis all of whose joints lie within the threshold "
              "after Procrustes alignment."),
        Drawn("spread", curves.spread(evaluated.test.pooled),
              "How far the hypotheses scatter, per joint and axis: most along the "
              "depth, and most at feet, wrists and head."),
    ]  # fmt: skip


def training(rows: Sequence[Mapping[str, Any]]) -> Drawn | None:
    """The training log's columns; None where there is nothing to draw."""
    names = dict.fromkeys(
        name for row in rows for name in row if name not in ("kind", "step")
    )
    if not names:
        return None
    return Drawn(
        "training", curves.training(rows, list(names)),
        "Loss terms per iteration and the validation's figures.",
    )  # fmt: skip
