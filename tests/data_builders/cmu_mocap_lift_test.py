"""The data set of CMU takes: which frames, where they stand, what is left out."""

import shutil

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.cmu_mocap_lift import generation, recordings, source
from data_builders.simulation import cameras, studio
from jaxflow import data
from jaxflow.skeleton import H36M_BONES, HIP
from tests.helpers import cmu as cmu

SET = "cmu_mocap_lift"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return cmu.write_database(tmp_path_factory.mktemp("cmu"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, database):
    folder = tmp_path_factory.mktemp("sets")
    builder = registry.prepare(SET, folder, database)
    return builder, {
        name: data.load_records(SET, name, folder) for name in data.splits(SET, folder)
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Sixty short takes, of which a test may spoil some."""
    folder = tmp_path_factory.mktemp("many")
    text = cmu.amc_text(cmu.motion_rows(np.random.default_rng(0), 3))
    for subject in ("07", "08"):
        cmu.write_subject(folder, subject, {f"{n:02d}": text for n in range(1, 31)})
    return folder


def read(folder):
    with source.opened(folder) as found:
        return recordings.read(found), found


def test_splits_are_by_subject(built):
    _, splits = built
    assert set(splits["train"].subject) == {"01", "31"}
    assert set(splits["test"].subject) == {"08"}
    assert [n for n in range(1, 50) if generation.split_of(f"{n:02d}") == "test"] == [
        8,
        16,
        24,
        32,
        40,
        48,
    ]


def test_every_tenth_frame_once_and_in_order(built):
    _, splits = built
    for records in splits.values():
        assert set(records.frame % 10) == {1}
        keys = list(
            zip(
                records.subject,
                records.subaction,
                records.camera,
                records.frame,
                strict=True,
            )
        )
        order = {name: n for n, name in enumerate(cameras.CAMERA_NAMES)}
        ranks = [(int(s), int(t), order[c], f) for s, t, c, f in keys]
        assert ranks == sorted(ranks)
        poses = [(s, t, f) for s, t, _, f in keys]
        assert len(set(poses)) == len(poses)  # seen by one camera each
        assert set(records.camera) == set(cameras.CAMERA_NAMES)
        assert set(records.action) == {generation.ACTION}


def test_poses_are_those_of_the_files(built, database):
    """Turned and moved as a whole: distances between joints stay."""
    _, splits = built
    reading, _ = read(database)
    for one in reading.recordings:
        records = splits[generation.split_of(one.subject)]
        rows = (records.subject == one.subject) & (records.subaction == one.number)
        own = records.take(np.flatnonzero(rows))
        own = own.take(np.argsort(own.frame))
        np.testing.assert_array_equal(own.frame, one.frame)
        for pose in (own.pose3d, one.joints):
            assert pose.shape == (len(one.frame), 17, 3)
        between = [
            np.linalg.norm(pose[:, :, None] - pose[:, None], axis=-1)
            for pose in (own.pose3d.astype(float), one.joints.astype(float))
        ]
        np.testing.assert_allclose(*between, atol=0.01)
        # Not mirrored: the hips and the spine span the same signed volume.
        volumes = [
            np.linalg.det(pose[:, [1, 7, 11]].astype(float) - pose[:, :1])
            for pose in (own.pose3d, one.joints)
        ]
        np.testing.assert_allclose(*volumes, rtol=1e-3, atol=1e3)


def test_frames_are_ambiguous_as_in_the_simulation(built, many):
    _, splits = built
    for records in splits.values():
        count = (records.gaussfit[..., [3, 5]] > 5).any(axis=(1, 2)).sum()
        assert count == round(0.07 * len(records))
    rng = np.random.default_rng(0)
    one = recordings.Recording(
        "1", "1", np.arange(5), rng.normal(size=(5, 17, 3)) * 200
    )
    scattered = [one._replace(subject=str(n)) for n in range(1, 41)]
    parts = list(generation.generate(scattered, seed=0))
    lost = sum((p.gaussfit[..., [3, 5]] > 5).any(axis=(1, 2)).sum() for p in parts)
    assert len(parts) == 40 and lost == 14  # 0.35 a subject, 7 % of all


def test_detections_lie_in_the_crop(built):
    _, splits = built
    for records in splits.values():
        truth = records.extra["pose2d_true"]
        assert np.abs(records.pose2d - truth).max() < 150
        assert 0 < truth.min() and truth.max() < 256
        assert records.pose3d[..., 2].min() > 1000


def test_same_seed_same_data_other_seed_other(built, database, tmp_path):
    _, splits = built
    registry.prepare(SET, tmp_path, database)
    again = data.load_records(SET, "test", tmp_path)
    for name, column in again.columns().items():
        np.testing.assert_array_equal(column, splits["test"].columns()[name])
    registry.prepare(f"{SET}/seed1", tmp_path, database)
    other = data.load_records(f"{SET}/seed1", "test", tmp_path)
    assert len(other) == len(again)
    assert np.abs(other.pose3d - again.pose3d).max() > 100


def test_a_take_does_not_depend_on_other_subjects(built, tmp_path):
    """Poses and views; the detector's errors are drawn for a split as a whole."""
    _, splits = built
    cmu.write_database(tmp_path / "raw", subjects=("08", "31"))
    registry.prepare(SET, tmp_path / "sets", tmp_path / "raw")
    part = data.load_records(SET, "train", tmp_path / "sets")
    whole = splits["train"]
    whole = whole.take(np.flatnonzero(whole.subject == "31"))
    np.testing.assert_array_equal(part.pose3d, whole.pose3d)
    np.testing.assert_array_equal(part.extra["pose2d_true"], whole.extra["pose2d_true"])


def test_distinct_frames_against_brute_force():
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=60, size=(12, 17, 3))
    joints = centres[rng.integers(0, 12, 200)] + rng.normal(scale=15, size=(200, 17, 3))
    chosen = recordings.distinct(joints)
    rooted = joints - joints[:, HIP, None]
    kept = []
    for row, pose in enumerate(rooted):
        far = [np.linalg.norm(pose - k, axis=-1).max() > 50 for k in kept]
        assert chosen[row] == all(far)
        if all(far):
            kept.append(pose)
    assert 12 < chosen.sum() < 200


def test_near_duplicates():
    rng = np.random.default_rng(0)
    pose = rng.normal(scale=300, size=(17, 3))
    moved = pose + [1000.0, 0, 0]
    raised = pose.copy()
    raised[16] += [0, 51.0, 0]
    turned = pose @ np.asarray([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    chosen = recordings.distinct(np.stack([pose, moved, raised, turned, pose + 1]))
    assert chosen.tolist() == [True, False, True, True, False]
    assert recordings.distinct(np.zeros((0, 17, 3))).shape == (0,)


def test_standing_still_is_one_pose(tmp_path):
    still = cmu.amc_text(np.repeat(cmu.motion_rows(np.random.default_rng(0), 1), 99, 0))
    cmu.write_subject(tmp_path, "01", {"01": still, "02": still})
    reading, _ = read(tmp_path)
    assert [(one.number, one.frame.tolist()) for one in reading.recordings] == [
        ("01", [1])
    ]
    assert reading.frames == 198 and reading.looked_at == 20


def test_nobody_walks_into_a_camera():
    steps = np.linspace(-6000, 6000, 50)[:, None, None] * [1.0, 0, 0.5]
    rng = np.random.default_rng(0)
    pose = rng.normal(scale=300, size=(17, 3)) + [4000, 900, -2000]
    joints = pose + steps
    world = studio.placed(rng, joints)
    assert np.linalg.norm(world[:, HIP, :2], axis=-1).max() < 1500 + 1e-6
    np.testing.assert_allclose(world[..., 2], joints[..., 1])  # heights
    parent, child = np.asarray(H36M_BONES).T
    for one in (world, joints):
        lengths = np.linalg.norm(one[:, child] - one[:, parent], axis=-1)
        np.testing.assert_allclose(lengths, lengths[:1].repeat(50, 0))
    for camera in cameras.studio(rng):
        assert camera.see(world)[..., 2].min() > 1000


def test_a_few_unreadable_files_are_told_and_skipped(many, tmp_path):
    folder = shutil.copytree(many, tmp_path / "raw")
    bad = folder / "subjects" / "07" / "07_09.amc"
    bad.write_text(bad.read_text()[:-100])
    builder = registry.prepare(SET, tmp_path, folder)
    notes = builder.info.metadata["notes"]
    assert any("59 takes of 2 subjects read; 1 of 60 unreadable" in n for n in notes)
    assert any(n.startswith(f"skipped {bad}") and "truncated" in n for n in notes)


def test_a_root_that_flies_away(tmp_path):
    rows = cmu.motion_rows(np.random.default_rng(0), 25)
    rows[20, 0] = 1e300
    cmu.write_subject(tmp_path, "08", {"01": cmu.amc_text(rows)})
    with pytest.raises(files.DataFileError, match=r"08_01\.amc: frame 21.*20 m"):
        read(tmp_path)


def test_more_unreadable_files_are_an_error(many, tmp_path):
    folder = shutil.copytree(many, tmp_path / "raw")
    home = folder / "subjects" / "08"
    (home / "08_02.amc").write_bytes(b"\x00\xff" * 50)
    (home / "08_30.amc").write_text("")
    with pytest.raises(files.DataFileError, match="2 of 60 takes") as raised:
        registry.prepare(SET, tmp_path, folder)
    assert f"{home / '08_02.amc'}" in str(raised.value)
    assert f"{home / '08_30.amc'}" in str(raised.value)
    assert not list(tmp_path.rglob("*.array_record*"))  # nothing half built
    (home / "08.asf").unlink()
    with pytest.raises(files.DataFileError, match=r"30 of 60.*\n.*no skeleton 08.asf"):
        registry.prepare(SET, tmp_path, folder)


def test_configurations():
    assert registry.builder(f"{SET}/seed7").builder_config.seed == 7
    for wrong in ("seed-1", "7", "seed"):
        with pytest.raises(ValueError, match="such as seed0"):
            registry.builder(f"{SET}/{wrong}")
