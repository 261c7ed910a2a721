"""One coupling block: its inverse, its log-determinant, the bound on its log-scales."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.config import EXACT_CLAMP, RELEASED_CLAMP
from jaxflow.flow import coupling

HALF, ENCODED, HIDDEN = 3, 4, 9
S = np.linspace(0, 1e4, 2001, dtype=np.float32)

# Compiled whole: op by op, the first call of each costs seconds.
init = jax.jit(coupling.init, static_argnums=(1, 2, 3))
soft_clamp = jax.jit(coupling.soft_clamp, static_argnums=1)


@pytest.fixture(scope="module")
def block():
    """Float64 parameters, large enough that the block does something."""
    params = init(jax.random.key(0), HALF, ENCODED, HIDDEN)
    return jax.tree.map(lambda leaf: 10 * np.asarray(leaf, np.float64), params)


@functools.partial(jax.jit, static_argnames="clamp")
def forward(params, u, h, clamp=RELEASED_CLAMP):
    return coupling.forward(params, u, coupling.project(params, h), clamp)


@jax.jit
def inverse(params, v, h):
    return coupling.inverse(params, v, coupling.project(params, h), RELEASED_CLAMP)


def test_released_clamp_is_0636_arctan():
    want = 2 * 0.636 * np.arctan(np.asarray(S, np.float64) / 2)
    np.testing.assert_allclose(soft_clamp(S, RELEASED_CLAMP), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("clamp", "bound"), [(RELEASED_CLAMP, 0.636 * np.pi), (EXACT_CLAMP, 2.0)]
)
def test_log_scales_are_bounded_odd_and_increasing(clamp, bound):
    got = np.asarray(soft_clamp(S, clamp))
    assert np.abs(got).max() <= bound * (1 + 1e-6)
    assert np.abs(got).max() > 0.999 * bound
    assert np.all(np.diff(got) > -1e-6)  # but for rounding, where it is flat
    np.testing.assert_allclose(soft_clamp(-S, clamp), -got, atol=1e-6)


def test_block_is_the_two_equations(block):
    rng = np.random.default_rng(1)
    u, h = rng.normal(size=2 * HALF), rng.normal(size=ENCODED)

    def net(weights, features):
        joined = np.concatenate([features, h])
        kernel = np.vstack(
            [weights["features"]["kernel"], weights["condition"]["kernel"]]
        )
        hidden = np.maximum(joined @ kernel + weights["condition"]["bias"], 0)
        output = hidden @ weights["output"]["kernel"] + weights["output"]["bias"]
        return 1.272 * np.arctan(output[:HALF] / 2), output[HALF:]

    s2, t2 = net(block["net2"], u[HALF:])
    v1 = u[:HALF] * np.exp(s2) + t2
    s1, t1 = net(block["net1"], v1)
    v2 = u[HALF:] * np.exp(s1) + t1
    with jax.enable_x64(True):
        got, log_det = forward(block, u, h)
    np.testing.assert_allclose(got, np.concatenate([v1, v2]), rtol=1e-12)
    np.testing.assert_allclose(log_det, s1.sum() + s2.sum(), rtol=1e-12)


def test_inverse_and_autodiff_jacobian(block):
    rng = np.random.default_rng(2)
    u, h = rng.normal(size=2 * HALF), rng.normal(size=ENCODED)
    with jax.enable_x64(True):
        v, log_det = forward(block, u, h)
        back, inverse_log_det = inverse(block, v, h)
        jacobian = jax.jit(jax.jacfwd(lambda x: forward(block, x, h)[0]))(u)
    np.testing.assert_allclose(back, u, atol=1e-12)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det, atol=1e-12)
    assert abs(float(log_det)) > 0.1  # the block is not the identity


def test_shares_broadcast_over_hypotheses(block):
    rng = np.random.default_rng(3)
    u, h = rng.normal(size=(2 * HALF, 5)), rng.normal(size=(ENCODED, 1))
    with jax.enable_x64(True):
        shared, total = forward(block, u, h)
        repeated, totals = forward(block, u, np.tile(h, (1, 5)))
    np.testing.assert_allclose(shared, repeated, rtol=1e-12)
    np.testing.assert_allclose(total, totals, rtol=1e-12)


def test_weights_and_biases_start_as_a_twentieth_of_a_normal():
    params = jax.device_get(init(jax.random.key(1), 24, 56, 1028))
    for net in params.values():
        assert net["features"].keys() == {"kernel"}
        for leaf in jax.tree.leaves(net):
            tolerance = 5 * 0.05 / np.sqrt(2 * leaf.size)
            assert abs(np.std(leaf) - 0.05) < tolerance
            assert abs(np.mean(leaf)) < 5 * 0.05 / np.sqrt(leaf.size)
            assert np.abs(leaf).max() > 0.05 * 2.0  # no bounded distribution
    assert not np.array_equal(
        params["net1"]["output"]["kernel"], params["net2"]["output"]["kernel"]
    )


def test_the_recomputing_net_has_the_plain_one_s_gradient():
    weights = init(jax.random.key(1), 6, 4, 9)["net1"]
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda a: 10 * np.asarray(a, np.float64), weights)
        features, share = rng.normal(size=(6, 3, 5)), rng.normal(size=(9, 3, 1))

        def total(net, *inputs):
            return jnp.sum(jnp.sin(net(*inputs)))

        def differentiated(net):
            whole = functools.partial(total, net)
            return jax.jit(jax.value_and_grad(whole, argnums=(0, 1, 2)))(*inputs)

        nets = coupling.plain_net, coupling.recomputing_net
        inputs = weights, features, share
        value, gradients = zip(*map(differentiated, nets), strict=True)
    assert value[0] == value[1]
    for plain, ours in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12)
    assert np.abs(gradients[0][2]).max() > 0.01
