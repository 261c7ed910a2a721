"""Checkpoints from before a setting was added: they mean what they meant."""

import dataclasses
import json

import jax
import pytest

from jaxflow import methods
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.training import state
from tests.helpers.training import TINY, checkpoints_of

# All settings that were added, and what runs did before: defaults may change, not this.
ADDED = {
    "train": {
        "method": "flow",
        "critic_hidden": 1000,
        "hold_out": "",
        "net": {},
        "augment": {},
        "affine_iterations": 0,
        "affine_likelihood": 500,
    },
    "flow": {
        "use_condition": True,
        "affine_hidden": 0,
        "affine_depth": 1,
        "affine_symmetric": False,
    },
    "loss": {"energy_weight": 0.0},
    "optimizer": {
        "clip_norm": 0.0,
        "weight_decay": 0.0,
        "warmup": 0,
        "joint_rate": 1.0,
        "average_decay": 0.0,
    },
    "net": {
        "width": 1024,
        "depth": 2,
        "dropout": 0.5,
        "components": 5,
        "steps": 2,
        "elbo": False,
        "joint_level": False,
        "winner": False,
        "features": 2048,
    },
    "augment": {
        "turned": 0.0,
        "mirrored": 0.0,
        "proportions": 0.0,
        "recombined": 0.0,
        "unsure": 0.0,
        "unsure_least": 0.5,
        "unsure_most": 12.0,
    },
}
# A run that every older version could have made.
OLD = dataclasses.replace(TINY, critic_hidden=1000)


def added(config):
    """Name of a field of `TrainConfig`, or itself -> its fields that were added."""
    parts = {"train": config, **vars(config)}
    kinds = {
        name: part for name, part in parts.items() if dataclasses.is_dataclass(part)
    }
    return {
        name: {
            field.name: field.metadata["before"]
            for field in dataclasses.fields(part)
            if "before" in field.metadata
        }
        for name, part in kinds.items()
    }


def test_what_was_added_means_what_it_meant():
    assert added(TINY) == ADDED


@pytest.fixture
def older(tmp_path):
    """A run whose stored configuration lacks every field that was added."""
    checkpointer = checkpoints_of(tmp_path, OLD, fingerprint={"frames": 5})
    checkpointer.save(state.init(jax.random.key(0), OLD))
    checkpointer.close()
    path = store.find(tmp_path) / "config" / "metadata"
    stored = json.loads(path.read_text())
    train = stored["train"]
    for part in ("flow", "loss", "optimizer"):
        assert ADDED[part].items() <= train[part].items()
        for name in ADDED[part]:
            del train[part][name]
    for name in ADDED["train"]:  # with net and augment all that is in them
        del train[name]
    del stored["checksums"], stored["method"]
    path.write_text(json.dumps(stored))
    return tmp_path, path, stored


def test_it_is_read_as_it_was_trained(older):
    workdir, _, _ = older
    assert checkpoint.load_config(workdir) == OLD
    assert checkpoint.load_params(workdir)["encoder"]
    assert methods.load(workdir).method == "flow"


def test_iterations_that_had_no_layer_to_train_are_none(older):
    """So a run could be stored, when that was not refused; it goes on, too."""
    workdir, path, stored = older
    stored["train"]["affine_iterations"] = 10000
    path.write_text(json.dumps(stored))
    assert checkpoint.load_config(workdir) == OLD
    checkpoints_of(workdir, OLD, fingerprint={"frames": 5}).close()


def test_another_method_s_is_refused_by_name(older):
    workdir, path, stored = older
    path.write_text(json.dumps({**stored, "method": "clairvoyance"}))
    with pytest.raises(CheckpointError, match="'clairvoyance'; known are flow"):
        methods.load(workdir)
    with pytest.raises(CheckpointError, match="'clairvoyance', expected a flow"):
        checkpoint.load_params(workdir)


def test_it_goes_on(older):
    workdir, _, _ = older
    checkpointer = checkpoints_of(workdir, OLD, fingerprint={"frames": 5})
    assert int(checkpointer.restore().step) == 0
    checkpointer.close()


def test_other_settings_are_refused_all_the_same(older):
    workdir, _, _ = older
    flow = dataclasses.replace(OLD.flow, use_condition=False)
    other = dataclasses.replace(OLD, flow=flow)
    with pytest.raises(CheckpointError, match="use_condition: False here, True there"):
        checkpoints_of(workdir, other, fingerprint={"frames": 5})


def test_unknown_settings_are_still_refused(older):
    workdir, path, stored = older
    stored["train"]["loss"]["no_such"] = 1
    path.write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="LossConfig.*no_such"):
        checkpoint.load_config(workdir)
