"""The figures of a report, from an evaluation and the test frames it chose.

In: a loaded test, its evaluation, the training log, other models. Out: named figures
with captions, in the order of the page. Needs the extra ``report``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from matplotlib.figure import Figure

from jaxflow import data, metrics
from jaxflow.evaluation import baselines, protocol
from jaxflow.evaluation.comparison import Comparison
from jaxflow.evaluation.response import Response
from jaxflow.maths import batching
from jaxflow.metrics import sigma_error, sums
from jaxflow.metrics.sums import EvaluationResult, Means
from jaxflow.reporting.chosen_frames import Chosen
from jaxflow.reporting.figures import choice, curves, poses, style
from jaxflow.reporting.figures import response as response_figure
from jaxflow.reporting.figures import sigma as sigma_figure
from jaxflow.types import PoseRecords

_CHUNK = 8192  # frames whose sigmas are added up at a time
# Columns of the training log: those that are no curves, and what the others are called.
_NO_CURVES = ("kind", "step", "iterations", "host_peak_mib", "device_peak_mib")
_TITLES = {
    "l2d": "2D reconstruction",
    "mmd": "Latents (MMD)",
    "det": "3D reconstruction",
    "gen": "Critic's verdict on hypotheses",
    "best_of_m": "Best of M hypotheses",
    "heatmap": "Spread as the heatmaps' width",
    "critic": "Critic's own loss",
    "energy": "Energy score",
    "energy_score": "Energy score of the pose, mm",
    "pck": "PCK within 150 mm, share",
    "cps": "Correct poses score",
    "ece": "Calibration error",
}


@dataclasses.dataclass(frozen=True)
class Picture:
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

    @functools.cached_property
    def svg(self) -> str:
        """The figure as an SVG document, written once for its file and the page."""
        return style.svg(self.figure)


def hypotheses(frames: Chosen) -> Picture:
    """Hypotheses of a sure to the least sure detection (paper figures 3 and 4)."""
    caption = (
        "Left: the 2D detection and the Gaussians fitted to its heatmaps, at one and "
        "two standard deviations. Middle and right: hypotheses, the z = 0 pose and the "
        "truth. Seen from the camera they scatter where the detector is unsure; from "
        "the side, along the depth that a picture does not tell. "
    )
    return _of_poses("hypotheses", frames, caption)


def hardest(frames: Chosen) -> Picture:
    """The worst and the most ambiguous frames of the test."""
    caption = (
        "The frames whose best hypothesis is farthest from the truth, and those whose "
        "hypotheses scatter most, by the mean standard deviation over joints and axes. "
    )
    return _of_poses("hardest", frames, caption)


def _of_poses(name: str, frames: Chosen, caption: str) -> Picture:
    named = "; ".join(
        f"{title}: {detail.partition(';')[0]}"
        for title, detail in zip(frames.titles, frames.details, strict=True)
    )
    figure = poses.hypotheses_figure(frames.titles, frames.frames)
    return Picture(name, figure, f"{caption}{named}.", wide=True)


def series(evaluated: protocol.Evaluation) -> dict[str, Means]:
    """The pooled figures of the tests by name."""
    named = {"all test frames": evaluated.test.pooled}
    if evaluated.ambiguous is not None:
        named["ambiguous frames"] = evaluated.ambiguous.pooled
    return named


def noise_baseline(
    loaded: protocol.Loaded, evaluated: protocol.Evaluation
) -> EvaluationResult:
    """The z = 0 pose with detector noise, on the frames of figure 5.

    Its depth noise, of every joint but the hip, is as wide as the model's own
    hypotheses are there on average.
    """
    frames = protocol.counted(loaded.records)
    if evaluated.ambiguous is None:
        frames = data.every_nth_per_action(frames, loaded.test.stride)
    else:
        frames = frames.take(data.ambiguous(frames))
    spread = (evaluated.ambiguous or evaluated.test).pooled.spread
    depth = float(spread[1:, 2].mean()) / 1000
    noisy = baselines.ModeWithNoise(loaded.model, depth)
    key = jax.random.fold_in(loaded.key, 3)
    # The detector's noise is what it is, whatever the temperature.
    return protocol.run(loaded.of(noisy, 1.0), frames, key, "noise baseline")


def plots(
    evaluated: protocol.Evaluation, baseline: EvaluationResult | None
) -> list[Picture]:
    """Calibration, sample size, correct poses score, spread."""
    named = series(evaluated)
    drawn = dict(named)
    if baseline is not None:
        drawn["z = 0 with detector noise"] = baseline.pooled
    count = evaluated.test.num_hypotheses
    bests = ", ".join(f"{one.best_of[-1]:.1f}" for one in drawn.values())
    x, y, z = evaluated.test.pooled.spread_per_axis
    return [
        Picture(
            "calibration",
            curves.calibration(named),
            "How often the truth lies within a quantile of the hypotheses; on the "
            "dashed line the hypotheses are as sure as they are right.",
        ),
        Picture(
            "samples",
            curves.samples(drawn, count),
            f"The error of the best of m hypotheses, {bests} mm at m = {count}. The "
            "baseline draws from the fitted Gaussians round the z = 0 pose.",
        ),
        Picture(
            "cps",
            curves.cps(named),
            "Frames with a hypothesis all of whose joints lie within the threshold "
            "after Procrustes alignment.",
        ),
        Picture(
            "spread",
            curves.spread(evaluated.test.pooled),
            "How far the hypotheses scatter, per joint and axis: in the mean "
            f"{x:.0f} mm across, {y:.0f} down and {z:.0f} along the depth.",
        ),
    ]


def sigma(records: PoseRecords) -> Picture | None:
    """The fits' width against the detector's error; None where the truth is unknown.

    Source: paper appendix B, figure 6.
    """
    truth = records.extra.get("pose2d_true")
    if truth is None:
        return None
    parts = [
        sigma_error.sums_of(records.gaussfit[rows], records.pose2d[rows], truth[rows])
        for rows, _ in batching.blocks(len(records), _CHUNK)
    ]
    summary = sigma_error.summarize(sums.add(*parts))
    return Picture(
        "sigma",
        sigma_figure.sigma(summary),
        "The detector's error by the width of the fitted Gaussian, of the "
        f"{summary.total} joints of this split, whose true 2D places are known "
        f"(correlation {summary.correlation:.2f}); the darker a cell, the more of them "
        "(logarithmic).",
    )


def response(result: Response) -> Picture:
    """Whether the hypotheses follow a detection made less sure."""
    return Picture(
        "response",
        response_figure.response(result),
        "One joint at a time is made less sure in "
        f"{result.frames} frames: calibrated hypotheses hold the truth in 90 % of them "
        "at every sigma.",
    )


def models(compared: Comparison) -> list[Picture]:
    """Several models' calibration and best hypotheses; means over a model's seeds."""
    named = {member.entry.name: member.pooled for member in compared.members}
    count = compared.members[0].test[0].num_hypotheses
    calibrated = choice.against_calibration(compared)
    pictures = [
        Picture(
            "models-calibration",
            curves.calibration(named),
            "Calibration of every model: below the dashed line it is over-confident, "
            "however good its best hypothesis.",
        ),
        Picture(
            "models-samples",
            curves.samples(named, count),
            "The best of m hypotheses of every model, on all test frames.",
        ),
        Picture(
            "models-operations",
            choice.against_operations(compared),
            "The same by what they cost: a model that draws cheaply may draw more.",
        ),
    ]
    if calibrated is not None:
        text = (
            "Over temperature, on the held-out frames that it was fitted on (the dot), "
            "of several seeds the first: a model is better where it is lower and "
            "farther left."
        )
        pictures.append(Picture("models-temperature", calibrated, text))
    return pictures


def training(rows: Sequence[Mapping[str, Any]]) -> Picture | None:
    """The training log's columns; None where there is nothing to draw."""
    # A term that is 0 throughout was not computed.
    names = dict.fromkeys(
        name
        for row in rows
        for name in row
        if name not in _NO_CURVES and any(other.get(name) for other in rows)
    )
    if not names:
        return None
    peak = max((row.get("host_peak_mib", 0) for row in rows), default=0)
    memory = f" The process held at most {peak:.0f} MiB." if peak else ""
    return Picture(
        "training",
        curves.training(rows, {name: _title(name) for name in names}),
        "Loss terms, and the validation's figures where there was one: as logged, "
        f"faint, and their running mean.{memory}",
    )


def _title(column: str) -> str:
    """A column of the training log in words; as it is called where it is unknown."""
    if column in _TITLES:
        return _TITLES[column]
    protocol_name, _, which = column.rpartition("mpjpe_")
    if protocol_name in ("", "pa_") and which in metrics.ERROR_NAMES:
        name = "PA-MPJPE" if protocol_name else "MPJPE"
        return f"{name}, {'z = 0 pose' if which == 'z0' else which}, mm"
    return column.replace("_", " ")
