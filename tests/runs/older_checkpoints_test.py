"""Checkpoints from before a setting was added: they mean what they meant."""

import json

import jax
import pytest

from jaxflow.flow import checkpoint
from jaxflow.flow.checkpoint import CheckpointError
from jaxflow.training import state
from jaxflow.training.checkpointer import Checkpointer
from tests.helpers.training import TINY

ADDED = {
    "flow": ["use_condition"],
    "loss": ["energy_weight"],
    "optimizer": ["warmup", "average_decay"],
}
ADDED_TO_TRAIN = ["hold_out"]


@pytest.fixture
def older(tmp_path):
    """A run whose stored configuration lacks every field that was added."""
    checkpointer = Checkpointer(tmp_path, TINY, fingerprint={"frames": 5})
    checkpointer.save(state.init(jax.random.key(0), TINY))
    checkpointer.close()
    path = checkpoint.find(tmp_path) / "config" / "metadata"
    stored = json.loads(path.read_text())
    for part, names in ADDED.items():
        for name in names:
            del stored["train"][part][name]
    for name in ADDED_TO_TRAIN:
        del stored["train"][name]
    del stored["checksums"]
    path.write_text(json.dumps(stored))
    return tmp_path, path, stored


def test_it_is_read_as_it_was_trained(older):
    workdir, _, _ = older
    assert checkpoint.load_config(workdir) == TINY
    assert checkpoint.load_params(workdir)["encoder"]


def test_it_goes_on(older):
    workdir, _, _ = older
    checkpointer = Checkpointer(workdir, TINY, fingerprint={"frames": 5})
    assert int(checkpointer.restore().step) == 0
    checkpointer.close()


def test_other_settings_are_refused_all_the_same(older):
    import dataclasses

    workdir, _, _ = older
    flow = dataclasses.replace(TINY.flow, use_condition=False)
    other = dataclasses.replace(TINY, flow=flow)
    with pytest.raises(CheckpointError, match="use_condition: False here, True there"):
        Checkpointer(workdir, other, fingerprint={"frames": 5})


def test_unknown_settings_are_still_refused(older):
    workdir, path, stored = older
    stored["train"]["loss"]["no_such"] = 1
    path.write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="LossConfig.*no_such"):
        checkpoint.load_config(workdir)
