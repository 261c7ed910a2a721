import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.config import AugmentConfig, TrainConfig
from jaxflow.maths import geometry
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import H36M_MIRRORED, H36M_PARENTS
from jaxflow.training import augmentation
from jaxflow.training import frames as training_frames
from tests.helpers import people

UP = np.float32([0.0, -0.98, -0.199])
OTHERS = people.frames(6, seed=3).pose3d


# Compiled whole: op by op, the first call of each costs seconds.
@functools.partial(jax.jit, static_argnums=4)
def augment(frames, keys, lenders, up, config):
    change = functools.partial(augmentation.augment, up=up, config=config)
    return jax.vmap(change)(frames, keys, lenders)


mirrored_of = jax.jit(augmentation.mirrored)
turned_of = jax.jit(augmentation.turned)
built_of = jax.jit(augmentation.built)
lengths_of = jax.jit(augmentation.lengths)
seen_slopes, fit_picture = map(jax.jit, (geometry.seen_slopes, geometry.fit_picture))


def one(frames, row=0):
    return jax.tree.map(lambda array: array[row], frames)


def augmented(frames, seed=0, **shares):
    keys = jax.random.split(jax.random.key(seed), len(frames.pose3d))
    return augment(frames, keys, lent(keys), UP, AugmentConfig(**shares))


def lent(keys):
    """The poses that lend their limbs to frames of these keys."""
    return OTHERS[augmentation.others(keys, len(OTHERS))]


def assert_seen_by_the_same_camera(frame):
    """The picture is that of the pose, up to its place in the crop."""
    frame = jax.device_get(frame)
    slopes = seen_slopes(frame.pose3d)
    scale, origin = fit_picture(slopes, frame.pose2d)
    scale, slopes = np.asarray(scale), np.asarray(slopes)
    np.testing.assert_allclose(scale[0, 0], people.FOCAL, rtol=1e-4)
    np.testing.assert_allclose(scale * slopes + origin, frame.pose2d, atol=1e-2)
    np.testing.assert_allclose(frame.gaussfit[:, 1:3], frame.pose2d / 4, atol=1e-3)


def test_off_it_is_the_frames_themselves():
    frames = people.frames(5)
    for new, old in zip(augmented(frames), frames, strict=True):
        np.testing.assert_array_equal(new, old)


def test_mirrored_twice_is_the_frame():
    frame = one(people.frames(1))
    back = mirrored_of(mirrored_of(frame))
    np.testing.assert_allclose(back.pose3d, frame.pose3d)
    np.testing.assert_allclose(back.pose2d, frame.pose2d, rtol=1e-5)
    np.testing.assert_allclose(back.gaussfit, frame.gaussfit, rtol=1e-5)


def test_a_mirrored_person_is_seen_mirrored_with_left_and_right_exchanged():
    frame = one(people.frames(1, error=0.0))
    frame.gaussfit[0, 3:5] = 4.0, 0.5  # the right foot
    mirrored = jax.device_get(mirrored_of(frame))
    assert_seen_by_the_same_camera(mirrored)
    np.testing.assert_allclose(
        mirrored.gaussfit[:, 1:3], mirrored.pose2d / 4, atol=1e-4
    )
    left_foot = people.covariance(mirrored.gaussfit)[5]
    right_foot = people.covariance(frame.gaussfit)[0]
    np.testing.assert_allclose(
        left_foot, right_foot * [[1, -1], [-1, 1]], rtol=1e-5, atol=1e-5
    )


def test_a_turned_person_stands_where_it_stood_and_is_seen_by_the_same_camera():
    frame = one(people.frames(1, error=0.0))
    turned = turned_of(frame, np.float32(1.1), UP / np.linalg.norm(UP))
    turned = jax.device_get(turned)
    np.testing.assert_array_equal(turned.pose3d[0], frame.pose3d[0])

    def lengths(pose):
        return np.linalg.norm(pose[:, None] - pose[None], axis=-1)

    np.testing.assert_allclose(lengths(turned.pose3d), lengths(frame.pose3d), atol=0.01)
    height = (turned.pose3d - frame.pose3d) @ UP
    np.testing.assert_allclose(height, 0, atol=0.01)
    assert np.linalg.norm(turned.pose3d - frame.pose3d, axis=-1).mean() > 100
    assert_seen_by_the_same_camera(turned)


def test_turning_keeps_the_detectors_errors():
    frame = one(people.frames(1, error=2.0))
    turned = turned_of(frame, np.float32(0.0), UP)
    for new, old in zip(turned, frame, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-2)


def bones(pose):
    return np.asarray(pose)[1:] - np.asarray(pose)[list(H36M_PARENTS[1:])]


def test_somebody_of_other_limbs_has_the_posture_and_is_seen_by_the_same_camera():
    frame = one(people.frames(1, error=0.0))
    factors = np.asarray(lengths_of(jax.random.key(3), 0.1))
    np.testing.assert_array_equal(factors, factors[list(H36M_MIRRORED)])
    built = built_of(frame, factors)
    np.testing.assert_allclose(built.pose3d[0], frame.pose3d[0])
    expected = factors[1:, None] * bones(frame.pose3d)
    np.testing.assert_allclose(bones(built.pose3d), expected, atol=1e-2)
    assert_seen_by_the_same_camera(built)


def test_limbs_lengths_are_spread_as_asked_for():
    draw = jax.jit(jax.vmap(lambda key: augmentation.lengths(key, 0.08)))
    logarithms = np.log(draw(jax.random.split(jax.random.key(0), 4000)))
    assert np.abs(logarithms.mean(0)).max() < 0.01
    covariance = np.cov(logarithms.T)
    np.testing.assert_allclose(np.diag(covariance), 2 * 0.08**2, rtol=0.1)
    np.testing.assert_allclose(covariance[1, 2], 0.08**2, rtol=0.15)  # the size alone


@pytest.mark.parametrize("number", range(len(augmentation.GROUPS)))
def test_limbs_are_held_as_somebody_else_holds_them(number):
    """Told from the body that they hang on, however that one stands."""
    group = augmentation.GROUPS[number]
    frame, other = one(people.frames(1, error=0.0)), people.frames(1, seed=1).pose3d[0]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn = (np.linalg.det(turn) * turn).astype(np.float32)
    recombined = jax.jit(functools.partial(augmentation.recombined, group=group))
    swap = functools.partial(recombined, frame)
    changed, again = map(jax.device_get, (swap(other), swap(other @ turn)))
    np.testing.assert_allclose(changed.pose3d, again.pose3d, atol=0.1)
    np.testing.assert_allclose(swap(frame.pose3d).pose3d, frame.pose3d, atol=0.01)
    assert_seen_by_the_same_camera(changed)
    moved = np.abs(changed.pose3d - frame.pose3d).max(axis=-1)
    held = np.isin(np.arange(17), group.joints)
    assert moved[~held].max() < 0.01 and moved[held].min() > 1
    ours, theirs, before = map(bones, (changed.pose3d, other, frame.pose3d))
    lengths = np.linalg.norm(ours, axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(before, axis=-1), rtol=1e-4)
    upper, lower = np.subtract(group.joints[:2], 1)  # bend as the other's
    ours = ours / lengths[:, None]
    theirs = theirs / np.linalg.norm(theirs, axis=-1)[:, None]
    bent = theirs[upper] @ theirs[lower]
    assert ours[upper] @ ours[lower] == pytest.approx(bent, abs=1e-3)


def test_less_sure_detections_err_as_they_say():
    frames = people.frames(3000, error=0.5)
    shares = {"unsure": 0.25, "unsure_least": 3.0, "unsure_most": 3.0}
    changed = jax.device_get(augmented(frames, **shares))
    np.testing.assert_array_equal(changed.pose3d, frames.pose3d)
    moved = (changed.pose2d - frames.pose2d) / 4
    chosen = np.abs(moved).max(-1) > 0
    assert chosen.mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(
        changed.gaussfit[..., 1:3] - frames.gaussfit[..., 1:3], moved, atol=1e-4
    )
    added = people.covariance(changed.gaussfit) - people.covariance(frames.gaussfit)
    np.testing.assert_allclose(added[~chosen], 0, atol=1e-5)
    # On average the squared error is what the covariances say, axis by axis.
    reported = added[chosen].mean(axis=0)
    image = moved[chosen] * [1, -1]
    observed = (image[:, :, None] * image[:, None]).mean(axis=0)
    np.testing.assert_allclose(observed, reported, atol=0.2)
    larger = np.linalg.eigvalsh(added[chosen])[:, 1]
    np.testing.assert_allclose(larger, 9.0, rtol=1e-3)
    assert np.all(changed.gaussfit[..., 0][chosen] < frames.gaussfit[..., 0][chosen])


@pytest.mark.slow
def test_an_examples_noise_is_its_own():
    frames = people.frames(4)
    shares = {"turned": 0.5, "mirrored": 0.5, "recombined": 0.5, "unsure": 0.3}
    every = augmented(frames, **shares)
    keys = jax.random.split(jax.random.key(0), 4)[2:]
    last = jax.tree.map(lambda array: array[2:], frames)
    again = augment(last, keys, lent(keys), UP, AugmentConfig(**shares))
    for new, old in zip(again, every, strict=True):
        np.testing.assert_allclose(new, old[2:], rtol=1e-5, atol=1e-3)


def test_poses_that_stand_nowhere_are_not_turned():
    """Relative to the hip, as people often have them: no picture follows from these."""
    records = people.flat_records(4, depth=50.0)
    records = dataclasses.replace(
        records, pose3d=records.pose3d - records.pose3d[:, :1]
    )
    for names in ("turned",), ("proportions",), ("turned", "recombined"):
        config = TrainConfig(augment=AugmentConfig(**dict.fromkeys(names, 0.5)))
        off = " ".join(f"--{name}=0" for name in names)
        with pytest.raises(UserError, match=f"give the distance, or {off}$"):
            training_frames.inputs(records, config, 0)
    still = TrainConfig(augment=AugmentConfig(mirrored=0.5))
    training_frames.inputs(records, still, 0)


def test_up_is_the_way_people_stand():
    rng = np.random.default_rng(0)
    pose3d = rng.normal(0, 1, (500, 17, 3)).astype(np.float32)
    pose3d[:, 8] = pose3d[:, 0] + rng.normal(0, 100, (500, 3)) - [0, 400, 40]
    torsos = augmentation.torsos(pose3d)
    parts = augmentation.torsos(pose3d[300:]) + augmentation.torsos(pose3d[:300])
    np.testing.assert_array_equal(parts, torsos)
    up = augmentation.up(torsos)
    np.testing.assert_allclose(np.linalg.norm(up), 1, rtol=1e-6)
    np.testing.assert_allclose(up, [0, -0.995, -0.0995], atol=0.03)


@pytest.mark.parametrize(
    "wrong",
    [{"turned": -0.1}, {"mirrored": 1.1}, {"unsure_least": 0.0}, {"unsure_most": 0.1}],
)
def test_refuses_what_is_no_share_or_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AugmentConfig(**wrong)


@pytest.mark.slow
def test_a_batch_is_changed_alike_however_it_is_split():
    frames = jax.tree.map(
        lambda array: array.reshape(2, 4, *array.shape[1:]), people.frames(8)
    )
    config = AugmentConfig(turned=0.5, mirrored=0.5, recombined=0.5, unsure=0.3)

    def changed(examples, seed=5):
        part = jax.tree.map(lambda array: array[:, examples], frames)
        key = jax.random.key(seed)
        keys = augmentation.frame_keys(key, 2, jnp.asarray(examples))
        return augmentation.batches(part, keys, UP, lent(keys), config)

    whole, part = changed(np.arange(4)), changed(np.arange(2, 4))
    assert whole.pose3d.shape == (2, 4, 48) and whole.cond.shape == (2, 4, 78)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_allclose(one[:, 2:], other, rtol=1e-4, atol=1e-4)
    # Frames are changed each in its own way.
    again = changed(np.arange(4), seed=6)
    assert np.any(np.asarray(again.cond) != np.asarray(whole.cond))
