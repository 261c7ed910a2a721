"""Checkpoints from before a setting was added: they mean what they meant."""

import json

import jax
import pytest

from jaxflow import methods
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.training import state
from tests.helpers.training import TINY, checkpoints_of

ADDED = {
    "flow": ["use_condition"],
    "loss": ["energy_weight"],
    "optimizer": ["warmup", "average_decay"],
}
ADDED_TO_TRAIN = ["hold_out", "method"]


@pytest.fixture
def older(tmp_path):
    """A run whose stored configuration lacks every field that was added."""
    checkpointer = checkpoints_of(tmp_path, TINY, fingerprint={"frames": 5})
    checkpointer.save(state.init(jax.random.key(0), TINY))
    checkpointer.close()
    path = store.find(tmp_path) / "config" / "metadata"
    stored = json.loads(path.read_text())
    for part, names in ADDED.items():
        for name in names:
            del stored["train"][part][name]
    for name in ADDED_TO_TRAIN:
        del stored["train"][name]
    del stored["checksums"], stored["method"]
    path.write_text(json.dumps(stored))
    return tmp_path, path, stored


def test_it_is_read_as_it_was_trained(older):
    workdir, _, _ = older
    assert checkpoint.load_config(workdir) == TINY
    assert checkpoint.load_params(workdir)["encoder"]
    assert methods.load(workdir).method == "flow"


def test_another_method_s_is_refused_by_name(older):
    workdir, path, stored = older
    path.write_text(json.dumps({**stored, "method": "clairvoyance"}))
    with pytest.raises(CheckpointError, match="'clairvoyance'; known are flow"):
        methods.load(workdir)
    with pytest.raises(CheckpointError, match="'clairvoyance', expected a flow"):
        checkpoint.load_params(workdir)


def test_it_goes_on(older):
    workdir, _, _ = older
    checkpointer = checkpoints_of(workdir, TINY, fingerprint={"frames": 5})
    assert int(checkpointer.restore().step) == 0
    checkpointer.close()


def test_other_settings_are_refused_all_the_same(older):
    import dataclasses

    workdir, _, _ = older
    flow = dataclasses.replace(TINY.flow, use_condition=False)
    other = dataclasses.replace(TINY, flow=flow)
    with pytest.raises(CheckpointError, match="use_condition: False here, True there"):
        checkpoints_of(workdir, other, fingerprint={"frames": 5})


def test_unknown_settings_are_still_refused(older):
    workdir, path, stored = older
    stored["train"]["loss"]["no_such"] = 1
    path.write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="LossConfig.*no_such"):
        checkpoint.load_config(workdir)
