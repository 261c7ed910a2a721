"""Training runs: logs, resuming, stopping, and everything that can go wrong."""

import contextlib
import dataclasses
import itertools
import json
import resource
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import data
from jaxflow.config import OptimizerConfig
from jaxflow.flow import checkpoint
from jaxflow.methods import flow
from jaxflow.runs import checkpoint as store
from jaxflow.runs import writer
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.runs.errors import NonFiniteError, UserError
from jaxflow.runs.window import Window
from jaxflow.training import epochs, frames, loop, parallel, validation
from tests.helpers.refusals import contents
from tests.helpers.training import DATASET, TINY, run_config, train_and_evaluate


def guarded(make_run=parallel.make_run):
    """`make_run` whose function may be given nothing that still has to be sent."""

    def make(*arguments):
        run = make_run(*arguments)

        def call(*inputs):
            with jax.transfer_guard("disallow"):
                return run(*inputs)

        return call

    return make


@pytest.fixture(scope="module")
def uninterrupted(data_dir, tmp_path_factory):
    """The workdir of a run of 12 iterations."""
    workdir = tmp_path_factory.mktemp("run")
    options = {"validate_every": 6, "validation_frames": 8, "validation_hypotheses": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "make_run", guarded())
        outcome = train_and_evaluate(run_config(data_dir, **options), workdir)
    assert (outcome.step, outcome.total, outcome.stopped_by) == (12, 12, None)
    return workdir


def parameters(workdir):
    return jax.tree.leaves(checkpoint.load_params(workdir))


def assert_same_parameters(ours, theirs):
    for a, b in zip(parameters(ours), parameters(theirs), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_run_leaves_checkpoints_and_logs(uninterrupted):
    steps = sorted(int(p.name) for p in (uninterrupted / "checkpoints").iterdir())
    assert steps == [4, 8, 12]
    lines = writer.read(uninterrupted)
    train = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in train] == [3, 6, 9, 12]
    for line in train:
        assert {"l2d", "mmd", "det", "gen", "best_of_m", "heatmap", "critic"} < {*line}
    validation = [line for line in lines if line["kind"] == "validation"]
    assert [line["step"] for line in validation] == [6, 12]
    assert 0 < validation[0]["mpjpe_best"] < validation[0]["mpjpe_worst"]
    assert 0 < validation[0]["energy_score"] < validation[0]["mpjpe_mean"]
    assert list((uninterrupted / "tensorboard").glob("events.out.tfevents.*"))


def test_a_run_ends_at_its_plateau(data_dir, tmp_path, monkeypatch):
    figures = iter([9.0, 8.0, 8.5, 8.0, 7.0, 7.5])
    best = itertools.count(9.0, -0.1)

    def validate(*_):
        falling = next(best)  # The best of many gains all along.
        figure = {validation.FIGURE: next(figures)}
        values = {"mpjpe_best": falling, "mpjpe_z0": 9.0, **figure}
        return validation.Validation(values, np.ones(3), np.ones(2))

    monkeypatch.setattr(validation, "validate", validate)
    watched = run_config(data_dir, validate_every=2, patience=2)
    outcome = train_and_evaluate(watched, tmp_path)
    assert (outcome.step, outcome.total, outcome.stopped_by) == (8, 12, None)
    assert store.find(tmp_path).name == "8"
    # The same call has nothing left to do; one of more patience has.
    assert train_and_evaluate(watched, tmp_path).step == 8
    patient = run_config(data_dir, validate_every=2, patience=3)
    assert train_and_evaluate(patient, tmp_path).step == 12


def test_validations_of_one_step_count_once(tmp_path):
    with contextlib.closing(writer.Writer(tmp_path, 0)) as log:
        for step in (0, 0, 0, 2):
            log.write("validation", step, {validation.FIGURE: 9.0})
    assert not validation.plateau(tmp_path, 2) and validation.plateau(tmp_path, 1)


def test_a_finished_run_is_left_alone(uninterrupted, data_dir):
    before = (uninterrupted / "metrics.jsonl").read_bytes()
    notes = {"flags.txt": "--iterations=12"}
    outcome = train_and_evaluate(run_config(data_dir), uninterrupted, notes=notes)
    assert outcome.step == 12
    assert (uninterrupted / "metrics.jsonl").read_bytes() == before
    assert not (uninterrupted / "flags.txt").exists()  # they made nothing of it


@pytest.mark.parametrize("line", [b"{", b"5", b'{"step": 1}', b"\xff\xfe"])
def test_damaged_numbers_of_a_run(tmp_path, line):
    """The last line may be cut short; before it the file is to be moved away."""
    whole = b'{"kind": "train", "step": 1}\n'
    (tmp_path / writer.FILE).write_bytes(whole + line)
    assert writer.read(tmp_path) == [{"kind": "train", "step": 1}]
    (tmp_path / writer.FILE).write_bytes(whole + line + b"\n" + whole)
    with pytest.raises(UserError, match=r"metrics.jsonl line 2 .* move the file away"):
        writer.read(tmp_path)


def test_a_resumed_run_ends_with_the_same_bits(uninterrupted, data_dir, tmp_path):
    """Stopped at 5, between a log line and a checkpoint, then made longer."""
    short = dataclasses.replace(TINY, iterations=5)
    train_and_evaluate(run_config(data_dir, short), tmp_path)
    train_and_evaluate(run_config(data_dir), tmp_path)
    assert_same_parameters(tmp_path, uninterrupted)
    rows = [row for row in writer.read(tmp_path) if row["kind"] == "train"]
    means_of = [(row["step"], row["iterations"]) for row in rows]
    assert means_of == [(3, 3), (5, 2), (6, 1), (9, 3), (12, 3)]


@pytest.mark.slow
def test_a_run_goes_on_with_other_devices(uninterrupted, data_dir, tmp_path):
    """Eight devices, then two, then four: the trajectory of one."""
    for iterations, devices in ((4, 8), (8, 2), (12, 4)):
        part = dataclasses.replace(TINY, iterations=iterations)
        outcome = train_and_evaluate(
            run_config(data_dir, part, devices=devices), tmp_path
        )
        assert outcome.step == iterations
    for a, b in zip(parameters(tmp_path), parameters(uninterrupted), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)
    # On to one: the logs say that it was one run.
    longer = dataclasses.replace(TINY, iterations=13)
    assert train_and_evaluate(run_config(data_dir, longer), tmp_path).step == 13
    steps = [line["step"] for line in writer.read(tmp_path)]
    assert steps == [3, 4, 6, 8, 9, 12, 13]


def test_the_log_has_the_memory(uninterrupted):
    assert all(
        line["host_peak_mib"] > 50
        for line in writer.read(uninterrupted)
        if line["kind"] == "train"
    )


def test_a_signal_stops_and_saves(uninterrupted, data_dir, tmp_path, monkeypatch):
    """The signal comes while iteration 7 to 9 is in flight."""
    fetch = Window.add

    sent = []

    def then_signal(window, rows):
        fetch(window, rows)
        if window.step >= 6 and not sent:
            sent.append(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(Window, "add", then_signal)
        outcome = train_and_evaluate(run_config(data_dir), tmp_path)
    assert outcome.stopped_by == signal.SIGTERM
    assert 6 <= outcome.step < 12
    assert signal.getsignal(signal.SIGTERM) == handler
    assert store.find(tmp_path).name == str(outcome.step)
    train_and_evaluate(run_config(data_dir), tmp_path)
    assert_same_parameters(tmp_path, uninterrupted)


def test_a_refused_run_changes_nothing(data_dir, tmp_path):
    short = dataclasses.replace(TINY, iterations=4)
    notes = {"flags.txt": "--the_run_that_was_there"}
    train_and_evaluate(run_config(data_dir, short), tmp_path, notes=notes)
    before = contents(tmp_path)
    assert before["flags.txt"] == notes["flags.txt"].encode()
    other = dataclasses.replace(short, seed=9)
    with pytest.raises(CheckpointError, match="another run"):
        train_and_evaluate(
            run_config(data_dir, other), tmp_path, notes={"flags.txt": "--seed=9"}
        )
    assert contents(tmp_path) == before


def test_other_data_is_refused(uninterrupted, data_dir):
    config = run_config(data_dir)
    other = dataclasses.replace(config.data, dataset=DATASET.replace("seed0", "seed1"))
    with pytest.raises(CheckpointError, match="crc32"):
        train_and_evaluate(dataclasses.replace(config, data=other), uninterrupted)


def test_a_loss_that_is_not_finite_stops_the_run(
    uninterrupted, data_dir, tmp_path, monkeypatch
):
    """One pose of absurd size, first drawn in iteration 5, after a checkpoint at 4."""
    records = data.load_records(DATASET, "train", data_dir)
    row = _row_first_used_in(len(records), 4)
    poses = records.pose3d.copy()
    poses[row] *= np.float32(1e30)
    broken = type(records)(**(vars(records) | {"pose3d": poses}))
    monkeypatch.setattr(frames, "load", lambda config: (broken, None))
    with pytest.raises(NonFiniteError) as stopped:
        train_and_evaluate(run_config(data_dir), tmp_path)
    message = str(stopped.value)
    assert "loss" in message and "critic" in message and "of iteration 5" in message
    assert "the checkpoint of step 4 is kept" in message
    assert store.find(tmp_path).name == "4"
    for leaf in parameters(tmp_path):
        assert np.isfinite(np.asarray(leaf)).all()


def test_parameters_that_are_not_finite_are_not_saved(data_dir, tmp_path):
    """The update breaks them while the iteration's own losses are still fine."""
    absurd = dataclasses.replace(
        TINY, iterations=1, optimizer=OptimizerConfig(learning_rate=1e39)
    )
    with pytest.raises(NonFiniteError, match="parameters are not finite .* 1; .*no ch"):
        train_and_evaluate(run_config(data_dir, absurd), tmp_path)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        checkpoint.load_params(tmp_path)


def test_a_full_disk_stops_the_run_and_loses_nothing(
    uninterrupted, data_dir, tmp_path, monkeypatch
):
    short = dataclasses.replace(TINY, iterations=4)
    train_and_evaluate(run_config(data_dir, short), tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="could not be written.*step 4"):
            train_and_evaluate(run_config(data_dir), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    train_and_evaluate(run_config(data_dir), tmp_path)
    assert_same_parameters(tmp_path, uninterrupted)


def test_logs_of_lost_steps_are_dropped(uninterrupted, data_dir, tmp_path):
    """A kill loses steps past the checkpoint; their lines must not stand twice."""
    short = dataclasses.replace(TINY, iterations=4)
    train_and_evaluate(run_config(data_dir, short), tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": 6, "l2d": 1.0}) + "\n")
        file.write('{"kind": "train", "st')
    train_and_evaluate(run_config(data_dir), tmp_path)
    steps = [line["step"] for line in writer.read(tmp_path)]
    assert steps == [3, 4, 6, 9, 12]
    assert writer.read(tmp_path)[2]["l2d"] != 1.0


def test_more_devices_than_there_are(data_dir, tmp_path):
    with pytest.raises(ValueError, match="devices = 99, but this machine has 8"):
        train_and_evaluate(run_config(data_dir, devices=99), tmp_path)


def test_epochs_give_the_number_of_iterations():
    config = dataclasses.replace(TINY, iterations=0, epochs=155)
    assert loop.total_iterations(config, 300, flow) == 155 * (300 // 88)
    assert (
        loop.total_iterations(dataclasses.replace(config, iterations=9), 300, flow) == 9
    )


def _row_first_used_in(frames, iteration):
    """A row whose 3D pose iteration ``iteration`` (from 0) is the first to use."""
    rows = np.asarray(epochs.rows(jnp.arange(iteration + 1), frames, TINY, flow))
    seen: set[int] = set()
    for batches in rows:
        # Of the fakes' batches only the 2D poses are used; and only the critic, not
        # the flow's batch, surely breaks on an absurd pose.
        used = batches[::2]
        new = sorted({*used[:-1].ravel().tolist()} - seen)
        seen.update(used.ravel().tolist())
    assert new, "every row was used before"
    return new[0]
