"""What is written for other programs, read by other programs' readers."""

import csv
import json

import numpy as np
import pytest

from jaxflow.gaussians import keypoints
from jaxflow.prediction import export_bvh, export_tables, exports, motions
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_JOINTS
from jaxflow.types import GaussianFit

FRAMES = 40
FPS = 25.0
MISSING = 0  # a joint


def moving(seed):
    """Somebody (T, 17, 3) metres whose bones turn and keep their lengths."""
    rng = np.random.default_rng(seed)
    length = rng.uniform(0.1, 0.5, len(H36M_BONES))
    start = rng.normal(0, 1, (len(H36M_BONES), 3))
    turn = rng.normal(0, 1.5, (len(H36M_BONES), 3))
    poses = np.zeros((FRAMES, 17, 3))
    for i, (parent, child) in enumerate(H36M_BONES):
        way = start[i] + np.arange(FRAMES)[:, None] / FRAMES * turn[i]
        way /= np.linalg.norm(way, axis=-1, keepdims=True)
        poses[:, child] = poses[:, parent] + length[i] * way
    return poses


def source():
    """A source's people: two at a time, one of whom has a name to be quoted."""
    rng = np.random.default_rng(0)
    poses = np.stack([moving(1), moving(2)], axis=1).reshape(-1, 17, 3)
    return {
        "source": np.array(["clip, of two.mp4"] * 2 * FRAMES),
        "frame": np.repeat(np.arange(FRAMES), 2),
        "person": np.array(["0", 'the "other"'] * FRAMES),
        "chosen": poses.astype(np.float32),
        "spread": np.full(poses.shape, 0.03, np.float32),
        "pose2d": np.tile(rng.uniform(0, 300, (2, 16, 2)), (FRAMES, 1, 1)),
        "fit": np.tile(fits(), (2 * FRAMES, 1, 1)),
    }


def fits():
    """Of sixteen joints (16, 7), of which one was not found."""
    found = np.arange(16) != MISSING
    sure = GaussianFit.from_array(np.float32([[0.9, 30, 30, 2.5, 0, 2, 0.01]] * 16))
    missing = keypoints.fill_missing(sure._replace(converged=found))
    return np.asarray(missing.as_array())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    people = source()
    found = motions.find(people, FPS)
    exports.write(folder, exports.FORMATS, people, found, FPS)
    return folder, people


def test_bvh_is_read_with_the_same_joints_in_the_same_places(written):
    pybvh = pytest.importorskip("pybvh", reason="extra 'test'")
    folder, people = written
    paths = sorted((folder / exports.MOTIONS).glob("*.bvh"))
    assert [path.stem for path in paths] == [
        "person-0-from-0",
        "person-the__other_-from-0",
    ]
    for path, person in zip(paths, ("0", 'the "other"'), strict=True):
        motion = pybvh.read_bvh_file(path)
        assert motion.frame_count == FRAMES
        assert motion.frame_time == pytest.approx(1 / FPS)
        places = np.asarray(motion.joint_positions())
        rows = people["person"] == person
        own = [motion.joint_names.index(name) for name in H36M_JOINTS]
        # Centimetres, y up, z towards the camera.
        want = 100 * people["chosen"][rows] * [1, -1, -1]
        np.testing.assert_allclose(places[:, own], want, atol=0.02)


def test_bvh_bones_have_their_median_length(tmp_path):
    pybvh = pytest.importorskip("pybvh", reason="extra 'test'")
    poses = moving(3) * np.linspace(0.8, 1.2, FRAMES)[:, None, None]
    path = tmp_path / "one.bvh"
    path.write_text(export_bvh.text(poses, 0.04))
    motion = pybvh.read_bvh_file(path)
    own = [motion.joint_names.index(name) for name in H36M_JOINTS]
    places = np.asarray(motion.joint_positions())[:, own] / 100
    for parent, child in H36M_BONES:
        got = np.linalg.norm(places[:, child] - places[:, parent], axis=-1)
        want = np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)
        np.testing.assert_allclose(got, np.median(want), atol=1e-4)


def test_bvh_turns_without_jumps_and_stands_at_rest():
    """Angles of a smooth motion are smooth; somebody at rest has none at all."""
    text = export_bvh.text(moving(4), 0.04)
    rows = text.split("Frame Time: 0.04\n")[1].splitlines()
    angles = np.array([row.split() for row in rows], float)[:, 3:]
    assert np.abs(np.diff(angles, axis=0)).max() < 90
    rest = np.zeros((1, 17, 3))
    for parent, child in H36M_BONES:
        way = np.array(export_bvh._REST[H36M_JOINTS[child]]) * [1, -1, -1]
        rest[:, child] = rest[:, parent] + 0.3 * way
    numbers = export_bvh.text(rest, 0.04).splitlines()[-1].split()
    np.testing.assert_allclose(np.array(numbers, float), 0, atol=1e-3)


def test_csv_is_read_by_the_names_of_its_columns(written):
    folder, people = written
    with open(folder / exports.TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * FRAMES
    assert rows[3]["file"] == "clip, of two.mp4"
    assert rows[3]["person"] == 'the "other"' and rows[3]["frame"] == "1"
    assert float(rows[3]["seconds"]) == pytest.approx(1 / FPS)
    for name, axis in (("LWrist", "z"), ("Hip", "x"), ("RFoot", "y")):
        want = people["chosen"][:, H36M_JOINTS.index(name), "xyz".index(axis)]
        got = [float(row[f"{name}_{axis}"]) for row in rows]
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert float(rows[0]["Head_spread"]) == pytest.approx(0.03 * 3**0.5, abs=1e-5)


def test_coco_has_all_joints_of_somebody_barely_seen():
    """None is surer than a joint that was not found, but the person was."""
    people = source()
    people["fit"][:] = fits()[MISSING]
    one = json.loads("".join(export_tables.coco(people)))["annotations"][0]
    points = np.reshape(one["keypoints"], (16, 3))
    assert one["num_keypoints"] == 16 and (points[:, 2] == 2).all()
    np.testing.assert_allclose(points[:, :2], people["pose2d"][0], atol=0.01)


def test_coco_is_read_by_its_own_tools(written, capsys):
    coco = pytest.importorskip("pycocotools.coco", reason="extra 'test'")
    folder, people = written
    data = coco.COCO(str(folder / exports.ANNOTATIONS))
    capsys.readouterr()
    (category,) = data.loadCats(data.getCatIds("person"))
    assert category["keypoints"] == list(MPII_JOINTS)
    assert len(data.getImgIds()) == FRAMES
    (image,) = [i for i in data.loadImgs(data.getImgIds()) if i["frame_id"] == 7]
    people_in = data.loadAnns(data.getAnnIds(imgIds=image["id"], iscrowd=False))
    assert [one["person_id"] for one in people_in] == ["0", 'the "other"']
    for one, row in zip(people_in, (14, 15), strict=True):
        points = np.reshape(one["keypoints"], (16, 3))
        found = np.arange(16) != MISSING
        np.testing.assert_array_equal(points[:, 2], 2 * found)
        assert not points[MISSING].any() and one["num_keypoints"] == 15
        want = people["pose2d"][row][found]
        np.testing.assert_allclose(points[found, :2], want, atol=0.01)
        np.testing.assert_allclose(one["bbox"][:2], want.min(0), atol=0.01)
        solid = np.reshape(one["keypoints_3d"], (17, 3))
        np.testing.assert_allclose(solid, people["chosen"][row], atol=1e-4)


def test_only_what_was_asked_for_and_all_of_it_can_go(tmp_path):
    people = source()
    exports.write(tmp_path, ("csv",), people, motions.find(people, FPS), FPS)
    assert [path.name for path in tmp_path.iterdir()] == [exports.TABLE]
    exports.write(tmp_path, exports.FORMATS, people, motions.find(people, FPS), FPS)
    json.loads((tmp_path / exports.ANNOTATIONS).read_text())
    exports.clear(tmp_path)
    assert not list(tmp_path.iterdir())
