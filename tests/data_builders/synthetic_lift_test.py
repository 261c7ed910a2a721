"""The simulated people, cameras and detector, and the builder that writes them."""

import numpy as np
import pytest

from data_builders.simulation import (
    bodies,
    cameras,
    detector,
    families,
    motion,
    occlusion,
)
from data_builders.synthetic_lift import generation
from data_builders.synthetic_lift.synthetic_lift_dataset_builder import SyntheticConfig
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_TO_H36M


@pytest.fixture(scope="module")
def train():
    return generation.generate("train", 6000, seed=0)


@pytest.fixture(scope="module")
def fits(train):
    return train.gaussfit.astype(np.float64)


def bone_lengths(pose):
    parent, child = np.asarray(H36M_BONES).T
    return np.linalg.norm(pose[:, child] - pose[:, parent], axis=-1)


def image_precision(fit):
    """Twice the quadratic form of the fitted exponential, picture frame (y down)."""
    sx, theta, sy = fit[..., 3], fit[..., 4], fit[..., 5]
    a = np.cos(theta) ** 2 / (2 * sx**2) + np.sin(theta) ** 2 / (2 * sy**2)
    b = -np.sin(2 * theta) / (4 * sx**2) + np.sin(2 * theta) / (4 * sy**2)
    c = np.sin(theta) ** 2 / (2 * sx**2) + np.cos(theta) ** 2 / (2 * sy**2)
    return 2 * np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -2)


def test_same_seed_same_data(train):
    again = generation.generate("train", 6000, seed=0)
    for name, column in again.columns().items():
        np.testing.assert_array_equal(column, train.columns()[name])


def test_other_seed_other_data(train):
    other = generation.generate("train", 6000, seed=1)
    assert not np.allclose(other.pose3d, train.pose3d, atol=1.0)
    assert not np.allclose(other.pose2d, train.pose2d, atol=1.0)


def test_asked_counts_and_disjoint_subjects(train):
    test = generation.generate("test", 333, seed=0)
    assert len(train) == 6000 and len(test) == 333
    assert not set(train.subject) & set(test.subject)
    assert set(test.action) == set(families.FAMILIES) == set(train.action)
    assert set(train.camera) == set(cameras.CAMERA_NAMES)


def test_recordings_follow_each_other(train):
    names = np.stack([train.subject, train.action, train.subaction, train.camera])
    starts = np.flatnonzero(np.any(names[:, 1:] != names[:, :-1], axis=0)) + 1
    runs = np.split(train.frame, starts)
    for run in runs:
        np.testing.assert_array_equal(
            run, motion.FRAME_STEP * np.arange(1, len(run) + 1)
        )
    recordings = {tuple(column) for column in names.T}
    assert len(runs) == len(recordings)  # none is torn apart
    assert len(runs) == 8 * len(families.FAMILIES) * 2 * 4


def test_bones_are_rigid_and_belong_to_the_subject(train):
    lengths = bone_lengths(train.pose3d.astype(np.float64))
    means = []
    for subject in np.unique(train.subject):
        own = lengths[train.subject == subject]
        assert np.ptp(own, axis=0).max() < 0.05  # mm, float32 at 5 m
        means.append(own.mean(axis=0))
    assert np.std(means, axis=0).min() > 1  # mm: they are different people


def test_left_and_right_are_alike(train):
    lengths = bone_lengths(train.pose3d.astype(np.float64)).mean(axis=0)
    by_name = {H36M_JOINTS[child]: k for k, (_, child) in enumerate(H36M_BONES)}
    for name in ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist"):
        left, right = lengths[by_name["L" + name]], lengths[by_name["R" + name]]
        assert left == pytest.approx(right, abs=0.01)


@pytest.mark.parametrize("action", list(families.FAMILIES))
def test_angles_stay_within_limits(action):
    rng = np.random.default_rng(3)
    body = bodies.random_body(rng)
    _, angles = motion.record(rng, body, families.FAMILIES[action], frames=40)
    for k, name in enumerate(bodies.ANGLES):
        low, high = bodies.LIMITS[name]
        assert angles[:, k].min() >= low - 1e-9 and angles[:, k].max() <= high + 1e-9
    assert angles.std(axis=0).max() > 1  # degrees: it moves


def test_knees_and_elbows_bend_the_human_way(train):
    """Seen in the body's own frame: shanks go back from thighs, forearms forward."""
    rng = np.random.default_rng(0)
    body = bodies.random_body(rng)
    angles = np.zeros((1, len(bodies.ANGLES)))
    upright = bodies.forward_kinematics(body, angles)[0]
    for side in bodies.SIDES:
        angles[0, bodies.column(f"{side}_knee_flexion")] = 90
        angles[0, bodies.column(f"{side}_elbow_flexion")] = 90
    bent = bodies.forward_kinematics(body, angles)[0]
    moved = dict(zip(H36M_JOINTS, bent - upright, strict=True))
    assert moved["LFoot"][2] < -300 and moved["RFoot"][2] < -300  # z is forward
    assert moved["LWrist"][2] > 150 and moved["RWrist"][2] > 150
    at = dict(zip(H36M_JOINTS, upright, strict=True))
    assert at["LHip"][0] > 0 > at["RHip"][0]  # x is to the left
    assert at["Head"][1] > 0 > at["LFoot"][1]


def test_mirroring_twice_is_nothing_and_once_mirrors_the_joints():
    rng = np.random.default_rng(1)
    body = bodies.random_body(rng)
    angles = families.key_poses(rng, body, families.FAMILIES["Reaching"], 3)
    np.testing.assert_array_equal(bodies.mirrored(bodies.mirrored(angles)), angles)
    pose = bodies.forward_kinematics(body, angles)
    swapped = [
        H36M_JOINTS.index({"L": "R", "R": "L"}[name[0]] + name[1:])
        if name[0] in "LR"
        else k
        for k, name in enumerate(H36M_JOINTS)
    ]
    expected = pose[:, swapped] * np.asarray([-1.0, 1.0, 1.0])
    mirrored = bodies.forward_kinematics(body, bodies.mirrored(angles))
    np.testing.assert_allclose(mirrored, expected, atol=1e-9)


def test_people_stand_on_the_floor_upright():
    rng = np.random.default_rng(5)
    body = bodies.random_body(rng)
    joints, _ = motion.record(rng, body, families.FAMILIES["Standing"], frames=20)
    at = {name: joints[:, k] for k, name in enumerate(H36M_JOINTS)}
    lowest = np.minimum(at["LFoot"][:, 2], at["RFoot"][:, 2])
    np.testing.assert_allclose(lowest, 80, atol=1e-6)
    assert np.all(at["Head"][:, 2] > 1300) and np.all(joints[..., 2] > 0)


def test_cameras_are_rigid_and_see_the_studio():
    for camera in cameras.studio(np.random.default_rng(0)):
        product = camera.rotation @ camera.rotation.T
        np.testing.assert_allclose(product, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.rotation) == pytest.approx(1)
        middle = camera.see(np.asarray([[0.0, 0.0, 900.0]]))
        assert 3500 < middle[0, 2] < 6500
        np.testing.assert_allclose(camera.project(middle), [[500, 500]], atol=130)
        above = camera.see(np.asarray([[0.0, 0.0, 1900.0]]))
        assert camera.project(above)[0, 1] < camera.project(middle)[0, 1]  # y is down


def test_statistics_are_those_of_real_recordings(train, fits):
    depth = train.pose3d[:, 0, 2]
    assert 4300 < depth.mean() < 5400 and depth.min() > 2000
    sigma = fits[..., [3, 5]]
    assert 1.95 < np.median(sigma) < 2.1
    assert 0.10 < (sigma > 2.1).mean() < 0.30
    assert 0.8 < fits[..., 0].mean() < 0.97
    assert 0.008 < fits[..., 6].mean() < 0.013
    height = np.ptp(train.extra["pose2d_true"][..., 1], axis=1)
    assert 120 < np.median(height) < 230


def test_true_pose_is_the_projection(train):
    """Up to the crop's scale and shift, pose2d_true is pose3d in perspective."""
    pose = train.pose3d[:, list(MPII_TO_H36M)].astype(np.float64)
    seen = pose[..., :2] / pose[..., 2:]
    seen = seen - seen.mean(axis=1, keepdims=True)
    truth = train.extra["pose2d_true"]
    truth = truth - truth.mean(axis=1, keepdims=True)
    # The two focal lengths differ a little, so each axis has its own scale.
    scale = np.sum(seen * truth, axis=1) / np.sum(seen * seen, axis=1)
    np.testing.assert_allclose(scale[:, None] * seen, truth, atol=0.02)
    assert np.all(np.abs(scale[:, 0] / scale[:, 1] - 1) < 0.03)


@pytest.mark.parametrize("frames", [100, 777, 6000])
def test_ambiguous_share(frames):
    records = generation.generate("test", frames, seed=2)
    share = (np.abs(records.gaussfit[..., [3, 5]]) > 5).any(axis=(1, 2)).mean()
    assert 0.06 <= share <= 0.08


def test_reported_gaussians_are_the_errors(train, fits):
    """Whitened by the reported covariance less the blob, errors are standard normal."""
    records, truth = train, train.extra["pose2d_true"]
    error = (records.pose2d - truth).astype(np.float64) / 4
    np.testing.assert_allclose(records.pose2d / 4, fits[..., 1:3], rtol=1e-6, atol=1e-6)
    covariance = np.linalg.inv(image_precision(fits)) - 4 * np.eye(2)
    precision = np.linalg.inv(covariance)
    distance = np.einsum("...i,...ij,...j", error, precision, error)
    wide = fits[..., [3, 5]].max(axis=-1) > 3
    for chosen in (np.ones(wide.shape, bool), wide, ~wide):
        count = chosen.sum()
        assert distance[chosen].mean() == pytest.approx(2, abs=8 / np.sqrt(count))
        inside = (distance[chosen] < 2 * np.log(2)).mean()  # the median of chi-square 2
        assert inside == pytest.approx(0.5, abs=2 / np.sqrt(count))


def test_reported_angle_has_the_right_sign(train, fits):
    """Mirrored in y, the same check must fail, or it could not tell."""
    error = (train.pose2d - train.extra["pose2d_true"]).astype(np.float64) / 4 * [1, -1]
    covariance = np.linalg.inv(image_precision(fits)) - 4 * np.eye(2)
    wrong = np.einsum("...i,...ij,...j", error, np.linalg.inv(covariance), error)
    assert wrong.mean() > 2.3


def test_hidden_joints_are_less_sure():
    rng = np.random.default_rng(0)
    hidden = rng.random((4000, 16)) < 0.2
    seen = detector.detect(rng, np.full((4000, 16, 2), 128.0), hidden)
    sigma = seen.gaussfit[..., [3, 5]].max(axis=-1)
    assert np.median(sigma[hidden]) > np.median(sigma[~hidden]) + 0.1
    error = np.linalg.norm(seen.pose2d - 128, axis=-1)
    assert np.median(error[hidden]) > 1.5 * np.median(error[~hidden])
    assert lost(seen)[hidden].mean() > 20 * lost(seen)[~hidden].mean()


def lost(seen):
    """Which joints (F, J) are ambiguous."""
    return seen.gaussfit[..., [3, 5]].max(axis=-1) > 5


def test_lost_frames_need_no_hidden_joint():
    rng = np.random.default_rng(0)
    seen = detector.detect(rng, np.zeros((500, 16, 2)), np.zeros((500, 16), bool))
    assert lost(seen).any(axis=1).sum() == 35
    few = np.zeros((500, 16), bool)
    few[:5] = True  # fewer frames with hidden joints than frames to lose one in
    seen = detector.detect(rng, np.zeros((500, 16, 2)), few)
    assert lost(seen).any(axis=1).sum() == 35


def test_occlusion_of_a_known_pose():
    """A person in profile: the far arm and leg are behind the trunk or the near leg."""
    body = bodies.random_body(np.random.default_rng(0))
    pose = bodies.forward_kinematics(body, np.zeros((1, len(bodies.ANGLES))))
    # The camera looks along the body's x axis from its right: left is far.
    far_left = np.stack([pose[..., 2], -pose[..., 1], pose[..., 0] + 5000], axis=-1)
    covered = dict(zip(H36M_JOINTS, occlusion.hidden(far_left)[0], strict=True))
    assert covered["LKnee"] and covered["LHip"] and covered["LElbow"]
    assert not any(covered[name] for name in ("RKnee", "RFoot", "RElbow", "RWrist"))
    front = np.stack([pose[..., 0], -pose[..., 1], 5000 - pose[..., 2]], axis=-1)
    assert not occlusion.hidden(front)[0][H36M_JOINTS.index("LKnee")]


def test_no_frames_hide_nothing():
    assert occlusion.hidden(np.zeros((0, 17, 3))).shape == (0, 17)


def test_configurations_and_their_names():
    config = SyntheticConfig(seed=3, train_frames=40, test_frames=20)
    assert config.name == "seed3-train40-test20"
    assert SyntheticConfig.from_name(config.name) == config
    with pytest.raises(ValueError, match="configuration"):
        SyntheticConfig.from_name("seed-1-train40-test20")
    with pytest.raises(ValueError, match="at least one frame"):
        SyntheticConfig(test_frames=0)
