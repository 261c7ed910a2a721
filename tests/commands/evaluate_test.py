"""The evaluate command: what it prints, what it writes, how it refuses."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxflow import commands, config, data, evaluate, methods
from jaxflow.evaluation import protocol, widened
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.reporting import result_tables
from jaxflow.runs import plain_config
from jaxflow.runs.errors import UserError
from tests.helpers import flows
from tests.helpers.evaluation import TEST, records

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = config.FlowConfig(hidden=8, blocks=2)


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    params = flows.some(SMALL)
    checkpoint.save_params(folder, params, config.TrainConfig(flow=SMALL))
    return folder


@pytest.fixture
def fake_data(monkeypatch):
    """Splits without a data set on disk."""

    def load(dataset, split, data_dir=None, manual_dir=None):
        return records(seed=len(split))

    monkeypatch.setattr(data, "load_records", load)
    monkeypatch.setattr(data, "splits", lambda *_: ("train", "test"))


def load(folder, test):
    model = methods.load(folder)
    return protocol.load(model, str(folder), config.DataConfig(), test)


def test_the_protocol_counts_strided_and_ambiguous_frames(small_checkpoint, fake_data):
    loaded = load(small_checkpoint, TEST)
    found = protocol.evaluate(loaded)
    per_action = {name: one.frames for name, one in found.test.per_action.items()}
    assert per_action == {"Eating": 5, "Walking": 5}
    assert found.ambiguous.pooled.frames == len(range(0, 40, 9))
    assert found.mean_pose_mpjpe > 0
    text = result_tables.describe(found)
    for word in ("Average of actions", "10 frames, 5 hypotheses", "Ambiguous", "RKnee"):
        assert word in text
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["ambiguous"]["frames"] == 5
    again = protocol.evaluate(loaded)
    assert again.to_json() == found.to_json()


def test_what_is_not_asked_for_is_left_out(small_checkpoint, fake_data):
    test = dataclasses.replace(TEST, ambiguous=False, mean_pose=False)
    loaded = load(small_checkpoint, test)
    found = protocol.evaluate(loaded)
    assert loaded.train is None
    assert found.ambiguous is None and found.mean_pose_mpjpe is None
    assert found.to_json()["ambiguous"] is None


def test_the_fitted_temperature_is_taken(small_checkpoint, fake_data, tmp_path):
    folder = shutil.copytree(small_checkpoint, tmp_path / "copy")
    found = {}
    calibration_file.save(folder, {"temperature": 2.5})
    for wanted in ("1", "2.5", "fitted"):
        test = dataclasses.replace(TEST, temperature=wanted, reductions=True)
        loaded = load(folder, test)
        found[wanted] = protocol.evaluate(loaded)
        text = result_tables.describe(found[wanted])
        assert f"temperature {loaded.temperature:g}." in text
    assert loaded.test.temperature == "fitted"
    assert found["fitted"].to_json() == found["2.5"].to_json()
    assert found["fitted"].to_json()["temperature"] == 2.5
    wider = (
        found["fitted"].test.pooled.spread.sum() / found["1"].test.pooled.spread.sum()
    )
    assert 1.5 < wider < 4
    with pytest.raises(ValueError, match="has no fitted temperature; run python -m"):
        load(small_checkpoint, test)


def test_all_that_was_fitted_is_told(small_checkpoint, fake_data, tmp_path):
    folder = shutil.copytree(small_checkpoint, tmp_path / "copy")
    factors = np.full(widened.SHAPE, 1.5).tolist()
    content = {"temperature": 2.5, "temperature_spread": 0.25, "limbs_kept": 0.3}
    calibration_file.save(folder, {**content, "widths": {"factors": factors}})
    loaded = load(folder, dataclasses.replace(TEST, temperature="fitted"))
    assert plain_config.to_dict(loaded.test)["temperature"] == "fitted"
    found = protocol.evaluate(loaded)
    told = (
        "temperature 2.5, with tails (spread 0.25), limbs held (0.3 kept) and widths."
    )
    assert f"drawn at {told}" in result_tables.remarks(found)
    document = found.to_json()
    names = "temperature_spread", "limbs_kept", "widths"
    assert [document[name] for name in names] == [0.25, 0.3, True]


def run_main(monkeypatch, *arguments):
    """The command within this process: its flags parsed anew, its status."""
    own = evaluate.flags.FLAGS
    own(["evaluate", *arguments])
    try:
        return evaluate.main(["evaluate"])
    finally:
        for name in ("out", "stride", "num_hypotheses", "batch_size", "checkpoint"):
            own[name].unparse()


def test_the_command_prints_and_writes(
    small_checkpoint, fake_data, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "new" / "result.json"
    run_main(
        monkeypatch,
        f"--checkpoint={small_checkpoint}",
        f"--out={out}",
        "--stride=4",
        "--num_hypotheses=5",
        "--batch_size=8",
    )
    printed = capsys.readouterr().out
    assert "Average of actions" in printed and str(out) in printed
    document = json.loads(out.read_text())
    assert document["dataset"] == "synthetic_lift"
    assert document["test_config"]["stride"] == 4
    assert document["test"]["frames"] == 10
    assert [path.name for path in out.parent.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stride": -1}, "stride must be at least 0"),
        ({"target": "image"}, "universal, camera, not 'image'"),
        ({"num_hypotheses": 1}, "num_hypotheses must be at least 2"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_senseless_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        protocol.EvaluationConfig(**values)


def test_a_missing_checkpoint_is_one_line_and_status_one(tmp_path):
    """A real process: no traceback, whatever the machine's data folder holds."""
    done = subprocess.run(
        [sys.executable, "-m", "jaxflow.evaluate", f"--checkpoint={tmp_path / 'none'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert str(tmp_path / "none") in line and "does not exist" in line
    assert "Traceback" not in done.stderr


def test_another_models_checkpoint_is_refused(small_checkpoint, tmp_path):
    """Parameters of one architecture under another's configuration."""
    import shutil

    folder = tmp_path / "mixed"
    shutil.copytree(small_checkpoint, folder)
    other = tmp_path / "other"
    wide = config.FlowConfig(hidden=16, blocks=2)
    params = flows.some(wide)
    checkpoint.save_params(other, params, config.TrainConfig(flow=wide))
    inner = next((folder / "checkpoints").iterdir())
    shutil.rmtree(inner / "params")
    shutil.copytree(
        next((other / "checkpoints").iterdir()) / "params", inner / "params"
    )
    with pytest.raises(ValueError, match="not this model"):
        load(folder, TEST)


def test_expected_errors_are_those_of_the_commands():
    """And a ValueError of ours is none: it shows where it arose."""
    for kind in (UserError, FloatingPointError, FileNotFoundError, ImportError):
        assert issubclass(kind, commands.EXPECTED)
    assert not issubclass(ValueError, commands.EXPECTED)
