"""The energy score: its oracle, what makes it proper, and its two forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import losses
from tests.golden import store
from tests.golden.store import assert_close
from tests.oracles import losses as oracle

ARRAYS = store.load("losses")
HYPOTHESES, POSE3D = ARRAYS["hypotheses"], ARRAYS["pose3d"]
value_of = jax.jit(losses.energy_score, static_argnames="pairwise")
score = jax.jit(jax.value_and_grad(losses.energy_score), static_argnames="pairwise")
BOTH = pytest.mark.parametrize("pairwise", [True, False])


@BOTH
def test_against_a_double_loop(pairwise):
    value, _ = score(HYPOTHESES, POSE3D, pairwise=pairwise)
    want = oracle.energy_score(HYPOTHESES, POSE3D, rolled=not pairwise)
    np.testing.assert_allclose(value, want, rtol=1e-5)


@BOTH
def test_gradient_is_the_double_loop_s_slope(pairwise):
    hypotheses = HYPOTHESES.astype(np.float64)
    direction = np.random.RandomState(1).randn(*hypotheses.shape)
    _, gradient = score(HYPOTHESES, POSE3D, pairwise=pairwise)
    ahead, behind = (
        oracle.energy_score(hypotheses + step * direction, POSE3D, not pairwise)
        for step in (1e-6, -1e-6)
    )
    want = (ahead - behind) / 2e-6
    np.testing.assert_allclose(np.sum(gradient * direction), want, rtol=1e-4)


def test_all_pairs_know_no_order():
    order = np.random.RandomState(2).permutation(len(HYPOTHESES))
    value, gradient = score(HYPOTHESES, POSE3D, pairwise=True)
    shuffled, moved = score(HYPOTHESES[order], POSE3D, pairwise=True)
    np.testing.assert_allclose(shuffled, value, rtol=1e-5)
    assert_close(moved, np.asarray(gradient)[order])


def test_neighbours_give_all_pairs_on_average_over_orders():
    """Every pair is a neighbour equally often."""
    rng = np.random.RandomState(3)
    values = [
        float(value_of(HYPOTHESES[rng.permutation(12)], POSE3D)) for _ in range(400)
    ]
    want = float(value_of(HYPOTHESES, POSE3D, pairwise=True))
    error = np.std(values) / np.sqrt(len(values))
    assert error < 0.01 * want
    assert abs(np.mean(values) - want) < 4 * error


@BOTH
def test_where_the_person_stands_is_no_matter(pairwise):
    offset = np.repeat(np.random.RandomState(4).randn(12, 6, 3), 16, axis=-1)
    moved = HYPOTHESES + offset.astype(np.float32)
    np.testing.assert_allclose(
        score(moved, POSE3D, pairwise=pairwise)[0],
        score(HYPOTHESES, POSE3D, pairwise=pairwise)[0],
        rtol=1e-3,
    )


@BOTH
def test_it_scales_with_the_poses(pairwise):
    twice = score(2 * HYPOTHESES, 2 * POSE3D, pairwise=pairwise)[0]
    once = score(HYPOTHESES, POSE3D, pairwise=pairwise)[0]
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)


@BOTH
def test_certainty_scores_its_error(pairwise):
    """Hypotheses that agree have no spread: the score is their distance."""
    agreed = np.repeat(POSE3D[None] + np.float32(0.1) * HYPOTHESES[:1], 4, axis=0)
    value, gradient = score(agreed, POSE3D, pairwise=pairwise)
    want = oracle.energy_score(agreed, POSE3D)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    assert np.all(np.isfinite(gradient))
    perfect, gradient = score(np.repeat(POSE3D[None], 4, axis=0), POSE3D)
    assert perfect == 0 and np.all(np.isfinite(gradient))


@pytest.fixture(scope="module")
def expected():
    """Mean scores of Gaussians around shifted means, of other spreads.

    The truth is Gaussian, too, with a spread of its own along each of the 48 axes; the
    same normal numbers serve every candidate, so that differences are sure.
    """
    rng = np.random.RandomState(5)
    truths, draws, blend = rng.randn(4000, 48), rng.randn(24, 4000, 48), 0.05
    spread = blend * rng.uniform(0.5, 1.5, 48)
    centre, aside = rng.randn(48), rng.randn(48)
    pose3d = np.float32(centre + spread * truths)

    def at(shift, scale, pairwise=False):
        # All pairs of a few hypotheses cost as much as neighbours of many.
        part = np.s_[:8, :1500] if pairwise else np.s_[:]
        candidate = centre + shift * spread * aside + scale * spread * draws[part]
        target = pose3d[: candidate.shape[1]]
        return float(value_of(np.float32(candidate), target, pairwise=pairwise))

    return at


@BOTH
def test_it_is_least_at_the_true_mean_and_spread(expected, pairwise):
    """A proper score; best-of-M has no such minimum."""
    spreads = (0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0)
    by_spread = [expected(0.0, scale, pairwise) for scale in spreads]
    assert spreads[int(np.argmin(by_spread))] == 1.0
    shifts = (-0.5, -0.2, 0.0, 0.2, 0.5)
    by_shift = [expected(shift, 1.0, pairwise) for shift in shifts]
    assert shifts[int(np.argmin(by_shift))] == 0.0
    # Convex around it, so that training is led there.
    assert by_spread == sorted(by_spread[:4], reverse=True) + sorted(by_spread[4:])


def test_its_slope_vanishes_at_the_truth(expected):
    """By finite differences of the spread: far less than to either side."""
    slopes = [expected(0.0, s + 0.02) - expected(0.0, s - 0.02) for s in (0.8, 1, 1.25)]
    assert slopes[0] < 0 < slopes[2]
    assert abs(slopes[1]) < 0.2 * min(-slopes[0], slopes[2])


def test_a_batch_is_the_mean_of_its_poses():
    value, _ = score(HYPOTHESES, POSE3D)
    singles = [score(HYPOTHESES[:, i : i + 1], POSE3D[i : i + 1])[0] for i in range(6)]
    np.testing.assert_allclose(np.mean(singles), value, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.energy_score(HYPOTHESES[:1], POSE3D), "at least 2 hypotheses"),
        (
            lambda: losses.energy_score(HYPOTHESES, POSE3D[:3]),
            r"pose3d \(B, 48\); got \(12, 6, 48\) and \(3, 48\)",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integer_hypotheses_are_refused():
    with pytest.raises(TypeError, match="hypotheses to be floating"):
        losses.energy_score(jnp.zeros((5, 2, 48), int), POSE3D[:2])
