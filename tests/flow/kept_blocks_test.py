"""Separate blocks are those of the parameters given, and live no longer than these."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import flow
from jaxflow.config import RELEASED_CLAMP, FlowConfig
from jaxflow.flow import drawing, kept_blocks, sampling, stack
from jaxflow.training import parallel

SMALL = FlowConfig(blocks=3, hidden=16, encoder_hidden=8, encoded=6)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
POSE2D = RNG.normal(size=(2, 32)).astype(np.float32)
COND = RNG.normal(size=(2, 78)).astype(np.float32)


def fresh(seed=0):
    return flow.init(jax.random.key(seed), SMALL)


@pytest.fixture(autouse=True)
def nothing_kept():
    kept_blocks._kept.clear()


def test_the_blocks_are_those_of_the_stack():
    params = fresh()
    blocks = kept_blocks.separate(params)["blocks"]
    assert len(blocks) == SMALL.blocks
    for k, block in enumerate(blocks):
        jax.tree.map(
            lambda one, all_, k=k: np.testing.assert_array_equal(one, all_[k]),
            block,
            params["blocks"],
        )


def test_both_forms_give_the_same_poses():
    params = fresh()
    one = jnp.float32(1)
    stacked = drawing.poses(params, POSE2D, COND, KEY, one, 7, RELEASED_CLAMP)
    found = sampling.sample(params, POSE2D, COND, KEY, num_hypotheses=7)
    np.testing.assert_allclose(found, stacked, rtol=1e-6, atol=1e-6)
    encoded = jnp.moveaxis(flow.encode(params, COND), -1, 0)
    output = jnp.asarray(RNG.normal(size=(48, 2)), jnp.float32)
    forms = params, stack.separate(params)
    whole, apart = (stack.inverse(p, output, encoded, RELEASED_CLAMP) for p in forms)
    for a, b in zip(whole, apart, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_they_are_made_once_for_each_parameters():
    first, second = fresh(0), fresh(1)
    blocks = kept_blocks.separate(first)["blocks"]
    others = kept_blocks.separate(second)["blocks"]
    assert kept_blocks.separate(first)["blocks"] is blocks
    assert kept_blocks.separate(second)["blocks"] is others
    # Another encoder with the same blocks is its own.
    changed = {**first, "encoder": second["encoder"]}
    found = kept_blocks.separate(changed)
    assert found["blocks"] is blocks and found["encoder"] is second["encoder"]


def test_they_go_with_their_source_and_the_oldest_when_there_are_many():
    params = fresh()
    kept_blocks.separate(params)
    assert len(kept_blocks._kept) == 1
    del params
    gc.collect()
    assert not kept_blocks._kept
    many = [fresh(seed) for seed in range(6)]
    blocks = [kept_blocks.separate(params)["blocks"] for params in many]
    assert len(kept_blocks._kept) == 4
    assert kept_blocks.separate(many[5])["blocks"] is blocks[5]
    assert kept_blocks.separate(many[0])["blocks"] is not blocks[0]


def test_what_may_change_or_is_elsewhere_stays_stacked():
    params = fresh()
    host = jax.device_get(params)
    assert kept_blocks.separate(host) is host
    spread = parallel.replicate(params, jax.devices()[:2])
    assert kept_blocks.separate(spread) is spread
    traced = []
    jax.make_jaxpr(lambda p: traced.append(kept_blocks.separate(p) is p))(params)
    assert traced == [True] and not kept_blocks._kept
    # NumPy's arrays are read at each call.
    before = sampling.sample(host, POSE2D, COND, KEY, num_hypotheses=2)
    writable = jax.tree.map(np.array, host)
    first = sampling.sample(writable, POSE2D, COND, KEY, num_hypotheses=2)
    np.testing.assert_array_equal(first, before)
    jax.tree.map(lambda leaf: np.copyto(leaf, 0.5 * leaf), writable)
    after = sampling.sample(writable, POSE2D, COND, KEY, num_hypotheses=2)
    assert np.abs(np.asarray(after) - np.asarray(before)).max() > 1e-3


def test_parameters_given_away_are_refused_though_their_blocks_are_kept():
    params = fresh()
    sampling.sample(params, POSE2D, COND, KEY, num_hypotheses=2)
    jax.tree.leaves(params["blocks"])[0].delete()
    with pytest.raises((RuntimeError, ValueError), match="deleted"):
        sampling.sample(params, POSE2D, COND, KEY, num_hypotheses=2)


def test_parameters_closed_over_are_kept_as_numbers():
    """Inside another's trace nothing traced may outlive it."""
    params = fresh()
    draw = jax.jit(lambda p, c: sampling.sample(params, p, c, KEY, num_hypotheses=5))
    inside = draw(POSE2D, COND)
    outside = sampling.sample(params, POSE2D, COND, KEY, num_hypotheses=5)
    np.testing.assert_allclose(inside, outside, rtol=1e-5, atol=1e-5)
    blocks = kept_blocks.separate(params)["blocks"]
    assert not any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(blocks)
    )
