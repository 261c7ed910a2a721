"""From held-out subjects to a calibrated checkpoint, and what its file refuses."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from jaxflow import calibrate, data, flow
from jaxflow.training import calibration_file, checkpoint, frames, loop
from jaxflow.training.checkpoint import CheckpointError, DamagedError
from tests.training_helpers import DATASET, TINY, run_config

FLAGS = ["--frames=12", "--num_hypotheses=8", f"--dataset={DATASET}"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    data.load_records(DATASET, "train", folder)
    return folder


@pytest.fixture(scope="module")
def subjects(data_dir):
    return np.unique(data.load_records(DATASET, "train", data_dir).subject)


@pytest.fixture(scope="module")
def trained(data_dir, subjects, tmp_path_factory):
    """A run that left the last subject out."""
    workdir = tmp_path_factory.mktemp("run")
    held = dataclasses.replace(TINY, iterations=2, hold_out=str(subjects[-1]))
    loop.train_and_evaluate(run_config(data_dir, held), workdir)
    return workdir


@pytest.fixture
def run(trained, tmp_path):
    """A copy to write to."""
    return shutil.copytree(trained, tmp_path / "run")


def calibrated(run, data_dir, monkeypatch, *flags):
    """The command within this process."""
    from absl import flags as absl_flags

    absl_flags.FLAGS.unparse_flags()
    given = [f"--checkpoint={run}", f"--data_dir={data_dir}", *FLAGS, *flags]
    absl_flags.FLAGS(["calibrate", *given])
    calibrate.main(["calibrate"])
    return calibration_file.load(run)


def test_held_out_subjects_are_not_trained_on(data_dir, subjects):
    names = f"{subjects[0]}, {subjects[1]}"
    config = run_config(data_dir, dataclasses.replace(TINY, hold_out=names))
    config = dataclasses.replace(
        config, loop=dataclasses.replace(config.loop, validate_every=5)
    )
    train, validation = frames.load(config)
    assert set(train.subject) == set(subjects[2:])
    assert set(validation.subject) == set(subjects[:2])
    for names, message in (
        ("S99", f"expected subjects of .*{subjects[0]}.*; got S99"),
        (",".join(subjects), "leaves no frame to train"),
    ):
        wrong = dataclasses.replace(config.train, hold_out=names)
        with pytest.raises(ValueError, match=message):
            frames.load(dataclasses.replace(config, train=wrong))


def test_the_command_stores_what_it_found(run, data_dir, subjects, monkeypatch, capsys):
    found = calibrated(run, data_dir, monkeypatch)
    folder = checkpoint.find(run)
    assert found == json.loads((folder / "calibration.json").read_text())
    assert found["subjects"] == [str(subjects[-1])] and found["frames"] == 12
    assert 0.5 <= found["temperature"] <= 3
    assert found["calibration_error"]["after"] <= found["calibration_error"]["before"]
    assert calibration_file.resolve(run, "fitted") == found["temperature"]
    assert (folder / "calibration.png").stat().st_size > 10_000
    text = capsys.readouterr().out
    assert "warning" not in text
    for words in ("<- fitted", "calibration error", "--temperature=fitted"):
        assert words in text


def test_a_calibrated_run_goes_on(run, data_dir, subjects):
    """Its longer self is another model, which has no temperature yet."""
    calibration_file.save(run, {"temperature": 1.5})
    longer = dataclasses.replace(TINY, iterations=3, hold_out=str(subjects[-1]))
    assert loop.train_and_evaluate(run_config(data_dir, longer), run).step == 3
    assert calibration_file.load(run) is None
    assert calibration_file.load(run / "checkpoints" / "2")["temperature"] == 1.5


def test_other_subjects_need_saying(run, data_dir, subjects, monkeypatch, capsys):
    calibrated(run, data_dir, monkeypatch, f"--subjects={subjects[0]}")
    assert f"not told to hold out {subjects[0]}" in capsys.readouterr().out


def test_a_run_that_held_nothing_out_is_refused(tmp_path, data_dir, monkeypatch):
    checkpoint.save_params(tmp_path, flow.init(jax.random.key(0), TINY.flow), TINY)
    with pytest.raises(ValueError, match="held no subject out .* --hold_out=SUBJECT"):
        calibrated(tmp_path, data_dir, monkeypatch)


def test_a_temperature_is_a_number_or_fitted(run):
    assert calibration_file.resolve(run, "0") == 0
    assert calibration_file.resolve(run, 1.25) == 1.25
    for wrong in ("warm", "-1", "nan", "inf"):
        with pytest.raises(ValueError, match=f"number of at least 0, .*{wrong}"):
            calibration_file.resolve(run, wrong)
    with pytest.raises(ValueError, match="has no fitted temperature; run python -m"):
        calibration_file.resolve(run, "fitted")
    with pytest.raises(CheckpointError, match="does not exist"):
        calibration_file.resolve(run / "nowhere", "fitted")


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"temperature": "warm"}', '{"temperature": -1}', "[1]"]
)
def test_a_damaged_file_is_refused(run, text):
    path = calibration_file.save(run, {"temperature": 1.5})
    path.write_text(text)
    with pytest.raises(DamagedError, match=r"calibration\.json is damaged"):
        calibration_file.load(run)


def test_a_file_of_other_parameters_is_refused(run, data_dir, subjects):
    path = calibration_file.save(run, {"temperature": 1.5})
    longer = dataclasses.replace(TINY, iterations=3, hold_out=str(subjects[-1]))
    loop.train_and_evaluate(run_config(data_dir, longer), run)
    shutil.copy(path, checkpoint.find(run))
    with pytest.raises(DamagedError, match="belongs to other parameters"):
        calibration_file.load(run)
