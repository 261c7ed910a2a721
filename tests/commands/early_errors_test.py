"""What is wrong is said before the work, and named as what it is."""

import errno
import os
import pathlib
import re
import subprocess

import numpy as np
import pytest

from jaxflow import calibrate, fit, methods
from jaxflow.config import DataConfig, FlowConfig
from jaxflow.evaluation import comparison, inference_time, protocol
from jaxflow.flow import checkpoint
from jaxflow.gaussians import fitting
from jaxflow.runs import errors, torch_files
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.runs.errors import UserError
from tests.helpers import flows, in_process
from tests.helpers.training import REPOSITORY

SMALL = FlowConfig(blocks=1, hidden=8, encoder_hidden=4, encoded=3)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save_params(folder, flows.some(SMALL), SMALL)
    return folder


def nothing_is_loaded(folder):
    pytest.fail(f"{folder} was loaded before all was checked")


def test_a_run_that_cannot_be_written_to_is_not_calibrated(saved, monkeypatch, capsys):
    """Root may write anywhere, so the system's answer is replaced."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(methods, "load", nothing_is_loaded)
    assert in_process.run(calibrate, f"--checkpoint={saved}") == 1
    (line,) = capsys.readouterr().err.splitlines()
    place = f"--checkpoint {saved}/checkpoints/0"
    assert line.endswith(f"error: {place} cannot be written to: Permission denied")


def test_fits_that_find_no_room_are_not_begun(tmp_path, monkeypatch, capsys):
    """Room for all of them is asked for first; what was refused is not left behind."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    np.save(tmp_path / "maps.npy", np.full((5, 9, 12), 0.5, np.float32))
    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(fitting, "fit_blocks", lambda *_, **__: pytest.fail("begun"))
    out = tmp_path / "fits.npz"
    flags = f"--heatmaps={tmp_path / 'maps.npy'}", f"--out={out}"
    assert in_process.run(fit, *flags) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.endswith(f"error: [Errno 28] No space left on device: '{out}.part.npy'")
    assert [path.name for path in tmp_path.iterdir()] == ["maps.npy"]


def test_a_second_checkpoint_that_is_not_there(saved, tmp_path):
    entries = [comparison.parse(f"a={saved}"), comparison.parse(f"b={tmp_path / 'no'}")]
    with pytest.raises(CheckpointError, match="no does not exist"):
        comparison.compare(
            entries, DataConfig(), protocol.EvaluationConfig(), nothing_is_loaded
        )


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"cpu": {"repeats": 1}}', '{"cpu": {"repeats": 1, '
             '"fit_16_heatmaps_ms": NaN, "sample_ms": {}}}']
)  # fmt: skip
def test_damaged_inference_times(saved, tmp_path, text):
    (tmp_path / "inference_times.json").write_text(text)
    with pytest.raises(UserError, match="expected inference times"):
        inference_time.check(str(saved), tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.xyz", "expected it to end in one of"), ("file/a.png", "cannot be written")],
)
def test_a_figure_that_cannot_be_written(tmp_path, capsys, name, message):
    """Before the heatmaps are looked for, and there are none."""
    (tmp_path / "file").write_text("")
    out, figure = tmp_path / "out.npz", tmp_path / name
    flags = "--heatmaps=none.npy", f"--out={out}", f"--figure={figure}"
    assert in_process.run(fit, *flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and str(figure.parent) in line


def test_names_below_module_are_the_flow_s(tmp_path):
    state = {"module.a": np.ones(2), "module.b": np.ones(3)}
    assert set(torch_files.without_prefix(state, "module.")) == {"a", "b"}
    mixed = {**state, "c": np.ones(1)}
    assert torch_files.without_prefix(mixed, "module.") is mixed


@pytest.mark.parametrize(
    "kind", [np.int32, np.int16, np.uint8, np.bool_, np.float16, np.float64]
)
def test_numpy_numbers_beside_the_weights(tmp_path, kind):
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    path = tmp_path / "model.pt"
    torch.save({"net": {"a": torch.ones(2)}, "best": kind(1)}, path)
    assert torch_files.read_state(path)["a"].tolist() == [1, 1]


@pytest.mark.parametrize("thing", [np.complex64(1), np.ones(2), pathlib.Path("x")])
def test_advice_to_load_it_all_is_not_passed_on(tmp_path, thing):
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    path = tmp_path / "model.pt"
    torch.save({"net": {"a": torch.ones(2)}, "best": thing}, path)
    with pytest.raises(UserError) as raised:
        torch_files.read_state(path)
    message = str(raised.value)
    assert str(path) in message and "\n" not in message
    assert not re.search("weights_only|trust|allowlist|safe_globals", message)


@pytest.mark.parametrize("checksums", [True, False])
def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path, checksums):
    """PyTorch loads it in silence; where it was told to keep no checksums, so do we."""
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    path = tmp_path / "model.pt"
    torch.serialization.set_crc32_options(checksums)
    try:
        torch.save({"net": {"a": torch.full((500,), 0.75)}}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    content = bytearray(path.read_bytes())
    content[content.index(np.full(500, 0.75, "<f4").tobytes()) + 400] ^= 4
    path.write_bytes(content)
    if not checksums:
        assert (torch_files.read_state(path)["a"] != 0.75).sum() == 1
        return
    with pytest.raises(UserError, match=r"model\.pt: damaged.*Bad CRC-32 .*data/0"):
        torch_files.read_state(path)


def test_extras_are_this_distribution_s():
    """``jaxflow`` on the package index is another project."""
    assert "name = jaxflow-pose\n" in (REPOSITORY / "setup.cfg").read_text()
    assert errors.install("torch") == "pip install -e '.[torch]' in the checkout"
    files = [REPOSITORY / "README.md", *(REPOSITORY / "launch").rglob("*")]
    for folder in ("jaxflow", "data_builders"):
        files += [*(REPOSITORY / folder).rglob("*.py")]
        files += [*(REPOSITORY / folder).rglob("*.md")]
    for path in files:
        text = path.read_text() if path.is_file() else ""
        assert not re.search(r"\bjaxflow\[", text), path
        assert "pip install h5py" not in text, path


@pytest.mark.parametrize("name", ["quickstart", "ablations", "local.sh", "test"])
def test_scripts_tell_how_they_are_called(name):
    for flag in ("--help", "-h"):
        done = subprocess.run(
            [REPOSITORY / "launch" / name, flag],
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"launch/{name}" in done.stdout and "#" not in done.stdout
