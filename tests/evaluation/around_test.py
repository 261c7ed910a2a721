"""What stands around a model: the model's own in all but how it is drawn from."""

import jax
import numpy as np
import pytest

from jaxflow.evaluation import widened
from jaxflow.evaluation.baselines import ModeWithNoise
from jaxflow.methods.mirrored import Mirrored
from tests.helpers import methods as small

MODEL = small.model("mdn")
FACTORS = np.full((13, 5), 1.5)
AROUND = {
    "mdn with detector noise": ModeWithNoise(MODEL, 0.1),
    "mdn and its mirror image": Mirrored(MODEL),
    "mdn": widened.of(MODEL, FACTORS),
}


@pytest.mark.parametrize("name", AROUND)
def test_it_is_the_model_drawn_from_otherwise(name):
    other = AROUND[name]
    assert other.method == name and other.config is MODEL.config
    parameters = other.parameters()
    assert {*parameters} - {"widths"} == {*MODEL.parameters()}
    leaves, tree = jax.tree.flatten(other)
    assert jax.tree.unflatten(tree, leaves) == other  # it passes through jit


@pytest.mark.parametrize("name", list(AROUND)[:2])
def test_an_untrained_one_is_drawn_from_likewise(name):
    fresh = AROUND[name].fresh(jax.random.key(3))
    assert type(fresh) is type(AROUND[name]) and fresh.method == name
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, fresh.model, MODEL)


def test_an_untrained_model_is_not_widened():
    fresh = AROUND["mdn"].fresh(jax.random.key(3))
    assert "widths" not in fresh.parameters()
