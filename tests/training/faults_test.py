"""Whatever can happen to a run's folder, data or clock, and what the run then says."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import filelock
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders import files, registry
from jaxflow import data
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.runs import run as run_lib
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.runs.run import LockedError, Run, Stop
from jaxflow.training import dispatch, frames, state
from tests.helpers.training import (
    REPOSITORY,
    TINY,
    checkpoints_of,
    run_config,
    train_and_evaluate,
)

DAMAGES = ("truncated", "missing", "flipped")
HOLD = (
    "import sys, time; from jaxflow.runs.run import Run\n"
    "with Run(sys.argv[1]):\n"
    "    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A workdir with checkpoints of steps 1, 2 and 3, and the state of step 0."""
    workdir = tmp_path_factory.mktemp("three")
    fresh = state.init(jax.random.key(3), TINY)
    checkpointer = checkpoints_of(workdir, TINY)
    for step in (1, 2, 3):
        checkpointer.save(fresh._replace(step=jnp.int32(step)))
    checkpointer.close()
    return workdir, fresh


def damage(folder: pathlib.Path, how: str) -> None:
    """To the largest file of the folder, where the numbers lie."""
    victim = max(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(victim.read_bytes())
    if how == "missing":
        victim.unlink()
    elif how == "truncated":
        victim.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 16
        victim.write_bytes(content)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("part", ["params", "training", "config"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    three, tmp_path, part, how
):
    workdir, fresh = three
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    newest = tmp_path / "checkpoints" / "3"
    damage(newest / part, how)
    try:
        checkpointer = checkpoints_of(tmp_path, TINY)
    except CheckpointError as error:
        # A flipped bit may leave a readable config, which then is another run's.
        assert (part, how) == ("config", "flipped") and str(newest) in str(error)
        return
    restored = checkpointer.restore()
    if (part, how) == ("config", "flipped") and int(restored.step) == 3:
        checkpointer.close()
        return  # the bit meant nothing: every array has its checksum
    assert int(restored.step) == 2
    (message,) = checkpointer.set_aside
    assert str(newest) in message and "3.damaged" in message
    assert (tmp_path / "checkpoints" / "3.damaged").is_dir()
    assert checkpointer.latest_step() == 2
    checkpointer.save(fresh._replace(step=jnp.int32(3)))
    checkpointer.close()
    assert store.find(tmp_path).name == "3"
    checkpoint.load_params(tmp_path)


@pytest.mark.parametrize("content", ["{}", "[]"])
def test_a_config_that_says_nothing_is_damaged(three, tmp_path, content):
    """It is JSON, and without it nothing tells whose run the arrays are."""
    workdir, _ = three
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints/3/config/metadata").write_text(content)
    checkpointer = checkpoints_of(tmp_path, TINY)
    assert int(checkpointer.restore().step) == 2
    checkpointer.close()
    (message,) = checkpointer.set_aside
    assert "its config is damaged" in message
    assert (tmp_path / "checkpoints" / "3.damaged").is_dir()


def test_a_flipped_bit_does_not_go_unnoticed(three, tmp_path):
    """Also where the files' own format has no checksum: told by the array's."""
    workdir, fresh = three
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    for leaf in jax.tree.leaves(checkpoint.load_params(tmp_path)):
        assert leaf.dtype == jnp.float32
    other = jax.tree.map(lambda leaf: leaf.at[(0,) * leaf.ndim].add(1e-6), fresh.flow)
    checkpoint.save_params(tmp_path / "other", other, TINY)
    shutil.rmtree(tmp_path / "checkpoints/3/params")
    shutil.copytree(
        tmp_path / "other/checkpoints/0/params", tmp_path / "checkpoints/3/params"
    )
    with pytest.raises(CheckpointError, match="the checksum differs of"):
        checkpoint.load_params(tmp_path)


def test_if_none_can_be_read_nothing_is_begun_anew(three, tmp_path):
    workdir, _ = three
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    for step in "123":
        damage(tmp_path / "checkpoints" / step / "training", "truncated")
    checkpointer = checkpoints_of(tmp_path, TINY)
    with pytest.raises(CheckpointError, match="no checkpoint in .* can be read"):
        checkpointer.restore()
    checkpointer.close()
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["1", "2", "3"]


def test_the_best_checkpoint_stays(three, tmp_path):
    _, fresh = three

    def steps(first, figures):
        checkpointer = checkpoints_of(tmp_path, TINY, keep=2, keep_best=True)
        for step, figure in enumerate(figures, first):
            checkpointer.save(fresh._replace(step=jnp.int32(step)), figure)
        best = checkpointer.best_step()
        checkpointer.close()
        found = {path.name for path in (tmp_path / "checkpoints").iterdir()}
        return best, {int(name) for name in found}

    assert steps(1, [9.0, 5.0, 7.0, None, 6.0]) == (2, {2, 4, 5})
    assert store.find(tmp_path).name == "2"
    # The figures are read again by a run that goes on.
    assert steps(6, [5.5, None]) == (2, {2, 6, 7})
    assert steps(8, [4.0, None, None]) == (8, {8, 9, 10})
    assert store.find(tmp_path).name == "8"
    checkpointer = checkpoints_of(tmp_path, TINY, keep=2)  # the best counts no longer
    checkpointer.save(fresh._replace(step=jnp.int32(11)))
    checkpointer.close()
    assert store.find(tmp_path).name == "11"


def test_a_second_run_on_the_same_workdir_is_refused(tmp_path):
    """By a lock that ends with its process, also if that is killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LockedError) as refused:
        train_and_evaluate(run_config("nowhere"), tmp_path, notes={"flags.txt": ""})
    for part in ("another run is under way", str(tmp_path), f"process {holder.pid} on"):
        assert part in str(refused.value)
    assert not (tmp_path / "flags.txt").exists()
    holder.kill()
    holder.communicate()
    with Run(tmp_path):
        assert str(os.getpid()) in (tmp_path / run_lib.LOCK).read_text()
    with Run(tmp_path):
        pass


@pytest.mark.parametrize(
    "number, said",
    [(errno.ENOLCK, r"without locks \(No locks available\)"), (524, "error 524")],
)
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, number, said):
    """Some answer with numbers that the system has no words for."""

    def refused(descriptor, blocking):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock, "lock_descriptor", refused)
    with pytest.warns(UserWarning, match=said):
        with Run(tmp_path):
            assert str(os.getpid()) in (tmp_path / run_lib.LOCK).read_text()


def test_a_workdir_that_cannot_be_written_to_is_named():
    """As another user, since nothing is read-only to root."""
    with tempfile.TemporaryDirectory() as name:
        workdir = pathlib.Path(name) / "run"
        workdir.mkdir(mode=0o555)
        os.chmod(name, 0o755)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError) as refused:
                train_and_evaluate(run_config("nowhere"), workdir)
        finally:
            os.seteuid(user)
    assert f"--workdir {workdir} cannot be written to" in str(refused.value)


def test_missing_shards_are_named(tmp_path):
    """Half the files of a prepared set are gone."""
    dataset = "synthetic_lift/seed0-train300-test40"
    builder = registry.builder(dataset, tmp_path)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            try_download_gcs=False, num_shards=4
        )
    )
    assert len(data.load_records(dataset, "train", tmp_path)) == 300
    shards = sorted(pathlib.Path(builder.data_dir).glob("*train.array_record*"))
    assert len(shards) == 4
    for shard in shards[::2]:
        shard.unlink()
    with pytest.raises(files.DataFileError, match="cannot be read") as refused:
        data.load_records(dataset, "train", tmp_path)
    assert str(builder.data_dir) in str(refused.value)


@pytest.mark.slow
def test_a_clock_that_jumps_back_changes_nothing(tmp_path, monkeypatch, capfd):
    """By an hour at every look: order, rates and times left stay as they were."""
    dataset = "synthetic_lift/seed0-train300-test40"
    data.load_records(dataset, "train", tmp_path / "data")
    began, looks = time.time(), []

    def back():
        looks.append(None)
        return began - 3600.0 * len(looks)

    monkeypatch.setattr(time, "time", back)
    outcome = train_and_evaluate(run_config(tmp_path / "data"), tmp_path / "run")
    monkeypatch.undo()
    assert looks and outcome.step == 12 and outcome.seconds > 0
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(os.listdir(folder)) == ["12", "4", "8"]
    # The oldest files are the newest step's.
    os.utime(folder / "12", (0, 0))
    checkpointer = checkpoints_of(
        tmp_path / "run", TINY, fingerprint=_fingerprint(tmp_path / "data", dataset)
    )
    assert int(checkpointer.restore().step) == 12
    checkpointer.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if " it/s" in line]
    assert lines[-1].startswith("12 of 12 iterations") and " 0 s left" in lines[-1]
    assert not any(" -" in line.split("left")[0] for line in lines)


def test_a_signal_is_heard_while_compiling():
    done = threading.Event()
    stop = Stop()
    with stop.listening():
        plan = dispatch.Plan(10, tuple(jax.devices()[:1]), stop)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        assert plan.send(done.wait, 60) is None
        assert time.monotonic() - began < 10
    done.set()
    assert plan.abandoned and plan.stopping and stop.signal == signal.SIGTERM


def test_errors_of_the_first_dispatch_are_raised():
    plan = dispatch.Plan(10, tuple(jax.devices()[:1]), Stop())
    with pytest.raises(ZeroDivisionError):
        plan.send(lambda: 1 / 0)


def test_the_first_dispatch_is_compiled_as_the_others():
    """Though in a thread: under the settings that the caller has entered."""

    def precision():
        return jax.config.jax_default_matmul_precision

    plan = dispatch.Plan(10, tuple(jax.devices()[:1]), Stop())
    with jax.default_matmul_precision("highest"):
        assert [plan.send(precision), plan.send(precision)] == ["highest", "highest"]


def _fingerprint(folder, dataset):
    records = data.load_records(dataset, "train", folder)
    assert np.isfinite(records.pose3d).all()
    return frames.fingerprint(records)
