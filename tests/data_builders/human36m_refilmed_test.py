"""Human3.6M's poses before other cameras: anybody's, and another studio's."""

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.human36m_lift import parse, recordings, refilmed
from data_builders.human36m_lift.configurations import Human36mConfig
from data_builders.simulation import cameras, centred
from jaxflow import data
from jaxflow.commands import build_data
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS
from tests.helpers import human36m as helpers
from tests.helpers import people

START, END = np.transpose(H36M_BONES)
PITCH = np.deg2rad(12.0)
UP = np.asarray([0, -np.cos(PITCH), -np.sin(PITCH)])  # of a camera that looks down
RIGHT, AHEAD = np.asarray([1.0, 0, 0]), np.asarray([0, -np.sin(PITCH), np.cos(PITCH)])


def standing(rng, frames):
    """People (frames, 17, 3) who stand and lean, mm: right, up, ahead of the camera."""
    pose = people.standing()
    return pose + rng.normal(scale=20, size=(frames, 17, 3)) * (pose[:, 1:2] > 100)


def seen(joints, place):
    """The same people in the frame of that camera, at a place of its frame."""
    return joints @ np.stack([RIGHT, UP, AHEAD]) + np.asarray(place, float)


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """Merged pickles of people, two subjects to train on and one to test."""
    folder = tmp_path_factory.mktemp("manual")
    rng = np.random.default_rng(0)
    for split, subjects in (("train", ("S1", "S5")), ("test", ("S9",))):
        content = helpers.pickled(len(split), subjects, ("Eating", "Walking"))
        for subject in content.values():
            for action in subject.values():
                for seen_by in action.values():
                    for one in seen_by.values():
                        frames = len(one["3d_gt"])
                        poses = seen(standing(rng, frames), (200, 700, 4500))
                        one["3d_gt"] = poses.swapaxes(1, 2).reshape(frames, 51)
        helpers.save(folder / parse.MERGED[split], content)
    return folder


@pytest.fixture(scope="module")
def load(manual, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return lambda split, configuration="": data.load_records(
        f"human36m_lift{configuration}", split, folder, manual
    )


def test_up_is_found_and_the_floor_is_below():
    joints = standing(np.random.default_rng(1), 500)
    found = refilmed.upright(seen(joints, (300, 1500, 5000)), UP)
    at = found - found[:, :1]
    np.testing.assert_allclose(at[..., 1], (joints - joints[:, :1])[..., 1], atol=1e-6)
    # No mirror image: the camera's right and what is near to it.
    np.testing.assert_allclose(at[..., 0], (joints - joints[:, :1])[..., 0], atol=1e-6)
    np.testing.assert_allclose(at[..., 2], -(joints - joints[:, :1])[..., 2], atol=1e-6)
    assert np.percentile(found[..., 1].min(axis=1), 1) == pytest.approx(80)


def test_the_set(load):
    poses, pictures = load("train"), load("train", "/wild-views2")
    assert len(pictures) == 2 * len(poses)
    assert set(pictures.subject) == {"S1", "S5"}
    assert {camera[-6:] for camera in pictures.camera} == {"-view1", "-view2"}
    assert pictures.extra["cut"].shape == (len(pictures), 16)
    row = {name: number for number, name in enumerate(_names(poses))}
    rows = [row[name] for name in _names(pictures)]
    assert sorted(rows) == sorted(2 * [*range(len(poses))])
    ratio = _lengths(pictures.pose3d) / _lengths(poses.pose3d[rows])
    assert 0.8 < ratio.min() < 0.9 < 1.1 < ratio.max() < 1.25


def _names(records):
    cameras = [camera[:8] for camera in records.camera]
    names = records.subject, records.action, records.subaction, cameras, records.frame
    return list(zip(*names, strict=True))


def _lengths(pose3d):
    """(n,) of all bones together, which mirroring does not change."""
    return np.linalg.norm(pose3d[:, END] - pose3d[:, START], axis=-1).sum(axis=-1)


def test_cameras_are_about_where_they_say(load):
    """By the direction in which people stand and the height that is stated."""
    pictures = load("train", "/wild-views2")
    pose3d = centred.turned(pictures.pose3d, pictures.extra["ray"] * [-1, -1, 1])
    torso = pose3d[:, H36M_JOINTS.index("Thorax")] - pose3d[:, 0]
    pitch, roll = (np.deg2rad(pictures.extra[name]) for name in ("pitch", "roll"))
    level = np.cos(pitch)
    down = np.stack([-level * np.sin(roll), level * np.cos(roll), -np.sin(pitch)], -1)
    cosine = -(torso * down).sum(-1) / np.linalg.norm(torso, axis=-1)
    off = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    assert np.median(off) < 8 and off.max() < 25  # they lean by some degrees
    lowest = (pose3d * down[:, None]).sum(-1).max(axis=1) / 1000
    np.testing.assert_allclose(pictures.extra["height"], lowest, atol=0.35)


def test_the_studio(load):
    """The same people, turned and moved as a whole, each pose by one of its cameras."""
    poses, filmed = load("train"), load("train", "/studio")
    assert set(filmed.extra) == {"pose2d_true"}
    assert {camera[9:] for camera in filmed.camera} <= set(cameras.CAMERA_NAMES)
    assert len(set(filmed.camera)) > 4
    row = {name: number for number, name in enumerate(_names(poses))}
    rows = [row[name] for name in _names(filmed)]
    assert sorted(rows) == [*range(len(poses))]
    between = [
        np.linalg.norm(one[:, :, None] - one[:, None], axis=-1)
        for one in (filmed.pose3d, poses.pose3d[rows])
    ]
    np.testing.assert_allclose(*between, atol=0.02)
    handed = [
        np.linalg.det(one[:, [1, 7, 11]] - one[:, :1])
        for one in (filmed.pose3d.astype(float), poses.pose3d[rows].astype(float))
    ]
    np.testing.assert_allclose(*handed, rtol=1e-3, atol=1e3)
    assert filmed.pose3d[..., 2].min() > 1000
    error = filmed.pose2d - filmed.extra["pose2d_true"]
    assert 0.5 < np.median(np.linalg.norm(error, axis=-1)) < 4
    other = load("train", "/studio-seed1")
    assert not np.allclose(other.pose3d, filmed.pose3d)


def test_centred(load):
    """The crops are those of the recordings, and the cameras look at their middle."""
    poses, seen = load("test"), load("test", "/centred")
    np.testing.assert_array_equal(seen.pose2d, poses.pose2d)
    np.testing.assert_array_equal(seen.gaussfit, poses.gaussfit)
    back = centred.turned(seen.pose3d, seen.extra["ray"] * [-1, -1, 1])
    np.testing.assert_allclose(back, poses.pose3d, atol=0.05)


def test_only_names_and_seed_matter(load, manual, tmp_path):
    name = "/wild_train-S5-S1_test-S9_every64"
    again = data.load_records(f"human36m_lift{name}", "train", tmp_path, manual)
    helpers.assert_same(load("train", "/wild"), again)
    other = load("train", "/wild-seed1")
    assert not np.array_equal(other.pose3d, again.pose3d)
    every64 = data.load_records(f"human36m_lift{name}", "test", tmp_path, manual)
    helpers.assert_same(data.every_nth_per_action(load("test", "/wild"), 16), every64)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("wild", ("wild", 0, 1, {}, "all")),
        ("wild-seed7-views3", ("wild", 7, 3, {}, "all")),
        ("wild-views2_every64", ("wild", 0, 2, {}, "every64")),
        (
            "wild_train-S1_test-S9",
            ("wild", 0, 1, {"train": ("S1",), "test": ("S9",)}, "all"),
        ),
        ("studio-seed2_every64", ("studio", 2, 1, {}, "every64")),
        ("centred", ("centred", 0, 1, {}, "all")),
        ("centred_ambiguous", ("centred", 0, 1, {}, "ambiguous")),
        ("ambiguous", ("own", 0, 1, {}, "ambiguous")),
    ],
)
def test_names(name, parts):
    found = Human36mConfig.from_name(name)
    assert (found.cameras, found.seed, found.views) == parts[:3]
    assert (found.subjects, found.test_frames) == parts[3:]


@pytest.mark.parametrize(
    "name",
    [
        "wild_",
        "wild-views0",
        "wilder",
        "wild-every64",
        "every64_wild",
        "studio-views2",
        "studio-seed1-views2",
        "centred-seed1",
    ],
)
def test_unknown_names(name):
    with pytest.raises(ValueError, match="wild or wild-seed1-views2"):
        Human36mConfig.from_name(name)


def test_one_set_has_one_name():
    for name in ("wild-seed0", "wild-views1", "wild-seed0-views1"):
        assert Human36mConfig.from_name(name).name == "wild"
    assert Human36mConfig.from_name("wild-views1_every64").name == "wild_every64"


def test_a_camera_that_looks_straight_down_is_refused():
    """All people stand along its axis, and nothing says how its picture is turned."""
    joints = standing(np.random.default_rng(3), 50)
    above = joints @ np.stack([RIGHT, [0, 0, -1.0], [0, 1.0, 0]]) + [0, 0, 5000]
    torso = H36M_JOINTS.index("Thorax")
    above[:, torso, :2] = above[:, 0, :2]
    count = len(above)
    records = recordings.to_records(
        recordings.Names("S1", "Walking", "0", "54138969"),
        above.astype(np.float32),
        recordings.Detections(
            np.zeros((count, 16, 2), np.float32),
            np.zeros((count, 16, 7), np.float32),
            recordings.frame_numbers(count),
        ),
    )
    with pytest.raises(files.DataFileError, match="S1, camera 54138969: expected"):
        list(refilmed.generate([records], Human36mConfig.from_name("wild")))


def test_flags_make_the_name():
    made = build_data.configured("human36m_lift/wild", {"seed": 4, "views": 2})
    assert made == "human36m_lift/wild-seed4-views2"
    assert build_data.configured("human36m_lift/wild", {}) == "human36m_lift/wild"
    made = build_data.configured("human36m_lift/studio", {"seed": 4})
    assert made == "human36m_lift/studio-seed4"


def test_the_set_has_a_folder_of_its_own(tmp_path):
    folder = registry.builder("human36m_lift/wild", tmp_path).data_dir
    assert folder == str(tmp_path / "human36m_lift" / "wild" / "2.0.0")
