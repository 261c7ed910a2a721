"""The blocks in a row: stacked and separate are one map, and it has an inverse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.config import FlowConfig
from jaxflow.flow import model, stack

SMALL = FlowConfig(joints=4, blocks=3, hidden=16, encoded=5)
CLAMP = SMALL.clamp

# Compiled whole: op by op, the first call of each costs seconds.
stack_forward = jax.jit(stack.forward, static_argnums=3)
stack_inverse = jax.jit(stack.inverse, static_argnums=3)


@pytest.fixture(scope="module")
def params():
    """A small flow whose nets do something."""
    fresh = model.init(jax.random.key(0), SMALL)
    return jax.tree.map(lambda leaf: 3 * leaf, jax.device_get(fresh))


def vectors(count=7, size=12, seed=1):
    return np.random.default_rng(seed).normal(size=(size, count)).astype(np.float32)


def encoded(count=7):
    return vectors(count, SMALL.encoded, seed=2)


def test_permutations_are_numpys_legacy_ones():
    perms = stack.permutations(3, 12)
    for k in range(3):
        np.testing.assert_array_equal(
            perms[k], np.random.RandomState(k).permutation(12)
        )


def test_separate_blocks_are_the_stack_s(params):
    blocks = stack.separate(params)["blocks"]
    assert len(blocks) == stack.count(params["blocks"]) == stack.count(blocks) == 3
    for k, block in enumerate(blocks):
        jax.tree.map(
            lambda leaf, whole, k=k: np.testing.assert_array_equal(leaf, whole[k]),
            block,
            params["blocks"],
        )
    assert stack.separate({"blocks": blocks})["blocks"] is blocks
    again = stack.stacked({**params, "blocks": blocks})
    jax.tree.map(np.testing.assert_array_equal, again, params)
    assert stack.stacked(params) is params


def test_what_all_callers_share_is_read_only():
    for shared in (stack.permutations(3, 12), stack.order(3, 12)):
        with pytest.raises(ValueError, match="read-only"):
            shared[0] = 0


@pytest.mark.parametrize("direction", [stack.forward, stack.inverse])
def test_either_form_gives_the_same(params, direction):
    results = []
    for form in (params, stack.separate(params)):
        blocks = form["blocks"]
        run = jax.jit(functools.partial(direction, clamp=CLAMP))
        results.append(run(blocks, vectors(), encoded()))
    for stacked, separate in zip(*results, strict=True):
        np.testing.assert_allclose(stacked, separate, rtol=1e-5, atol=1e-6)


def test_there_and_back(params):
    blocks, pose = params["blocks"], vectors()
    output, log_det = stack_forward(blocks, pose, encoded(), CLAMP)
    back, undone = stack_inverse(blocks, output, encoded(), CLAMP)
    np.testing.assert_allclose(back, pose, atol=1e-5)
    np.testing.assert_allclose(undone, -log_det, atol=1e-5)
    assert not np.allclose(output, pose, atol=0.1)


def test_log_determinant_is_the_jacobian_s(params):
    blocks, pose = params["blocks"], vectors(1)
    h = encoded(1)

    def forward(column):
        return stack.forward(blocks, column[:, None], h, CLAMP)[0][:, 0]

    jacobian = jax.jit(jax.jacobian(forward))(pose[:, 0])
    _, log_det = stack_forward(blocks, pose, h, CLAMP)
    np.testing.assert_allclose(
        np.linalg.slogdet(np.asarray(jacobian, np.float64))[1], log_det[0], atol=1e-4
    )


def test_one_share_serves_many_columns(params):
    blocks, pose = params["blocks"], vectors()
    one = encoded(1)
    many = np.repeat(one, 7, axis=-1)
    for shared, repeated in zip(
        stack_forward(blocks, pose, one, CLAMP),
        stack_forward(blocks, pose, many, CLAMP),
        strict=True,
    ):
        np.testing.assert_allclose(shared, repeated, atol=1e-6)


@pytest.mark.parametrize("direction", [stack.forward, stack.inverse])
def test_what_is_computed_for_training_has_the_same_gradient(params, direction):
    def total(blocks, *inputs, **options):
        vector, log_det = direction(blocks, *inputs, CLAMP, **options)
        return jnp.sum(jnp.sin(vector)) + jnp.sum(log_det**2)

    with jax.enable_x64(True):
        inputs = params["blocks"], vectors(), encoded()
        inputs = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), inputs)
        gradients = [
            jax.jit(jax.grad(functools.partial(total, **options), argnums=(0, 1, 2)))
            for options in ({}, {"for_training": True})
        ]
        plain, ours = (jax.tree.leaves(gradient(*inputs)) for gradient in gradients)
        program = str(jax.make_jaxpr(gradients[1])(*inputs))
    assert len(plain) == len(ours) == 10 + 2
    for a, b in zip(plain, ours, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10)
        assert np.abs(a).max() > 0.01
    assert "scatter" not in program
