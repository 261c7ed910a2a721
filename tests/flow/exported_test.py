"""Exported samplers: equal to the library, of any size, and of use without it."""

import ast

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow import export, flow
from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.flow import exported as exporting
from jaxflow.flow import onnx_graph
from jaxflow.flow.exported import FORMATS, example_inputs
from jaxflow.maths import geometry
from tests.helpers import alone, flows, in_process
from tests.helpers.training import command

pytest.importorskip("flatbuffers", reason="StableHLO needs the extra 'export'")
pytest.importorskip("onnx", reason="ONNX needs the extra 'onnx-export'")
pytest.importorskip("onnxruntime", reason="ONNX needs the extra 'onnx-export'")

CONFIG = jaxflow.FlowConfig(blocks=3, hidden=20, encoder_hidden=12, encoded=9)
WRITERS = {"stablehlo": exporting.to_stablehlo, "onnx": onnx_graph.to_onnx}
READERS = {"stablehlo": exporting.open_stablehlo, "onnx": onnx_graph.open_onnx}


@pytest.fixture(scope="module")
def params():
    return flows.some(CONFIG, seed=4)


@pytest.fixture(scope="module")
def written(params):
    return {kind: WRITERS[kind](params, RELEASED_CLAMP) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
def test_poses_are_those_of_the_flow(params, written, kind):
    """Against the public functions one by one, at sizes the file was not checked at."""
    b, m = 2, 5
    fits, pose2d, z = example_inputs(b, m, seed=3)
    observed = np.repeat(np.asarray(geometry.normalize_pose2d(pose2d))[:, None], m, 1)
    cond = np.repeat(np.asarray(jax.jit(jaxflow.condition)(fits))[:, None], m, 1)
    want, _ = jax.jit(flow.inverse)(params, z, observed, cond)
    want = np.asarray(jaxflow.denormalize_pose3d(want))
    got = np.asarray(READERS[kind](written[kind])(fits, pose2d, z))
    assert got.shape == (b, m, 17, 3) and got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_one_file_for_every_platform(written):
    exported = jax.export.deserialize(bytearray(written["stablehlo"]))
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}


@pytest.mark.parametrize("kind", FORMATS)
def test_another_checkpoint_s_file_is_told(params, written, kind):
    run = READERS[kind](written[kind])
    assert exporting.check(run, params, RELEASED_CLAMP) <= exporting.TOLERANCE
    changed = jax.tree.map(lambda leaf: 1.02 * leaf, jax.device_get(params))
    with pytest.raises(ValueError, match="another checkpoint"):
        exporting.check(run, changed, RELEASED_CLAMP)


def test_another_clamp_s_file_is_told(params, written):
    run = READERS["onnx"](written["onnx"])
    with pytest.raises(ValueError, match="another checkpoint"):
        exporting.check(run, params, SoftClamp(factor=1.2, alpha=RELEASED_CLAMP.alpha))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("content", [b"", b"no such file" * 20])
def test_what_is_no_sampler_is_refused(kind, content):
    with pytest.raises(ValueError, match="no sampler in"):
        READERS[kind](content)


def test_an_onnx_file_of_something_else_is_refused():
    import onnx

    value = onnx.helper.make_tensor_value_info("x", 1, [1])
    out = onnx.helper.make_tensor_value_info("y", 1, [1])
    node = onnx.helper.make_node("Abs", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    with pytest.raises(ValueError, match=r"expected inputs fits, pose2d, z"):
        onnx_graph.open_onnx(model.SerializeToString())


@pytest.fixture(scope="module")
def folder(params, tmp_path_factory):
    """A checkpoint, and fits as the fit command leaves them."""
    folder = tmp_path_factory.mktemp("export")
    config = jaxflow.TrainConfig(flow=CONFIG)
    jaxflow.save_params(folder / "run", params, config)
    fits = np.asarray(example_inputs(3, 1).fits)
    np.savez(folder / "fits.npz", fits=fits)
    return folder


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] * (kind == "stablehlo"))
        for kind in FORMATS
    ],
)
def test_the_command_and_its_program_without_the_package(folder, kind):
    """The printed program runs where ``import jaxflow`` fails."""
    out = folder / f"sampler.{kind}"
    flags = (f"--checkpoint={folder / 'run'}", f"--out={out}", f"--format={kind}")
    process = command(*flags, module="jaxflow.export")
    text, _ = process.communicate(timeout=240)
    assert process.returncode == 0, text
    assert "written" in text
    program = text[text.index("import numpy") :]
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 10 and "import jaxflow" not in program
    assert "(3, 200, 17, 3)" in alone.output(program, folder)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_program_opens_a_file_of_any_name(kind):
    path = 'it\'s "new\\run" {1}/s.bin'
    tree = ast.parse(exporting.program(kind, path))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert path in texts


def test_the_command_checks_and_refuses(folder, params, capsys):
    out = folder / "other.onnx"
    content = onnx_graph.to_onnx(
        jax.tree.map(lambda leaf: 1.1 * leaf, params), RELEASED_CLAMP
    )
    out.write_bytes(content)
    flags = f"--checkpoint={folder / 'run'}", f"--out={out}", "--format=onnx", "--check"
    assert in_process.run(export, *flags) == 1
    assert "another checkpoint" in capsys.readouterr().err
    assert out.read_bytes() == content
