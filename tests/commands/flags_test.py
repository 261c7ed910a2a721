"""Flags of all commands: paths, numbers, the data set; and commands side by side."""

import dataclasses
import os
import subprocess
import sys

import pytest

from jaxflow import (
    calibrate,
    compare,
    evaluate,
    export,
    fit,
    import_torch,
    predict,
    report,
    sample_set,
    train,
    train_detector,
)
from jaxflow.commands import build_data
from jaxflow.config import (
    DataConfig,
    FlowConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from jaxflow.detector.learning.step import LearningConfig
from jaxflow.evaluation import comparison
from jaxflow.evaluation.calibrating import CalibrationConfig
from jaxflow.evaluation.protocol import EvaluationConfig
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.prediction.set_sampling import SampleConfig
from jaxflow.runs import checkpoint as store
from jaxflow.runs import files
from jaxflow.runs.errors import UserError
from jaxflow.runs.run import Run
from tests.helpers import flows
from tests.helpers.training import REPOSITORY, checkpoints_of, command

SMALL = FlowConfig(blocks=1, hidden=8, encoder_hidden=4, encoded=3)
PATHS = {
    build_data: ("data_dir", "manual_dir"),
    calibrate: ("checkpoint", "data_dir", "manual_dir"),
    compare: ("out", "data_dir", "manual_dir"),
    evaluate: ("checkpoint", "out", "profile", "data_dir", "manual_dir"),
    export: ("checkpoint", "out"),
    fit: ("heatmaps", "out", "starts", "figure"),
    import_torch: ("checkpoint", "out"),
    predict: ("checkpoint", "out", "detector", "boxes", "networks"),
    report: ("out", "settings_manual_dir", "data_dir", "manual_dir"),
    sample_set: ("checkpoint", "out", "data_dir", "manual_dir"),
    train: ("workdir", "profile", "data_dir", "manual_dir"),
    train_detector: ("annotations", "images", "out", "checkpoint"),
}
OTHERS = {"compare": ("checkpoints",), "report": ("checkpoint", "compare")}


@pytest.mark.parametrize(
    ("module", "name"), [(m, name) for m, names in PATHS.items() for name in names]
)
def test_a_path_may_begin_with_the_home_folder(module, name):
    assert module.flags.FLAGS[name].parser.parse("~/x") == os.path.expanduser("~/x")
    assert module.flags.FLAGS[name].parser.parse("a~/x") == "a~/x"


@pytest.mark.parametrize("module", PATHS, ids=lambda module: module.__name__)
def test_every_flag_of_a_file_or_folder_is_a_path(module):
    """Whatever flag speaks of one in its help; names, keys and lists do not."""
    known = (*PATHS[module], *OTHERS.get(module.__name__.split(".")[-1], ()))
    for name in module.flags.FLAGS:
        text = module.flags.FLAGS[name].help.lower().removeprefix("[data] ")
        if text.startswith(("folder", "file", "the file", "json file", "where ")):
            assert name in known, name


def test_lists_of_folders_begin_at_home_too():
    home = os.path.expanduser("~")
    assert report.flags.FLAGS["checkpoint"].parser.parse("~/a,b") == [f"{home}/a", "b"]
    entry = comparison.parse("name=~/a,~/b@1.5")
    assert entry.checkpoints == (f"{home}/a", f"{home}/b")


def test_paths_of_the_library_begin_at_home_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    params = flows.some(SMALL)
    checkpoint.save_params("~/model", params, SMALL)
    assert store.find("~/model").parts[:-2] == (tmp_path / "model").parts
    assert checkpoint.load_config("~/model").flow == SMALL
    checkpoint.load_params("~/model")
    with Run("~/run"):
        assert (tmp_path / "run" / "lock").is_file()
    checkpoints_of("~/trained").close()
    files.write_text("~/text", "x")
    assert not (tmp_path / "~").exists() and (tmp_path / "trained").is_dir()


def test_commands_can_be_imported_and_looked_at_together():
    assert evaluate.flags.FLAGS["seed"] is not sample_set.flags.FLAGS["seed"]
    assert evaluate.flags.config(EvaluationConfig()) == EvaluationConfig()
    train.flags.FLAGS(["train", "--workdir=w", "--seed=3"])
    try:
        assert train.config_from_flags().train.seed == 3
        assert evaluate.flags.FLAGS["seed"].value == 0
    finally:
        for name in ("workdir", "seed"):
            train.flags.FLAGS[name].unparse()


BAD = float("nan"), float("inf"), -1.0


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (OptimizerConfig, "learning_rate"),
        (OptimizerConfig, "critic_learning_rate"),
        (OptimizerConfig, "epsilon"),
        (OptimizerConfig, "beta1"),
        (OptimizerConfig, "beta2"),
        (OptimizerConfig, "average_decay"),
        (LossConfig, "mmd_weight"),
        (LossConfig, "gradient_penalty_weight"),
        (LearningConfig, "learning_rate"),
        (LearningConfig, "rotation"),
        (LearningConfig, "scaling"),
    ],
)
def test_a_rate_or_weight_is_a_number(kind, name, value):
    with pytest.raises(ValueError, match=name):
        kind(**{name: value})


@pytest.mark.parametrize("value", [float("nan"), -1.0, 0.0])
def test_a_bound_on_gradients_is_above_zero(value):
    with pytest.raises(ValueError, match="clip must be above 0"):
        OptimizerConfig(clip=value)


@pytest.mark.parametrize(
    "kind", [TrainConfig, EvaluationConfig, CalibrationConfig, SampleConfig]
)
def test_seeds_and_numbers_of_hypotheses_have_bounds(kind):
    many = "hypotheses" if kind is TrainConfig else "num_hypotheses"
    for name, value in (("seed", -1), ("seed", 2**31), (many, 99_999_999_999)):
        with pytest.raises(ValueError, match=f"{name} must be at"):
            kind(**{name: value})
    dataclasses.replace(kind(), **{many: 100_000, "seed": 2**31 - 1})


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "warm", ""])
def test_a_temperature_is_a_number(value):
    with pytest.raises(UserError, match="temperature must be a number"):
        calibration_file.check(value)


@pytest.mark.parametrize(
    "flag",
    ["--num_hypotheses=99999999999", "--megapixels=nan", "--seed=-1", "--every=0"],
)
def test_predict_refuses_numbers_at_once(flag, capsys):
    name = flag[2:].partition("=")[0]
    with pytest.raises(Exception, match=flag[:10]):
        predict.flags.FLAGS(["predict", flag])
    predict.flags.FLAGS[name].unparse()  # other tests have the same flags


def trained_on(folder, source):
    """A checkpoint that knows its data set, as a run saves it."""
    params = flows.some(SMALL)
    about = checkpoint.about_run(TrainConfig(flow=SMALL), {}, source)
    store.save_items(folder, {"params": params}, about, step=1)
    return folder


def test_the_data_set_comes_from_the_checkpoint(tmp_path, capsys):
    data_dir = tmp_path / "sets"
    first = trained_on(tmp_path / "a", DataConfig("human36m_lift", str(data_dir)))
    flags = evaluate.flags
    assert checkpoint.load_source(first).dataset == "human36m_lift"
    found = flags.data([first])
    assert found == DataConfig("human36m_lift")  # its folder is not there
    assert "data set: human36m_lift" in capsys.readouterr().out
    data_dir.mkdir()
    assert flags.data([first]).data_dir == str(data_dir)
    flags.FLAGS(["evaluate", "--checkpoint=x", "--dataset=synthetic_lift"])
    try:
        assert flags.data([first]) == DataConfig()  # what was said counts
    finally:
        for name in ("checkpoint", "dataset"):
            flags.FLAGS[name].unparse()
    flags.FLAGS(["evaluate", "--checkpoint=x", "--dataset=human36m_lift"])
    try:  # the same set lies where it lay, if nothing else is said
        assert flags.data([first]) == DataConfig("human36m_lift", str(data_dir))
        flags.FLAGS(["evaluate", "--checkpoint=x", f"--data_dir={tmp_path}"])
        assert flags.data([first]).data_dir == str(tmp_path)
    finally:
        for name in ("checkpoint", "dataset", "data_dir"):
            flags.FLAGS[name].unparse()
    other = trained_on(tmp_path / "b", DataConfig("cmu_mocap_lift"))
    with pytest.raises(UserError, match=r"cmu_mocap_lift, human36m_lift.*--dataset"):
        flags.data([first, other])


def test_older_checkpoints_leave_the_default(tmp_path, capsys):
    older = tmp_path / "older"
    checkpoint.save_params(older, flows.some(SMALL), SMALL)
    assert checkpoint.load_source(older) is None
    assert evaluate.flags.data([older]) == DataConfig()
    assert not capsys.readouterr().out


def test_a_moved_data_set_is_the_same_run(tmp_path):
    config = TrainConfig(flow=SMALL)
    folder = trained_on(tmp_path, DataConfig("synthetic_lift", "/elsewhere"))
    ours = checkpoint.about_run(config, {}, DataConfig("synthetic_lift", "/here"))
    checkpoint.check_same_run(store.find(folder), ours)
    checkpoint.check_same_run(store.find(folder), checkpoint.about_run(config, {}))


@pytest.mark.parametrize("flag", ["--help", "--helpshort", "--helpfull"])
def test_help_succeeds(flag):
    process = command(flag, module="jaxflow.fit")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and "--heatmaps" in output, output


def test_a_platform_that_is_not_there_is_one_line(tmp_path):
    trained_on(tmp_path, DataConfig())
    done = subprocess.run(
        [sys.executable, "-m", "jaxflow.export", f"--checkpoint={tmp_path}"]
        + [f"--out={tmp_path / 'x'}", "--format=onnx"],
        cwd=REPOSITORY,
        env={**os.environ, "JAX_PLATFORMS": "cuda", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "JAX_PLATFORMS=cuda" in line and "Traceback" not in done.stderr
