"""HRNet's weights from every form of PyTorch file, and the checkpoints they become."""

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow import import_torch
from jaxflow.detector.network import checkpoint, hrnet, weights
from jaxflow.detector.network.hrnet import TINY, HRNetConfig
from jaxflow.runs.checkpoint import CheckpointError
from tests.helpers import flows, in_process
from tests.helpers.hrnet import state_of

# What a file of these weights is taken for: only width and joints are read from it.
NARROW = HRNetConfig(width=2, joints=3)


@pytest.fixture(scope="module")
def narrow():
    """A narrow network's state, to be saved in many forms."""
    pytest.importorskip("torch", reason="needs the extra 'torch'")
    from tests.oracles import hrnet_torch

    return state_of(hrnet_torch.randomize(hrnet_torch.HRNet(2, 3), 2))


def mmpose(state, head):
    return {
        f"{head if name.startswith('final_layer') else 'backbone.'}{name}": leaf
        for name, leaf in state.items()
    }


FORMS = {
    "published": lambda state: state,
    "fine-tuned": lambda state: {"net": state},
    "resume": lambda state: {
        "epoch": 3,
        "perf": np.float64(88.3),
        "state_dict": {f"module.{name}": leaf for name, leaf in state.items()},
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
    },
    "mmpose": lambda s: {"meta": {}, "state_dict": mmpose(s, "keypoint_head.")},
    "mmpose 1": lambda s: {"meta": {}, "state_dict": mmpose(s, "head.")},
    "without counters": lambda state: {
        name: leaf for name, leaf in state.items() if "num_batches" not in name
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_file_is_read(narrow, tmp_path, form):
    import torch

    tensors = {name: torch.from_numpy(leaf) for name, leaf in narrow.items()}
    torch.save(FORMS[form](tensors), tmp_path / "a.pth")
    got, config = weights.read(tmp_path / "a.pth")
    assert config == NARROW
    want, _ = weights.from_state(narrow, NARROW)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def alter(state, problem):
    state, name = dict(state), "stage4.2.fuse_layers.0.3.1.running_var"
    if problem == "missing":
        del state[name]
    elif problem == "unknown":
        state["incre_modules.0.weight"] = state[name]
    elif problem == "wrong shape":
        state[name] = state[name][:1]
    else:
        state[name] = np.full_like(state[name], -1 if problem == "negative" else np.nan)
    return state


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("missing", "missing: stage4.2.fuse_layers.0.3.1.running_var"),
        ("unknown", "unknown: incre_modules.0.weight"),
        ("wrong shape", "fuse_layers.0.3.1.running_var is (1,), expected (2,)"),
        ("negative", "below zero: stage4.2.fuse_layers.0.3.1.running_var"),
        ("nan", "not finite in float32: stage4.2.fuse_layers.0.3.1.running_var"),
    ],
)
def test_other_weights_are_named(narrow, problem, said):
    with pytest.raises(ValueError) as caught:
        weights.from_state(alter(narrow, problem))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and said in lines[1]


def test_a_flow_s_weights_are_no_detector_s(narrow):
    with pytest.raises(ValueError, match="(?s)missing: conv1.weight.* and 14.. more"):
        weights.from_state({"cond_net.0.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(ValueError, match="conv1.weight twice"):
        weights.from_state({**narrow, "module.conv1.weight": narrow["conv1.weight"]})


def test_the_command_and_what_it_writes(narrow, tmp_path, capsys):
    import torch

    path, out = tmp_path / "a.pth", tmp_path / "out"
    torch.save({"net": {k: torch.from_numpy(v) for k, v in narrow.items()}}, path)
    flags = "--kind=hrnet", f"--checkpoint={path}", f"--out={out}"
    status, output, errors = in_process.told(capsys, import_torch, *flags)
    assert not status, errors
    assert "HRNet-W2, 3 joints" in output and "not the 16 of MPII" in output
    variables, config = checkpoint.load(out)
    assert config == NARROW
    want, _ = weights.from_state(narrow)
    jax.tree.map(np.testing.assert_array_equal, variables, want)
    with pytest.raises(
        CheckpointError, match=r"holds a detector \(hrnet\), expected a f"
    ):
        jaxflow.load_params(out)
    with pytest.raises(CheckpointError, match="exists already"):
        checkpoint.save(out, variables, config)
    with pytest.raises(CheckpointError, match="given detector is not this model"):
        checkpoint.save(tmp_path / "other", variables, TINY)


def test_the_command_says_whose_joints_published_ones_have(
    monkeypatch, tmp_path, capsys
):
    read = hrnet.init(jax.random.key(0), TINY), TINY
    monkeypatch.setattr(weights, "read", lambda path: read)
    flags = "--kind=hrnet", "--checkpoint=a.pth", f"--out={tmp_path / 'out'}"
    status, output, errors = in_process.told(capsys, import_torch, *flags)
    assert not status, errors
    assert f"--detector={tmp_path / 'out'}" in output
    assert "--skeleton=mpii_original_16 if it was trained on MPII" in output


def test_a_flow_s_checkpoint_is_no_detector(tmp_path):
    config = jaxflow.FlowConfig(blocks=1, hidden=2, encoder_hidden=2, encoded=2)
    jaxflow.save_params(tmp_path, flows.some(config), config)
    with pytest.raises(CheckpointError, match="holds a flow, expected a detector"):
        checkpoint.load(tmp_path)
