"""The authors' checkpoint as a real command: what it writes, and its errors."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow import import_torch, torch_weights
from jaxflow.config import FlowConfig
from jaxflow.runs import torch_files
from tests.conftest import shared_path
from tests.golden import make
from tests.helpers import in_process, quick

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAPER_WIDTH = 1024


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the extra 'torch'")


def command(*flags, **environment):
    """(status, stdout, stderr) of the command in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "jaxflow.import_torch", *flags],
        cwd=REPOSITORY,
        env={**os.environ, "XLA_FLAGS": quick.XLA_FLAGS, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return result.returncode, result.stdout, result.stderr


def tensors(torch, state):
    return {name: torch.from_numpy(leaf.copy()) for name, leaf in state.items()}


@pytest.fixture(scope="module")
def released_size(torch):
    """A made checkpoint's state: 8 blocks, but the paper's width."""
    sizes = {"hidden": PAPER_WIDTH, "encoder_hidden": 256, "encoded": 56}
    return make.flow_state(60, **sizes)


def test_the_published_checkpoint(torch, reference, tmp_path, capsys):
    source, out = shared_path("reference/flow_checkpoint.pt"), tmp_path / "model"
    flags = f"--checkpoint={source}", f"--out={out}"
    status, printed, errors = in_process.told(capsys, import_torch, *flags)
    assert not status, errors
    assert "2,157,176 parameters" in printed and str(out) in printed
    assert f"python -m jaxflow.evaluate --checkpoint={out}" in printed
    want = torch_weights.params_from_state(reference("flow_params"))
    got = jaxflow.load_params(out)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(np.testing.assert_array_equal, got, want)
    assert jaxflow.load_config(out).flow == FlowConfig()
    status, _, errors = in_process.told(capsys, import_torch, *flags)
    assert status == 1 and "exists already" in errors


def test_a_bare_state_dict_of_the_paper_s_width(torch, released_size, tmp_path):
    path = tmp_path / "bare.pt"
    torch.save(tensors(torch, released_size), path)
    params, config = torch_weights.read(path)
    assert config == FlowConfig(hidden=PAPER_WIDTH)
    assert torch_weights.read(path, exact_clamp=True)[1].exact_clamp
    want = torch_weights.params_from_state(released_size, config)
    jax.tree.map(np.testing.assert_array_equal, params, want)


def test_low_precision_and_permutations_pass(torch, tmp_path):
    path = tmp_path / "half.pt"
    state = {"a": torch.ones(3, dtype=torch.bfloat16), "b": torch.arange(3)}
    torch.save({"net": state}, path)
    got = torch_files.read_state(path)
    assert got["a"].dtype == np.float32 and got["b"].dtype == np.int64


def alter(state, problem):
    state = dict(state)
    name = "inn.module_list.15.s2.2.bias"
    if problem == "missing":
        del state[name]
    elif problem == "unknown":
        state["inn.module_list.17.s1.0.bias"] = state[name]
    elif problem == "wrong shape":
        state[name] = state[name][:47]
    else:
        state[name] = np.full_like(state[name], np.inf)
    return state


@pytest.mark.parametrize(
    ("problem", "named"),
    [
        ("missing", "missing: inn.module_list.15.s2.2.bias"),
        ("unknown", "unknown: inn.module_list.17.s1.0.bias"),
        ("wrong shape", "15.s2.2.bias is (47,), expected (48,)"),
        ("not finite", "not finite in float32: inn.module_list.15.s2.2.bias"),
    ],
)
def test_other_weights_are_named(torch, released_size, tmp_path, problem, named):
    path = tmp_path / "odd.pt"
    torch.save({"net": tensors(torch, alter(released_size, problem))}, path)
    with pytest.raises(ValueError) as caught:
        torch_weights.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and named in message
    assert len(message.splitlines()) == 2  # the file, and the one thing wrong


class Harmful:
    """Pickles as a call that would leave a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_code_in_a_file_is_refused_and_not_run(torch, tmp_path):
    path, trace = tmp_path / "harmful.pt", tmp_path / "trace"
    torch.save({"net": Harmful(trace)}, path)
    with pytest.raises(ValueError, match=r"more than weights.*(posix|os|nt)\.mkdir"):
        torch_files.read_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("size", [0, 10, 0.5, 0.99])
def test_damaged_files_are_named(torch, tmp_path, size):
    whole = tmp_path / "whole.pt"
    torch.save({"net": tensors(torch, make.flow_state(61))}, whole)
    content = whole.read_bytes()
    path = tmp_path / "short.pt"
    path.write_bytes(content[: int(size * len(content)) if 0 < size < 1 else size])
    with pytest.raises(ValueError) as caught:
        torch_files.read_state(path)
    assert str(caught.value).startswith(
        f"{path}: damaged, incomplete or no PyTorch file"
    )
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [[1, 2], {}, {"net": {}}, {"net": 3}])
def test_files_without_weights_are_named(torch, tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"other\.pt: expected \{'net': state_dict\}"):
        torch_files.read_state(path)


def test_a_weight_that_is_no_tensor_is_named(torch, tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"net": {"cond_net.0.bias": [1.0]}}, path)
    with pytest.raises(
        ValueError, match=r"cond_net\.0\.bias to be a tensor; got.*list"
    ):
        torch_files.read_state(path)


def test_a_missing_file_is_one_line(tmp_path, capsys):
    flags = f"--checkpoint={tmp_path / 'no.pt'}", f"--out={tmp_path / 'out'}"
    status, printed, errors = in_process.told(capsys, import_torch, *flags)
    assert status == 1 and not printed
    (line,) = errors.splitlines()
    assert line.endswith("no.pt: expected a PyTorch file; there is none")


def test_without_torch_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"needs PyTorch.*pip install -e '\.\[torch\]'"
    ):
        torch_files.read_state(path)


def test_an_unknown_flag_and_words_are_refused(tmp_path):
    status, _, errors = command("--checkpoints=x", f"--out={tmp_path}")
    assert status != 0 and "checkpoints" in errors and "Traceback" not in errors
