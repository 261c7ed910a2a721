"""Data parallelism: eight devices make the update of one, and nothing else matters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.config import OptimizerConfig
from jaxflow.methods import flow
from jaxflow.training import epochs, parallel, state, step
from tests.helpers.compiled import compilations
from tests.helpers.training import TINY

# With an epsilon far above any gradient, Adam's step is the gradient itself (scaled):
# a gradient that was not averaged shows at once, where Adam proper would hide it.
SGD = dataclasses.replace(
    TINY, optimizer=OptimizerConfig(learning_rate=0.1, epsilon=1e2)
)
FRAMES = 500  # 5 iterations an epoch: six cross into the next
DATA = made_up(FRAMES)


def run(config, devices, counts, most=5):
    """The state after runs of the given lengths, and all losses."""
    chosen = tuple(jax.devices()[:devices])
    advance = parallel.make_run(config, chosen, most, flow)
    data = parallel.replicate(DATA, chosen)
    start = state.init(epochs.seeds(config.seed).init, config)
    now = parallel.replicate(start, chosen)
    rows = []
    for count in counts:
        now, losses = advance(now, data, jnp.int32(count))
        rows.append(np.stack(jax.device_get(losses), axis=-1)[:count])
    return now, np.concatenate(rows)


@pytest.fixture(scope="module")
def one_device():
    return run(SGD, 1, [3, 3])


def test_eight_devices_make_the_update_of_one(one_device):
    many, many_losses = run(SGD, 8, [3, 3])
    single, losses = one_device
    np.testing.assert_allclose(many_losses, losses, rtol=1e-4, atol=1e-6)
    start = state.init(epochs.seeds(0).init, SGD)
    for ours, theirs in _pairs(many, single):
        shards = [np.asarray(shard.data) for shard in ours.addressable_shards]
        assert len(shards) == 8
        for shard in shards[1:]:
            np.testing.assert_array_equal(shard, shards[0])
        np.testing.assert_allclose(shards[0], np.asarray(theirs), rtol=1e-5, atol=1e-5)
    moved = [
        np.abs(np.asarray(a) - np.asarray(b)).max()
        for a, b in _pairs(single.flow, start.flow)
    ]
    # The comparison above means something: the update is far larger than its tolerance.
    assert max(moved) > 1e-3


def test_a_trajectory_does_not_depend_on_its_cuts(one_device):
    whole, losses = one_device
    pieces, piece_losses = run(SGD, 1, [1, 4, 1])
    np.testing.assert_array_equal(losses, piece_losses)
    for a, b in _pairs(whole, pieces):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_it_is_the_iteration_on_the_rows_of_the_epoch(one_device):
    """The first iteration, done by hand: rows of the permutation, keyed noise."""
    seeds = epochs.seeds(SGD.seed)
    rows = np.asarray(epochs.rows(jnp.arange(1), FRAMES, SGD, flow))[0]
    assert rows.shape == (11, 8)
    batches = jax.tree.map(lambda array: jnp.asarray(array[rows]), DATA)
    noise = step.draw_noise(jax.random.fold_in(seeds.noise, 0), SGD)
    iterate = jax.jit(step.iteration, static_argnames="config")
    _, expected = iterate(state.init(seeds.init, SGD), batches, noise, config=SGD)
    _, losses = one_device
    np.testing.assert_allclose(losses[0], np.stack(expected), rtol=2e-5)


def test_every_epoch_uses_other_rows_in_another_order():
    """Within one no row comes twice, however many iterations are asked for at once."""
    per_epoch = epochs.iterations_per_epoch(FRAMES, SGD, flow)
    steps = jnp.arange(3 * per_epoch, 5 * per_epoch)
    rows = np.asarray(epochs.rows(steps, FRAMES, SGD, flow))
    first, second = rows.reshape(2, -1)
    for order in (first, second):
        assert len(np.unique(order)) == len(order)
        assert order.min() >= 0 and order.max() < FRAMES
    assert (first != second).mean() > 0.9
    alone = epochs.rows(steps[per_epoch + 1 :][:1], FRAMES, SGD, flow)
    np.testing.assert_array_equal(alone[0], rows[per_epoch + 1])


def test_it_stops_at_the_first_loss_that_is_not_finite():
    broken = DATA._replace(pose3d=np.full_like(DATA.pose3d, np.nan))
    chosen = tuple(jax.devices()[:1])
    advance = parallel.make_run(SGD, chosen, 5, flow)
    start = state.init(epochs.seeds(0).init, SGD)
    now, losses = advance(
        parallel.replicate(start, chosen),
        parallel.replicate(broken, chosen),
        jnp.int32(5),
    )
    assert int(now.step) == 1
    assert not np.isfinite(np.asarray(losses.l2d)).any()


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch_size = 8 .* 3 devices"):
        parallel.make_run(SGD, tuple(jax.devices()[:3]), 5, flow)


def test_too_little_data_is_refused():
    with pytest.raises(ValueError, match="11 batches of 8 = 88 frames.* only 87"):
        epochs.iterations_per_epoch(87, SGD, flow)
    assert epochs.iterations_per_epoch(FRAMES, SGD, flow) == 5


@pytest.mark.slow
def test_many_hypotheses_compile_in_less_memory_to_the_same(one_device, monkeypatch):
    """Compiled by the other code generator, on one device and on two."""
    state_of_one, losses = one_device
    monkeypatch.setattr(parallel, "_LEAN_FROM", SGD.hypotheses)
    parallel.make_run.cache_clear()
    asked = []
    compiled_with = parallel.compiled_with
    monkeypatch.setattr(
        parallel,
        "compiled_with",
        lambda options, run: asked.append(options) or compiled_with(options, run),
    )
    for devices in (1, 2):
        found, found_losses = run(SGD, devices, [3, 3])
        np.testing.assert_allclose(found_losses, losses, rtol=1e-4, atol=1e-6)
        for a, b in _pairs(found, state_of_one):
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5, atol=1e-5)
    parallel.make_run.cache_clear()
    assert asked == [{"xla_cpu_use_fusion_emitters": False}] * 2


def test_a_compiler_without_the_option_does_without():
    double = jax.pmap(lambda x: 2 * x, devices=jax.devices()[:1])
    run = parallel.compiled_with({"xla_no_such_option": False}, double)
    for size in (3, 4):  # a program for each shape
        np.testing.assert_array_equal(run(np.ones((1, size))), np.full((1, size), 2))
    with pytest.raises(TypeError, match="dot_general requires contracting"):
        parallel.compiled_with({}, jax.pmap(jnp.dot))(np.ones((1, 2)), np.ones((1, 3)))


def _pairs(ours, theirs):
    return zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)


@pytest.mark.slow
def test_training_compiles_once_and_moves_nothing():
    """Neither to the devices, nor from them, nor between them."""
    devices = tuple(jax.devices()[:2])
    advance = parallel.make_run(TINY, devices, 4, flow)
    data = parallel.replicate(made_up(400), devices)
    now = parallel.replicate(state.init(jax.random.key(5), TINY), devices)
    counts = [parallel.replicate(np.int32(n), devices) for n in (1, 3, 2)]
    now, losses = jax.block_until_ready(advance(now, data, counts[0]))
    now, losses = jax.block_until_ready(advance(now, data, counts[0]))
    with compilations() as compiled, jax.transfer_guard("disallow"):
        for count in counts:
            now, losses = advance(now, data, count)
        jax.block_until_ready(now)
    assert not compiled
    assert int(now.step) == 2 + 6
