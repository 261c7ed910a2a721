"""The drawings: views, heatmaps, colours, and the picture of the idea."""

import re

import numpy as np
import pytest

from tests.helpers.evaluation import records

pytest.importorskip("matplotlib", reason="the figures need the extra 'report'")

from jaxflow import metrics
from jaxflow.metrics.sums import Means
from jaxflow.reporting import drawings
from jaxflow.reporting.figures import curves, idea, poses, style
from jaxflow.types import Hypotheses


def test_views_of_a_pose():
    pose = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(poses.project(pose, 0.0), [[1, -2]])
    # From the body's right in the picture: what is far away lies to the viewer's right.
    np.testing.assert_allclose(poses.project(pose, np.pi / 2), [[3, -2]], atol=1e-12)


def test_drawn_heatmaps_are_the_fitted_bumps():
    """Against the definition, in heatmap pixels, y down, with its sign of theta."""
    fit = np.array([[0.9, 20.3, 40.1, 2.0, 0.6, 5.0, 0.0]] * 16, np.float32)
    amplitude, x0, y0, sx, theta, sy, _ = fit[0]
    places = (np.arange(64) + 0.5) * 64 / 64
    dx, dy = places[None, :] - x0, places[:, None] - y0
    a = np.cos(theta) ** 2 / (2 * sx**2) + np.sin(theta) ** 2 / (2 * sy**2)
    b = -np.sin(2 * theta) / (4 * sx**2) + np.sin(2 * theta) / (4 * sy**2)
    c = np.sin(theta) ** 2 / (2 * sx**2) + np.cos(theta) ** 2 / (2 * sy**2)
    want = amplitude * np.exp(-(a * dx**2 + 2 * b * dx * dy + c * dy**2))
    np.testing.assert_allclose(idea.heatmap(fit, size=64), want, atol=1e-5)


def test_the_picture_of_the_idea_is_drawn(tmp_path):
    frames = records(count=1)
    rng = np.random.default_rng(0)
    hypotheses = rng.normal(size=(40, 17, 3)) * 0.3
    frame = Hypotheses(
        hypotheses, None, hypotheses[0], frames.pose2d[0], frames.gaussfit[0]
    )
    latents = rng.normal(size=(40, 2))
    figure = idea.idea(frame, latents)
    _, svg = style.save(figure, tmp_path / "idea")
    assert "3D hypotheses  (40 drawn)" in open(svg).read()
    places = [
        np.asarray(points.get_offsets())
        for axes in figure.axes
        for points in axes.collections
        if len(points.get_offsets()) == 40
    ]
    assert any(np.allclose(drawn, latents) for drawn in places)


def lines_of(axes):
    """What is drawn as lines: the points of each."""
    return [line.get_xydata() for line in axes.get_lines()]


def means(**changed):
    """Figures that are easy to find again in a drawing."""
    figures = {
        "frames": 3,
        "mpjpe": np.arange(5.0),
        "pa_mpjpe": np.arange(5.0),
        "pck": 0.5,
        "cps": 100.0,
        "ece": 0.1,
        "cps_curve": np.linspace(0, 0.9, 300),
        "calibration": np.linspace(0, 1, 21) ** 2,
        "spread": np.arange(51.0).reshape(17, 3),
        "best_of": 100.0 / np.arange(1, 6),
    }
    return Means(**{**figures, **changed})


@pytest.mark.parametrize(
    ("draw", "x", "y"),
    [
        (curves.calibration, metrics.CALIBRATION_LEVELS, means().calibration),
        (curves.cps, metrics.CPS_THRESHOLDS, means().cps_curve),
        (lambda s: curves.samples(s, 6), (1, 2, 3, 5, 6), means().best_of),
    ],
    ids=["calibration", "cps", "samples"],
)
def test_curves_run_through_their_figures(draw, x, y):
    """A line of each series has exactly these points, shares as they are or in %."""
    figure = draw({"one": means(), "two": means(mpjpe=np.ones(5))})
    drawn = [line for axes in figure.axes for line in lines_of(axes)]
    fitting = [
        line
        for line in drawn
        if len(line) == len(x)
        and np.allclose(line[:, 0], x)
        and any(np.allclose(line[:, 1], scale * np.asarray(y)) for scale in (1, 100))
    ]
    assert len(fitting) == 2


def test_training_curves_have_plain_labels_and_words():
    """A loss over decades; what is no loss is not drawn, and nothing is a formula."""
    rows = [
        {
            "kind": "train",
            "step": 50 * i,
            "iterations": 50,
            "det": 2000 * 0.5**i,
            "best_of_m": 0.3,
            "energy": 0.0,
            "own_term": 1.0,
            "host_peak_mib": 869.2,
        }
        for i in range(1, 12)
    ]
    rows.append({"kind": "validation", "step": 500, "pa_mpjpe_z0": 80.0})
    picture = drawings.training(rows)
    shown = [axes for axes in picture.figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [
        "3D reconstruction",
        "Best of M hypotheses",
        "own term",
        "PA-MPJPE, z = 0 pose, mm",
    ]
    assert "at most 869 MiB" in picture.caption
    assert shown[0].get_yscale() == "log"
    svg = style.svg(picture.figure)
    assert "math" not in svg
    ticks = set(re.findall(r">([\d.e+-]+)</text>", svg))
    assert {"1000", "100", "1"} <= ticks
    assert all(len(tick) <= 6 for tick in ticks)
    assert shown[0].get_position().width > 0.3  # of the figure's


def test_the_hypotheses_figure_draws_what_it_is_given():
    """A row a frame: its joints, and the least sure one's places in both views."""
    frames = records(count=2)
    drawn = np.random.default_rng(1).normal(size=(2, 30, 17, 3)) * 0.3
    many = Hypotheses(
        drawn, None, drawn[:, 0], frames.pose2d, frames.gaussfit, drawn[:, 1]
    )
    figure = poses.hypotheses_figure(["First", "Second"], many)
    rows = np.reshape(figure.axes[:6], (2, 3))
    titles = [axes.get_title(loc="left") for axes in rows[:, 0]]
    assert titles == ["First", "Second"]
    for i, (detection, front, side) in enumerate(rows):
        joint = poses.most_uncertain_joint(frames.gaussfit[i])
        for axes, angle in ((front, 0.0), (side, np.pi / 2)):
            (points,) = [p for p in axes.collections if len(p.get_offsets()) == 30]
            want = poses.project(drawn[i], angle)[:, joint]
            np.testing.assert_allclose(points.get_offsets(), want, atol=1e-6)
        (joints,) = [p for p in detection.collections if len(p.get_offsets()) == 16]
        np.testing.assert_allclose(joints.get_offsets(), frames.pose2d[i])


def test_limbs_have_their_sides_colours():
    assert poses.side("RHip", "RKnee") == style.RIGHT
    assert poses.side("Thorax", "LShoulder") == style.LEFT
    assert poses.side("Neck", "Head") == style.MIDDLE
