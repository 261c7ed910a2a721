"""Metrics against the released code's figures and against the definitions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import metrics
from jaxflow.maths import procrustes
from jaxflow.maths.geometry import to_joints
from jaxflow.metrics import errors as of_errors
from tests.oracles import metrics as oracle

# Compiled whole: op by op, the first call of each costs seconds.
of_example = jax.jit(metrics.of_example)
mpjpe = jax.jit(metrics.mpjpe)
pa_mpjpe = jax.jit(metrics.pa_mpjpe)
align = jax.jit(procrustes.align)
aligned_joint_errors = jax.jit(metrics.aligned_joint_errors)
cps_curve, cps = jax.jit(metrics.cps_curve), jax.jit(metrics.cps)
calibration = jax.jit(metrics.calibration)


def poses(seed, *shape, scale=0.3):
    values = np.random.default_rng(seed).normal(size=(*shape, 17, 3)) * scale
    return (values - values[..., :1, :]).astype(np.float32)


@pytest.fixture(scope="module")
def case(reference):
    """The released code's example: 32 frames of 40 hypotheses, frames first, metres."""
    data = reference("metrics")

    def shape(vectors):
        return np.asarray(to_joints(jnp.asarray(vectors))) / 1000

    return {
        **data,
        "target": shape(data["target_mm"]),
        "hypotheses": np.swapaxes(shape(data["hypotheses_mm"]), 0, 1),
    }


def test_reference_mpjpe(case):
    got = mpjpe(case["hypotheses"], case["target"])
    np.testing.assert_allclose(got.T, case["mpjpe"], atol=1e-2, rtol=0)


def test_reference_pa_mpjpe(case):
    got = pa_mpjpe(case["hypotheses"], case["target"])
    np.testing.assert_allclose(got.T, case["pa_mpjpe"], rtol=1e-4)


def test_reference_aligned_poses(case):
    got = align(case["hypotheses"], case["target"][:, None])
    want = np.swapaxes(np.asarray(to_joints(jnp.asarray(case["aligned"]))), 0, 1)
    np.testing.assert_allclose(1000 * got, want, atol=2e-2, rtol=0)


def test_reference_pck(case):
    got = metrics.pck(case["hypotheses"], case["target"])
    np.testing.assert_array_equal(got.T, case["pck150"])


def test_reference_cps(case):
    curve = cps_curve(case["hypotheses"], case["target"])
    np.testing.assert_allclose(curve, case["cps_curve_best"], rtol=1e-5)
    area = cps(case["hypotheses"], case["target"])
    np.testing.assert_allclose(area, case["cps_best"], rtol=1e-5)


def test_reference_spread(case):
    got = np.mean(metrics.spread(case["hypotheses"]), axis=0)
    np.testing.assert_allclose(got.T, case["hypothesis_std"], rtol=1e-5)


@pytest.mark.parametrize("count", [2, 7, 8])
def test_every_figure_equals_the_slow_reference(count):
    target = poses(0, 5)
    hypotheses = target[:, None] + poses(1, 5, count, scale=0.08)
    z0 = target + poses(2, 5, scale=0.08)
    got = of_example(hypotheses, z0, target)
    for i in range(5):
        want = oracle.frame(hypotheses[i], z0[i], target[i])
        for name in ("mpjpe", "pa_mpjpe", "spread"):
            np.testing.assert_allclose(getattr(got, name)[i], want[name], rtol=1e-4)
        np.testing.assert_allclose(got.pck[i], want["pck"], rtol=1e-6)
        np.testing.assert_array_equal(got.hits[i], want["hits"])
        curve = np.asarray(got.cps_radius)[i] <= np.array(metrics.CPS_THRESHOLDS)
        np.testing.assert_array_equal(curve, want["cps_curve"])
        best = [want["best_of"][m] for m in of_errors.sample_counts(count)]
        np.testing.assert_allclose(got.best_of[i], best, rtol=1e-4)


def test_target_is_shared_by_the_hypotheses_of_its_frame():
    # As many hypotheses as frames: the rule, not a coincidence of sizes, decides.
    hypotheses, target = poses(3, 4, 4), poses(4, 4)
    got = mpjpe(hypotheses, target)
    np.testing.assert_array_equal(got, mpjpe(hypotheses, target[:, None]))
    spread_first = mpjpe(hypotheses[:3].swapaxes(0, 1), target[:3])
    np.testing.assert_array_equal(spread_first.T, got[:3])


@pytest.mark.parametrize("seed", [1, 2])
def test_alignment_undoes_a_similarity(seed):
    target = poses(seed)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    moved = (1.7 * target @ rotation + rng.normal(size=3)).astype(np.float32)
    assert pa_mpjpe(moved, target) < 1e-3 < mpjpe(moved, target)


def test_alignment_never_mirrors():
    target = poses(5)
    mirrored = target * np.float32([-1, 1, 1])
    want = oracle.distances(oracle.aligned(mirrored.astype(float), target), target)
    got = aligned_joint_errors(mirrored, target)
    assert want.mean() > 50
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_alignment_at_any_scale_and_on_symmetric_shapes():
    target = poses(7)
    for scale in (1e-6, 1e6):
        tiny = pa_mpjpe(target * np.float32(scale), target)
        assert tiny < 1e-3
    # Equal eigenvalues all round: points of a cube against themselves.
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    cube = np.concatenate([corners, corners, [[0, 0, 0]]]).astype(np.float32)
    assert pa_mpjpe(cube, cube) < 1e-3


def test_pck_counts_a_joint_at_the_threshold_and_ignores_spine_and_nose():
    target = np.zeros((17, 3), np.float32)
    pose = target.copy()
    pose[[7, 9, 0], 0] = 9.0  # not counted
    pose[3, 1] = 0.125
    pose[16, 2] = 0.2
    np.testing.assert_allclose(metrics.pck(pose, target), 13 / 14)
    np.testing.assert_allclose(metrics.pck(pose, target, threshold=125.0), 13 / 14)
    np.testing.assert_allclose(metrics.pck(pose, target, threshold=124.9), 12 / 14)


@pytest.mark.parametrize("total", [2, 7, 200])
def test_the_best_of_fewer_by_counting_subsets(total):
    counts = of_errors.sample_counts(total)
    expected = [
        [math.comb(total - i, m - 1) / math.comb(total, m) for m in counts]
        for i in range(1, total + 1)
    ]
    np.testing.assert_allclose(of_errors._weights(total), expected, rtol=1e-12)
    many = of_errors._weights(100_000)  # in a moment, too
    np.testing.assert_allclose(many.sum(axis=0), 1, rtol=1e-9)


def test_sample_sizes_run_from_one_to_all():
    assert of_errors.sample_counts(6) == (1, 2, 3, 5, 6)
    assert of_errors.sample_counts(200) == (1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 200)
    errors = np.random.default_rng(0).gamma(9.0, size=(3, 200)).astype(np.float32)
    best = of_errors.expected_best(errors)
    np.testing.assert_allclose(best[:, 0], errors.mean(-1), rtol=1e-5)
    np.testing.assert_allclose(best[:, -1], errors.min(-1), rtol=1e-6)
    assert (np.diff(best, axis=-1) < 0).all()


def test_cps_is_one_from_the_worst_joint_on():
    target = poses(9, 3)
    perfect = np.repeat(target[:, None], 2, axis=1)
    assert cps(perfect, target) == 299
    assert cps_curve(perfect, target).shape == (300,)


def samples(seed, frames, count, scale):
    """Targets from a joint-wise Gaussian, hypotheses from it at ``scale`` times it."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.01, 0.1, (17, 3))
    target = rng.normal(size=(frames, 17, 3)) * sigma
    hypotheses = rng.normal(size=(frames, count, 17, 3)) * sigma * scale
    return hypotheses.astype(np.float32), target.astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "error", "tolerance"),
    [(1.0, 0.005, 0.01), (0.5, 0.35, 0.03), (1.5, 0.22, 0.03)],
)
def test_calibration_tells_true_spread_from_wrong(scale, error, tolerance):
    result = calibration(*samples(10, 500, 200, scale))
    assert result.ece == pytest.approx(error, abs=tolerance)
    assert result.frequency.shape == result.levels.shape == (21,)
    # Too narrow: targets fall outside too often; too wide: inside too often.
    inside = float(jnp.mean(result.frequency - result.levels))
    assert inside * (scale - 1) >= 0


def test_calibration_error_equals_the_slow_reference():
    hypotheses, target = samples(11, 12, 9, 0.7)
    want = [oracle.hits(h, t) for h, t in zip(hypotheses, target, strict=True)]
    got = calibration(hypotheses, target)
    np.testing.assert_allclose(got.ece, oracle.calibration_error(want), rtol=1e-5)


def test_a_share_that_equals_its_level_is_no_hit():
    """Of 200 hypotheses at 0, 1, -2, 3, ..., whose lower median is 0, d are nearer."""
    places = np.arange(200) * np.where(np.arange(200) % 2, 1, -1)
    hypotheses = np.zeros((200, 17, 3), np.float32) + places[:, None, None]
    for level in range(21):
        target = np.full((17, 3), 10 * level, np.float32)
        hits = metrics.axis_hits(hypotheses, target)
        np.testing.assert_array_equal(hits[:, 0, 0], np.arange(21) > level)


@pytest.mark.parametrize(
    "length",
    [
        metrics.mpjpe,
        pytest.param(metrics.pa_mpjpe, marks=pytest.mark.slow),
        lambda h, t: metrics.spread(h),
        lambda h, t: metrics.scores(h, t).joint,
        lambda h, t: metrics.scores(h, t).pose,
    ],
)
def test_a_length_of_zero_has_a_slope(length):
    """The hip is 0 in all of them, and the first two are the target itself."""
    hypotheses, target = samples(16, 2, 5, 1.0)
    hypotheses[:, :, 0], target[:, 0] = 0, 0
    hypotheses[:, :2] = target[:, None]
    slope = jax.jit(jax.grad(lambda h: length(h, target).sum()))(hypotheses)
    assert jnp.isfinite(slope).all() and jnp.abs(slope).max() > 0


def test_leading_axes_may_be_empty():
    hypotheses, target = poses(12, 6), poses(13)
    single = of_example(hypotheses, target, target)
    want = oracle.frame(hypotheses, target, target)
    np.testing.assert_allclose(single.mpjpe, want["mpjpe"], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(single.hits, want["hits"])
    assert mpjpe(target, target).shape == ()
    assert calibration(hypotheses, target).ece.shape == ()


@pytest.mark.parametrize("function", [metrics.mpjpe, metrics.pa_mpjpe, metrics.pck])
def test_wrong_input_is_named(function):
    with pytest.raises(ValueError, match=r"\(\.\.\., 17, 3\); got \(16, 3\)"):
        function(np.zeros((16, 3), np.float32), np.zeros((17, 3), np.float32))
    with pytest.raises(TypeError, match="floating"):
        function(np.zeros((17, 3), int), np.zeros((17, 3), np.float32))
    with pytest.raises(ValueError, match="leading axes"):
        function(np.zeros((5, 4, 17, 3), np.float32), np.zeros((3, 17, 3), np.float32))


def test_hypotheses_must_match_their_targets():
    hypotheses, target = poses(14, 3, 5), poses(15, 4)
    for function in (metrics.cps_curve, metrics.cps, metrics.calibration):
        with pytest.raises(ValueError, match="same leading"):
            function(hypotheses, target)
    with pytest.raises(ValueError, match="at least 2"):
        metrics.spread(hypotheses[:, :1])
