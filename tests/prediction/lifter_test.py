"""The resident lifter: the same poses whatever the batch, from whatever it is given."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.network.loading import Detector
from jaxflow.flow.exported import example_inputs
from jaxflow.gaussians import heatmaps, keypoints
from jaxflow.methods.flow import FlowModel
from jaxflow.metrics import selection
from jaxflow.prediction.lifter import Lifter
from jaxflow.runs.errors import UserError
from jaxflow.types import GaussianFit
from tests.helpers import flows

CONFIG = jaxflow.FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
M = 12


@pytest.fixture(scope="module")
def params():
    return flows.some(CONFIG, seed=4)


@pytest.fixture(scope="module")
def model(params):
    return FlowModel.of(params, CONFIG)


@pytest.fixture(scope="module")
def lifter(model):
    return Lifter(model, num_hypotheses=M, sizes=(4,))


@pytest.fixture(scope="module")
def fits():
    """(5, 16, 7) well inside their maps, so that heatmaps of them can be fitted."""
    found = np.array(example_inputs(5, 1).fits)
    found[..., 0] = np.clip(found[..., 0], 0.4, 1)
    found[..., 1:3] = np.clip(found[..., 1:3], 8, 55)
    found[..., [3, 5]] = np.clip(np.abs(found[..., [3, 5]]), 1.5, 3)
    return found


@pytest.fixture(scope="module")
def found(lifter, fits):
    return lifter.lift_fits(fits)


def close(one, other, names=("hypotheses", "chosen", "mode", "spread", "log_density")):
    for name in names:
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max(), err_msg=name)


def test_a_part_of_a_hypothesis_is_refused_before_the_work(model):
    with pytest.raises(TypeError, match="whole number as num_hypotheses; got 2.5"):
        Lifter(model, num_hypotheses=2.5)
    with pytest.raises(ValueError, match="at most"):
        Lifter(model, num_hypotheses=99999999999)


def test_poses_are_those_of_sample(params, fits, found):
    want = jaxflow.sample(
        params,
        jaxflow.normalize_pose2d(fits[..., 1:3]),
        jaxflow.condition(fits),
        jax.random.key(0),
        num_hypotheses=M,
    )
    assert found.hypotheses.shape == (5, M, 17, 3)
    np.testing.assert_allclose(found.hypotheses, want, atol=1e-4 * np.abs(want).max())
    np.testing.assert_allclose(
        found.spread, found.hypotheses.std(axis=1), atol=1e-4 * np.abs(want).max()
    )
    np.testing.assert_array_equal(found.pose2d, 4 * fits[..., 1:3])
    np.testing.assert_array_equal(found.chosen, found.mode)


def test_a_frame_does_not_depend_on_its_company(lifter, fits, found):
    """Bit for bit: every batch is filled up to the same size."""
    for row in (1, 4):
        alone = lifter.lift_fits(fits[row : row + 1], positions=[row])
        for one, all_ in zip(alone[:-1], found[:-1], strict=True):
            np.testing.assert_array_equal(one[0], all_[row])
    elsewhere = lifter.lift_fits(fits[:1], positions=[77])
    assert np.abs(elsewhere.hypotheses[0] - found.hypotheses[0]).max() > 1e-3


class Undense:
    """A model that knows no density: the flow's poses alone."""

    method, config = "undense", CONFIG

    def __init__(self, model):
        self.sample, self.parameters = model.sample, model.parameters


def test_a_model_without_a_density(model, fits, found):
    lifter = Lifter(Undense(model), num_hypotheses=M, sizes=(4,))
    got = lifter.lift_fits(fits)
    assert got.log_density is None
    close(got, found, ("hypotheses", "chosen", "mode", "spread"))
    with pytest.raises(ValueError, match="log_density"):
        dataclasses.replace(lifter, rule="most_likely").lift_fits(fits)


def test_another_unit_of_the_joints_is_the_same_pose(lifter, fits, found):
    pose2d = 7 * fits[..., 1:3] + [300, -20]
    other = lifter.lift_fits(GaussianFit.from_array(jnp.asarray(fits)), pose2d)
    close(other, found)
    np.testing.assert_allclose(other.pose2d, pose2d, rtol=1e-6)


@pytest.mark.parametrize("rule", selection.RULES)
def test_the_chosen_pose_is_the_rule_s(model, fits, found, rule):
    lifter = Lifter(model, num_hypotheses=M, sizes=(4,), rule=rule)
    got = lifter.lift_fits(fits[:2])
    poses, density = found.hypotheses[:2], found.log_density[:2]
    np.testing.assert_array_equal(got.hypotheses, poses)
    distances = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1)
    rows = np.arange(2)
    want = {
        "z0": found.mode[:2],
        "mean": poses.mean(axis=1),
        "medoid": poses[rows, distances.sum((2, 3)).argmin(1)],
        "most_likely": poses[rows, density.argmax(1)],
    }
    if rule in want:
        atol = 1e-5 * np.abs(poses).max()
        np.testing.assert_allclose(got.chosen, want[rule], atol=atol)
    else:  # a cluster's centre lies among the hypotheses
        assert (got.chosen >= poses.min(1)).all() and (got.chosen <= poses.max(1)).all()


def test_temperature_zero_is_the_mode(model, fits):
    cold = Lifter(model, num_hypotheses=M, sizes=(4,), temperature=0.0)
    got = cold.lift_fits(fits[:1])
    want = np.broadcast_to(got.mode[:, None], got.hypotheses.shape)
    atol = 1e-5 * np.abs(want).max()
    np.testing.assert_allclose(got.hypotheses, want, atol=atol)
    np.testing.assert_allclose(got.spread, 0, atol=atol)


@pytest.fixture(scope="module")
def maps(fits):
    return np.asarray(heatmaps.render(GaussianFit.from_array(jnp.asarray(fits))))


def test_heatmaps_are_fitted_first(lifter, fits, maps, found):
    got = lifter.lift_heatmaps(maps)
    np.testing.assert_allclose(got.fits[..., :3], fits[..., :3], atol=2e-3)
    # Peaks by DARK, whose smoothing is cut off at the heatmap's border.
    np.testing.assert_allclose(got.pose2d, 4 * fits[..., 1:3], atol=1)
    assert np.abs(got.mode - found.mode).max() < 0.1 * np.abs(found.mode).max()
    assert lifter.lift_heatmaps(maps[:0]).hypotheses.shape == (0, M, 17, 3)


def test_a_map_of_two_peaks_is_as_wide_as_it_is(lifter, maps):
    two = maps.copy()
    two[0, 12] = np.maximum(two[0, 12], 0.9 * np.roll(two[0, 12], 24, axis=1))
    fits = lifter.lift_heatmaps(two).fits
    assert fits[0, 12, [3, 5]].max() > 7
    rest = lifter.lift_heatmaps(maps).fits
    np.testing.assert_array_equal(fits[1:], rest[1:])


def test_pictures_go_through_the_detector(model, fits, maps):
    """A detector that knows each picture by its colour; joints come in image px."""

    def network(crops):
        return maps[crops[:, 128, 128, 0].astype(int) // 10]

    detector = Detector(network, "made up", flip_test=False)
    lifter = Lifter(model, num_hypotheses=M, sizes=(4,), detector=detector)
    sizes = (300, 400), (512, 512), (256, 256)
    pictures = [np.full((*size, 3), 10 * i, np.uint8) for i, size in enumerate(sizes)]
    got = lifter.lift_pictures(pictures)
    want = lifter.lift_heatmaps(maps[:3])
    close(got, want)
    np.testing.assert_allclose(got.pose2d[2], want.pose2d[2], atol=1e-3)
    np.testing.assert_allclose(got.pose2d[1], 2 * want.pose2d[1], atol=1e-3)
    boxed = lifter.lift_pictures(pictures[1:2], [[100, 100, 204.8, 100]])
    place = want.pose2d[1] - 128 + [202.4, 150]
    np.testing.assert_allclose(boxed.pose2d[0], place, atol=1e-3)
    assert lifter.lift_pictures([]).chosen.shape == (0, 17, 3)


class Blind(BlazePose):
    """Sees three joints of anybody."""

    def look(self, pictures, squares):
        count = len(pictures)
        found = np.arange(16)[None].repeat(count, 0) < 3
        return np.ones((count, 16, 7), np.float32), np.ones((count, 16, 2)), found


def test_nobody_in_a_picture_is_refused(model):
    lifter = Lifter(model, num_hypotheses=M, detector=Blind("lite", None, None, 1))
    with pytest.raises(UserError, match="frame 0: nobody: 3 joints found"):
        lifter.lift_pictures([np.zeros((64, 64, 3), np.uint8)])


def test_keypoints_of_another_detector(lifter):
    """As keypoint files are read, a joint that was not found among them."""
    rng = np.random.default_rng(0)
    points = rng.uniform(100, 300, (2, 17, 2)).astype(np.float32)
    confidence = rng.uniform(0.3, 1, (2, 17)).astype(np.float32)
    confidence[0, 9] = 0
    points[0, 9] = 0  # as detectors write it
    got = lifter.lift_keypoints(points, confidence, skeleton="coco_17")
    with pytest.raises(ValueError, match=r"points of shape \(N, n, 2\); got \(17, 2\)"):
        lifter.lift_keypoints(points[0], confidence[0], skeleton="coco_17")
    with pytest.raises(ValueError, match="confidences of 0 to 1; got percents"):
        lifter.lift_keypoints(points, 100 * confidence, skeleton="coco_17")
    sure = keypoints.from_sigma(jnp.asarray(points), jnp.zeros((2, 17)))
    sure = sure._replace(found=jnp.asarray(confidence > 0))
    _, pixel = keypoints.crop_of(keypoints.to_mpii(sure, "coco_17"))
    want = keypoints.to_mpii(
        keypoints.from_confidence(points, confidence, pixel), "coco_17"
    )
    np.testing.assert_allclose(got.fits, keypoints.to_fits(want).as_array(), rtol=1e-5)
    there = np.asarray(want.found)
    assert (~there).sum() == 1
    np.testing.assert_allclose(got.pose2d[there], want.mean[there], rtol=1e-4)
    exact = lifter.lift_keypoints(points, skeleton="coco_17")
    assert np.abs(exact.fits[..., [3, 5]] - 2).max() < 2  # synthesised joints are wider


def test_what_is_not_finite_is_named(model, fits):
    broken = Undense(model)
    broken.sample = lambda *inputs, **how: (
        model.sample(*inputs, **how).at[3].set(np.inf)
    )
    lifter = Lifter(broken, num_hypotheses=M, sizes=(8,))
    with pytest.raises(FloatingPointError, match="of frame 3 not finite"):
        lifter.lift_fits(fits)


def test_no_frames_have_a_density_where_others_have(lifter, model, fits):
    assert lifter.lift_fits(fits[:0]).log_density.shape == (0, M)
    plain = Lifter(Undense(model), num_hypotheses=M)
    assert plain.lift_fits(fits[:0]).log_density is None


def test_what_cannot_be_lifted_is_refused(lifter, model, fits):
    with pytest.raises(ValueError, match=r"fits of shape \(N, 16, 7\); got \(16, 7\)"):
        lifter.lift_fits(fits[0])
    broken = fits.copy()
    broken[3, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"fits of frame 3 \(and 0 more\)"):
        lifter.lift_fits(broken)
    still = fits.copy()
    still[2, :, 1:3] = 5
    with pytest.raises(ValueError, match="frame 2: all joints are at one place"):
        lifter.lift_fits(still)
    with pytest.raises(ValueError, match="got 5 frames of fits, 4 of pose2d"):
        lifter.lift_fits(fits, fits[:4, :, 1:3])
    with pytest.raises(ValueError, match="5 whole numbers"):
        lifter.lift_fits(fits, positions=np.zeros(5))
    with pytest.raises(ValueError, match=r"heatmaps of shape \(N, 16, 64, 64\)"):
        lifter.lift_heatmaps(np.zeros((2, 17, 64, 64)))
    with pytest.raises(ValueError, match="pictures need a detector"):
        lifter.lift_pictures([np.zeros((64, 64, 3), np.uint8)])
    for wrong in ({"rule": "best"}, {"num_hypotheses": 0}, {"temperature": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}"):
            Lifter(model, **wrong)


@pytest.mark.parametrize("place", [(1.0, 1.0), (320.5, 240.3)])
@pytest.mark.parametrize("skeleton", ["coco_17", "h36m_17"])
def test_joints_at_one_place_are_no_person(lifter, place, skeleton):
    points = np.broadcast_to(np.float32(place), (1, 17, 2))
    with pytest.raises(ValueError, match="frame 0: all joints are at one place"):
        lifter.lift_keypoints(points, skeleton=skeleton)


def test_joints_not_found_need_not_be_numbers(lifter):
    """Not even where JAX is to stop at one that is none; a mask says the same."""
    points = np.random.default_rng(0).uniform(100, 300, (2, 17, 2)).astype(np.float32)
    sure = np.ones((2, 17), np.float32)
    sure[0, 9] = 0
    want = lifter.lift_keypoints(points, sure, skeleton="coco_17")
    lacking, unsure = points.copy(), np.ones((2, 17), np.float32)
    lacking[0, 9], unsure[0, 9] = np.nan, np.nan
    with jax.debug_nans(True):
        got = lifter.lift_keypoints(lacking, skeleton="coco_17")
        again = lifter.lift_keypoints(points, unsure, skeleton="coco_17")
    masked = np.ma.masked_array(points, np.isnan(lacking))
    for other in (got, again, lifter.lift_keypoints(masked, skeleton="coco_17")):
        np.testing.assert_array_equal(other.hypotheses, want.hypotheses)


def test_keypoints_that_are_no_real_numbers_are_refused(lifter):
    points = np.ones((1, 16, 2))
    for wrong, told in ((points * 1j, "complex128"), (points.astype(str), "<U")):
        with pytest.raises(TypeError, match=f"points to be real numbers; got {told}"):
            lifter.lift_keypoints(wrong)
    with pytest.raises(ValueError, match=r"confidence of shape \(1, 16\).*\(16,\)"):
        lifter.lift_keypoints(points, np.ones(16))


def test_sizes_and_seeds_that_could_only_fail_later(model):
    for sizes in ((), (0,), (8, 1)):
        with pytest.raises(ValueError, match="sizes of one frame or more"):
            Lifter(model, sizes=sizes)
    with pytest.raises(TypeError, match="whole number as sizes; got 1.5"):
        Lifter(model, sizes=(1.5,))
    with pytest.raises(TypeError, match="whole number as seed; got 0.5"):
        Lifter(model, seed=0.5)
    for seed in (-1, 2**31):
        with pytest.raises(ValueError, match="seed must be at"):
            Lifter(model, seed=seed)


def test_no_setting_of_the_user_s_forbids_keypoints():
    points = np.random.default_rng(0).uniform(100, 300, (2, 17, 2)).astype(np.float32)
    lifter = Lifter.load("cmu_small", num_hypotheses=2, sizes=(2,))
    with jax.numpy_rank_promotion("raise"):
        got = lifter.lift_keypoints(points, skeleton="coco_17")
    assert got.hypotheses.shape == (2, 2, 17, 3)


def test_fits_of_one_person_are_told_from_those_of_many(lifter, fits):
    one = GaussianFit.from_array(jnp.asarray(fits[0]))
    with pytest.raises(ValueError, match=r"of shape \(N, 16\); got \(16,\)"):
        lifter.lift_fits(one)
    with pytest.raises(ValueError, match=r"pose2d of shape \(5, 16, 2\).*\(4, 16, 2\)"):
        lifter.lift_fits(GaussianFit.from_array(jnp.asarray(fits)), fits[:4, :, 1:3])


def test_pictures_and_boxes_of_other_shapes(model):
    lifter = Lifter(model, num_hypotheses=M, detector=Blind("lite", None, None, 1))
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(TypeError, match=r"got one array of shape \(64, 64, 3\)"):
        lifter.lift_pictures(picture)
    for boxes in ((0, 0, 9, 9), np.ones((2, 4)), np.ones((1, 5))):
        with pytest.raises(ValueError, match=r"boxes of shape \(1, 4\), one for each"):
            lifter.lift_pictures([picture], boxes)


def test_maps_of_another_scale_are_told_of_by_the_argument(lifter, maps):
    with pytest.raises(ValueError, match=r"give scale=logits, .* scale=0\.\.255"):
        lifter.lift_heatmaps(255 * np.asarray(maps))
