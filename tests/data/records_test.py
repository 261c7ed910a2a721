"""Loading and choosing frames; bad sets; no TensorFlow."""

import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from absl import logging

from data_builders import features, files, registry
from data_builders.synthetic_lift import generation
from jaxflow import data
from jaxflow.data import records as records_module
from jaxflow.data import source
from jaxflow.types import PoseRecords

SMALL = "synthetic_lift/seed4-train230-test120"
OTHER = "synthetic_lift/seed5-train12-test8"


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return tmp_path_factory.mktemp("sets")


def replaced(records, **changes):
    return PoseRecords(**(vars(records) | changes))


@pytest.fixture(scope="module")
def records(sets):
    return data.load_records(SMALL, "train", sets)


def test_loaded_is_what_was_generated(records, sets):
    expected = generation.generate("train", 230, seed=4)
    assert records.columns().keys() == expected.columns().keys()
    for name, loaded in records.columns().items():
        np.testing.assert_array_equal(loaded, expected.columns()[name])
        assert loaded.dtype.kind == expected.columns()[name].dtype.kind
    assert {records.pose3d.dtype, records.gaussfit.dtype} == {np.dtype(np.float32)}
    assert records.frame.dtype == np.int32
    assert records.extra["pose2d_true"].dtype == np.float32


def test_slices_and_splits(records, sets):
    part = data.load_records(SMALL, "train[10:30]", sets)
    np.testing.assert_array_equal(part.pose2d, records.pose2d[10:30])
    assert len(data.load_records(SMALL, "test", sets)) == 120


def test_several_sets_follow_each_other(records, sets):
    both = f"{SMALL}, {OTHER}"
    other = data.load_records(OTHER, "train", sets)
    rows = np.asarray([3, 229, 230, 241])
    for joined, taken in [
        (data.load_records(both, "train", sets), slice(None)),
        (source.Source(both, "train", sets).records(rows), rows),
    ]:
        for name, column in joined.columns().items():
            parts = records.columns()[name], other.columns()[name]
            np.testing.assert_array_equal(column, np.concatenate(parts)[taken])
    assert data.splits(both, sets) == ("train", "test")
    assert data.protocol_stride(both) == data.protocol_stride(SMALL)
    assert data.protocol_stride(f"{SMALL},mpi_inf_3dhp_lift") == 1


def test_several_sets_have_what_all_of_them_know(records):
    plain = replaced(records, extra={})
    assert not records_module._joined([records, plain], "both").extra
    known = [features.lift_features(**more) for more in ({}, {"valid": np.bool_})]
    builders = [SimpleNamespace(info=SimpleNamespace(features=one)) for one in known]
    assert set(records_module.features_of(builders[::-1])) == set(known[0])


def test_of_several_sets_those_frames_count_that_their_own_set_does_not_refuse(records):
    valid = np.arange(len(records)) % 3 > 0
    marked = replaced(records, extra={**records.extra, "valid": valid})
    for parts in ([marked, records], [records, marked]):
        joined = records_module._joined(parts, "both")
        counted = [valid if part is marked else np.ones_like(valid) for part in parts]
        np.testing.assert_array_equal(joined.extra["valid"], np.concatenate(counted))


@pytest.mark.parametrize(
    "named",
    [
        f"{SMALL},",
        "",
        f"{SMALL},{SMALL}",
        "synthetic_lift,synthetic_lift/seed0-train20000-test2000",
    ],
)
def test_several_sets_are_each_named_once(named, sets):
    with pytest.raises(ValueError, match="with commas between, each once"):
        data.load_records(named, "train", sets)


def test_nothing_is_built_where_one_of_several_is_unknown(tmp_path):
    with pytest.raises(ValueError, match="expected a data set of .*got 'nonsense'"):
        data.load_records(f"{SMALL},nonsense", "train", tmp_path)
    assert not list(tmp_path.iterdir())


def test_raw_files_are_of_those_of_several_that_are_not_built(records, sets, tmp_path):
    """The set that is there is not asked whether it was built from them."""
    with pytest.raises(ValueError, match="expected either trainset_h36m.pickle"):
        data.load_records(f"{SMALL},human36m_lift", "train", sets, tmp_path)


def test_a_prepared_set_is_reused(records, sets, monkeypatch):
    def never(*arguments):
        raise AssertionError("generated again")

    monkeypatch.setattr(generation, "generate", never)
    again = data.load_records(SMALL, "train", sets)
    np.testing.assert_array_equal(again.pose3d, records.pose3d)


def test_empty_and_unknown_splits(records, sets):
    with pytest.raises(ValueError, match="split 'train.:0.' of .* is empty"):
        data.load_records(SMALL, "train[:0]", sets)
    with pytest.raises(
        ValueError, match="expected a split of .*train.*got 'validation'"
    ):
        data.load_records(SMALL, "validation", sets)


def test_unknown_names(sets):
    with pytest.raises(ValueError, match="synthetic_lift; got 'imagenet'"):
        data.load_records("imagenet", "train", sets)
    with pytest.raises(ValueError, match="configuration such as"):
        data.load_records("synthetic_lift/huge", "train", sets)


def test_default_folder(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/some/where")
    assert str(registry.default_data_dir()) == "/some/where"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert registry.default_data_dir().name == "tensorflow_datasets"


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_damaged_prepared_files(tmp_path, damage):
    name = "synthetic_lift/seed0-train60-test20"
    data.load_records(name, "train", tmp_path)
    (shard,) = tmp_path.rglob("*train*array_record*")
    if damage == "missing":
        shard.unlink()
    else:
        content = shard.read_bytes()
        shard.write_bytes(
            content[: len(content) // 2] if damage == "truncated" else b""
        )
    with pytest.raises(files.DataFileError, match="cannot be read") as caught:
        data.load_records(name, "train", tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b'{"name": "synth', b"\xff"])
def test_a_set_whose_description_is_gone_or_damaged(tmp_path, content):
    name = "synthetic_lift/seed0-train9-test3"
    folder = registry.prepare(name, tmp_path).data_path
    (folder / "dataset_info.json").unlink()
    if content is not None:
        (folder / "dataset_info.json").write_bytes(content)
    with pytest.raises(files.DataFileError, match="cannot be read.*remove the folder"):
        data.load_records(name, "train", tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"data_dir {tmp_path}/file cannot be written to"):
        registry.prepare("synthetic_lift/seed0-train9-test3", tmp_path / "file")


def test_a_full_disk(tmp_path):
    """The writer's errors are no OSError; a limit of the process stands for a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="cannot be written: File too large"):
            registry.prepare("synthetic_lift/seed0-train99-test3", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_tfds_says_nothing_of_its_own(tmp_path, caplog):
    """Of configurations and half-made folders, about which no user can do anything."""
    name = "synthetic_lift/seed0-train63-test20"
    folder = registry.builder(name, tmp_path).data_path
    folder.mkdir(parents=True)  # as one that another process is about to fill
    with caplog.at_level("INFO", logger="absl"):
        logging.get_absl_logger().addHandler(caplog.handler)
        try:
            assert not registry.builder(name, tmp_path).is_prepared()
            heard = len(caplog.records)
            folder.rmdir()
            data.load_records(name, "train", tmp_path)
            assert heard > 0 and len(caplog.records) == heard
        finally:
            logging.get_absl_logger().removeHandler(caplog.handler)


def test_an_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    whole = features.examples

    def interrupted(parts, split, total):
        for row, example in whole(parts, split, total):
            if row == 5:
                raise KeyboardInterrupt
            yield row, example

    name = "synthetic_lift/seed0-train61-test20"
    monkeypatch.setattr(features, "examples", interrupted)
    with pytest.raises(KeyboardInterrupt):
        registry.prepare(name, tmp_path)
    assert not registry.builder(name, tmp_path).is_prepared()
    monkeypatch.undo()
    assert len(data.load_records(name, "train", tmp_path)) == 61


def test_another_process_may_build_the_same_set(tmp_path, monkeypatch):
    """The loser of the race finds the folder in place and uses it."""
    whole = features.examples
    name = "synthetic_lift/seed0-train62-test20"

    def overtaken(parts, split, total):
        yield from whole(parts, split, total)
        monkeypatch.setattr(features, "examples", whole)
        if not registry.builder(name, tmp_path).is_prepared():
            registry.prepare(name, tmp_path)

    monkeypatch.setattr(features, "examples", overtaken)
    assert len(data.load_records(name, "train", tmp_path)) == 62
    assert len(list(tmp_path.rglob("*train*array_record*"))) == 1


def frames_of(actions, subjects):
    """Records whose frame number is their position, of the given names."""
    count = len(actions)
    text = np.full(count, "0")
    return PoseRecords(
        pose3d=np.zeros((count, 17, 3), np.float32),
        pose2d=np.zeros((count, 16, 2), np.float32),
        gaussfit=np.zeros((count, 16, 7), np.float32),
        subject=np.asarray(subjects),
        action=np.asarray(actions),
        subaction=text,
        camera=text,
        frame=np.arange(count, dtype=np.int32),
    )


def test_every_nth_joins_an_actions_recordings_first():
    # Two subjects: the stride goes on from S9's recordings into S11's.
    actions = ["A"] * 5 + ["B"] * 3 + ["A"] * 5 + ["B"] * 4
    some = frames_of(actions, ["S9"] * 8 + ["S11"] * 9)
    chosen = data.every_nth_per_action(some, 4)
    # A is 0-4 and 8-12: its 0th, 4th, 8th. B is 5-7 and 13-16: its 0th and 4th.
    np.testing.assert_array_equal(chosen.frame, [0, 4, 5, 11, 14])
    everything = data.every_nth_per_action(some, 1)
    np.testing.assert_array_equal(everything.frame, some.frame)
    with pytest.raises(ValueError, match="at least 1"):
        data.every_nth_per_action(some, 0)
    assert len(data.every_nth_per_action(some.take(slice(0)), 4)) == 0


def test_ambiguous_is_any_sigma_above_five_whatever_its_sign():
    some = frames_of(["A"] * 5, ["S9"] * 5)
    some.gaussfit[..., [3, 5]] = 2.0
    some.gaussfit[0, 4, 3] = 5.0
    some.gaussfit[1, 4, 3] = 5.01
    some.gaussfit[2, 15, 5] = -30.0
    some.gaussfit[3, 0, 4] = 99.0  # an angle is no sigma
    np.testing.assert_array_equal(
        data.ambiguous(some), [False, True, True, False, False]
    )


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_no_tensorflow_is_needed(tmp_path):
    """Building, reading and preprocessing import none of it."""
    done = command(
        "-c",
        "import sys\n"
        "from jaxflow import data\n"
        "name = 'synthetic_lift/seed0-train70-test30'\n"
        f"records = data.load_records(name, 'train', {str(tmp_path)!r})\n"
        "print(data.to_batch(records).cond.shape)\n"
        "assert 'tensorflow' not in sys.modules\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("(70, 78)")


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_set_describes_itself(name, tmp_path):
    info = registry.builder(name, tmp_path).info
    assert "## Features" in info.description and "wehrbein2021" in info.citation
    for field in info.features:
        assert f"| {field} |" in info.description
        assert field in info.features
