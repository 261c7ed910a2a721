import jax
import numpy as np
import pytest

from jaxflow import metrics
from tests.helpers.precision import assert_exact

SIGMA = 0.1

# Compiled whole: op by op, the first call of each costs seconds.
scores = jax.jit(metrics.scores)


def drawn(scale, frames=400, count=64, seed=0):
    """Hypotheses from N(0, (scale SIGMA)^2) of truths from N(0, SIGMA^2)."""
    rng = np.random.default_rng(seed)
    hypotheses = scale * SIGMA * rng.normal(size=(frames, count, 17, 3))
    target = SIGMA * rng.normal(size=(frames, 17, 3))
    return hypotheses.astype(np.float32), target.astype(np.float32)


def test_the_crps_of_a_gaussian_is_the_closed_form():
    found = scores(*drawn(1.0))
    # Of N(0, s^2) drawn and true: E|h - x| - E|h - h'| / 2 = s / sqrt(pi).
    expected = 1000 * SIGMA / np.sqrt(np.pi)
    assert float(np.mean(found.crps)) == pytest.approx(expected, rel=0.02)


def test_the_energy_scores_are_the_closed_form():
    found = scores(*drawn(1.0))
    # Half of E|x - x'| of two independent Gaussians: of 3 coordinates 2 s sqrt(2)
    # sqrt(2 / pi) / 2; of 48 over the root of 16, nearly s sqrt(2) sqrt(3) / 2.
    joint = 1000 * SIGMA * 2 / np.sqrt(np.pi)
    pose = 1000 * SIGMA * np.sqrt(1.5) * (1 - 1 / (4 * 48))
    assert float(np.mean(found.joint)) == pytest.approx(joint, rel=0.02)
    assert float(np.mean(found.pose)) == pytest.approx(pose, rel=0.02)


def test_they_are_least_for_the_truths_own_distribution():
    narrow, true, wide = (scores(*drawn(s)) for s in (0.5, 1.0, 2.0))
    for name in ("joint", "pose", "crps"):
        values = [float(np.mean(getattr(one, name))) for one in (narrow, true, wide)]
        assert min(values) == values[1], name


def test_they_do_not_depend_on_how_many_are_drawn():
    few, many = (scores(*drawn(1.0, count=m)) for m in (2, 128))
    for name in ("joint", "pose", "crps"):
        one, other = (float(np.mean(getattr(s, name))) for s in (few, many))
        assert one == pytest.approx(other, rel=0.03), name


@pytest.mark.parametrize("order", ["halves", "turns"])
def test_the_order_of_hypotheses_does_not_matter(order):
    """Two modes a metre apart, one after the other or by turns, as samplers give."""
    hypotheses, target = drawn(1.0, frames=20, count=200)
    side = np.arange(200) % 2 if order == "turns" else np.arange(200) // 100
    hypotheses[..., 1:, 0] += np.where(side, 0.5, -0.5)[:, None]
    rng = np.random.default_rng(1)
    shuffled = np.stack([rng.permutation(frame) for frame in hypotheses])
    one, other = scores(hypotheses, target), scores(shuffled, target)
    # Of 1600 pairs of each frame, some 800 join the modes, give or take 20.
    np.testing.assert_allclose(np.mean(one.joint), np.mean(other.joint), atol=10)
    np.testing.assert_allclose(np.mean(one.pose), np.mean(other.pose), atol=10)


def test_shapes():
    found = scores(np.zeros((2, 3, 5, 17, 3), "f4"), np.zeros((2, 3, 17, 3), "f4"))
    assert [leaf.shape for leaf in found] == [(2, 3, 16), (2, 3), (2, 3, 16, 3)]
    with pytest.raises(ValueError, match="target"):
        scores(np.zeros((5, 17, 3), "f4"), np.zeros((16, 3), "f4"))


def test_the_root_does_not_count():
    hypotheses, target = drawn(1.0, frames=1)
    moved = hypotheses.copy()
    moved[..., 0, :] += np.float32([0.3, -1.2, 0.7])
    for one, other in zip(
        scores(hypotheses, target), scores(moved, target), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_products_keep_their_precision():
    assert_exact(metrics.scores, *drawn(1.0, frames=1))


def test_one_hypothesis_has_no_score():
    with pytest.raises(ValueError, match=r"at least 2 .* got \(1, 17, 3\)"):
        metrics.scores(np.zeros((1, 17, 3)), np.zeros((17, 3)))
