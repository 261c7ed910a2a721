"""What keeps sampling fast: one program a bucket, nothing fetched, tiles that agree."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from benchmarks.common import made_up
from jaxflow.config import RELEASED_CLAMP
from jaxflow.flow import sampling
from jaxflow.maths import batching
from tests.helpers.compiled import compilations
from tests.helpers.training import TINY

KEY = jax.random.key(5)
M = 5
DATA = made_up(9, seed=3)


@pytest.fixture(scope="module")
def params():
    return jaxflow.init(jax.random.key(0), TINY.flow)


def test_sampling_compiles_once_a_bucket_and_agrees_bit_for_bit(params):
    whole = jaxflow.sample(params, DATA.pose2d, DATA.cond, KEY, num_hypotheses=M)
    with compilations() as compiled:
        for count in range(9, 13):  # all in the bucket of 12
            rows = np.arange(count) % 9
            poses = jaxflow.sample(
                params, DATA.pose2d[rows], DATA.cond[rows], KEY, num_hypotheses=M
            )
            assert poses.shape == (count, M, 17, 3)
            np.testing.assert_array_equal(poses[:9], whole)
    assert "jit(draw)" not in compiled


def test_a_warm_call_compiles_nothing_and_fetches_nothing(params):
    pose2d, cond = jnp.asarray(DATA.pose2d[:8]), jnp.asarray(DATA.cond[:8])
    draw = functools.partial(jaxflow.sample, params, num_hypotheses=M)
    draw(pose2d, cond, KEY)
    with compilations() as compiled, jax.transfer_guard_device_to_host("disallow"):
        jax.block_until_ready(draw(pose2d, cond, jax.random.key(9)))
    assert not compiled


def test_one_key_an_example_in_a_bucket(params):
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(9))
    draw = functools.partial(jaxflow.sample, params, DATA.pose2d, DATA.cond)
    np.testing.assert_array_equal(
        draw(keys, num_hypotheses=M), draw(KEY, num_hypotheses=M)
    )


def test_hypotheses_of_one_pose_are_tiled(params, monkeypatch):
    """Thirteen in parts of at most five are the same thirteen."""

    def draw():
        untraced = functools.partial(
            sampling.draw.__wrapped__.__wrapped__,
            decode=sampling.poses,
            num_hypotheses=13,
            clamp=RELEASED_CLAMP,
        )
        inputs = DATA.pose2d, DATA.cond, KEY, np.float32(1)
        return jax.jit(untraced)(*inputs, params=params)

    whole = draw()
    monkeypatch.setattr(batching, "rows_per_tile", lambda: 5)
    monkeypatch.setattr(batching, "poses_per_tile", lambda hypotheses: 1)
    np.testing.assert_allclose(draw(), whole, atol=1e-5)


def test_lower_precision_is_jax_s_own_setting(params):
    """By default the products are pinned; asked otherwise they are what was asked."""

    def asked(where):
        with where:
            text = jax.jit(
                lambda u: jaxflow.flow.forward(params, u, DATA.cond[0])
            ).lower(DATA.pose3d[0])
        return text.as_text()

    assert "HIGHEST" in asked(contextlib.nullcontext())
    rough = asked(jax.default_matmul_precision("high"))
    assert "HIGHEST" not in rough and "HIGH" in rough


def test_separate_blocks_are_those_of_the_stack_and_made_once(params):
    apart = jaxflow.flow.separate(params)
    assert jaxflow.flow.separate(apart) is apart
    assert len(apart["blocks"]) == TINY.flow.blocks
    for k, block in enumerate(apart["blocks"]):
        jax.tree.map(
            lambda one, whole, k=k: np.testing.assert_array_equal(one, whole[k]),
            block,
            params["blocks"],
        )
    draw = functools.partial(jaxflow.sample, num_hypotheses=M)
    inputs = DATA.pose2d, DATA.cond, KEY
    np.testing.assert_array_equal(draw(apart, *inputs), draw(params, *inputs))


def test_every_function_takes_either_form(params):
    apart = jaxflow.flow.separate(params)
    z, pose2d = jnp.split(jnp.asarray(DATA.pose3d), [16], axis=-1)
    calls = {
        "forward": lambda p: jaxflow.flow.forward(p, DATA.pose3d, DATA.cond),
        "inverse": lambda p: jaxflow.flow.inverse(p, z, pose2d, DATA.cond),
        "log_prob": lambda p: jaxflow.log_prob(
            p, DATA.pose3d, DATA.pose2d, DATA.cond, observation_scale=0.1
        ),
        "posterior": lambda p: jaxflow.posterior(
            p, DATA.pose2d, DATA.cond, observation_scale=0.1
        ).log_prob(DATA.pose3d),
    }
    for call in calls.values():
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
            jax.jit(call)(params),
            jax.jit(call)(apart),
        )


def test_numbers_that_change_are_read_at_each_call(params):
    writable = jax.tree.map(np.array, jax.device_get(params))
    draw = functools.partial(jaxflow.sample, num_hypotheses=2)
    inputs = DATA.pose2d[:2], DATA.cond[:2], KEY
    before = draw(writable, *inputs)
    np.testing.assert_array_equal(before, draw(params, *inputs))
    jax.tree.map(lambda leaf: np.copyto(leaf, 0.5 * leaf), writable)
    assert np.abs(np.asarray(draw(writable, *inputs)) - before).max() > 1e-3
