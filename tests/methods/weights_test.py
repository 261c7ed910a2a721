"""A model handed on in one file: it is taken wherever a checkpoint's folder is."""

import configparser
import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow import calibrate, export, methods
from jaxflow.config import DataConfig, FlowConfig, TrainConfig
from jaxflow.evaluation import calibrating, comparison, protocol
from jaxflow.evaluation.calibrated import calibrated
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.methods import samplers, weights
from jaxflow.prediction.lifter import Lifter
from jaxflow.runs import checkpoint as store
from jaxflow.runs import files, released, weights_file
from jaxflow.runs.errors import CheckpointError, DamagedError, UserError
from tests.helpers.training import REPOSITORY

SMALL = FlowConfig(
    blocks=1, hidden=8, encoder_hidden=4, encoded=3, exact_clamp=True, affine_hidden=4
)


def made_up(seed=0, config=SMALL):
    """Parameters of any numbers, small enough that poses stay finite."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: (0.1 * rng.normal(size=leaf.shape)).astype(np.float32),
        checkpoint.flow_shapes(config),
    )


TRAINED = TrainConfig(flow=SMALL, seed=5, hold_out="S6")
LINE = "a model for tests"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A calibrated run's folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    params = made_up()
    about = checkpoint.about_run(
        TRAINED, {"frames": 9, "crc32": 1}, DataConfig("some_lift", str(folder))
    )
    store.save_items(folder, {"params": params}, about, step=12)
    calibration_file.save(folder, {"temperature": 1.25, "subjects": ["S6"]})
    return folder


@pytest.fixture(scope="module")
def place(run):
    """Where the models of the package lie, for these tests: with one of them."""
    folder = run.parent / "pretrained"
    files.write_bytes(folder / "tiny.npz", weights.to_bytes(run, LINE, {"best": 1.5}))
    return folder


@pytest.fixture
def shipped(place, monkeypatch, tmp_path):
    """The package comes with a model called tiny; the folder is an empty one."""
    monkeypatch.setattr(released, "FOLDER", place)
    monkeypatch.chdir(tmp_path)
    return "tiny"


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_its_name_is_as_good_as_a_folder(run, shipped):
    params = jaxflow.load_params(shipped)
    same(params, weights_file.rounded(jaxflow.load_params(run)))
    assert jaxflow.load_config(shipped) == TRAINED
    assert jaxflow.load_temperature(shipped) == 1.25
    model = methods.load(shipped)
    assert model.method == "flow" and model.config == SMALL
    assert weights.check(methods.load(run), model) < 1e-3


def test_it_is_listed_with_its_line(place, shipped):
    assert jaxflow.pretrained() == {"tiny": LINE}
    assert released.pretrained(place / "nowhere") == {}


def test_what_it_says_of_itself(run, shipped):
    about = store.read_about(store.find(shipped))
    assert about["method"] == "flow" and about["step"] == 12
    assert about["train"]["seed"] == 5 and about["data"]["frames"] == 9
    assert about["figures"] == {"best": 1.5}
    assert set(about["versions"]) == {"jax", "numpy"}
    assert about["calibration"]["subjects"] == ["S6"]
    assert checkpoint.load_source(shipped) == DataConfig("some_lift", "")
    assert str(run.parent) not in json.dumps(about)  # no place of the maker's machine


def test_a_lifter_takes_its_temperature(run, shipped):
    assert Lifter.load(shipped).temperature == Lifter.load(run).temperature == 1.25
    assert Lifter.load(shipped, temperature=0.5).temperature == 0.5


def test_auto_is_1_where_nothing_was_fitted(tmp_path):
    checkpoint.save_params(tmp_path, made_up(), SMALL)
    assert Lifter.load(tmp_path).temperature == 1
    (tmp_path / "a.npz").write_bytes(weights.to_bytes(tmp_path))
    assert Lifter.load(tmp_path / "a.npz").temperature == 1
    with pytest.raises(UserError, match="no fitted temperature"):
        jaxflow.load_temperature(tmp_path / "a.npz")


def test_a_folder_of_its_name_is_said_with_a_slash(run, shipped, tmp_path):
    """The name means the same everywhere; a path is a path, also a bare one."""
    other = made_up(9)
    checkpoint.save_params(tmp_path / shipped, other, SMALL)
    with pytest.warns(UserWarning, match=r"not the run .* here; say \./tiny for that"):
        by_name = jaxflow.load_params(shipped)
    same(by_name, weights_file.rounded(jaxflow.load_params(run)))
    for path in (f"./{shipped}", pathlib.Path(shipped), tmp_path / shipped):
        same(jaxflow.load_params(path), other)
    assert Lifter.load(pathlib.Path(shipped)).temperature == 1


def test_a_folder_of_data_is_not_in_its_way(shipped, tmp_path, recwarn):
    (tmp_path / shipped).mkdir()
    assert store.find(shipped).name == "tiny.npz"
    assert not recwarn.list


def test_an_unknown_name_says_what_there_is(shipped):
    with pytest.raises(CheckpointError, match="does not exist; .* here: tiny$"):
        jaxflow.load_params("tine")


def test_the_default_is_told_of_where_it_is_missing(shipped, monkeypatch):
    with pytest.raises(UserError, match="no model comes with this copy .*quickstart"):
        jaxflow.predictions([])
    monkeypatch.setattr(released, "DEFAULT", shipped)
    assert jaxflow.predictions([]).people == []


def test_it_is_never_calibrated(shipped, monkeypatch):
    config = calibrating.CalibrationConfig()
    with pytest.raises(CheckpointError, match="tiny.npz is a file of weights, which"):
        calibrating.calibrate(methods.load(shipped), shipped, DataConfig(), config)
    calibrate.flags.FLAGS["checkpoint"].value = shipped
    with pytest.raises(CheckpointError, match="--init_from has begun with it"):
        calibrate.main(["calibrate"])


def test_it_stands_beside_runs_in_comparisons(run, shipped):
    entries = [comparison.parse(f"a={shipped}@auto"), comparison.parse(f"b={run}")]
    test = protocol.EvaluationConfig(temperature="fitted")
    comparison.check(entries, test, samplers.load)
    plain = methods.load(shipped)
    model, scale = calibrated(plain, shipped, entries[0].temperature)
    assert model is plain and scale > 1


def exported(run, **flags):
    for name, value in {"checkpoint": str(run), "format": "weights", **flags}.items():
        export.flags.FLAGS[name].value = value
    try:
        export.main(["export"])
    finally:
        export.flags.FLAGS.unparse_flags()
        for name in export.flags.FLAGS:
            export.flags.FLAGS[name].unparse()
        export.flags.FLAGS.mark_as_parsed()


def test_the_command_makes_one(run, shipped, tmp_path, capsys):
    figures = {
        "mpjpe_mm": {"best": 50.5},
        "pa_mpjpe_mm": {"best": 30.0},
        "pck150_share": 0.9,
        "cps": 200.0,
        "calibration_error": 0.04,
        "frames": 10,
    }
    evaluated = {
        "dataset": "some_lift",
        "temperature": 1.25,
        "test": {"num_hypotheses": 200, "pooled_over_frames": figures},
    }
    files.write_json(tmp_path / "e.json", evaluated)
    out = tmp_path / "mine.npz"
    exported(run, out=str(out), line=LINE, figures=str(tmp_path / "e.json"))
    assert "written: " in capsys.readouterr().out
    about = store.read_about(out)
    assert about["figures"]["mpjpe_mm"] == {"best": 50.5}
    assert about["figures"]["frames"] == 10 and about["line"] == LINE
    before = out.read_bytes()
    exported(run, out=str(out), check=True)
    assert "checked: " in capsys.readouterr().out and out.read_bytes() == before
    exported(shipped, out=str(out))  # what is known of a file goes into the next
    assert store.read_about(out)["figures"] == {"best": 1.5}
    assert store.read_about(out)["line"] == LINE
    with pytest.raises(UserError, match="expected --out=NAME.npz; got .*mine.bin"):
        exported(run, out=str(tmp_path / "mine.bin"))
    with pytest.raises(UserError, match="expected what python -m jaxflow.evaluate"):
        files.write_json(tmp_path / "e.json", {"test": 1})
        exported(run, out=str(out), figures=str(tmp_path / "e.json"))


def test_weights_of_another_model_are_told_from_these(run, tmp_path):
    other = made_up(1)
    checkpoint.save_params(tmp_path / "other", other, SMALL)
    with pytest.raises(UserError, match="made of another checkpoint"):
        weights.check(methods.load(run), methods.load(tmp_path / "other"))
    wide = dataclasses.replace(SMALL, hidden=9)
    checkpoint.save_params(tmp_path / "wide", made_up(0, wide), wide)
    with pytest.raises(UserError, match="of another architecture"):
        weights.check(methods.load(run), methods.load(tmp_path / "wide"))


def test_a_config_that_this_version_does_not_know(run, tmp_path):
    about = store.read_about(store.find(run))
    about["train"] = about["train"] | {"wings": 2}
    params = checkpoint.load_params(run)
    for writer, kind, message in (
        ("9.9", CheckpointError, "written by jaxflow 9.9 and says .*wings"),
        (jaxflow.__version__, DamagedError, "its config is damaged: .*wings"),
    ):
        content = weights_file.to_bytes(params, about | {"jaxflow": writer})
        (tmp_path / "new.npz").write_bytes(content)
        with pytest.raises(kind, match=message):
            jaxflow.load_params(tmp_path / "new.npz")


def test_models_are_part_of_the_wheel():
    """The pattern in setup.cfg is of the folder that names are looked up in."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    pattern = setup["options.package_data"]["jaxflow.methods"]
    folder = pathlib.Path(methods.__file__).parent
    assert folder / pattern == released.FOLDER / f"*{weights_file.SUFFIX}"


def test_opening_a_file_loads_no_orbax(place):
    program = (
        "import sys, jaxflow; jaxflow.load_params(sys.argv[1])\n"
        "print(sorted(name for name in sys.modules if name.startswith('orbax')))"
    )
    arguments = [sys.executable, "-c", program, str(place / "tiny.npz")]
    done = subprocess.run(
        arguments, check=True, cwd=REPOSITORY, timeout=300, capture_output=True
    )
    assert done.stdout.split() == [b"[]"]


@pytest.mark.parametrize("name", released.names())
def test_what_comes_with_the_package(name):
    """Small enough, whole, calibrated, and says what it is and where it is from."""
    path = released.FOLDER / f"{name}.npz"
    assert path.stat().st_size <= 6e6
    about = store.read_about(path)
    assert about["line"] and about["source"]["dataset"] and about["figures"]
    assert jaxflow.load_temperature(name) > 0
    assert methods.load(name).method == about["method"]
