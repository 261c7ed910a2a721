import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import metrics
from tests.helpers.precision import assert_exact

SIGMA = 0.1


def drawn(scale, frames=400, count=64, seed=0):
    """Hypotheses from N(0, (scale SIGMA)^2) of truths from N(0, SIGMA^2)."""
    rng = np.random.default_rng(seed)
    hypotheses = scale * SIGMA * rng.normal(size=(frames, count, 17, 3))
    target = SIGMA * rng.normal(size=(frames, 17, 3))
    return jnp.asarray(hypotheses, jnp.float32), jnp.asarray(target, jnp.float32)


def test_the_crps_of_a_gaussian_is_the_closed_form():
    found = metrics.scores(*drawn(1.0))
    # Of N(0, s^2) drawn and true: E|h - x| - E|h - h'| / 2 = s / sqrt(pi).
    expected = 1000 * SIGMA / np.sqrt(np.pi)
    assert float(jnp.mean(found.crps)) == pytest.approx(expected, rel=0.02)


def test_the_energy_scores_are_the_closed_form():
    found = metrics.scores(*drawn(1.0))
    # Half of E|x - x'| of two independent Gaussians: of 3 coordinates 2 s sqrt(2)
    # sqrt(2 / pi) / 2; of 48 over the root of 16, nearly s sqrt(2) sqrt(3) / 2.
    joint = 1000 * SIGMA * 2 / np.sqrt(np.pi)
    pose = 1000 * SIGMA * np.sqrt(1.5) * (1 - 1 / (4 * 48))
    assert float(jnp.mean(found.joint)) == pytest.approx(joint, rel=0.02)
    assert float(jnp.mean(found.pose)) == pytest.approx(pose, rel=0.02)


def test_they_are_least_for_the_truths_own_distribution():
    narrow, true, wide = (metrics.scores(*drawn(s)) for s in (0.5, 1.0, 2.0))
    for name in ("joint", "pose", "crps"):
        values = [float(jnp.mean(getattr(one, name))) for one in (narrow, true, wide)]
        assert min(values) == values[1], name


def test_they_do_not_depend_on_how_many_are_drawn():
    few, many = (metrics.scores(*drawn(1.0, count=m)) for m in (2, 128))
    for name in ("joint", "pose", "crps"):
        one, other = (float(jnp.mean(getattr(s, name))) for s in (few, many))
        assert one == pytest.approx(other, rel=0.03), name


def test_shapes():
    found = metrics.scores(jnp.zeros((2, 3, 5, 17, 3)), jnp.zeros((2, 3, 17, 3)))
    assert [leaf.shape for leaf in found] == [(2, 3, 16), (2, 3), (2, 3, 16, 3)]
    with pytest.raises(ValueError, match="target"):
        metrics.scores(jnp.zeros((5, 17, 3)), jnp.zeros((16, 3)))


def test_the_root_does_not_count():
    hypotheses, target = drawn(1.0, frames=1)
    moved = hypotheses.at[..., 0, :].add(jax.random.normal(jax.random.key(0), (3,)))
    for one, other in zip(
        metrics.scores(hypotheses, target), metrics.scores(moved, target), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_products_keep_their_precision():
    assert_exact(metrics.scores, *drawn(1.0, frames=1))


def test_one_hypothesis_has_no_score():
    with pytest.raises(ValueError, match=r"at least 2 .* got \(1, 17, 3\)"):
        metrics.scores(jnp.zeros((1, 17, 3)), jnp.zeros((17, 3)))
