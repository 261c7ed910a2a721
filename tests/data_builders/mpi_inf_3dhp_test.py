"""MPI-INF-3DHP's files: joint order, what is kept of a frame, what a bad file says."""

import os
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from data_builders import registry
from data_builders.files import DataFileError
from data_builders.mpi_inf_3dhp_lift import parse, raw
from jaxflow import data
from jaxflow.skeleton import H36M_JOINTS, MPII_TO_H36M

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
from tests.helpers import mpi_inf_3dhp as made  # noqa: E402

NAME = "mpi_inf_3dhp_lift"
TREE = "data/raw_tree/mpi_inf_3dhp_test_set"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The raw content, its folder, and the folder of prepared sets."""
    root = tmp_path_factory.mktemp("3dhp")
    content = made.content()
    folder = made.write(root / "raw" / "mpi_inf_3dhp_test_set", content)
    return content, folder, root / "sets"


@pytest.fixture(scope="module")
def records(built):
    _, folder, sets = built
    return data.load_records(NAME, "test", sets, folder)


def test_joint_order():
    published = [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
    assert list(parse.TO_H36M) == published
    for name, source in zip(H36M_JOINTS, parse.TO_H36M, strict=True):
        side = parse.JOINTS[source].partition("_")[0]
        assert {"R": "right", "L": "left"}.get(name[0], side) == side


def test_every_number_arrives(built, records):
    content, _, _ = built
    row = 0
    for name, (annotated, detected) in content.items():
        for frame in range(made.FRAMES[name]):
            assert records.subject[row] == name
            assert records.frame[row] == frame + 1
            number = int(annotated["activity_annotation"][frame, 0])
            assert records.action[row] == parse.ACTIVITIES[number - 1]
            assert records.extra["setting"][row] == parse.SETTINGS[name]
            assert records.extra["valid"][row] == annotated["valid_frame"][frame, 0]
            for joint, source in enumerate(parse.TO_H36M):
                for got, key in (
                    (records.pose3d, "annot3"),
                    (records.extra["pose3d_universal"], "univ_annot3"),
                ):
                    want = annotated[key][frame, 0, source].astype(np.float32)
                    np.testing.assert_array_equal(got[row, joint], want)
            np.testing.assert_array_equal(
                records.pose2d[row], detected["pose2d"][frame]
            )
            np.testing.assert_array_equal(
                records.gaussfit[row], detected["gaussfit"][frame]
            )
            row += 1
    assert row == len(records) == sum(made.FRAMES.values())
    assert records.extra["valid"].dtype == bool
    assert set(records.subaction) == set(records.camera) == {"0"}


def test_only_a_test_split(built, records):
    _, folder, sets = built
    assert data.splits(NAME, sets) == ("test",)
    assert data.protocol_stride(NAME) == 1
    notes = registry.builder(NAME, sets).info.metadata["notes"]
    assert "TS1 (Studio GS): 5 frames, 3 valid" in notes
    assert any("detections.npz" in note for note in notes)
    # The folder around the archive is the same set.
    again = data.load_records(NAME, "test", sets, folder.parent)
    np.testing.assert_array_equal(again.frame, records.frame)


def test_description_and_citation(built, records):
    info = registry.builder(NAME, built[2]).info
    assert "## Features" in info.description and "ground_truth_2d" in info.description
    assert "wehrbein2021" in info.citation and "mehta2017" in info.citation


def test_annotated_joints_as_a_perfect_detector(built):
    content, folder, sets = built
    records = data.load_records(f"{NAME}/ground_truth_2d", "test", sets, folder)
    pixels = np.concatenate([one["annot2"][:, 0] for one, _ in content.values()])
    joints = pixels[:, list(parse.TO_H36M)][:, list(MPII_TO_H36M)]
    scale = np.ptp(records.pose2d, axis=1) / np.ptp(joints, axis=1)
    np.testing.assert_allclose(scale[:, 0], scale[:, 1], rtol=1e-4)  # no distortion
    np.testing.assert_allclose(
        records.pose2d - records.pose2d[:, :1],
        scale[:, None] * (joints - joints[:, :1]),
        atol=1e-2,
    )
    np.testing.assert_allclose(4 * records.gaussfit[..., 1:3], records.pose2d)
    certain = np.broadcast_to([1, 2, 0, 2, 0], (*records.pose2d.shape[:2], 5))
    np.testing.assert_array_equal(records.gaussfit[..., [0, 3, 4, 5, 6]], certain)
    box = np.ptp(records.pose2d, axis=1).max(axis=1)
    np.testing.assert_allclose(box, 256 / 1.25, rtol=1e-5)
    middle = (records.pose2d.max(axis=1) + records.pose2d.min(axis=1)) / 2
    np.testing.assert_allclose(middle, 128, atol=1e-3)
    assert not data.ambiguous(records).any()
    with pytest.raises(ValueError, match="one of detections, ground_truth_2d"):
        registry.builder(f"{NAME}/other")


def test_ground_truth_needs_no_detections(tmp_path):
    folder = made.write(tmp_path / "raw", made.content())
    for name in made.FRAMES:
        (folder / name / parse.DETECTIONS).unlink()
    builder = registry.builder(f"{NAME}/ground_truth_2d", tmp_path)
    assert len(builder.raw_files(folder)) == 6
    with pytest.raises(DataFileError, match="lacks TS1/detections.npz, .*does without"):
        registry.builder(NAME, tmp_path).raw_files(folder)


def test_frames_that_are_not_valid_may_hold_anything(tmp_path):
    content = made.content()
    annotated, detected = content["TS3"]  # its second frame is invalid
    annotated["activity_annotation"][1] = 0
    folder = made.write(tmp_path, content)
    kept = parse.read_sequence(folder, "TS3", detected=True)
    assert kept.dropped == 0 and kept.records.action[1] == "Unknown"
    detected["pose2d"][1] = np.nan
    made.write(tmp_path, content)
    left = parse.read_sequence(folder, "TS3", detected=True)
    assert left.dropped == 1 and list(left.records.frame) == [1, 3, 4]
    assert left.describe() == (
        "TS3 (Studio no GS): 4 frames, 3 valid, 1 left out (not valid and not finite)"
    )
    assert len(parse.read_sequence(folder, "TS3", detected=False).records) == 4


def annotation(name, value, at=()):
    def damage(annotated, _):
        if at:
            annotated[name][at] = value
        else:
            annotated[name] = value

    return damage


def detection(name, change):
    def damage(_, detected):
        detected[name] = change(detected[name])

    return damage


@pytest.mark.parametrize(
    "damage, detected, message",
    [
        (
            annotation("annot3", np.nan, (2, 0, 5, 1)),
            True,
            r"annot_data\.mat: annot3 is not finite in 1 of 2 valid frames, .* frame 3",
        ),
        (
            annotation("univ_annot3", 1e300, (0, 0, 5, 1)),
            True,
            "univ_annot3 is not finite.*frame 1",
        ),
        (
            annotation("annot2", np.inf, (0, 0, 0, 0)),
            False,
            "annot2 is not finite in 1.*frame 1",
        ),
        (annotation("annot2", 7.0, (0,)), False, "2D joints coincide .*frame 1"),
        (
            annotation("annot3", np.ones((3, 1, 16, 3))),
            True,
            r"annot3 of shape \(frames, 1, 17, 3\); got \(3, 1, 16, 3\)",
        ),
        (
            annotation("annot3", np.ones((4, 1, 17, 3))),
            True,
            "numbers of frames differ: .*'annot3': 4",
        ),
        (annotation("annot3", np.ones((0, 1, 17, 3))), True, "got .0, 1, 17, 3"),
        (annotation("annot3", 5.0), True, r"got \(\)"),
        (annotation("annot3", np.full((3, 1, 17, 3), b"x")), True, "to be numbers"),
        (
            annotation("valid_frame", 2.0, (1, 0)),
            True,
            "valid_frame to be 0 or 1; got 2.0 in frame 2",
        ),
        (annotation("valid_frame", np.nan, (0, 0)), True, "0 or 1; got nan in frame 1"),
        (annotation("valid_frame", np.zeros((3, 1))), True, "no frame as valid"),
        (annotation("activity_annotation", np.full((3, 1), b"x")), True, "be numbers"),
        (
            lambda a, _: a.pop("univ_annot3"),
            True,
            "has no univ_annot3; it has .*annot2",
        ),
        (
            detection("pose2d", lambda a: a[:, :15]),
            True,
            r"detections\.npz: expected pose2d of shape \(frames, 16, 2\); got \(3, 15",
        ),
        (detection("gaussfit", lambda a: a[:2]), True, "numbers of frames differ"),
        (
            detection("gaussfit", lambda a: a * np.nan),
            True,
            "gaussfit is not finite in 2 of 2 valid",
        ),
        (detection("pose2d", lambda a: 0 * a), True, "2D joints coincide in 2 valid"),
        (detection("pose2d", lambda a: a.astype(str)), True, "pose2d to be numbers"),
        (
            lambda _, d: d.update({k: v[:2] for k, v in d.items()}),
            True,
            r"expected 3 frames, as in .*TS2/annot_data\.mat; got 2",
        ),
        (lambda _, d: d.pop("pose2d"), True, "has no pose2d; it has gaussfit"),
    ],
)
def test_damage_is_named_with_its_file(tmp_path, damage, detected, message):
    content = made.content()
    damage(*content["TS2"])
    made.write(tmp_path, {"TS2": content["TS2"]})
    with pytest.raises(DataFileError, match=message) as caught:
        parse.read_sequence(tmp_path, "TS2", detected=detected)
    assert str(tmp_path / "TS2") in str(caught.value)


@pytest.mark.parametrize("name", [parse.ANNOTATIONS, parse.DETECTIONS])
@pytest.mark.parametrize("keep", [0.0, 0.05, 0.6, 0.98])
def test_truncated_files(tmp_path, name, keep):
    made.write(tmp_path, {"TS2": made.content()["TS2"]})
    path = tmp_path / "TS2" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataFileError, match="may be truncated") as caught:
        parse.read_sequence(tmp_path, "TS2", detected=True)
    assert str(path) in str(caught.value)


def test_arrays_of_another_shape_are_not_unpacked(tmp_path):
    """A small archive can hold more than memory does."""
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, pose2d=np.zeros((50_000, 16, 3)))  # 19 MB
    tracemalloc.start()
    with pytest.raises(DataFileError, match="expected pose2d of shape"):
        raw.read_npz(path, {"pose2d": (16, 2)})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("whole_file", [True, False])
def test_pickles_are_refused_and_do_not_run(tmp_path, whole_file):
    made.write(tmp_path, {"TS2": made.content()["TS2"]})
    path = tmp_path / "TS2" / parse.DETECTIONS
    evil = np.array([Malicious(tmp_path / "ran")], dtype=object)
    if whole_file:
        path.write_bytes(pickle.dumps(evil[0]))
    else:
        np.savez(path, pose2d=evil, gaussfit=evil)
    with pytest.raises(DataFileError, match="cannot be read as NPZ"):
        parse.read_sequence(tmp_path, "TS2", detected=True)
    assert not (tmp_path / "ran").exists()


def test_links_to_other_files_are_not_followed(tmp_path):
    secret = tmp_path / "secret.h5"
    made.write_mat(secret, {"a": np.ones((3, 2))})
    path = tmp_path / "links.mat"
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink(str(secret), "a")
        file.create_group("group")
        layout = h5py.VirtualLayout((3, 2), float)
        layout[:] = h5py.VirtualSource(str(secret), "a", (3, 2))
        file.create_virtual_dataset("virtual", layout)
    for name, message in (
        ("link", "is a link"),
        ("group", "is a group"),
        ("virtual", "in other files"),
    ):
        with pytest.raises(DataFileError, match=f"{name} .*{message}|{message}"):
            raw.read_mat(path, {name: (2,)})


def test_missing_files_are_listed_at_once(tmp_path):
    folder = made.write(tmp_path / "raw", made.content())
    (folder / "TS2" / parse.ANNOTATIONS).unlink()
    for name in (parse.ANNOTATIONS, parse.DETECTIONS):
        (folder / "TS5" / name).unlink()
    with pytest.raises(DataFileError) as caught:
        data.load_records(NAME, "test", tmp_path / "sets", folder)
    assert str(caught.value) == (
        f"{folder} lacks TS2/annot_data.mat, TS5/annot_data.mat, TS5/detections.npz"
    )
    (tmp_path / "other").mkdir()
    with pytest.raises(DataFileError, match="other is not the MPI-INF-3DHP test set"):
        data.load_records(NAME, "test", tmp_path / "sets", tmp_path / "other")
    with pytest.raises(DataFileError, match="none is not a folder"):
        data.load_records(NAME, "test", tmp_path / "sets", tmp_path / "none")
    with pytest.raises(DataFileError, match="README.md"):
        data.load_records(NAME, "test", tmp_path / "sets")


def test_a_bad_file_leaves_nothing_half_built(tmp_path):
    content = made.content()
    content["TS6"][0]["annot3"][0] = np.nan
    folder = made.write(tmp_path / "raw", content)
    command = [
        sys.executable,
        "-m",
        "data_builders.build",
        NAME,
        f"--manual_dir={folder}",
        f"--data_dir={tmp_path / 'sets'}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert f"{folder}/TS6/annot_data.mat: annot3 is not finite" in last
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "sets").rglob("*array_record*"))
    assert not list((tmp_path / "sets").rglob("1.0.0*"))
