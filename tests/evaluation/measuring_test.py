"""Evaluation of a set against the slow reference, with samplers one can see through."""

import dataclasses
import functools
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow import config, flow, metrics
from jaxflow.evaluation import measuring
from jaxflow.evaluation.measuring import Draw
from jaxflow.flow import sampling
from jaxflow.methods.flow import FlowModel
from jaxflow.metrics.sums import Means, Sums, Total, add
from jaxflow.types import Batch, PoseRecords
from tests.helpers.compiled import compilations
from tests.helpers.training import TINY
from tests.oracles import metrics as oracle

FRAMES, HYPOTHESES = 11, 6
SMALL = config.FlowConfig(hidden=8, blocks=2)
ACTIONS = np.array(["Walking", "Eating", "Sitting"])[np.arange(FRAMES) % 3]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["mix"], meta_fields=["told"]
)
@dataclasses.dataclass(frozen=True)
class Fake:
    """A pose from the input plus noise, so that every frame and key is different."""

    mix: jax.Array
    told: Callable[[int], None] = lambda many: None
    method = "fake"

    def sample(self, pose2d, cond, key, *, num_hypotheses, temperature=1.0):
        self.told(num_hypotheses)
        base = (pose2d @ self.mix).reshape(-1, 1, 17, 3) + 0.1

        def noise(frame_key):
            return jax.random.normal(frame_key, (num_hypotheses, 17, 3))

        return base + temperature * 0.07 * jax.vmap(noise)(key)


ROUNDING = 1e-3  # mm: all that the spread of the hip, which is at 0, consists of


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    batch = Batch(
        pose3d=np.zeros((FRAMES, 48), np.float32),
        pose2d=rng.normal(size=(FRAMES, 32)).astype(np.float32),
        cond=rng.normal(size=(FRAMES, 78)).astype(np.float32),
    )
    model = Fake(jnp.asarray(rng.normal(size=(32, 51)) * 0.03, jnp.float32))
    poses = batch.pose2d @ np.asarray(model.mix)
    targets = poses.reshape(-1, 17, 3) + rng.normal(size=(FRAMES, 17, 3)) * 0.08
    targets = (targets - targets[:, :1]).astype(np.float32)
    return model, batch, targets


def run(case, key=1, rows=slice(None), batch_size=4, temperature=1.0, **options):
    model, batch, targets = case
    part = Batch(*(array[rows] for array in batch))
    return measuring.measure(
        model,
        part,
        targets[rows],
        ACTIONS[rows],
        jax.random.key(key),
        Draw(HYPOTHESES, temperature, batch_size),
        **options,
    )


@pytest.fixture(scope="module")
def result(case):
    return run(case)


def hip_free(poses):
    return np.asarray(poses) - np.asarray(poses)[..., :1, :]


def test_everything_at_once_equals_the_slow_reference(case, result):
    model, batch, targets = case
    frames = []
    for i in range(FRAMES):
        own = jax.random.fold_in(jax.random.key(1), i)[None]
        arguments = batch.pose2d[i][None], batch.cond[i][None], own
        draw = model.sample(*arguments, num_hypotheses=HYPOTHESES)
        z0 = model.sample(*arguments, num_hypotheses=1, temperature=0.0)
        frames.append(oracle.frame(hip_free(draw)[0], hip_free(z0)[0, 0], targets[i]))
    per_action, average, pooled = oracle.table(frames, ACTIONS)
    assert list(result.per_action) == sorted(per_action)
    compared = [(result.average, average), (result.pooled, pooled)]
    compared += [(result.per_action[name], per_action[name]) for name in per_action]
    for got, want in compared:
        for name in ("mpjpe", "pa_mpjpe", "pck", "cps", "cps_curve", "spread", "ece"):
            np.testing.assert_allclose(
                getattr(got, name),
                want[name],
                rtol=1e-4,
                atol=ROUNDING if name == "spread" else 1e-6,
                err_msg=name,
            )
    assert result.pooled.frames == FRAMES
    assert {name: one.frames for name, one in result.per_action.items()} == {
        "Eating": 4,
        "Sitting": 3,
        "Walking": 4,
    }


def test_order_of_the_five_errors(result):
    z0, best, mean, median, worst = result.pooled.mpjpe
    assert metrics.ERROR_NAMES == ("z0", "best", "mean", "median", "worst")
    assert best < min(mean, median) and max(mean, median) < worst and z0 > 0


def test_the_temperature_scales_the_latents(case, result):
    twice, mode = run(case, temperature=2.0), run(case, temperature=0.0)
    np.testing.assert_allclose(
        twice.pooled.spread, 2 * result.pooled.spread, rtol=1e-4, atol=1e-5
    )
    assert twice.pooled.mpjpe[0] == result.pooled.mpjpe[0]
    np.testing.assert_allclose(mode.pooled.mpjpe, result.pooled.mpjpe[0], rtol=1e-5)


def assert_same(got, want, rtol=1e-5):
    assert list(got.totals) == list(want.totals)
    for action, total in got.totals.items():
        assert total.frames == want.totals[action].frames
        for name, value in total.sums._asdict().items():
            wanted = getattr(want.totals[action].sums, name)
            atol = ROUNDING if rtol and name == "spread" else 0.0
            np.testing.assert_allclose(value, wanted, rtol, atol, err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_batch_size_changes_nothing(case, result, batch_size):
    assert_same(run(case, batch_size=batch_size), result)


def test_the_key_decides_the_noise(case, result):
    again, other = run(case), run(case, key=2)
    assert_same(again, result, rtol=0)
    assert not np.allclose(other.pooled.mpjpe[1:], result.pooled.mpjpe[1:], rtol=1e-3)
    # The z = 0 pose has no noise.
    np.testing.assert_allclose(other.pooled.mpjpe[0], result.pooled.mpjpe[0], rtol=1e-6)


def test_parts_merge_to_the_whole(result):
    merged = add(*result.totals.values())
    assert merged.frames == FRAMES
    by_hand = sum(total.sums.mpjpe for total in result.totals.values()) / FRAMES
    np.testing.assert_allclose(Means.of(merged).mpjpe, by_hand)


def test_json_is_plain_and_complete(result):
    text = json.dumps(result.to_json(), allow_nan=False)
    data = json.loads(text)
    assert data["frames"] == FRAMES and data["num_hypotheses"] == HYPOTHESES
    assert set(data["actions"]) == {"Eating", "Sitting", "Walking"}
    average = data["average_over_actions"]
    np.testing.assert_allclose(average["mpjpe_mm"]["best"], result.average.mpjpe[1])
    assert len(data["pooled_over_frames"]["spread_mm"]["z"]) == 17
    assert len(data["pooled_over_frames"]["cps_curve"]["share"]) == 300


def largest_joint(drawn):
    """A measure: how far the farthest joint of any hypothesis is from its hip, m."""
    return jnp.linalg.norm(drawn.hypotheses, axis=-1).max(axis=(1, 2))


def test_a_measure_sees_the_same_hypotheses_and_changes_no_figure(case, result):
    seen = {}

    def watch(rows, errors, measured):
        (largest,) = measured
        seen.update(zip(range(rows.start, rows.stop), largest, strict=True))
        assert len(errors.mpjpe) == len(largest)

    got = run(case, measures=(largest_joint,), watch=watch)
    assert_same(got, result, rtol=0)
    assert list(seen) == list(range(FRAMES))
    model, batch, _ = case
    own = jax.random.fold_in(jax.random.key(1), 9)[None]
    arguments = batch.pose2d[9][None], batch.cond[9][None], own
    draw = hip_free(model.sample(*arguments, num_hypotheses=HYPOTHESES))
    want = np.linalg.norm(draw, axis=-1).max()
    np.testing.assert_allclose(seen[9], want, rtol=1e-5)


def test_log_densities_are_those_of_the_flow_s_hypotheses(case):
    fake, batch, targets = case
    params = flow.init(jax.random.key(0), SMALL)
    inputs = batch, targets, jax.random.key(1), (densities,), Draw(HYPOTHESES, 1.0, 4)
    chunks = measuring.stream(FlowModel.of(params, SMALL), *inputs, log_density=True)
    got = np.concatenate([found for _, (found,) in chunks])
    own = jax.random.key(1)
    want = sampling.sample_with_log_density(
        params, batch.pose2d, batch.cond, own, num_hypotheses=HYPOTHESES
    )
    np.testing.assert_allclose(got, want.log_density, rtol=1e-5)
    with pytest.raises(ValueError, match="method fake knows no log-density"):
        next(measuring.stream(fake, *inputs, log_density=True))


def densities(drawn):
    return drawn.log_density


def test_progress_is_told_every_frame_once(case):
    told = []
    run(case, progress=told.append)
    assert told == [4, 4, 3]


def test_one_compilation_serves_all_batches(case):
    traced = []
    model, *others = case
    run((dataclasses.replace(model, told=traced.append), *others))
    assert sorted(traced) == [1, HYPOTHESES]


def test_a_broken_frame_is_named(case):
    model, batch, targets = case
    pose2d = batch.pose2d.copy()
    pose2d[9, 0] = np.nan
    with pytest.raises(FloatingPointError, match="frame 9"):
        run((model, batch._replace(pose2d=pose2d), targets))


def test_too_few_hypotheses_and_untyped_keys_are_refused(case):
    model, batch, targets = case
    with pytest.raises(ValueError, match="at least 2 hypotheses"):
        Draw(num_hypotheses=1)
    with pytest.raises(TypeError, match="typed key"):
        measuring.measure(model, batch, targets, ACTIONS, np.zeros(2, np.uint32))


def test_a_real_flow_goes_through(case):
    _, batch, targets = case
    params = flow.init(jax.random.key(0), SMALL)
    case = FlowModel.of(params, SMALL), batch, targets
    got = run(case)
    z0 = sampling.sample(
        params,
        batch.pose2d,
        batch.cond,
        jax.random.key(5),
        num_hypotheses=1,
        temperature=0.0,
    )
    want = oracle.distances(np.asarray(z0)[0, 0], targets[0]).mean()
    part = run(case, rows=slice(0, 1))
    np.testing.assert_allclose(part.pooled.mpjpe[0], want, rtol=1e-4)
    assert got.pooled.frames == FRAMES


def records(poses, actions):
    count = len(poses)
    text = np.array(["S1"] * count)
    return PoseRecords(
        pose3d=np.asarray(poses, np.float32),
        pose2d=np.zeros((count, 16, 2), np.float32),
        gaussfit=np.zeros((count, 16, 7), np.float32),
        subject=text,
        action=np.asarray(actions),
        subaction=text,
        camera=text,
        frame=np.arange(count, dtype=np.int32),
    )


def test_mean_pose_error_is_the_distance_to_the_mean():
    rng = np.random.default_rng(3)
    train = rng.normal(size=(8, 17, 3)) * 300 + 4000
    test = rng.normal(size=(3, 17, 3)) * 300 + 4000
    mean = hip_free(train).mean(0) / 1000
    errors = [oracle.distances(mean, pose / 1000).mean() for pose in hip_free(test)]
    got = measuring.mean_pose_error(
        records(train, ["a"] * 8), records(test, ["a", "b", "b"])
    )
    np.testing.assert_allclose(got, (errors[0] + np.mean(errors[1:])) / 2, rtol=1e-4)
    with pytest.raises(ValueError, match="8 for training and 0"):
        measuring.mean_pose_error(records(train, ["a"] * 8), records(test[:0], []))


def test_no_frames_have_no_mean():
    empty = Total(0, Sums(*(np.zeros(1) for _ in range(7))))
    with pytest.raises(ValueError, match="at least one frame"):
        Means.of(empty)


def test_more_frames_compile_nothing_new():
    params, data = flow.init(jax.random.key(0), TINY.flow), made_up(9, seed=3)
    model = FlowModel.of(params, TINY.flow)
    targets = np.zeros((9, 17, 3), np.float32)
    actions = np.full(9, "Walking")

    def evaluate(count):
        part = jax.tree.map(lambda leaf: leaf[:count], data)
        return measuring.measure(
            model,
            part,
            targets[:count],
            actions[:count],
            jax.random.key(5),
            Draw(5, batch_size=4),
        )

    evaluate(5)
    with compilations() as compiled:
        assert evaluate(9).pooled.frames == 9
    assert not compiled
