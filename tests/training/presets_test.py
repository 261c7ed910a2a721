"""Presets: each changes what it says, and nothing else."""

import dataclasses

import pytest

from jaxflow import config
from jaxflow.config import LossConfig, TrainConfig
from jaxflow.runs import plain_config
from jaxflow.training import presets
from jaxflow.training.presets import ABLATIONS, RECIPES, Preset

WANTED = {
    "full": [],
    "no_condition": ["use_condition: False here, True there"],
    "no_heatmap": ["heatmap_weight: 0.0 here, 750.0 there"],
    "no_gen": ["gen_weight: 0.0 here, 1.0 there"],
    "no_best_of_m": ["best_of_m_weight: 0.0 here, 4.0 there"],
    "k1": ["best_k: 1 here, 5 there"],
    "k10": ["best_k: 10 here, 5 there"],
    "k50": ["best_k: 50 here, 5 there"],
}


def test_the_paper_s_rows_are_all_there():
    assert set(ABLATIONS) == set(WANTED)


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_takes_one_thing(name):
    changed = presets.apply(TrainConfig(), ABLATIONS[name])
    differences = plain_config.differences(
        plain_config.to_dict(changed), plain_config.to_dict(TrainConfig())
    )
    assert differences == WANTED[name]


def test_recipes():
    """The default is the released code's; the other has all that was found."""
    assert presets.apply(TrainConfig(), RECIPES["paper"]) == TrainConfig()
    sharp = presets.apply(TrainConfig(), RECIPES["sharp"])
    loss, optimizer = sharp.loss, sharp.optimizer
    weights = loss.energy_weight, loss.best_of_m_weight, loss.det_weight
    assert weights == (16.0, 0.0, 1.0)
    rates = optimizer.learning_rate, optimizer.warmup, optimizer.average_decay
    assert rates == (5e-4, 200, 0.998) and optimizer.joint_rate == 0.2
    augment = sharp.augment
    assert (augment.unsure, augment.turned, augment.mirrored) == (0.14, 0.8, 0.5)
    assert augment.proportions == 0.05 and augment.recombined == 0.3
    assert (sharp.flow.affine_hidden, sharp.affine_iterations) == (512, 10000)
    assert sharp.flow.hidden == TrainConfig().flow.hidden


def test_later_presets_win_and_others_stay():
    start = TrainConfig(seed=3, loss=LossConfig(det_weight=2.0, best_k=7))
    first = Preset("", {"best_k": 2, "batch_size": 8})
    got = presets.apply(start, first, Preset("", {"best_k": 3}))
    want = dataclasses.replace(
        start, batch_size=8, loss=dataclasses.replace(start.loss, best_k=3)
    )
    assert got == want


def test_every_value_has_a_field_of_its_type():
    """Or a preset would silently do nothing, or make a flag of another type."""
    fields = {}
    kinds = TrainConfig, LossConfig, config.FlowConfig, config.OptimizerConfig
    for kind in (*kinds, config.NetConfig, config.AugmentConfig):
        for field in dataclasses.fields(kind):
            if not dataclasses.is_dataclass(field.default):
                assert field.name not in fields, "a name must tell its field"
                fields[field.name] = type(field.default)
    for name, preset in (*ABLATIONS.items(), *RECIPES.items()):
        assert preset.text, name
        for field, value in preset.values.items():
            assert type(value) is fields[field], (name, field)
