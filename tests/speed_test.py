"""What keeps it fast: nothing compiled twice, nothing fetched, no memory that grows."""

import contextlib
import functools
import gzip
import json

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow.config import RELEASED_CLAMP, FlowConfig, TrainConfig
from jaxflow.evaluation import measuring
from jaxflow.flow import coupling, drawing, sampling
from jaxflow.maths import arctangent
from jaxflow.runs import compilation_cache, profiling
from jaxflow.training import parallel, state, step
from jaxflow.types import Batch
from tests.helpers.training import TINY, command, random_data

KEY = jax.random.key(5)
M = 5
DATA = random_data(9, seed=3)
COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def compilations():
    """A list that gets an entry for every program that is compiled."""
    found = []

    def listen(event, duration, **details):
        if event == COMPILED:
            found.append(details.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="module")
def params():
    return jaxflow.init(jax.random.key(0), TINY.flow)


def test_the_arctangent_is_one():
    x = np.concatenate([np.linspace(-3, 3, 20001), np.geomspace(1e-30, 1e30, 20001)])
    x = x.astype(np.float32)
    got = np.asarray(jax.jit(arctangent.arctan)(x), np.float64)
    want = np.arctan(x.astype(np.float64))
    np.testing.assert_allclose(got, want, rtol=2.5e-7, atol=1e-44)
    odd = np.asarray(arctangent.arctan(jnp.asarray([0.0, -0.0, np.inf, -np.inf])))
    np.testing.assert_allclose(odd, [0, 0, np.pi / 2, -np.pi / 2], rtol=1e-7)
    assert np.isnan(arctangent.arctan(jnp.float32(np.nan)))


def test_the_arctangent_s_slope_and_other_dtypes():
    x = jnp.linspace(-4, 4, 41, dtype=jnp.float32)
    slope = jax.vmap(jax.grad(arctangent.arctan))(x)
    np.testing.assert_allclose(slope, 1 / (1 + np.square(x)), rtol=1e-6)
    with jax.enable_x64(True):
        double = jnp.linspace(-4, 4, 41, dtype=jnp.float64)
        np.testing.assert_array_equal(arctangent.arctan(double), jnp.arctan(double))


def test_the_recomputing_net_has_the_plain_one_s_gradient():
    weights = coupling.init(jax.random.key(1), 6, 4, 9)["net1"]
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda a: 10 * jnp.asarray(a, jnp.float64), weights)
        features, share = rng.normal(size=(6, 3, 5)), rng.normal(size=(9, 3, 1))

        def total(net, *inputs):
            return jnp.sum(jnp.sin(net(*inputs)))

        inputs = weights, jnp.asarray(features), jnp.asarray(share)
        value, gradients = zip(
            *(
                jax.value_and_grad(functools.partial(total, net), argnums=(0, 1, 2))(
                    *inputs
                )
                for net in (coupling.plain_net, coupling.recomputing_net)
            ),
            strict=True,
        )
    assert value[0] == value[1]
    for plain, ours in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12)
    assert np.abs(gradients[0][2]).max() > 0.01


def iteration_memory(batch, hypotheses):
    """Temporary bytes of a compiled iteration of a tenth of the width."""
    flow_config = FlowConfig(blocks=2, hidden=103)
    config = TrainConfig(
        batch_size=batch, hypotheses=hypotheses, critic_updates=1, flow=flow_config
    )
    start = jax.eval_shape(lambda: state.init(KEY, config))
    noise = jax.eval_shape(lambda: step.draw_noise(KEY, config))
    batches = Batch(
        *(jax.ShapeDtypeStruct((3, batch, n), jnp.float32) for n in (48, 32, 78))
    )
    lowered = jax.jit(step.iteration, static_argnums=3, donate_argnums=0).lower(
        start, batches, noise, config
    )
    analysis = lowered.compile().memory_analysis()
    return analysis.temp_size_in_bytes, analysis.alias_size_in_bytes, start


def test_an_iteration_s_memory_does_not_grow_with_its_hypotheses():
    few, _, _ = iteration_memory(16, 100)
    many, reused, start = iteration_memory(16, 400)
    assert many <= 1.3 * few
    # The state is updated in place: its buffers were given away.
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(start))
    assert reused >= 0.99 * size


def test_training_compiles_once_and_moves_nothing():
    """Neither to the devices, nor from them, nor between them."""
    chosen = tuple(jax.devices()[:2])
    advance = parallel.make_run(TINY, chosen, 4)
    data = parallel.replicate(random_data(400), chosen)
    now = parallel.replicate(state.init(KEY, TINY), chosen)
    counts = [parallel.replicate(np.int32(n), chosen) for n in (1, 3, 2)]
    now, losses = jax.block_until_ready(advance(now, data, counts[0]))
    now, losses = jax.block_until_ready(advance(now, data, counts[0]))
    with compilations() as found, jax.transfer_guard("disallow"):
        for count in counts:
            now, losses = advance(now, data, count)
        jax.block_until_ready(now)
    assert not found
    assert int(now.step) == 2 + 6


def test_sampling_compiles_once_a_bucket_and_agrees_bit_for_bit(params):
    whole = jaxflow.sample(params, DATA.pose2d, DATA.cond, KEY, num_hypotheses=M)
    before = drawing.poses._cache_size()
    for count in range(9, 13):  # all in the bucket of 12
        rows = np.arange(count) % 9
        found = jaxflow.sample(
            params, DATA.pose2d[rows], DATA.cond[rows], KEY, num_hypotheses=M
        )
        assert found.shape == (count, M, 17, 3)
        np.testing.assert_array_equal(found[:9], whole)
    assert drawing.poses._cache_size() == before


def test_a_warm_call_compiles_nothing_and_fetches_nothing(params):
    pose2d, cond = jnp.asarray(DATA.pose2d[:8]), jnp.asarray(DATA.cond[:8])
    draw = functools.partial(jaxflow.sample, params, num_hypotheses=M)
    draw(pose2d, cond, KEY)
    with compilations() as found, jax.transfer_guard_device_to_host("disallow"):
        jax.block_until_ready(draw(pose2d, cond, jax.random.key(9)))
    assert not found


def test_one_key_an_example_in_a_bucket(params):
    own = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(9))
    draw = functools.partial(jaxflow.sample, params, DATA.pose2d, DATA.cond)
    np.testing.assert_array_equal(
        draw(own, num_hypotheses=M), draw(KEY, num_hypotheses=M)
    )


@pytest.mark.parametrize("block", [1, 4, 9, 20])
def test_blocks_are_the_rows_of_one_call(params, block):
    whole = jaxflow.sample(params, DATA.pose2d, DATA.cond, KEY, num_hypotheses=M)
    found = np.full(whole.shape, np.nan, np.float32)
    for rows, poses in sampling.sample_blocks(
        params, DATA.pose2d, DATA.cond, KEY, num_hypotheses=M, block=block
    ):
        assert isinstance(poses, np.ndarray)
        assert np.isnan(found[rows]).all()
        found[rows] = poses
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_a_block_of_none_is_refused(params):
    with pytest.raises(ValueError, match="block = 0"):
        next(sampling.sample_blocks(params, DATA.pose2d, DATA.cond, KEY, block=0))


def test_hypotheses_of_one_pose_are_tiled(params, monkeypatch):
    """Thirteen in parts of at most five are the same thirteen."""

    def draw():
        untraced = functools.partial(drawing.poses.__wrapped__, num_hypotheses=13)
        return jax.jit(untraced, static_argnames="clamp")(
            params, DATA.pose2d, DATA.cond, KEY, np.float32(1), clamp=RELEASED_CLAMP
        )

    whole = draw()
    monkeypatch.setattr(drawing, "rows_per_tile", lambda: 5)
    monkeypatch.setattr(drawing, "poses_per_tile", lambda hypotheses: 1)
    np.testing.assert_allclose(draw(), whole, atol=1e-5)


def test_evaluation_compiles_nothing_new_for_more_frames(params):
    targets = np.zeros((9, 17, 3), np.float32)
    actions = np.full(9, "Walking")

    def evaluate(count):
        part = jax.tree.map(lambda leaf: leaf[:count], DATA)
        return measuring.evaluate(
            params,
            part,
            targets[:count],
            actions[:count],
            KEY,
            num_hypotheses=M,
            batch_size=4,
        )

    evaluate(5)
    with compilations() as found:
        assert evaluate(9).pooled.frames == 9
    assert not found


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


def test_bfloat16_is_near(params):
    draw = functools.partial(
        jaxflow.sample, params, DATA.pose2d, DATA.cond, KEY, num_hypotheses=M
    )
    exact = draw(temperature=0.0)
    rough = sampling.sample_bfloat16(
        params, DATA.pose2d, DATA.cond, KEY, num_hypotheses=M, temperature=0.0
    )
    assert rough.dtype == jnp.float32
    error = np.abs(np.asarray(rough - exact))
    assert 0 < error.mean() < 0.05 * np.abs(np.asarray(exact)).mean()


def test_a_trace_opens(tmp_path):
    double = jax.jit(lambda x: x @ x)
    x = jnp.ones((50, 50))
    traced = profiling.steady(double, tmp_path)
    for _ in range(6):
        np.testing.assert_array_equal(traced(x), double(x))
    (perfetto,) = tmp_path.rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.open(perfetto).read())["traceEvents"]
    assert len(events) > 10
    (plane,) = tmp_path.rglob("*.xplane.pb")
    assert plane.stat().st_size > 0


def test_no_trace_unless_asked(tmp_path):
    assert profiling.steady(max, "") is max
    with profiling.traced(""):
        pass
    assert not list(tmp_path.iterdir())


PROGRAM = """
import sys, jax, jax.monitoring
from jaxflow import compilation_cache, commands
from jaxflow.training import parallel, state
from tests.helpers.training import TINY, random_data
import jax.numpy as jnp
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
folder = compilation_cache.enable(sys.argv[1])
devices = tuple(jax.devices()[:1])
now = parallel.replicate(state.init(jax.random.key(0), TINY), devices)
run = parallel.make_run(TINY, devices, 4)
data = parallel.replicate(random_data(400), devices)
hits.clear()
now, losses = run(now, data, jnp.int32(2))
counts = [sum(kind in hit for hit in hits) for kind in ("cache_hits", "cache_misses")]
print("found", folder, *counts, float(losses.det[1]))
"""


def start_up(tmp_path):
    """(folder, hits, misses, a loss) of a process that trains two iterations."""
    (tmp_path / "start.py").write_text(PROGRAM)
    started = command(
        str(tmp_path / "cache"),
        module="start",
        cwd=tmp_path,
        JAX_ENABLE_COMPILATION_CACHE="true",
    )
    output, _ = started.communicate(timeout=300)
    assert started.returncode == 0, output
    # Warnings of broken entries may come behind it.
    (line,) = [one for one in output.splitlines() if one.startswith("found ")]
    _, folder, hits, misses, loss = line.split(" ")
    return folder, int(hits), int(misses), float(loss)


def test_a_second_start_compiles_nothing_and_broken_entries_do_no_harm(tmp_path):
    folder, hits, misses, loss = start_up(tmp_path)
    assert hits == 0 and misses >= 1
    assert start_up(tmp_path) == (folder, misses, 0, loss)
    entries = [path for path in (tmp_path / "cache").rglob("*-cache")]
    assert entries
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:100])
    broken = start_up(tmp_path)
    assert broken[1] == 0 and broken[3] == loss


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compilation_cache.user_folder() == tmp_path / "jaxflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compilation_cache.user_folder() == tmp_path / ".cache" / "jaxflow"
    assert compilation_cache.enable(compilation_cache.OFF) is None
    assert compilation_cache.machine() == compilation_cache.machine()
    assert jax.config.jax_compilation_cache_dir is None
