"""Other methods' samplers as files: what the library draws, without the library."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxflow import export
from jaxflow.flow import checkpoint as flow_checkpoint
from jaxflow.flow.exported import example_inputs, open_stablehlo
from jaxflow.gaussians.condition import condition
from jaxflow.maths import geometry
from jaxflow.methods import exported
from jaxflow.runs import checkpoint
from jaxflow.runs.errors import UserError
from tests.helpers import alone, in_process
from tests.helpers import methods as small

pytest.importorskip("flatbuffers", reason="StableHLO needs the extra 'export'")

SEEDS = np.random.default_rng(5).integers(0, 2**32, (2, 2), np.uint32)
FITS, JOINTS, _ = example_inputs(2, 1, seed=3)


@pytest.fixture(scope="module")
def gaussian():
    """A model and its file of five hypotheses."""
    model = small.model("gaussian")
    return model, exported.to_stablehlo(model, 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    about = flow_checkpoint.about_run(
        dataclasses.replace(small.TINY, method="gaussian")
    )
    params = small.model("gaussian").parameters()
    checkpoint.save_items(folder / "run", {"params": params}, about, step=3)
    np.savez(folder / "fits.npz", fits=example_inputs(3, 1).fits)
    return folder


@pytest.mark.parametrize("method", small.OTHERS)
def test_poses_are_those_of_the_model(method):
    """At another number of poses, and another temperature, than are checked."""
    model = small.model(method)
    content = exported.to_stablehlo(model, 5)
    run = open_stablehlo(content)
    got = np.asarray(run(FITS, JOINTS, SEEDS, np.float32(1.3)))
    want = model.sample(
        geometry.normalize_pose2d(JOINTS),
        condition(FITS),
        jax.random.wrap_key_data(SEEDS),
        num_hypotheses=5,
        temperature=1.3,
    )
    assert got.shape == (2, 5, 17, 3) and got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert exported.check(run, model, 5) < 1e-5
    platforms = jax.export.deserialize(bytearray(content)).platforms
    assert set(platforms) == {"cpu", "cuda", "tpu"}


def test_a_file_of_something_else_is_told(gaussian):
    model, content = gaussian
    run = open_stablehlo(content)
    with pytest.raises(UserError, match=r"gives \(1, 5, 17, 3\) for 1 poses"):
        exported.check(run, model, 6)
    with pytest.raises(UserError, match="another checkpoint"):
        exported.check(run, small.model("regression"), 5)


def test_the_command_and_its_program_without_the_package(folder, capfd):
    out = folder / "sampler.bin"
    flags = f"--checkpoint={folder / 'run'}", f"--out={out}", "--format=stablehlo"
    assert not in_process.run(export, *flags)
    text = capfd.readouterr().out
    assert "written" in text
    program = text[text.index("import numpy") :]
    assert "(3, 200, 17, 3)" in alone.output(program, folder)
    assert not in_process.run(export, *flags, "--check")
    assert "checked" in capfd.readouterr().out
    assert in_process.run(export, *flags, "--check", "--num_hypotheses=7") == 1
    assert "the checkpoint (1, 7, 17, 3)" in capfd.readouterr().err


def test_onnx_is_of_the_flow_alone(folder, capsys):
    out = folder / "sampler.onnx"
    flags = f"--checkpoint={folder / 'run'}", f"--out={out}", "--format=onnx"
    assert in_process.run(export, *flags) == 1
    assert "expected a flow for onnx, or --format=stablehlo" in capsys.readouterr().err
    assert not out.exists()
