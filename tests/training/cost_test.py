"""What an iteration costs, by hand, and how many a budget allows."""

import dataclasses

import pytest

from jaxflow import methods
from jaxflow.config import FlowConfig, NetConfig, OptimizerConfig, TrainConfig
from jaxflow.runs.errors import UserError
from jaxflow.training import cost

NET = NetConfig(width=16, depth=1, features=4)
CONFIG = TrainConfig(method="regression", batch_size=8, net=NET)
REGRESSION = methods.METHODS["regression"]


def test_it_is_what_the_layers_multiply():
    """Three products a weight and pose in training, but of the input's two."""
    inputs = 32 + 78 + 26
    trunk = inputs * 16 * 2 + 2 * 16 * 16 * 3 + 16 * 48 * 3
    # The regression that people are left out of: features, all and eight groups' means.
    coordinates = 110 * 4 + 5 * 48 + 8 * 5 * 48 + 48 * 45
    expected = 2 * 8 * (trunk + coordinates)
    assert cost.per_iteration(CONFIG, REGRESSION) == pytest.approx(expected, rel=0.01)


def test_a_budget_is_kept():
    each = cost.per_iteration(CONFIG, REGRESSION) / cost.PETA
    assert cost.within(CONFIG, REGRESSION, 7.5 * each).iterations == 7
    still = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(learning_rate=0.0))
    assert cost.within(still, REGRESSION, 7.5 * each) == still
    assert cost.of_run(CONFIG, REGRESSION, 7) / cost.PETA == pytest.approx(7 * each)
    with pytest.raises(UserError, match="more than the budget"):
        cost.within(CONFIG, REGRESSION, 0.5 * each)


@pytest.mark.slow
def test_iterations_of_the_layer_alone_are_cheaper():
    small = FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
    small = dataclasses.replace(small, affine_hidden=4)
    config = TrainConfig(batch_size=4, hypotheses=8, flow=small, affine_iterations=5)
    method = methods.METHODS["flow"]
    whole = cost.per_iteration(config, method)
    cheap = cost.per_iteration(config, method, min)
    assert 0 < 2 * cheap < whole
    assert cost.of_run(config, method, 7) == 5 * cheap + 2 * whole
    budget = (5 * cheap + 2.5 * whole) / cost.PETA
    assert cost.within(config, method, budget).iterations == 7
    assert cost.within(config, method, 3.5 * cheap / cost.PETA).iterations == 3
