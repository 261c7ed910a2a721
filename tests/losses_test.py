"""Losses over hypotheses: references, gradients, what they must and must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import losses
from tests.golden import make, store
from tests.golden.store import assert_close
from tests.oracles import losses as oracle

best_of_m = jax.jit(jax.value_and_grad(losses.best_of_m), static_argnums=2)
covariance = jax.jit(
    jax.value_and_grad(losses.heatmap_covariance), static_argnames="mask_needs_both"
)
ARRAYS = store.load("losses")
HYPOTHESES, POSE3D, COND = (ARRAYS[k] for k in ("hypotheses", "pose3d", "condition"))


@pytest.fixture(params=["released code", "golden"])
def case(request, reference):
    return ARRAYS if request.param == "golden" else reference("losses")


@pytest.mark.parametrize("k", [1, 5])
def test_best_of_m(case, k):
    value, _ = best_of_m(case["hypotheses"], case["pose3d"], k)
    np.testing.assert_allclose(value, case[f"best_of_m_k{k}"], rtol=1e-5)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_best_of_m_gradient_of_the_released_code(reference, k):
    arrays = reference("losses")
    value, gradient = best_of_m(arrays["hypotheses"], arrays["pose3d"], k)
    np.testing.assert_allclose(value, arrays[f"best_of_m_k{k}"], rtol=1e-5)
    assert_close(gradient, arrays[f"best_of_m_k{k}_grad"])


def test_heatmap_covariance(case):
    value, _ = covariance(case["hypotheses"], case["condition"])
    np.testing.assert_allclose(value, case["covariance_loss"], rtol=1e-5)


def test_heatmap_covariance_gradient_of_the_released_code(reference):
    arrays = reference("losses")
    _, gradient = covariance(arrays["hypotheses"], arrays["condition"])
    assert_close(gradient, arrays["covariance_loss_grad"], 1e-4)


@pytest.mark.parametrize("name", ["best_of_m", "heatmap_covariance"])
def test_gradients_are_finite_differences_of_the_oracle(name):
    hypotheses = HYPOTHESES.astype(np.float64)
    direction = np.random.RandomState(1).randn(*hypotheses.shape)
    if name == "best_of_m":
        _, gradient = best_of_m(HYPOTHESES, POSE3D, 5)
        other = POSE3D, 5
    else:
        _, gradient = covariance(HYPOTHESES, COND)
        other = (COND,)
    ahead, behind = (
        getattr(oracle, name)(hypotheses + step * direction, *other)
        for step in (1e-7, -1e-7)
    )
    want = (ahead - behind) / 2e-7
    np.testing.assert_allclose(np.sum(gradient * direction), want, rtol=1e-4)


def test_mask_that_needs_both():
    value, _ = covariance(HYPOTHESES, COND, mask_needs_both=True)
    np.testing.assert_allclose(value, ARRAYS["covariance_loss_both"], rtol=1e-5)
    assert ARRAYS["covariance_loss_both"] < 0.95 * ARRAYS["covariance_loss"]


def test_losses_ignore_the_order_of_hypotheses():
    order = np.random.RandomState(2).permutation(len(HYPOTHESES))
    for function, other in ((best_of_m, (POSE3D, 5)), (covariance, (COND,))):
        value, gradient = function(HYPOTHESES, *other)
        shuffled, moved = function(HYPOTHESES[order], *other)
        np.testing.assert_allclose(shuffled, value, rtol=1e-5)
        assert_close(moved, np.asarray(gradient)[order])


def test_losses_ignore_where_the_person_stands():
    """Both are relative to the hips, and an offset of all joints is none of those."""
    offset = np.repeat(np.random.RandomState(3).randn(12, 6, 3), 16, axis=-1)
    moved = HYPOTHESES + offset.astype(np.float32)
    for function, other in ((best_of_m, (POSE3D, 5)), (covariance, (COND,))):
        np.testing.assert_allclose(
            function(moved, *other)[0], function(HYPOTHESES, *other)[0], rtol=1e-3
        )


def test_best_of_m_is_zero_with_the_truth_among_the_hypotheses():
    hypotheses = HYPOTHESES.copy()
    hypotheses[7] = POSE3D
    assert float(best_of_m(hypotheses, POSE3D, 1)[0]) < 1e-6
    _, gradient = best_of_m(hypotheses, POSE3D, 1)
    assert np.all(np.isfinite(gradient))
    assert float(best_of_m(hypotheses, POSE3D, 5)[0]) > 1e-3


def test_only_the_best_hypotheses_are_pulled():
    _, gradient = best_of_m(HYPOTHESES, POSE3D, 5)
    pulled = np.any(np.asarray(gradient) != 0, axis=-1)
    np.testing.assert_array_equal(pulled.sum(axis=0), 5)


def test_worse_hypotheses_do_not_count():
    far = np.concatenate([HYPOTHESES, HYPOTHESES + 3 * np.sign(HYPOTHESES)])
    value, _ = best_of_m(far, POSE3D, 5)
    np.testing.assert_allclose(value, ARRAYS["best_of_m_k5"], rtol=1e-5)


def single_condition(c00, c01, c11):
    """One pose whose 13 joints report the same covariance, in (20 px)^2."""
    row = np.tile(np.float32([1, 0, 0, c00, c01, c11]), 13)
    return row[None]


def test_certain_joints_cost_nothing():
    cond = single_condition((2.09 / 20) ** 2, 0.001, (2.09 / 20) ** 2)
    value, gradient = covariance(HYPOTHESES[:, :1], cond)
    assert float(value) == 0 and np.all(np.asarray(gradient) == 0)


def test_variances_beyond_the_heatmap_cost_nothing():
    """Wide hypotheses pay for their covariance alone."""
    rng = np.random.RandomState(4)
    wide = rng.randn(4000, 1, 48).astype(np.float32)
    variance = (5.0 / 20) ** 2
    value, _ = covariance(wide, single_condition(variance, 0.0, variance))
    spread = np.cov(wide[:, 0].T)
    assert float(value) < 0.1 < spread[0, 0]
    narrow, _ = covariance(0.01 * wide, single_condition(variance, 0.0, variance))
    own = 1e-4 * (1 + 0.5)  # a joint's variance and that of its hips' midpoint
    want = np.sqrt(2) * (0.01 * variance - own)
    np.testing.assert_allclose(narrow, want, rtol=0.05)


def test_gradient_is_finite_where_all_hypotheses_agree():
    agreed = np.repeat(POSE3D[None], 4, axis=0)
    for function, other in ((best_of_m, (POSE3D, 1)), (covariance, (COND,))):
        value, gradient = function(agreed, *other)
        assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_losses_of_a_batch_are_means_of_its_poses():
    value, _ = covariance(HYPOTHESES, COND)
    singles = [
        covariance(HYPOTHESES[:, i : i + 1], COND[i : i + 1])[0] for i in range(6)
    ]
    np.testing.assert_allclose(np.mean(singles), value, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.best_of_m(HYPOTHESES, POSE3D, 0), "1 to M = 12, not 0"),
        (lambda: losses.best_of_m(HYPOTHESES, POSE3D, 13), "M = 12, not 13"),
        (
            lambda: losses.best_of_m(HYPOTHESES, POSE3D[:3]),
            r"pose3d \(B, 48\); got \(12, 6, 48\) and \(3, 48\)",
        ),
        (
            lambda: losses.best_of_m(HYPOTHESES[:, :0], POSE3D[:0]),
            r"at least 1 pose; got pose3d \(0, 48\)",
        ),
        (
            lambda: losses.best_of_m(HYPOTHESES[0], POSE3D),
            r"hypotheses of shape \(\.\.\., any, any, 48\); got \(6, 48\)",
        ),
        (
            lambda: losses.heatmap_covariance(HYPOTHESES, COND[:, :65]),
            r"cond of shape \(\.\.\., any, 78\)",
        ),
        (
            lambda: losses.heatmap_covariance(HYPOTHESES.swapaxes(0, 1), COND),
            r"cond \(B, 78\); got \(6, 12, 48\) and \(6, 78\)",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integer_hypotheses_are_refused():
    with pytest.raises(TypeError, match="hypotheses to be floating"):
        losses.best_of_m(jnp.zeros((5, 2, 48), int), POSE3D[:2])


def test_the_golden_batch_has_every_kind_of_joint():
    """Certain, wide along one axis, wide along both: or the masks were untested."""
    c = make.batch(8, 6)[2].reshape(6, 13, 6)[..., [3, 5]]
    wide = (c > (2.1 / 20) ** 2).sum(axis=-1)
    assert set(np.unique(wide)) == {0, 1, 2}
