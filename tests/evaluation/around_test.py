"""What stands around a model: the model's own in all but how it is drawn from."""

import jax
import numpy as np
import pytest

from jaxflow.evaluation import limbs, tempered, widened
from jaxflow.evaluation.baselines import ModeWithNoise
from jaxflow.methods.mirrored import Mirrored
from tests.helpers import methods as small

FACTORS = np.full((13, 5), 1.5)
# What each is called, and how it is put around a model.
AROUND = {
    "mdn with detector noise": lambda model: ModeWithNoise(model, 0.1),
    "mdn and its mirror image": Mirrored,
    "mdn": lambda model: widened.of(limbs.of(tempered.of(model, 0.3), 0.4), FACTORS),
}


@pytest.fixture(scope="module")
def model():
    return small.model("mdn")


@pytest.mark.parametrize("name", AROUND)
def test_it_is_the_model_drawn_from_otherwise(model, name):
    other = AROUND[name](model)
    assert other.method == name and other.config is model.config
    parameters = other.parameters()
    fitted = {"widths", "temperature_spread", "limbs_kept"}
    assert {*parameters} - fitted == {*model.parameters()}
    leaves, tree = jax.tree.flatten(other)
    assert jax.tree.unflatten(tree, leaves) == other  # it passes through jit


@pytest.mark.parametrize("name", list(AROUND)[:2])
def test_an_untrained_one_is_drawn_from_likewise(model, name):
    other = AROUND[name](model)
    fresh = other.fresh(jax.random.key(3))
    assert type(fresh) is type(other) and fresh.method == name
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, fresh.model, model)


def test_an_untrained_model_is_not_widened(model):
    fresh = AROUND["mdn"](model).fresh(jax.random.key(3))
    assert "widths" not in fresh.parameters()
