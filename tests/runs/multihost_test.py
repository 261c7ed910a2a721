"""Two real processes on the loopback interface: one run, alike to one process's."""

import dataclasses
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from jaxflow import data
from jaxflow.flow import checkpoint
from jaxflow.runs import multihost
from tests.helpers import quick
from tests.helpers.training import (
    DATASET,
    TINY,
    command,
    run_config,
    train_and_evaluate,
)

TIMEOUT = 30  # seconds; see --heartbeat_timeout
# One critic update: each all-reduce between processes is slow on a busy machine.
CONFIG = dataclasses.replace(TINY, iterations=20, critic_updates=1)


@pytest.fixture(scope="module")
def start(data_dir, tmp_path_factory):
    """Starts both processes of the run in a workdir, four devices each."""
    cache, processes = str(tmp_path_factory.mktemp("cache")), []

    def started(workdir):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        flow = CONFIG.flow
        flags = (
            f"--workdir={workdir}",
            f"--dataset={DATASET}",
            f"--data_dir={data_dir}",
            f"--batch_size={CONFIG.batch_size}",
            f"--hypotheses={CONFIG.hypotheses}",
            f"--critic_updates={CONFIG.critic_updates}",
            f"--iterations={CONFIG.iterations}",
            f"--blocks={flow.blocks}",
            f"--hidden={flow.hidden}",
            f"--critic_hidden={CONFIG.critic_hidden}",
            f"--encoder_hidden={flow.encoder_hidden}",
            f"--encoded={flow.encoded}",
            "--log_every=5",
            "--checkpoint_every=5",
            "--validate_every=0",
            "--multihost",
            f"--coordinator_address={address}",
            "--num_processes=2",
            f"--heartbeat_timeout={TIMEOUT}",
        )
        variables = {
            "XLA_FLAGS": f"{quick.XLA_FLAGS} --xla_force_host_platform_device_count=4",
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        processes.extend(
            command(*flags, f"--process_id={i}", **variables) for i in (0, 1)
        )
        return processes[-2:]

    yield started
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def killed_and_finished(start, tmp_path_factory):
    """A run of two processes, one of them killed, both started again."""
    workdir = tmp_path_factory.mktemp("two")
    first, second = start(workdir)
    deadline = time.monotonic() + 600
    while not list((workdir / "checkpoints").glob("5")):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second.kill()
    began = time.monotonic()
    message, _ = first.communicate(timeout=120)
    second.communicate()
    ended = time.monotonic() - began, first.returncode, message
    processes = start(workdir)
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return workdir, ended, outputs


def parameters(workdir):
    return jax.tree.leaves(checkpoint.load_params(workdir))


@pytest.mark.slow
def test_if_one_is_killed_the_other_says_so_and_ends(killed_and_finished):
    _, (seconds, status, message), _ = killed_and_finished
    assert status == -signal.SIGABRT, message
    assert f"this one ends within {TIMEOUT} s" in message
    assert "another task died" in message
    assert seconds < TIMEOUT + 20  # the machine may be busy


@pytest.mark.slow
def test_started_again_both_go_on_from_the_last_checkpoint(killed_and_finished):
    workdir, _, (first, second) = killed_and_finished
    assert "resuming from step" in first and "trained 20 iterations" in first
    assert "resuming" not in second  # one process speaks and writes
    assert sorted(os.listdir(workdir / "checkpoints")) == ["10", "15", "20"]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [8, 1])
def test_two_processes_make_the_run_of_one(
    killed_and_finished, data_dir, tmp_path, devices
):
    """The checkpoint of two processes loads in this one."""
    config = run_config(data_dir, CONFIG, devices=devices)
    train_and_evaluate(config, tmp_path)
    ours, theirs = parameters(killed_and_finished[0]), parameters(tmp_path)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_one_process_goes_on_with_the_run_of_two(
    killed_and_finished, data_dir, tmp_path
):
    longer = dataclasses.replace(CONFIG, iterations=24)
    outcome = train_and_evaluate(
        run_config(data_dir, longer, devices=2), killed_and_finished[0]
    )
    assert outcome.step == 24
    train_and_evaluate(run_config(data_dir, longer), tmp_path)
    ours, theirs = parameters(killed_and_finished[0]), parameters(tmp_path)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


def test_parts_of_a_split_leave_nothing_out(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    parts = []
    for index in range(3):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        parts.append(multihost.own_part("train"))
    assert parts == ["train[0%:33%]", "train[33%:66%]", "train[66%:100%]"]


def test_the_parts_put_together_are_the_whole(data_dir, monkeypatch):
    """Texts of different lengths and all; the exchange itself is done by hand."""
    whole = data.load_records(DATASET, "train", data_dir)
    thirds = [
        data.load_records(DATASET, f"train[{part}]", data_dir)
        for part in ("0%:33%", "33%:66%", "66%:100%")
    ]
    waiting = []

    def exchange(mine):
        # The first call tells the sizes, the second brings the rows.
        waiting.append(mine)
        columns = [third.columns()[name] for third in thirds]
        if len(waiting) % 2:
            return np.stack(
                [np.asarray([len(c), c.itemsize], np.int32) for c in columns]
            )
        rows = np.zeros((3, *mine.shape), np.uint8)
        for index, column in enumerate(columns):
            column = column.astype(whole.columns()[name].dtype)
            content = np.ascontiguousarray(column).reshape(len(column), -1)
            rows[index, : len(column)] = content.view(np.uint8)
        return rows

    monkeypatch.setattr(multihost.multihost_utils, "process_allgather", exchange)
    for name, column in whole.columns().items():
        for third in thirds:
            found = multihost.gather_column(third.columns()[name])
            np.testing.assert_array_equal(found, column)
            assert found.dtype == column.dtype


@pytest.mark.parametrize(
    "whole",
    [np.arange(24.0).reshape(4, 3, 2), np.arange(4), np.array(["a", "bcd", "", "ef"])],
)
def test_a_process_may_have_no_rows(monkeypatch, whole):
    """The exchange is done by a thread for each process."""
    parts = [whole[:3].copy(), whole[:0].copy(), whole[3:].copy()]
    if whole.dtype.kind == "U":  # each is as wide as its own texts ask for
        parts = [np.array(part.tolist(), dtype=str) for part in parts]
    meeting, given, mine = threading.Barrier(3), {}, threading.local()

    def exchange(array):
        meeting.wait(10)
        given[mine.index] = array
        meeting.wait(10)
        return np.stack([given[i] for i in range(3)])

    def gathered(index):
        mine.index = index
        return multihost.gather_column(parts[index])

    monkeypatch.setattr(multihost.multihost_utils, "process_allgather", exchange)
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(gathered, range(3)):
            np.testing.assert_array_equal(found, whole)


def test_a_process_alone_needs_no_others():
    assert not multihost.several() and multihost.is_first()
    assert multihost.first_does(lambda: 7) == 7
    tree = {"a": np.arange(3)}
    assert multihost.from_first(tree) is tree
    multihost.wait_for_all("nowhere")


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--num_processes=2"], "--num_processes is of no use without --multihost"),
        (["--multihost"], "Give --coordinator_address=HOST:PORT"),
    ],
)
def test_mistakes_are_one_clear_line(flags, expected, tmp_path):
    process = command("--workdir=w", *flags, cwd=tmp_path, JAX_PLATFORMS="cpu")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert expected in output and "Traceback" not in output
