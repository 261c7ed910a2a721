"""The drawings: views, heatmaps, colours, and the picture of the idea."""

import numpy as np
import pytest

from tests.helpers.evaluation import records

pytest.importorskip("matplotlib", reason="the figures need the extra 'report'")

from jaxflow.reporting.figures import idea, poses, style


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
    example = poses.PoseExample(
        "",
        frames.pose2d[0],
        frames.gaussfit[0],
        hypotheses,
        hypotheses[0],
        hypotheses[1],
    )
    figure = idea.idea(example, rng.normal(size=(40, 2)))
    png, svg = style.save(figure, tmp_path / "idea")
    assert "3D hypotheses  (40 drawn)" in open(svg).read()
    again, _ = style.save(idea.idea(example, np.zeros((40, 2))), tmp_path / "other")
    assert open(png, "rb").read() != open(again, "rb").read()


def test_limbs_have_their_sides_colours():
    assert poses.side("RHip", "RKnee") == style.RIGHT
    assert poses.side("Thorax", "LShoulder") == style.LEFT
    assert poses.side("Neck", "Head") == style.MIDDLE
