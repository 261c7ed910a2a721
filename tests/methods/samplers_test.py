"""Other ways to draw from a model, and what models and their training cost."""

import dataclasses

import jax
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.evaluation import sampling_cost
from jaxflow.flow import checkpoint as flow_checkpoint
from jaxflow.methods import METHODS, samplers, training_cost
from jaxflow.methods.mirrored import Mirrored
from jaxflow.runs import checkpoint
from jaxflow.runs.errors import UserError
from jaxflow.training import cost
from tests.helpers import methods as small
from tests.helpers.methods import NET, TINY

DATA, KEY = made_up(2), jax.random.key(0)


def saved(folder, name):
    config = dataclasses.replace(TINY, method=name)
    about = flow_checkpoint.about_run(config)
    params = small.model(name).parameters()
    checkpoint.save_items(folder, {"params": params}, about, step=3)
    return str(folder)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("mdn"), "mdn")


def draw(model, count=7):
    return np.asarray(model.sample(DATA.pose2d, DATA.cond, KEY, num_hypotheses=count))


def test_a_mixture_s_means(mixture):
    """As many as there are components, over again, and the heaviest is the mode."""
    poses = draw(samplers.load(mixture, "means"))
    distinct = np.unique(poses[0].round(5), axis=0)
    assert len(distinct) == NET.components
    np.testing.assert_array_equal(poses[:, 3], poses[:, 0])
    plain = samplers.load(mixture)
    mode = plain.sample(DATA.pose2d, DATA.cond, KEY, num_hypotheses=1, temperature=0.0)
    np.testing.assert_allclose(poses[:, :1], mode, atol=1e-6)


def test_the_detector_s_noise_about_any_method(mixture):
    model = samplers.load(mixture, "noise")
    keys = jax.random.split(KEY, 2)
    poses = model.sample(DATA.pose2d, DATA.cond, keys, num_hypotheses=500)
    deep = np.asarray(poses)[:, :, 1:, 2].std(axis=1)
    np.testing.assert_allclose(deep, samplers.DEPTH, rtol=0.15)


def test_any_method_is_drawn_from_with_its_mirror_image(mixture):
    assert isinstance(samplers.load(mixture, "mirrored"), Mirrored)


def test_only_mixtures_have_means(tmp_path):
    folder = saved(tmp_path, "gaussian")
    with pytest.raises(UserError, match="holds the method gaussian, which has no"):
        samplers.load(folder, "means")


def test_any_number_of_steps(tmp_path):
    """Of flow matching: the ends of finer steps come to lie together."""
    folder = saved(tmp_path, "flow_matching")
    two, many, more = (
        draw(samplers.load(folder, f"steps{n}"), 3) for n in (NET.steps, 20, 40)
    )
    np.testing.assert_array_equal(two, draw(samplers.load(folder), 3))
    assert np.abs(many - more).max() < np.abs(two - more).max() / 10


def test_only_a_flow_in_time_has_steps(mixture):
    with pytest.raises(UserError, match="method mdn, which is not drawn from in any"):
        samplers.load(mixture, "steps3")


def test_what_a_gaussian_s_hypotheses_cost():
    """One product of 48 x 45 each; of a pose the features and two regressions."""
    found = sampling_cost.of_model(small.model("gaussian"))
    assert found.hypothesis == 2 * 48 * 45
    features = NET.features
    once = 2 * (110 * features + (features + 1) * (48 + 45))
    assert found.pose == pytest.approx(once, rel=0.01)
    assert found.of(10) == found.pose + 10 * found.hypothesis
    leaves = jax.tree.leaves(small.model("gaussian").parameters())
    assert found.parameters == sum(leaf.size for leaf in leaves)


def test_what_a_checkpoint_s_training_cost(mixture):
    config = dataclasses.replace(TINY, method="mdn")
    each = cost.per_iteration(config, METHODS["mdn"])
    assert training_cost.of_checkpoint(mixture) == 3 * each
