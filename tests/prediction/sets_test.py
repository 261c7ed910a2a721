"""sample_set: the same hypotheses however they are made, whatever interrupts it."""

import dataclasses
import json
import signal
import time

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow import config, data, methods
from jaxflow.evaluation import protocol
from jaxflow.flow import checkpoint
from jaxflow.prediction import set_files, set_sampling, sets
from jaxflow.prediction.set_files import SampleFileError
from jaxflow.prediction.set_sampling import SampleConfig
from jaxflow.runs.errors import UserError
from tests.helpers import flows, quick
from tests.helpers.evaluation import records
from tests.helpers.training import DATASET, TINY, command

SMALL = SampleConfig(num_hypotheses=16, shard_size=7)
WHERE = config.DataConfig(dataset="fake")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    params = flows.some(TINY.flow)
    checkpoint.save_params(folder, params, TINY, step=3)
    return folder


@pytest.fixture(scope="module")
def source(model):
    frames = records(count=30)
    frames = dataclasses.replace(frames, extra={"row": np.arange(30, dtype=np.int32)})
    return set_sampling.SetToSample(methods.load(model), "3", frames)


def make(source, folder, settings=SMALL, devices=1, batch_size=64, numbers=None):
    """Samples what is missing; which shards that were."""
    manifest = sets.describe(source, WHERE, settings)
    shards = set_files.claim(folder, manifest)
    missing = shards.missing(numbers or range(shards.count))
    set_sampling.sample_shards(
        source,
        settings,
        shards,
        missing,
        devices=tuple(jax.devices()[:devices]),
        batch_size=batch_size,
    )
    return missing


def hypotheses(folder):
    return np.stack([one.hypotheses for one in set_files.read(folder)])


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert make(source, folder) == [0, 1, 2, 3, 4]
    return folder


def sampled_at_once(source, **options):
    batch = data.to_batch(source.records)
    key = jax.random.fold_in(jax.random.key(0), 0)  # as the manifest says
    return jaxflow.sample(
        source.model.parameters(),
        batch.pose2d,
        batch.cond,
        key,
        num_hypotheses=16,
        **options,
    )


def test_they_are_what_sample_gives(source, whole):
    """To rounding: another number of frames is another program."""
    at_once = sampled_at_once(source)
    np.testing.assert_allclose(hypotheses(whole), at_once, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "devices, batch_size, shard_size", [(8, 64, 7), (3, 1, 30), (8, 200, 1), (1, 5, 64)]
)
def test_whatever_the_devices_batches_and_shards(
    source, whole, tmp_path, devices, batch_size, shard_size
):
    settings = dataclasses.replace(SMALL, shard_size=shard_size)
    made = make(source, tmp_path, settings, devices, batch_size)
    assert len(made) == -(-30 // shard_size)
    np.testing.assert_array_equal(hypotheses(tmp_path), hypotheses(whole))


def test_frames_know_where_they_come_from(source, whole):
    frames = list(set_files.read(whole))
    for i, one in enumerate(frames):
        assert (one.example, one.row, one.frame) == (i, i, i)
        assert one.action == source.records.action[i]
        assert one.subject == "S9" and one.log_density is None
    first = next(set_files.read_shards(whole))
    assert first["hypotheses"].shape == (7, 16, 17, 3)
    assert first["hypotheses"].dtype == np.float32
    np.testing.assert_array_equal(first["hypotheses"][:, :, 0], 0)  # the hip
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["joints"][0] == "Hip" and "metres" in manifest["units"]


@pytest.mark.parametrize("kind", set_files.FORMATS)
def test_formats_densities_and_half_precision(source, whole, tmp_path, kind):
    settings = dataclasses.replace(
        SMALL, format=kind, log_density=True, dtype="float16"
    )
    make(source, tmp_path, settings)
    names = {path.suffix for path in tmp_path.iterdir()}
    assert names == {f".{kind}", ".json"}
    found = hypotheses(tmp_path)
    assert found.dtype == np.float16
    # With densities it is another program, whose last bits may differ.
    np.testing.assert_array_max_ulp(found, hypotheses(whole).astype(np.float16))
    density = np.stack([one.log_density for one in set_files.read(tmp_path)])
    assert density.shape == (30, 16) and np.unique(density).size > 400


def test_temperature_zero_is_one_pose(source, tmp_path):
    make(source._replace(temperature=0.0), tmp_path, SMALL)
    found = hypotheses(tmp_path)
    np.testing.assert_array_equal(found, np.repeat(found[:, :1], 16, axis=1))


def test_they_are_what_evaluate_measures(model, source, monkeypatch):
    """The same frames and the same key, with the data set's own stride."""
    monkeypatch.setattr(data, "load_records", lambda *_, **__: source.records)
    monkeypatch.setattr(data, "splits", lambda *_: ("test",))
    settings = dataclasses.replace(SMALL, stride=0)
    where = config.DataConfig()
    found = sets.load(str(model), where, settings).records
    test = protocol.EvaluationConfig(mean_pose=False)
    loaded = protocol.load(methods.load(model), str(model), where, test)
    counted = protocol.counted(loaded.records)
    chosen = data.every_nth_per_action(counted, loaded.test.stride)
    assert 0 < len(found) < 30
    np.testing.assert_array_equal(found.frame, chosen.frame)
    np.testing.assert_array_equal(found.extra["row"], chosen.frame)


def test_only_what_is_missing_or_damaged_is_sampled_again(source, whole, tmp_path):
    make(source, tmp_path, numbers=[0, 2, 3])
    with pytest.raises(ValueError, match=r"lacks 2 of 5 shards, first shard-00001"):
        set_files.read(tmp_path)
    damaged = tmp_path / "shard-00002-of-00005.npz"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    litter = tmp_path / ".shard-00001-of-00005.npz.x"
    litter.write_text("of a run that was killed")
    untouched = (tmp_path / "shard-00003-of-00005.npz").stat().st_mtime_ns
    assert make(source, tmp_path) == [1, 2, 4]
    assert untouched == (tmp_path / "shard-00003-of-00005.npz").stat().st_mtime_ns
    assert not litter.exists()
    np.testing.assert_array_equal(hypotheses(tmp_path), hypotheses(whole))


@pytest.mark.parametrize("kind", set_files.FORMATS)
def test_a_damaged_shard_is_named(source, tmp_path, kind):
    settings = dataclasses.replace(SMALL, format=kind, shard_size=30)
    make(source, tmp_path, settings)
    path = tmp_path / f"shard-00000-of-00001.{kind}"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(set_files.SampleFileError, match=path.name):
        next(set_files.read(tmp_path))


def test_other_settings_are_refused_and_named(source, whole, tmp_path):
    other = dataclasses.replace(SMALL, seed=1)
    with pytest.raises(ValueError, match=r"seed: 1 here, 0 there\n  temperature: 0.5"):
        make(source._replace(temperature=0.5), whole, other)
    half = jax.tree.map(lambda leaf: leaf / 2, source.model)
    with pytest.raises(ValueError, match="crc32"):
        make(source._replace(model=half), whole)
    moved = dataclasses.replace(source.records, pose2d=source.records.pose2d + 1)
    with pytest.raises(ValueError, match="data_crc32"):
        make(source._replace(records=moved), whole)
    # A shard from elsewhere does not pass for one of ours.
    make(source, tmp_path, other)
    name = "shard-00001-of-00005.npz"
    (tmp_path / name).write_bytes((whole / name).read_bytes())
    with pytest.raises(ValueError, match=f"{name} belongs to samples of other"):
        list(set_files.read(tmp_path))
    assert make(source, tmp_path, other) == [1]


def test_a_full_disk_leaves_no_half_shard(source, tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        make(source, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_is_not_finite_is_not_written(source, tmp_path):
    broken = jax.tree.map(lambda leaf: leaf * np.float32(1e30), source.model)
    with pytest.raises(FloatingPointError, match="S9/Walking/0/S9 frame 0"):
        make(source._replace(model=broken), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"num_hypotheses": 0}, "num_hypotheses must be at least 1, not 0"),
        ({"temperature": "nan"}, "temperature must be a number of at least 0"),
        ({"format": "csv"}, "format must be npz or array_record, not 'csv'"),
        ({"dtype": "int8"}, "dtype must be float32 or float16, not 'int8'"),
        ({"shard_size": 0}, "shard_size must be at least 1, not 0"),
    ],
)
def test_settings_without_a_meaning(changes, words):
    with pytest.raises(ValueError, match=words):
        SampleConfig(**changes)


def test_folders_without_samples(tmp_path):
    with pytest.raises(ValueError, match="holds no samples"):
        set_files.read(tmp_path)
    settings = '{"settings": {"shard_size": 0, "format": "npz"}, "frames": 3}'
    for text in ("{", "[]", "{}", "3", settings):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(SampleFileError, match="manifest.json is damaged"):
            set_files.read(tmp_path)


def test_a_model_without_densities_stores_none(model, monkeypatch):
    """Before the data set is even looked for."""

    class Undense:
        method = "undense"

    monkeypatch.setattr(methods, "load", lambda folder: Undense())
    wanted = dataclasses.replace(SMALL, log_density=True)
    with pytest.raises(UserError, match="--log_density: .* undense, which does not"):
        sets.load(str(model), WHERE, wanted)


@pytest.fixture(scope="module")
def command_flags(model, tmp_path_factory):
    where = tmp_path_factory.mktemp("data")
    data.load_records(DATASET, "test", where)
    return (
        f"--checkpoint={model}",
        f"--dataset={DATASET}",
        f"--data_dir={where}",
        "--num_hypotheses=200",
        "--shard_size=1",
        "--split=train",
    )


def run(*flags, **variables):
    process = command(*flags, module="jaxflow.sample_set", **variables)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(command_flags, model, tmp_path):
    """Killed on one device; ended on eight; the same as in one go here."""
    process = command(
        *command_flags,
        f"--out={tmp_path}",
        "--batch_size=1",
        module="jaxflow.sample_set",
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("shard-*"))) < 3:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    there = len(list(tmp_path.glob("shard-*")))
    assert 3 <= there < 300
    status, output = run(
        *command_flags, f"--out={tmp_path}", XLA_FLAGS=quick.EIGHT_DEVICES
    )
    assert status == 0, output
    assert f"{there} of 300 shards are there already" in output
    assert "hypotheses/s" in output and "devices: 8" in output
    assert not list(tmp_path.glob(".shard-*"))
    where = config.DataConfig(DATASET, command_flags[2].removeprefix("--data_dir="))
    settings = SampleConfig(split="train")
    once = sets.load(str(model), where, settings)
    batch = data.to_batch(once.records)
    key = jax.random.fold_in(jax.random.key(0), 0)
    expected = jaxflow.sample(once.model.parameters(), batch.pose2d, batch.cond, key)
    np.testing.assert_array_equal(hypotheses(tmp_path), expected)


def test_mistakes_are_one_clear_line(command_flags, tmp_path):
    """A folder below a file: not even the superuser can write there."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    status, output = run(*command_flags, f"--out={out}")
    assert status == 1 and f"--out {out} cannot be written to" in output
    assert "Traceback" not in output


def test_inputs_that_are_not_there(model, tmp_path):
    with pytest.raises(ValueError, match="none does not exist"):
        sets.load(str(tmp_path / "none"), WHERE, SMALL)
    with pytest.raises(ValueError, match="synthetic_lift"):
        sets.load(str(model), WHERE, SMALL)
