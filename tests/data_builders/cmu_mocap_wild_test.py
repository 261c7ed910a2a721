"""Pictures as anybody takes them: bodies, cameras, detections, and the set of them."""

import numpy as np
import pytest

from data_builders import registry
from data_builders.cmu_mocap_lift import generation
from data_builders.cmu_mocap_lift.configurations import CmuConfig
from data_builders.simulation import (
    centred,
    occlusion,
    proportions,
    snapshots,
    two_detectors,
)
from jaxflow import data
from jaxflow.commands import build_data
from jaxflow.gaussians import ellipses
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_JOINTS, MPII_TO_H36M
from tests.helpers import cmu as cmu
from tests.helpers import people as helpers

SET = "cmu_mocap_lift"
NAME = f"{SET}/wild-views3-test8+31"
ORDER = list(MPII_TO_H36M)
PARENT, CHILD = np.asarray(H36M_BONES).T


@pytest.fixture(scope="module")
def people():
    """Standing people (3000, 17, 3) of random limbs, mm, y up, feet near the floor."""
    rng = np.random.default_rng(0)
    joints = helpers.standing() + rng.normal(scale=70, size=(3000, 17, 3))
    joints[:, 0] = (joints[:, 1] + joints[:, 4]) / 2
    return joints.astype(np.float32)


@pytest.fixture(scope="module")
def pictures(people):
    return snapshots.taken(np.random.default_rng(1), people)


@pytest.fixture(scope="module")
def found(pictures):
    hidden = occlusion.hidden(pictures.pose3d)[:, ORDER]
    rng = np.random.default_rng(2)
    return two_detectors.detect(rng, pictures.truth, hidden, pictures.cut)


def lengths_of(joints):
    return np.linalg.norm(joints[:, CHILD] - joints[:, PARENT], axis=-1)


def test_bodies_change_their_lengths_and_keep_their_angles(people):
    changed = proportions.varied(np.random.default_rng(0), people)
    was, now = people[:, CHILD] - people[:, PARENT], changed[:, CHILD]
    now = now - changed[:, PARENT]
    turned = proportions.mirrored(people)
    mirrored = turned[:, CHILD] - turned[:, PARENT]
    cosines = [
        (bone * now).sum(-1) / np.linalg.norm(bone, axis=-1) / lengths_of(changed)
        for bone in (was, mirrored)
    ]
    same, other = (cosine.min(axis=1) > 1 - 1e-6 for cosine in cosines)
    assert np.all(same ^ other) and 0.45 < other.mean() < 0.55
    ratio = lengths_of(changed)[same] / lengths_of(people)[same]
    assert 0.85 / 1.13 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.15 * 1.13
    left = [H36M_JOINTS[child][0] == "L" for child in CHILD]
    right = [H36M_JOINTS[child][0] == "R" for child in CHILD]
    np.testing.assert_allclose(
        np.sort(ratio[:, left]), np.sort(ratio[:, right]), rtol=1e-4
    )
    middle = (changed[:, 1] + changed[:, 4]) / 2
    np.testing.assert_allclose(changed[:, 0], middle, atol=1e-3)
    size = changed[..., 1].min(axis=1) / people[..., 1].min(axis=1)
    assert 0.85 < size.min() < 0.87 and 1.13 < size.max() < 1.15


def test_cameras_are_where_they_say(people, pictures):
    """Heights over the floor, by the direction that pitch and roll call up."""
    shot = pictures
    pitch, roll = np.deg2rad(shot.pitch), np.deg2rad(shot.roll)
    up = [np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)]
    climb = np.einsum("nja,an->nj", shot.pose3d, np.asarray(up))
    height = np.repeat(1000 * shot.height[:, None], 17, axis=1)
    np.testing.assert_allclose(people[..., 1] - climb, height, atol=0.5)
    middle = shot.pose3d.mean(axis=1)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=-1), 1000 * shot.distance)
    np.testing.assert_allclose(lengths_of(shot.pose3d), lengths_of(people), atol=0.05)
    spanned = [
        np.linalg.det(p[:, [1, 7, 11]] - p[:, :1]) for p in (shot.pose3d, people)
    ]
    np.testing.assert_allclose(*spanned, rtol=1e-3, atol=2e4)  # none mirrored


def test_cameras_are_as_various_as_asked(pictures):
    shot = pictures
    for name, (low, high) in {
        "fov": (25, 90), "pitch": (-40, 40), "roll": (-15, 15), "distance": (1.5, 12),
        "height": (-1, 5),
    }.items():  # fmt: skip
        values = getattr(shot, name)
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high >= values.max() > high - 0.1 * (high - low)
    assert np.mean((shot.height > 0.3) & (shot.height < 3)) > 0.75
    assert shot.pose3d[..., 2].min() > 300
    assert np.mean(shot.cut.any(axis=1)) == pytest.approx(0.3, abs=0.03)
    assert (~shot.cut).sum(axis=1).min() >= snapshots.LEAST_INSIDE


def test_crops_are_pictures_moved_and_scaled(pictures):
    shot = pictures
    pixels = shot.pose3d[:, ORDER, :2] / shot.pose3d[:, ORDER, 2:]
    first, second = (p - p.mean(axis=1, keepdims=True) for p in (pixels, shot.truth))
    scale = (first * second).sum((1, 2)) / np.square(first).sum((1, 2))
    np.testing.assert_allclose(second, scale[:, None, None] * first, atol=1e-6)
    half = np.tan(np.deg2rad(shot.fov) / 2)
    assert np.all((np.abs(pixels).max(axis=-1) > half[:, None]) <= shot.cut)
    whole = ~shot.cut.any(axis=1)
    extent = np.ptp(shot.truth[whole], axis=1).max(axis=-1)
    assert np.median(256 / extent) == pytest.approx(1.25 * np.exp(0.04), abs=0.02)
    assert np.quantile(np.abs(shot.truth[whole] - 128), 0.999) < 128
    assert np.abs(shot.truth[~shot.cut] - 128).max() < 145


def test_cameras_turn_the_shortest_way_to_the_middle_of_the_crop(pictures):
    shot = pictures
    pixels = shot.pose3d[:, ORDER, :2] / shot.pose3d[:, ORDER, 2:]
    slope = shot.ray[:, :2] / shot.ray[:, 2:]
    np.testing.assert_allclose(np.linalg.norm(shot.ray, axis=-1), 1)
    # Of the crop, as joints are: as far from its middle as they are from the ray.
    scale = np.ptp(shot.truth, axis=1).max(-1) / np.ptp(pixels, axis=1).max(-1)
    expected = (pixels - slope[:, None]) * scale[:, None, None] + 128
    np.testing.assert_allclose(shot.truth, expected, atol=1e-4)
    seen = centred.turned(shot.pose3d, shot.ray)
    np.testing.assert_allclose(
        np.linalg.det(seen[:, [1, 7, 11]]), np.linalg.det(shot.pose3d[:, [1, 7, 11]])
    )
    ahead = centred.turned(shot.ray[:, None], shot.ray)[:, 0]
    np.testing.assert_allclose(ahead, np.tile([0.0, 0, 1], (len(ahead), 1)), atol=1e-9)
    axis = np.cross(shot.ray, [0.0, 0, 1])[:, None]  # of the shortest turn: it stays
    np.testing.assert_allclose(centred.turned(axis, shot.ray), axis, atol=1e-9)
    back = centred.turned(seen, shot.ray * [-1, -1, 1])
    np.testing.assert_allclose(back, shot.pose3d, rtol=1e-9)


def test_detections_are_calibrated(pictures, found):
    """Errors have the covariance that the fits report, beyond the detector's blob."""
    fits = found.gaussfit
    reported = np.asarray(
        ellipses.covariance_image_frame(fits[..., [3, 5]], fits[..., 4])
    )
    reported = reported - 4 * np.eye(2)
    error = fits[..., 1:3] - pictures.truth / 4
    keypoints = (fits[..., 6] == 0) & ~found.outside  # no noise in these sigmas
    real = [name not in ("Hip", "Spine", "Thorax") for name in MPII_JOINTS]
    chosen = keypoints & np.asarray(real)
    distance = np.einsum(
        "ni,nij,nj->n", error[chosen], np.linalg.inv(reported[chosen]), error[chosen]
    )
    wide = fits[..., [3, 5]][chosen].max(axis=-1)
    beyond = pictures.cut[chosen]
    assert len(distance) > 10_000
    for group in (~beyond & (wide < 2.3), ~beyond & (wide > 2.3), ~beyond & (wide > 4)):
        within = [np.mean(distance[group] < -2 * np.log(1 - q)) for q in (0.5, 0.9)]
        assert within == pytest.approx([0.5, 0.9], abs=0.04), group.sum()
    assert np.mean(distance[beyond] < -2 * np.log(0.1)) > 0.87  # cut by the crop, too


def test_the_less_is_seen_the_less_sure(pictures, found):
    hidden = occlusion.hidden(pictures.pose3d)[:, ORDER]
    sigma = np.abs(found.gaussfit[..., [3, 5]]).max(axis=-1)
    seen = ~hidden & ~pictures.cut
    middles = [
        np.median(sigma[kind]) for kind in (seen, hidden & ~pictures.cut, pictures.cut)
    ]
    assert 1.9 < middles[0] < 2.1 < middles[1] < 3 < 5 < middles[2] <= 10
    peaks = found.gaussfit[..., 0]
    assert np.median(peaks[seen]) > 0.85 > 0.3 > np.median(peaks[pictures.cut])


def test_nothing_is_said_from_outside_the_crop(found):
    fits = found.gaussfit
    assert fits[..., 1:3].min() >= 0 and fits[..., 1:3].max() <= 63
    assert 0.01 < found.outside.mean() < 0.06
    assert fits[found.outside][:, [3, 5]].min() >= 6
    np.testing.assert_allclose(found.pose2d, 4 * fits[..., 1:3], atol=1.2)


def test_joints_made_of_others(found):
    """As ``keypoints.to_mpii``, in half of the frames: those of keypoints."""
    made = (found.gaussfit[..., 6] == 0).all(axis=1) & ~found.outside.any(axis=1)
    at = dict(zip(MPII_JOINTS, np.moveaxis(found.pose2d[made], 1, 0), strict=True))
    np.testing.assert_allclose(at["Hip"], (at["RHip"] + at["LHip"]) / 2, atol=1e-3)
    thorax = (at["RShoulder"] + at["LShoulder"]) / 2
    np.testing.assert_allclose(at["Thorax"], thorax, atol=1e-3)
    np.testing.assert_allclose(at["Spine"], (at["Hip"] + thorax) / 2, atol=1e-3)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    raw = cmu.write_database(tmp_path_factory.mktemp("cmu"))
    folder = tmp_path_factory.mktemp("sets")
    registry.prepare(NAME, folder, raw)
    return folder, {s: data.load_records(NAME, s, folder) for s in ("train", "test")}


def test_the_set(built):
    _, splits = built
    assert set(splits["train"].subject) == {"01"}
    assert set(splits["test"].subject) == {"08", "31"}
    for records in splits.values():
        keys = [
            (int(records.subject[n]), int(records.subaction[n]), records.camera[n],
             records.frame[n])
            for n in range(len(records))
        ]  # fmt: skip
        assert keys == sorted(keys) and len({*keys}) == len(keys)
        assert set(records.camera) == {"view1", "view2", "view3"}
        assert records.extra["cut"].shape == (len(records), 16)
        assert records.extra["fov"].shape == (len(records),)
        _check_frames(records)
        assert np.isfinite(data.to_batch(records).cond).all()


def _check_frames(records):
    """Poses of a set, turned back, are what the crop shows of the camera's picture."""
    ray = records.extra["ray"].astype(float)
    pose3d = centred.turned(records.pose3d, ray * [-1, -1, 1])
    slopes = (
        pose3d[:, ORDER, :2] / pose3d[:, ORDER, 2:] - (ray[:, :2] / ray[:, 2:])[:, None]
    )
    truth = records.extra["pose2d_true"] - 128
    scale = (slopes * truth).sum((1, 2)) / np.square(slopes).sum((1, 2))
    np.testing.assert_allclose(truth, scale[:, None, None] * slopes, atol=0.02)


def test_takes_are_alike_whatever_else_there_is(built, tmp_path):
    _, splits = built
    raw = cmu.write_database(tmp_path / "raw", subjects=("01", "31"))
    registry.prepare(NAME, tmp_path / "sets", raw)
    part = data.load_records(NAME, "test", tmp_path / "sets")
    whole = splits["test"]
    whole = whole.take(np.flatnonzero(whole.subject == "31"))
    for name, column in part.columns().items():
        np.testing.assert_array_equal(column, whole.columns()[name], name)


@pytest.mark.parametrize(
    "name",
    ["seed0", "seed3-test3+5", "wild", "wild-seed1", "wild-views2-test8", NAME[15:]],
)
def test_names_say_the_configuration(name):
    config = CmuConfig.from_name(name)
    assert config.name == name
    assert config.wild == name.startswith("wild")
    assert registry.builder(f"{SET}/{name}").builder_config.name == name


def test_names_of_defaults_are_short():
    assert CmuConfig(wild=True, test_subjects=(9, 3, 5)).name == "wild"
    assert CmuConfig.from_name("wild-seed0-views6").name == "wild"
    for wrong in ("wild0", "wild-views0", "seed0-views2", "wild-test", "seed0-testx"):
        with pytest.raises(ValueError, match="expected"):
            registry.builder(f"{SET}/{wrong}")


def test_test_subjects():
    numbers = [f"{n:02d}" for n in range(1, 20)]
    by = {rule: [n for n in numbers if generation.split_of(n, rule) == "test"]
          for rule in ((), (3, 5))}  # fmt: skip
    assert by == {(): ["08", "16"], (3, 5): ["03", "05"]}


def test_flags_make_the_name():
    made = build_data.configured(
        f"{SET}/wild", {"views": 2, "test_subjects": ["3", "08"]}
    )
    assert made == f"{SET}/wild-views2-test3+8"
    assert build_data.configured(SET, {"seed": 4}) == f"{SET}/seed4"
