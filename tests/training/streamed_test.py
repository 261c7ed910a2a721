"""Frames read as training goes on: the run is that of frames held, to the bit."""

import dataclasses
import signal
import threading
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_builders.files import DataFileError
from jaxflow import data, methods
from jaxflow.config import AugmentConfig, NetConfig
from jaxflow.data.source import Source
from jaxflow.methods import METHODS, flow
from jaxflow.runs import checkpoint, profiling, writer
from jaxflow.runs.errors import UserError
from jaxflow.runs.window import Window
from jaxflow.training import (
    augmentation,
    epochs,
    frames,
    loop,
    parallel,
    streamed,
    supply,
    survey,
)
from tests.helpers.compiled import optimised
from tests.helpers.training import DATASET, TINY, run_config

# Some frames are left out; those that are seen are turned, with limbs of others.
CHANGED = {
    "hold_out": "P02,P07",
    "augment": AugmentConfig(turned=0.5, recombined=0.5),
    "iterations": 8,
}
# One update of the critic compiles sooner than five.
FLOW = dataclasses.replace(TINY, critic_updates=1, **CHANGED)
# 37 iterations an epoch: the order changes within a run.
NET = NetConfig(width=16, depth=1, features=12)
PLAIN = dataclasses.replace(TINY, method="gaussian", net=NET, iterations=42)
OFTEN = {"log_every": 1, "checkpoint_every": 21}


def reading():
    return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


def train(data_dir, workdir, config, stream, **options):
    options = {"stream": stream, **OFTEN, **options}
    outcome = loop.train_and_evaluate(
        run_config(data_dir, config, **options), workdir, METHODS[config.method]
    )
    assert_nothing_reads()
    return outcome


def assert_nothing_reads():
    for thread in reading():
        thread.join(5)
    assert not reading()


def assert_same_run(ours, theirs):
    """The losses and validations of every step, and the parameters at the end."""
    logs = [
        [
            {n: v for n, v in line.items() if n not in ("time", "host_peak_mib")}
            for line in writer.read(workdir)
        ]
        for workdir in (ours, theirs)
    ]
    assert logs[0] == logs[1]
    ours, theirs = (
        jax.tree.leaves(methods.load(workdir).parameters())
        for workdir in (ours, theirs)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.fixture(scope="module")
def held(data_dir, tmp_path_factory):
    """A run of the plain method whose frames lie on the device."""
    workdir = tmp_path_factory.mktemp("held")
    train(data_dir, workdir, PLAIN, "never")
    return workdir


def test_it_is_the_run_of_frames_held(held, data_dir, tmp_path):
    train(data_dir, tmp_path, PLAIN, "always")
    assert_same_run(tmp_path, held)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [FLOW, dataclasses.replace(PLAIN, **CHANGED)], ids=["flow", "gaussian"]
)
def test_frames_changed_with_others_on_two_devices(config, data_dir, tmp_path):
    """The limbs' lenders are read for it; validated on the subjects held out."""
    watched = {"validate_every": 4, "validation_frames": 6, "validation_hypotheses": 3}
    for stream in ("never", "always"):
        with optimised():
            train(data_dir, tmp_path / stream, config, stream, devices=2, **watched)
    assert_same_run(tmp_path / "always", tmp_path / "never")


def test_a_signal_stops_it_and_it_goes_on_either_way(
    held, data_dir, tmp_path, monkeypatch
):
    """Streamed, stopped, then held, with the bits of a run that was held."""
    add = Window.add

    def then_signal(window, rows):
        add(window, rows)
        if window.step == 17:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Window, "add", then_signal)
        outcome = train(data_dir, tmp_path, PLAIN, "always")
    assert outcome.stopped_by == signal.SIGTERM and 17 <= outcome.step < 30
    shorter = dataclasses.replace(PLAIN, iterations=outcome.step + 3)
    train(data_dir, tmp_path, shorter, "always")
    train(data_dir, tmp_path, PLAIN, "never")
    assert_same_run(tmp_path, held)


def test_files_that_break_under_it_lose_nothing(held, data_dir, tmp_path, monkeypatch):
    """After the checkpoint of step 21."""
    told = streamed._Rows.__call__

    def broken(rows, step):
        if step == 30:
            raise DataFileError("the disk has gone")
        return told(rows, step)

    with monkeypatch.context() as patch:
        patch.setattr(streamed._Rows, "__call__", broken)
        with pytest.raises(DataFileError, match="^the disk has gone$"):
            train(data_dir, tmp_path, PLAIN, "always")
    assert_nothing_reads()
    assert checkpoint.find(tmp_path).name == "21"
    train(data_dir, tmp_path, PLAIN, "always")
    assert_same_run(tmp_path, held)


def test_each_process_reads_the_rows_of_its_own_devices(data_dir, monkeypatch):
    devices = tuple(jax.devices()[:4])
    monkeypatch.setattr(parallel, "own", lambda _: devices[2:])
    config = run_config(data_dir, FLOW, stream="always")
    ours = supply.opened(config, flow, devices)
    ours.place(devices, 4)
    read, columns = [], Source.columns

    def noted(source, rows, names):
        read.append((tuple(names), np.asarray(rows)))
        return columns(source, rows, names)

    monkeypatch.setattr(Source, "columns", noted)
    taken = ours.take(3, 1)
    ours.close()
    assert_nothing_reads()
    whole = data.load_records(DATASET, "train", data_dir)
    kept = np.flatnonzero(~np.isin(whole.subject, ["P02", "P07"]))
    assert ours.frames == len(kept)
    steps = jnp.arange(3, 4)
    rows = np.asarray(epochs.rows(steps, len(kept), FLOW, flow))[0]
    lenders = np.asarray(epochs.others(steps, len(kept), FLOW, flow))[0]
    all_names, mine = read[0]
    assert len(all_names) == 3
    halves = rows[:, 4:].reshape(-1, 2, 2).swapaxes(0, 1)  # (devices, batches, each)
    np.testing.assert_array_equal(mine, kept[halves.ravel()])
    lent = np.sort(kept[lenders[:, 4:].ravel()])
    np.testing.assert_array_equal(np.sort(read[1][1]), lent)
    assert len(read) == 2
    for number, device in enumerate(devices[2:]):
        shard = taken.frames.pose3d.addressable_shards[number]
        assert shard.device == device
        found = np.asarray(shard.data)[0, : halves[number].size]
        expected = whole.pose3d[kept[halves[number].ravel()]]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("held_out", [(), ("P02", "P07"), ("P01",)])
def test_a_look_tells_what_all_frames_would(data_dir, held_out, monkeypatch):
    monkeypatch.setattr(survey, "_CHUNK", 64)
    known = survey.survey(Source(DATASET, "train", data_dir), held_out)
    whole = data.load_records(DATASET, "train", data_dir)
    theirs = np.isin(whole.subject, held_out)
    records = whole.take(~theirs)
    np.testing.assert_array_equal(known.rows, np.flatnonzero(~theirs))
    np.testing.assert_array_equal(known.held_out, np.flatnonzero(theirs))
    told = {"frames": len(known.rows), "crc32": known.crc32}
    assert told == frames.fingerprint(records)
    np.testing.assert_array_equal(known.groups(3), frames.group_of(records, 3))
    assert known.nearest == records.pose3d[..., 2].min()
    torsos = augmentation.torsos(records.pose3d)
    np.testing.assert_array_equal(known.torsos, torsos)


def test_somebody_is_left_to_train(data_dir):
    source = Source(DATASET, "train", data_dir)
    everybody = tuple(f"P0{number}" for number in range(1, 9))
    with pytest.raises(UserError, match="hold_out = P01, .* leaves no frame to train"):
        survey.survey(source, everybody)
    with pytest.raises(UserError, match="expected subjects of P01, .*; got P99"):
        survey.survey(source, ("P02", "P99"))


def test_checksums_of_parts_are_that_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [rng.bytes(size) for size in (3, 0, 2**20 + 7, 100)]
    joined = [0, 0]
    for part in parts:
        joined = survey._joined(joined, [zlib.crc32(part), len(part)])
    assert joined == [zlib.crc32(b"".join(parts)), sum(map(len, parts))]


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("pose2d", np.nan, "pose2d is not finite in 1 frames, first in P0"),
        ("pose2d", 0.0, "all 2D joints coincide in P0"),
    ],
)
def test_frames_that_no_network_should_see_are_named(
    data_dir, monkeypatch, name, value, message
):
    """In a chunk, and in the records that are then looked at."""
    source = Source(DATASET, "train", data_dir)
    whole = data.load_records(DATASET, "train", data_dir)
    getattr(whole, name)[123] = value
    monkeypatch.setattr(Source, "records", lambda _, rows: whole.take(rows))

    def columns(_, rows, names):
        return [getattr(whole, name)[rows] for name in names]

    monkeypatch.setattr(Source, "columns", columns)
    with pytest.raises(UserError, match=f"^.*{message}[^\n]*$") as refused:
        survey.survey(source, ("P01",))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "rooms, kind, said",
    [
        ({}, supply.Resident, "300 frames, held; they take 0.2 MB of a device's"),
        (
            {"device_room": 500_000},
            supply.Streamed,
            "300 frames, read from their files as training goes on; all would take 0.2 "
            "MB of a device's 0.5 MB",
        ),
        ({"host_room": 10**6}, supply.Streamed, "of this machine's 1.0 MB"),
    ],
)
def test_what_has_no_room_is_read(data_dir, monkeypatch, capsys, rooms, kind, said):
    for name, room in rooms.items():
        monkeypatch.setattr(profiling, name, lambda *_, room=room: room)
    ours = supply.opened(run_config(data_dir), flow, jax.devices()[:1])
    assert isinstance(ours, kind) and said in capsys.readouterr().out
    assert ours.frames == 300


def test_poses_that_stand_nowhere_are_not_turned(data_dir, monkeypatch):
    near = dataclasses.replace(
        survey.survey(Source(DATASET, "train", data_dir), ()), nearest=-3.0
    )
    monkeypatch.setattr("jaxflow.training.streamed.survey", lambda *_: near)
    turned = dataclasses.replace(TINY, augment=AugmentConfig(turned=0.5))
    with pytest.raises(UserError, match=r"above 0, got -3 mm.*or --turned=0$"):
        supply.Streamed(run_config(data_dir, turned), flow)
