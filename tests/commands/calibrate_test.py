"""From held-out subjects to a calibrated checkpoint, and what its file refuses."""

import dataclasses
import json
import shutil
import signal

import numpy as np
import pytest

import jaxflow
from jaxflow import data, methods
from jaxflow.config import DataConfig
from jaxflow.evaluation import calibrating, temperature, tempered
from jaxflow.evaluation.calibrating import CalibrationConfig
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.reporting import calibration
from jaxflow.runs import checkpoint as store
from jaxflow.runs.checkpoint import CheckpointError, DamagedError
from jaxflow.runs.run import LockedError, Run
from jaxflow.training import frames
from tests.helpers import flows
from tests.helpers.training import (
    DATASET,
    TINY,
    command,
    run_config,
    train_and_evaluate,
)


@pytest.fixture(scope="module")
def subjects(data_dir):
    return np.unique(data.load_records(DATASET, "train", data_dir).subject)


@pytest.fixture(scope="module")
def trained(data_dir, subjects, tmp_path_factory):
    """A run that left the last subject out."""
    workdir = tmp_path_factory.mktemp("run")
    held = dataclasses.replace(TINY, iterations=2, hold_out=str(subjects[-1]))
    train_and_evaluate(run_config(data_dir, held), workdir)
    return workdir


@pytest.fixture
def run(trained, tmp_path):
    """A copy to write to."""
    return shutil.copytree(trained, tmp_path / "run")


def calibrated(run, data_dir, said=None, **settings):
    """The fit of few frames; ``said`` gets the warnings."""
    source = DataConfig(dataset=DATASET, data_dir=str(data_dir))
    small = {"frames": 12, "num_hypotheses": 8, "widths": False, "tails": False}
    settings = CalibrationConfig(**{**small, **settings})
    warn = pytest.fail if said is None else said.append
    return calibrating.calibrate(methods.load(run), str(run), source, settings, warn)


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


def test_what_was_found_is_stored(run, data_dir, subjects):
    found = calibrated(run, data_dir)
    stored = calibration_file.load(run)
    folder = store.find(run)
    assert stored == json.loads((folder / "calibration.json").read_text())
    assert stored["subjects"] == [str(subjects[-1])] and stored["frames"] == 12
    assert 0.5 <= stored["temperature"] <= 3
    error = stored["calibration_error"]
    assert error["after"] <= error["before"]
    assert calibration_file.resolve(run, "fitted") == found.temperature
    assert jaxflow.load_temperature(run) == stored["temperature"]
    picture = calibration.draw(found)
    assert picture == folder / "calibration.png"
    assert picture.stat().st_size > 10_000
    for words in ("<- fitted", "calibration error", "--temperature=fitted"):
        assert words in calibration.describe(found, picture)


def test_how_much_wider_unsure_joints_are_drawn(run, data_dir):
    """Stored, told, and what "fitted" draws with; a number draws as it learned."""
    said = []
    found = calibrated(run, data_dir, said, widths=True)
    (warning,) = said  # of 12 frames
    assert "52 of 52 widths stay at 1, since fewer than 50 of the 12 frames" in warning
    widths = calibration_file.load(run)["widths"]
    assert np.asarray(widths["frames"]).shape == (13, 5)
    np.testing.assert_allclose(widths["factors"], found.widths.factors, atol=1e-4)
    assert len(widths["joints"]) == 13 and widths["sigma_px"][0] == 2.6
    told = calibration.describe(found, None)
    assert "held in 90 % regions" in told and "as it is" in told
    lifter = jaxflow.Lifter.load(run)
    assert set(lifter.model.parameters()) >= {"blocks", "widths"}
    plain = jaxflow.Lifter.load(run, temperature=found.temperature)
    assert "widths" not in plain.model.parameters()


def test_how_much_temperatures_differ(run, data_dir):
    """Stored, told, and what "fitted" draws with, below the widths."""
    plain = calibrated(run, data_dir)
    before = calibration_file.load(run)
    assert plain.spread is None and "temperature_spread" not in before
    assert "own temperatures" not in calibration.describe(plain, None)
    found = calibrated(run, data_dir, tails=True)
    stored = calibration_file.load(run)
    assert stored["temperature_spread"] == found.spread in tempered.SPREADS
    assert (
        stored["calibration_error"]["before"] == before["calibration_error"]["before"]
    )
    assert stored["frequency"]["before"] == before["frequency"]["before"]
    assert jaxflow.load_temperature(run) == plain.temperature
    for spread, words in (
        (0.25, "own temperatures: 0.25, two thirds from 0.78 to 1.28 of it"),
        (0.6, "0.60 (at the end of the range)"),
        (0.0, "own temperatures: 0, one for all is best"),
    ):
        assert words in calibration.describe(found._replace(spread=spread), None)
    content = {"temperature": 1.5, "temperature_spread": 0.25, "temperature_alone": 1.4}
    calibration_file.save(run, content)
    lifter = jaxflow.Lifter.load(run)
    assert lifter.model.parameters()["temperature_spread"] == 0.25
    assert lifter.temperature == 1.5 and jaxflow.load_temperature(run) == 1.4


def test_limbs_are_held_while_the_rest_is_fitted(run, data_dir):
    """Stored, told, and drawn with; `jaxflow.sample` draws limbs as they are."""
    plain = calibrated(run, data_dir)
    assert "limbs held" not in calibration.describe(plain, None)
    assert "limbs_kept" not in calibration_file.load(run)
    found = calibrated(run, data_dir, limbs=0.3)
    stored = calibration_file.load(run)
    assert stored["limbs_kept"] == found.limbs_kept == 0.3
    np.testing.assert_array_equal(found.plain.ece, plain.curve.ece)
    assert not np.array_equal(found.curve.best, plain.curve.best)
    assert stored["temperature"] == found.temperature
    assert stored["temperature_alone"] == plain.temperature
    assert jaxflow.load_temperature(run) == plain.temperature
    told = calibration.describe(found, None)
    assert "limbs held: 0.30 of how much their proportions differ is kept" in told
    assert jaxflow.Lifter.load(run).model.kept == np.float32(0.3)
    tailed = calibrated(run, data_dir, limbs=0.3, tails=True)
    assert tailed.spread is not None
    np.testing.assert_array_equal(tailed.plain.ece, plain.curve.ece)
    if not tailed.spread:
        np.testing.assert_array_equal(tailed.curve.best, found.curve.best)
    for wrong in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match="limbs must be"):
            calibrated(run, data_dir, limbs=wrong)


def test_a_signal_stops_and_keeps_nothing(run, data_dir, monkeypatch):
    """It comes with the first poses; the checkpoint is as it was, and free again."""
    fit = temperature.fit

    def signalled(*arguments, progress, **options):
        signal.raise_signal(signal.SIGTERM)
        return fit(*arguments, progress=progress, **options)

    with monkeypatch.context() as patch:
        patch.setattr(temperature, "fit", signalled)
        with pytest.raises(KeyboardInterrupt, match="begins anew"):
            calibrated(run, data_dir)
    assert calibration_file.load(run) is None
    calibrated(run, data_dir)


def test_a_checkpoint_is_calibrated_by_one_process(run, data_dir):
    folder = store.find(run)
    with Run(folder), pytest.raises(LockedError, match=f"{folder} .* --checkpoint"):
        calibrated(run, data_dir)
    assert calibration_file.load(run) is None


def test_the_command(tmp_path, data_dir):
    """On a run that held nothing out it says what to do."""
    checkpoint.save_params(tmp_path, flows.some(TINY.flow), TINY)
    process = command(
        f"--checkpoint={tmp_path}",
        f"--data_dir={data_dir}",
        f"--dataset={DATASET}",
        module="jaxflow.calibrate",
    )
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "jaxflow.calibrate: error: this checkpoint's run held no subject" in output
    assert "--hold_out=SUBJECT" in output


def test_a_calibrated_run_goes_on(run, data_dir, subjects):
    """Its longer self is another model, which has no temperature yet."""
    calibration_file.save(run, {"temperature": 1.5})
    longer = dataclasses.replace(TINY, iterations=3, hold_out=str(subjects[-1]))
    assert train_and_evaluate(run_config(data_dir, longer), run).step == 3
    assert calibration_file.load(run) is None
    assert calibration_file.load(run / "checkpoints" / "2")["temperature"] == 1.5


def test_other_subjects_need_saying(run, data_dir, subjects):
    said = []
    calibrated(run, data_dir, said, subjects=str(subjects[0]))
    assert f"not told to hold out {subjects[0]}" in said[0]
    with pytest.raises(ValueError, match="frames must be at least 1, not 0"):
        calibrated(run, data_dir, frames=0)


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
    "text",
    [
        "{",
        "{}",
        '{"temperature": "warm"}',
        '{"temperature": -1}',
        '{"temperature": 1, "temperature_alone": "warm"}',
        '{"temperature": 1, "temperature_alone": 0}',
        "[1]",
    ],
)
def test_a_damaged_file_is_refused(run, text):
    path = calibration_file.save(run, {"temperature": 1.5})
    path.write_text(text)
    with pytest.raises(DamagedError, match=r"calibration\.json is damaged") as refused:
        calibration_file.load(run)
    assert str(refused.value).count("is damaged") == 1


def test_a_file_of_other_parameters_is_refused(run, data_dir, subjects):
    path = calibration_file.save(run, {"temperature": 1.5})
    longer = dataclasses.replace(TINY, iterations=3, hold_out=str(subjects[-1]))
    train_and_evaluate(run_config(data_dir, longer), run)
    shutil.copy(path, store.find(run))
    with pytest.raises(DamagedError, match="belongs to other parameters"):
        calibration_file.load(run)
