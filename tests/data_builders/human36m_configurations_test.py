"""Configurations of human36m_lift: names, subjects, test frames, folders."""

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.human36m_lift import parse
from data_builders.human36m_lift.configurations import Human36mConfig
from jaxflow import data
from jaxflow.commands import build_data
from tests.conftest import shared_path
from tests.helpers import human36m as helpers
from tests.helpers import in_process


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """Merged pickles of four subjects with some ambiguous frames."""
    folder = tmp_path_factory.mktemp("manual")
    rng = np.random.default_rng(0)
    subjects = {"train": ("S1", "S5"), "test": ("S9", "S11")}
    for split, name in parse.MERGED.items():
        actions = ("Eating", "Walking")
        content = helpers.pickled(len(split), subjects[split], actions)
        for actions in content.values():
            for subactions in actions.values():
                for cameras in subactions.values():
                    for one in cameras.values():
                        unsure = rng.random(len(one["gaussfit"])) < 0.2
                        one["gaussfit"][unsure, 3] = rng.choice([-5.5, 5.5])
        helpers.save(folder / name, content)
    return folder


@pytest.fixture(scope="module")
def load(manual, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")

    def load(split, configuration=""):
        return data.load_records(f"human36m_lift{configuration}", split, folder, manual)

    load.folder = folder
    return load


def test_default_has_a_folder_without_configuration(load):
    builder = registry.builder("human36m_lift", load.folder)
    assert builder.data_dir == str(load.folder / "human36m_lift" / "1.0.0")
    assert builder.TEST_STRIDE == 16 == data.protocol_stride("human36m_lift")


def test_every64_is_what_the_protocol_takes(load):
    expected = data.every_nth_per_action(load("test"), 16)
    assert 5 < len(expected) < 20
    helpers.assert_same(load("test", "/every64"), expected)
    helpers.assert_same(load("train", "/every64"), load("train"))
    assert data.protocol_stride("human36m_lift/every64") == 1


def test_ambiguous_is_the_subset_without_stride(load):
    everything = load("test")
    chosen = data.ambiguous(everything)
    assert 0.1 < chosen.mean() < 0.3
    expected = everything.take(np.flatnonzero(chosen))
    helpers.assert_same(load("test", "/ambiguous"), expected)
    assert data.protocol_stride("human36m_lift/ambiguous") == 1


def test_subjects_by_choice(load):
    train, test = load("train"), load("test")
    found = {s: load(s, "/train-S11-S1_test-S5_every64") for s in ("train", "test")}
    expected = helpers.joined(
        [train.take(train.subject == "S1"), test.take(test.subject == "S11")]
    )
    helpers.assert_same(found["train"], expected)  # in order of subjects, not of names
    of_s5 = train.take(train.subject == "S5")
    helpers.assert_same(found["test"], data.every_nth_per_action(of_s5, 16))


def test_absent_subjects(manual, tmp_path):
    with pytest.raises(
        files.DataFileError, match="no data of S3, S22; it has S1, S5, S9, S11"
    ):
        data.load_records(
            "human36m_lift/train-S1_test-S3-S22", "test", tmp_path, manual
        )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name",
    [
        "large",
        "default",
        "train-S1",
        "train-_test-S9",
        "train-S1_test-S9_every6",
        "every64_ambiguous",
        "train-S1_test-../S9",
        "",
    ],
)
def test_unknown_names(name):
    with pytest.raises(ValueError, match="every64 .*ambiguous .*train-S1-S5_test-S9"):
        Human36mConfig.from_name(name)


@pytest.mark.parametrize("name", ["train-S1-S9_test-S9", "train-S1-S1_test-S9"])
def test_a_subject_twice(name):
    with pytest.raises(ValueError, match="each subject once"):
        registry.builder(f"human36m_lift/{name}")


def test_the_same_subject_in_both_pickles(manual, tmp_path):
    for name in parse.MERGED.values():
        content = (manual / parse.MERGED["test"]).read_bytes()
        (tmp_path / name).write_bytes(content)
    with pytest.raises(files.DataFileError, match="S9/Eating/0/54138969 is in .*again"):
        data.load_records(
            "human36m_lift/train-S9_test-S11", "train", tmp_path / "sets", tmp_path
        )


def test_build_command_on_files_as_downloaded(tmp_path, capsys):
    folder = shared_path("data/raw_tree/human36m")
    status, said, errors = in_process.told(
        capsys,
        build_data,
        "human36m_lift/ambiguous",
        f"--manual_dir={folder}",
        f"--data_dir={tmp_path}",
        "--nocard",
    )
    assert not status, errors
    assert "599 recordings of trainset_h36m_without_3d.pickle" in said
    assert "test: left out, without frames: S11/Directions/0/54138969" in said
    assert "surplus frames of 3D poses dropped" in said
    cells = [line.split() for line in said.splitlines()]
    assert ["all", "1500", "37"] in cells
    assert ["ambiguous", "117", "(7.8", "%)", "37", "(100.0", "%)"] in cells


def test_check_command(manual, tmp_path, capsys):
    flags = f"--manual_dir={manual}", "--check", f"--data_dir={tmp_path}"
    status, said, _ = in_process.told(capsys, build_data, "human36m_lift", *flags)
    assert not status and "all 2 raw files" in said
