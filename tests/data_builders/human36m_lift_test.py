"""The authors' merged pickles: layout, order, and what a bad file says."""

import copy

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.human36m_lift import parse
from jaxflow import data
from tests.conftest import shared_path
from tests.helpers import human36m as helpers
from tests.helpers.human36m import CAMERAS, merged_records, recording


def merged(seed=0, subjects=("S9", "S11"), actions=("Eating", "Walking")):
    return helpers.pickled(seed, subjects, actions)


def save(folder, content, name="testset_h36m.pickle"):
    return helpers.save(folder / name, content)


def manual_folder(folder, seed=0):
    folder.mkdir(exist_ok=True)
    save(folder, merged(seed), parse.MERGED["test"])
    train = merged(seed + 1, ("S1", "S5"))
    save(folder, train, parse.MERGED["train"])
    return folder


def test_layout_of_arrays(tmp_path):
    content = merged()
    records = merged_records(save(tmp_path, content))
    row = 0
    for subject in ("S9", "S11"):  # by number, not by text
        for action in ("Eating", "Walking"):
            for subaction in ("0", "1"):
                for camera in CAMERAS:
                    one = content[subject][action][subaction][camera]
                    for frame in range(len(one["imgpath"])):
                        assert records.subject[row] == subject
                        assert records.action[row] == action
                        assert records.subaction[row] == subaction
                        assert records.camera[row] == camera
                        assert records.frame[row] == 4 * (frame + 1)
                        for joint in range(17):
                            np.testing.assert_array_equal(
                                records.pose3d[row, joint],
                                one["3d_gt"][frame, joint::17].astype(np.float32),
                            )
                        for joint in range(16):
                            np.testing.assert_array_equal(
                                records.pose2d[row, joint],
                                one["2d_hrnet"][frame, joint::16],
                            )
                            np.testing.assert_array_equal(
                                records.gaussfit[row, joint],
                                one["gaussfit"][frame, 7 * joint : 7 * joint + 7],
                            )
                        row += 1
    assert row == len(records) > 50
    data.check_records(records, "test")


def test_order_does_not_depend_on_the_pickle(tmp_path):
    content = merged()
    shuffled = {
        subject: {
            action: {
                subaction: dict(reversed(cameras.items()))
                for subaction, cameras in reversed(subactions.items())
            }
            for action, subactions in reversed(actions.items())
        }
        for subject, actions in reversed(content.items())
    }
    first = merged_records(save(tmp_path, content))
    second = merged_records(save(tmp_path, shuffled))
    helpers.assert_same(first, second)


def test_recordings_without_3d_are_only_the_two_known(tmp_path):
    manual = manual_folder(tmp_path / "manual")
    content = merged(actions=("Directions", "Walking"))
    rng = np.random.default_rng(0)
    content["S11"]["Directions"]["0"]["54138969"] = recording(rng, 5, with_3d=False)
    empty = {"imgpath": [], "2d_hrnet": [], "gaussfit": []}
    content["S9"]["Walking"]["1"]["55011271"] = empty
    save(manual, content)
    records = data.load_records("human36m_lift", "test", tmp_path / "sets", manual)
    gap = (records.subject == "S11") & (records.action == "Directions")
    gap &= (records.subaction == "0") & (records.camera == "54138969")
    assert len(records) and not gap.any()
    builder = registry.builder("human36m_lift", tmp_path / "sets")
    (note,) = (n for n in builder.info.metadata["notes"] if n.startswith("test: left"))
    assert "S11/Directions/0/54138969" in note and "S9/Walking/1/55011271" in note
    content["S9"]["Directions"]["0"]["54138969"] = recording(rng, 1, with_3d=False)
    save(manual, content)
    with pytest.raises(
        files.DataFileError,
        match=r"testset_h36m\.pickle: S9/Directions/0/54138969: no 3d_gt; .*without 3D",
    ):
        data.load_records("human36m_lift", "test", tmp_path / "other", manual)


def test_frame_numbers_without_pictures(tmp_path):
    content = merged()
    for subactions in content["S9"].values():
        for cameras in subactions.values():
            for one in cameras.values():
                del one["imgpath"]
    records = merged_records(save(tmp_path, content))
    assert set(records.frame[records.subject == "S9"]) == {4, 8, 12, 16, 20, 24}


def change(one, key, value):
    one[key] = value


@pytest.mark.parametrize(
    "damage, message",
    [
        (
            lambda r: r["3d_gt"].__setitem__((2, 7), np.nan),
            "3d_gt is not finite.*frame 12",
        ),
        (
            lambda r: r["gaussfit"].__setitem__((0, 3), np.inf),
            "gaussfit is not.*frame 4",
        ),
        (
            lambda r: change(r, "3d_gt", r["3d_gt"] * 1e300),
            "3d_gt is not finite in 5 of 5",
        ),
        (
            lambda r: change(r, "2d_hrnet", r["2d_hrnet"][:3]),
            "numbers of frames differ",
        ),
        (lambda r: change(r, "imgpath", r["imgpath"][:3]), "numbers of frames differ"),
        (
            lambda r: change(r, "3d_gt", r["3d_gt"][:, :48]),
            r"\(frames, 51\); got \(5, 48\)",
        ),
        (
            lambda r: change(r, "gaussfit", np.ones(112)),
            r"\(frames, 112\); got \(112,\)",
        ),
        (lambda r: change(r, "gaussfit", np.ones((5, 112), int)), "got int64"),
        (lambda r: change(r, "2d_hrnet", "text"), "expected 2d_hrnet of shape"),
        (
            lambda r: change(r, "imgpath", ["a.jpg"] * 5),
            "frame 0 has the picture 'a.jpg'",
        ),
        (lambda r: change(r, "imgpath", 5), "imgpath is no list"),
        (lambda r: r.pop("gaussfit"), "no gaussfit"),
        (
            lambda r: change(r, "3d_gt", [[1.0] * 51, [1.0] * 50]),
            "3d_gt is no array: .*inhomogeneous",
        ),
    ],
)
def test_damage_is_named_with_file_and_recording(tmp_path, damage, message):
    content = merged()
    one = recording(np.random.default_rng(5), 5)
    damage(one)
    content["S11"]["Walking"]["1"]["58860488"] = one
    path = save(tmp_path, content)
    with pytest.raises(files.DataFileError, match=message) as caught:
        merged_records(path)
    assert str(path) in str(caught.value)
    assert "S11/Walking/1/58860488" in str(caught.value)


@pytest.mark.parametrize(
    "content, message",
    [
        (
            [1, 2],
            "the top level: expected a dict with a key for each subject; got list",
        ),
        ({"S9": 3}, "S9: expected a dict with a key for each action"),
        ({"S9": {"Eating": {"0": {"1": []}}}}, "S9/Eating/0/1: expected a dict"),
    ],
)
def test_other_layouts(tmp_path, content, message):
    with pytest.raises(files.DataFileError, match=message):
        parse.entries(save(tmp_path, content))


@pytest.mark.parametrize("content", [{}, {"S9": {"Eating": {}}}])
def test_no_frames(tmp_path, content):
    manual = manual_folder(tmp_path / "manual")
    save(manual, content)
    with pytest.raises(files.DataFileError, match="holds no frames for split 'test'"):
        data.load_records("human36m_lift", "test", tmp_path / "sets", manual)


def test_build_keeps_values_and_order(tmp_path):
    manual = manual_folder(tmp_path / "manual")
    for split, name in parse.MERGED.items():
        built = data.load_records("human36m_lift", split, tmp_path / "sets", manual)
        raw = merged_records(manual / name)
        helpers.assert_same(built, raw)
    again = data.load_records("human36m_lift", "test", tmp_path / "sets")
    np.testing.assert_array_equal(again.frame, built.frame)  # needs no raw files now


def test_other_raw_files_are_refused(tmp_path):
    sets = tmp_path / "sets"
    manual = manual_folder(tmp_path / "manual")
    data.load_records("human36m_lift", "test", sets, manual)
    copied = manual_folder(tmp_path / "copied")
    data.load_records("human36m_lift", "test", sets, copied)  # the same content
    other = manual_folder(tmp_path / "other", seed=7)
    with pytest.raises(
        files.DataFileError, match="built from other raw files"
    ) as caught:
        data.load_records("human36m_lift", "test", sets, other)
    for name in parse.MERGED.values():
        assert name in str(caught.value)
    (copied / parse.MERGED["train"]).unlink()
    with pytest.raises(files.DataFileError, match="lacks trainset_h36m.pickle"):
        data.load_records("human36m_lift", "test", sets, copied)


def test_missing_raw_files(tmp_path):
    with pytest.raises(files.DataFileError, match="manual_dir"):
        data.load_records("human36m_lift", "train", tmp_path / "sets")
    with pytest.raises(files.DataFileError, match="is not a folder"):
        data.load_records("human36m_lift", "train", tmp_path / "sets", tmp_path / "no")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(files.DataFileError) as caught:
        data.load_records("human36m_lift", "train", tmp_path / "sets", empty)
    for name in parse.MERGED.values():  # all of them at once
        assert name in str(caught.value)


def test_a_bad_file_leaves_no_half_built_set(tmp_path):
    manual = manual_folder(tmp_path / "manual")
    content = merged()
    content["S9"]["Eating"]["0"]["54138969"] = recording(np.random.default_rng(0), 3)
    good = copy.deepcopy(content)
    content["S9"]["Eating"]["0"]["54138969"]["3d_gt"][0] = np.nan
    save(manual, content)
    with pytest.raises(files.DataFileError, match="S9/Eating/0/54138969"):
        data.load_records("human36m_lift", "train", tmp_path / "sets", manual)
    left = [path for path in (tmp_path / "sets").rglob("*") if path.is_file()]
    assert not left
    save(manual, good)  # repaired, it builds
    assert len(data.load_records("human36m_lift", "test", tmp_path / "sets", manual))


@pytest.mark.parametrize(
    "split, frames, share", [("train", 59301, 0.0728), ("test", 4961, 0.0637)]
)
def test_benchmark_files(split, frames, share):
    records = merged_records(shared_path("data/benchmark") / parse.MERGED[split])
    data.check_records(records, split)
    assert len(records) == frames
    assert data.ambiguous(records).mean() == pytest.approx(share, abs=1e-4)
    assert 1000 < records.pose3d[:, 0, 2].min()  # mm in front of the camera
    left_hip, right_hip = records.pose3d[:, 4], records.pose3d[:, 1]
    middle = (left_hip + right_hip) / 2
    np.testing.assert_allclose(middle, records.pose3d[:, 0], atol=30)
