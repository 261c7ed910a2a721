"""Configurations: defaults of the released code, refusals, and the way to JSON."""

import dataclasses
import json
import math

import pytest

from jaxflow import config
from jaxflow.config import (
    FlowConfig,
    LoopConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from jaxflow.runs import plain_config


def test_defaults_are_the_released_code():
    train = TrainConfig()
    assert (train.batch_size, train.hypotheses, train.critic_updates) == (64, 200, 5)
    assert (train.epochs, train.batches_per_iteration) == (155, 11)
    assert train.frames_per_iteration == 704
    loss = train.loss
    weights = loss.l2d_weight, loss.gen_weight, loss.mmd_weight, loss.det_weight
    assert weights == (1, 1, 10, 4)
    assert (loss.best_of_m_weight, loss.heatmap_weight, loss.best_k) == (4, 750, 5)
    assert loss.energy_weight == 0
    assert not (loss.unbiased_mmd or loss.mask_needs_both or train.flow.exact_clamp)
    assert train.optimizer == OptimizerConfig(
        learning_rate=1e-4,
        critic_learning_rate=1e-4,
        beta1=0.5,
        beta2=0.9,
        epsilon=1e-8,
        halve_after_epoch=150,
        clip=15.0,
        clip_norm=0.0,
        weight_decay=0.0,
        clip_encoder=False,
        warmup=0,
        joint_rate=1.0,
        average_decay=0.0,
    )


def test_clamp_variants():
    assert FlowConfig().clamp == (2.0, 0.636)
    assert FlowConfig(exact_clamp=True).clamp == (2.0, 2 / math.pi)


def test_configurations_are_static_arguments():
    assert hash(TrainConfig()) == hash(TrainConfig())
    assert TrainConfig() != TrainConfig(flow=FlowConfig(hidden=1024))
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().seed = 1


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: FlowConfig(hidden=0), "hidden must be at least 1, not 0"),
        (lambda: FlowConfig(joints=15), "joints must be even.*15"),
        (lambda: LossConfig(mmd_weight=-1.0), "mmd_weight must be 0 or more"),
        (lambda: LossConfig(heatmap_weight=math.nan), "heatmap_weight.*nan"),
        (lambda: LossConfig(best_k=0), "best_k must be at least 1"),
        (lambda: TrainConfig(batch_size=0), "batch_size must be at least 1, not 0"),
        (lambda: TrainConfig(hypotheses=4), "at least best_k = 5, not 4"),
        (
            lambda: TrainConfig(hypotheses=1, loss=LossConfig(best_of_m_weight=0.0)),
            r"at least 2 \(for a covariance\), not 1$",
        ),
        (
            lambda: TrainConfig(affine_iterations=7),
            "affine_iterations = 7 .* affine_hidden = 0 makes none",
        ),
        (lambda: TrainConfig(iterations=-1), "iterations must be at least 0, not -1"),
        (lambda: LoopConfig(log_every=0), "log_every must be at least 1"),
        (
            lambda: LoopConfig(validation_hypotheses=1),
            "validation_hypotheses must be at least 2, not 1",
        ),
        (lambda: LoopConfig(devices=-1), "devices must be 0 or more"),
    ],
)
def test_values_without_a_meaning_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.parametrize("kind", [TrainConfig, config.RunConfig])
def test_there_and_back_through_json(kind):
    values = json.loads(json.dumps(plain_config.to_dict(kind())))
    assert plain_config.from_dict(kind, values) == kind()


def test_odd_fields_are_named():
    values = plain_config.to_dict(FlowConfig())
    values["depth"] = values.pop("blocks")
    with pytest.raises(ValueError, match=r"FlowConfig.*\['blocks', 'depth'\]"):
        plain_config.from_dict(FlowConfig, values)


def test_fields_added_later_may_be_absent():
    """They mean what they meant before, and others are still asked for."""
    values = plain_config.to_dict(FlowConfig(hidden=7))
    del values["use_condition"]
    assert plain_config.from_dict(FlowConfig, values) == FlowConfig(hidden=7)
    del values["hidden"]
    with pytest.raises(ValueError, match=r"FlowConfig.*\['hidden'\]"):
        plain_config.from_dict(FlowConfig, values)


def test_best_k_counts_only_with_its_loss():
    assert TrainConfig(hypotheses=4, loss=LossConfig(best_of_m_weight=0.0))


def test_differences_name_leaves():
    ours = plain_config.to_dict(TrainConfig())
    theirs = plain_config.to_dict(TrainConfig(seed=3, flow=FlowConfig(hidden=1024)))
    assert plain_config.differences(ours, ours) == []
    assert plain_config.differences(ours, theirs) == [
        "hidden: 1028 here, 1024 there",
        "seed: 0 here, 3 there",
    ]


def test_every_option_has_its_help():
    kinds = set()

    def look(part):
        kinds.add(type(part).__name__)
        for field in dataclasses.fields(part):
            if dataclasses.is_dataclass(field.default):
                look(field.default)
            else:
                name = f"{type(part).__name__}.{field.name}"
                assert len(field.metadata["help"]) > 10, name

    look(config.RunConfig())
    others = {"NetConfig", "AugmentConfig", "DataConfig"}
    assert kinds >= {"TrainConfig", "FlowConfig", "LossConfig", *others}


def test_a_part_of_a_block_is_refused():
    with pytest.raises(ValueError, match="blocks must be a whole number, not 2.5"):
        FlowConfig(blocks=2.5)
    with pytest.raises(ValueError, match="width must be a whole number, not '8'"):
        config.NetConfig(width="8")
