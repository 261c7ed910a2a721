"""A model and its mirror image: whichever side is shown, the answer is the same."""

import jax
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow import data
from jaxflow.flow import mirror
from jaxflow.maths import geometry
from jaxflow.methods.mirrored import Mirrored
from jaxflow.training import augmentation
from tests.helpers import methods as small
from tests.helpers import people

DATA = made_up(3)
KEYS = jax.random.split(jax.random.key(0), 3)

# Compiled whole: op by op, the first call of each costs seconds.
network_inputs = jax.jit(data.network_inputs)


def inputs(pose2d, cond):
    return jax.jit(mirror.pose2d)(pose2d), jax.jit(mirror.cond)(cond)


@pytest.fixture(scope="module")
def model():
    return small.model("gaussian_nll")


def draw(model, pose2d=DATA.pose2d, cond=DATA.cond, **how):
    return np.asarray(model.sample(pose2d, cond, KEYS, **how))


def test_inputs_are_those_of_the_mirrored_frame():
    frames = people.frames(4, error=1.0)
    seen = network_inputs(frames)
    other = network_inputs(jax.jit(jax.vmap(augmentation.mirrored))(frames))
    pose2d, cond = inputs(seen.pose2d, seen.cond)
    np.testing.assert_allclose(pose2d, other.pose2d, atol=1e-5)
    np.testing.assert_allclose(cond, other.cond, atol=1e-5)
    back = inputs(pose2d, cond)
    np.testing.assert_array_equal(back[0], seen.pose2d)
    np.testing.assert_array_equal(back[1], seen.cond)


def test_one_half_is_the_models_and_the_other_its_mirror_images(model):
    both = draw(Mirrored(model), num_hypotheses=7)
    np.testing.assert_array_equal(both[:, :4], draw(model, num_hypotheses=4))
    many = geometry.mirrored(
        draw(Mirrored(model), *inputs(DATA.pose2d, DATA.cond))[:, :100]
    )
    theirs = draw(Mirrored(model))[:, 100:]
    # Of the same distribution, by other latents.
    assert np.abs(many - theirs).max() > 1e-3
    spread = np.asarray(many).std(axis=1).mean()
    distance = np.abs(np.asarray(many).mean(1) - theirs.mean(1)).mean()
    assert distance < 0.3 * spread


def test_the_pose_of_temperature_0_does_not_depend_on_the_side(model):
    pair = Mirrored(model)
    mode = draw(pair, num_hypotheses=2, temperature=0.0)
    np.testing.assert_array_equal(mode[:, 0], mode[:, 1])
    flat = inputs(DATA.pose2d, DATA.cond)
    other = draw(pair, *flat, num_hypotheses=1, temperature=0.0)
    np.testing.assert_allclose(geometry.mirrored(other), mode[:, :1], atol=1e-6)
    alone = draw(model, num_hypotheses=1, temperature=0.0)
    assert np.abs(alone - mode[:, :1]).max() > 1e-3


def test_it_is_the_model_in_all_else(model):
    pair = Mirrored(model)
    assert pair.config is model.config
    assert pair.method == "gaussian_nll and its mirror image"
    jax.tree.map(np.testing.assert_array_equal, pair.parameters(), model.parameters())
    assert isinstance(pair.fresh(jax.random.key(0)), Mirrored)
