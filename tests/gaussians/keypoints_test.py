"""Keypoints of any detector as fits."""

import jax
import numpy as np
import pytest

from jaxflow import gaussians
from jaxflow.gaussians import keypoints as detections
from jaxflow.gaussians.condition import condition
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS, MPII_TO_H36M
from tests.helpers.precision import assert_exact


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class TestFits:
    def test_uncertainty_adds_to_the_training_width(self):
        points = 100 + 50 * numbers(0, 16, 2)
        sigma = np.abs(numbers(1, 16, 2)) * 3
        fits = detections.to_fits(
            detections.from_sigma(points, sigma), np.float32([20, 10]), np.float32(3)
        )
        np.testing.assert_allclose(fits.mean, (points - [20, 10]) / 3, rtol=1e-5)
        covariance = gaussians.covariance_image_frame(fits.sigma, fits.theta)
        expected = 4 + (sigma / 3) ** 2
        np.testing.assert_allclose(
            np.diagonal(covariance, axis1=1, axis2=2), expected, rtol=1e-4
        )
        np.testing.assert_allclose(
            fits.amplitude, 4 / np.sqrt(expected.prod(1)), rtol=1e-4
        )

    def test_covariances_keep_their_direction(self):
        covariance = np.broadcast_to(np.float32([[9, 4], [4, 5]]), (16, 2, 2))
        keypoints = detections.from_covariance(30 + numbers(0, 16, 2), covariance)
        fits = detections.to_fits(keypoints, np.zeros(2, np.float32), np.float32(1))
        found = gaussians.covariance_image_frame(fits.sigma, fits.theta)
        np.testing.assert_allclose(found, covariance + 4 * np.eye(2), rtol=1e-4)

    def test_confidence_falls_to_sigma_monotonically(self):
        confidence = np.linspace(0.04, 1, 16, dtype=np.float32)
        points, pixel = 30 + numbers(0, 16, 2), np.float32(2.5)
        keypoints = detections.from_confidence(points, confidence, pixel)
        fits = detections.to_fits(keypoints, np.zeros(2, np.float32), pixel)
        np.testing.assert_allclose(fits.sigma[:, 0], 2 / np.sqrt(confidence), rtol=1e-4)
        np.testing.assert_allclose(fits.amplitude, confidence, rtol=1e-4)
        assert (np.diff(fits.sigma[:, 0]) < 0).all()

    def test_a_sure_joint_has_a_slope(self):
        points, pixel = 30 + numbers(0, 3, 2), np.float32(2.5)

        def widths(confidence):
            keypoints = detections.from_confidence(points, confidence, pixel)
            return keypoints.covariance.sum()

        slopes = jax.grad(widths)(np.float32([0.5, 1.0, 1.5]))
        assert np.isfinite(slopes).all() and slopes[0] < 0

    def test_percents_are_no_confidences(self):
        points, sure = 30 + numbers(0, 2, 16, 2), np.full((2, 16), 95, np.float32)
        with pytest.raises(ValueError, match="0 to 1; got up to 95: divide percents"):
            detections.from_confidence(points, sure, np.float32(1))
        with pytest.raises(ValueError, match=r"heatmap_pixel.*; got shape \(3,\)"):
            detections.from_confidence(points, sure / 100, np.ones(3, np.float32))

    def test_joints_not_found_are_flagged_and_finite(self):
        points = 30 + numbers(0, 2, 16, 2)
        confidence = np.full((2, 16), 0.9, np.float32)
        points[0, 3], confidence[0, 5], confidence[1] = np.nan, 0, 0
        keypoints = detections.from_confidence(points, confidence, np.ones(2, "f4"))
        fits = detections.to_fits(keypoints)
        assert all(np.isfinite(field).all() for field in fits)
        assert np.flatnonzero(~fits.converged[0]).tolist() == [3, 5]
        assert not fits.converged[1].any()
        np.testing.assert_allclose(fits.sigma[0, 3], 10)
        others = np.delete(np.asarray(fits.mean[0]), [3, 5], axis=0)
        np.testing.assert_allclose(fits.mean[0, 3], others.mean(0), rtol=1e-4)
        assert np.isfinite(condition(fits)[0]).all()

    def test_what_is_no_covariance_is_no_joint_found(self):
        """An indefinite one would pass for a very sure joint's."""
        points = 30 + numbers(0, 16, 2)
        covariance = np.tile(4 * np.eye(2, dtype=np.float32), (16, 1, 1))
        covariance[1] = [[1, 3], [3, 1]]
        covariance[2] = [[-4, 0], [0, -4]]
        covariance[3] = [[0, 1e-3], [1e-3, 0]]
        covariance[4] = 0  # a point
        covariance[5] = np.outer([0.3, 0.7], [0.3, 0.7])  # a line
        covariance[6] = 1e30 * np.eye(2)
        make = detections.from_covariance
        for found in (make(points, covariance), jax.jit(make)(points, covariance)):
            assert np.flatnonzero(~found.found).tolist() == [1, 2, 3]
            assert np.isfinite(found.covariance).all()

    def test_lines_in_every_direction_are_covariances(self):
        angle = np.linspace(0, np.pi, 4000)
        along = np.stack([np.cos(angle), np.sin(angle)], -1)
        lines = np.float32(37.3 * along[:, :, None] * along[:, None, :])
        assert detections.from_covariance(np.float32(along), lines).found.all()

    @pytest.mark.parametrize("along", [(), (2,)])
    def test_a_negative_deviation_is_no_joint_found(self, along):
        sigma = np.ones((16, *along), np.float32)
        sigma[3], sigma[4], sigma[5] = 0, np.nan, np.inf
        sigma.reshape(16, -1)[7, -1] = -1
        make = detections.from_sigma
        points = numbers(0, 16, 2)
        for found in (make(points, sigma), jax.jit(make)(points, sigma)):
            assert np.flatnonzero(~found.found).tolist() == [4, 5, 7]

    def test_fits_without_an_answer_need_not_be_numbers(self):
        fits = detections.to_fits(
            detections.from_sigma(30 + numbers(0, 16, 2), np.ones(16, np.float32))
        )
        found = np.arange(16) != 3
        spoiled = jax.tree.map(
            lambda field: np.where(
                found.reshape(16, *[1] * (field.ndim - 1)), field, np.float32(np.nan)
            ),
            fits._replace(converged=fits.rmse),
        )._replace(converged=found)
        filled = detections.fill_missing(spoiled)
        assert all(np.isfinite(field).all() for field in filled)
        others = np.delete(np.asarray(fits.mean), 3, axis=0)
        np.testing.assert_allclose(filled.mean[3], others.mean(0), rtol=1e-5)
        assert np.isfinite(condition(filled)).all()

    def test_default_crop_holds_the_person_with_its_margin(self):
        points = 500 + 80 * numbers(3, 7, 16, 2)
        keypoints = detections.from_sigma(points, np.ones((7, 16), np.float32))
        fits = jax.jit(detections.to_fits)(keypoints)
        extent = np.ptp(np.asarray(fits.mean), axis=1)
        np.testing.assert_allclose(extent.max(1), 64 / 1.25, rtol=1e-4)
        assert (fits.mean >= 0).all() and (fits.mean <= 64).all()

    def test_wrong_shapes_are_named(self):
        points = numbers(0, 16, 2)
        with pytest.raises(ValueError, match="sigma"):
            detections.from_sigma(points, numbers(0, 15))
        with pytest.raises(TypeError, match="points"):
            detections.from_sigma(np.zeros((16, 2), int), numbers(0, 16))
        keypoints = detections.from_sigma(points, numbers(0, 16))
        with pytest.raises(ValueError, match="together"):
            detections.to_fits(keypoints, np.zeros(2, np.float32))


class TestOtherSkeletons:
    @staticmethod
    def standing(skeleton):
        """A person standing upright, arms down, 1 unit tall, y down: each joint."""
        height = {
            "Nose": 0.93,
            "Eye": 0.93,
            "Ear": 0.93,
            "Head": 1.0,
            "Shoulder": 0.82,
            "Neck": 0.82,
            "Elbow": 0.63,
            "Wrist": 0.48,
            "Hip": 0.53,
            "MidHip": 0.53,
            "Knee": 0.28,
            "Ankle": 0.04,
        }
        points = []
        for joint in SKELETONS[skeleton].joints:
            side = -0.1 if "Right" in joint else 0.1 if "Left" in joint else 0.0
            plain = joint.replace("Right", "").replace("Left", "")
            points.append((side, -height.get(plain, 0.0)))
        return np.array(points, np.float32)

    @pytest.mark.parametrize(
        "skeleton",
        [
            "coco_17",
            "openpose_18",
            "body_25",
            "halpe_26",
            "blazepose_33",
            "wholebody_133",
        ],
    )
    def test_a_standing_person(self, skeleton):
        points = self.standing(skeleton)
        keypoints = detections.from_sigma(points, np.full(len(points), 0.01, "f4"))
        mpii = detections.to_mpii(keypoints, skeleton)
        at = dict(zip(MPII_JOINTS, np.asarray(mpii.mean), strict=True))
        expected = {
            "Head": (0, -1.0),
            "Thorax": (0, -0.82),
            "Hip": (0, -0.53),
            "Spine": (0, -0.675),
            "RFoot": (-0.1, -0.04),
            "LWrist": (0.1, -0.48),
            "RShoulder": (-0.1, -0.82),
            "LKnee": (0.1, -0.28),
        }
        for joint, place in expected.items():
            np.testing.assert_allclose(at[joint], place, atol=5e-3, err_msg=joint)
        assert mpii.found.all()

    @pytest.mark.parametrize("skeleton", list(SKELETONS))
    def test_uncertainty_is_propagated(self, skeleton):
        """Against the sample covariance of noisy keypoints."""
        points = self.standing(skeleton)
        rng = np.random.default_rng(0)
        sigma = rng.uniform(0.5, 2, len(points)).astype(np.float32)
        keypoints = detections.from_sigma(points, sigma)
        noise = rng.normal(size=(4000, len(points), 2)) * sigma[:, None]
        many = detections.from_sigma(
            (points + noise).astype(np.float32), np.broadcast_to(sigma, noise.shape[:2])
        )
        drawn = np.asarray(detections.to_mpii(many, skeleton).mean)
        claimed = np.asarray(detections.to_mpii(keypoints, skeleton).covariance)
        np.testing.assert_allclose(
            drawn.var(0), np.diagonal(claimed, axis1=1, axis2=2), rtol=0.15
        )

    def test_human36m_is_a_selection(self):
        points = numbers(0, 3, len(H36M_JOINTS), 2)
        keypoints = detections.from_sigma(points, np.ones((3, 17), np.float32))
        mpii = detections.to_mpii(keypoints, "h36m_17")
        np.testing.assert_allclose(mpii.mean, points[:, list(MPII_TO_H36M)], atol=1e-6)

    def test_missing_joints(self):
        points = self.standing("coco_17")
        names = SKELETONS["coco_17"].joints
        missing = ["LeftEar", "RightEye", "LeftHip", "RightShoulder", "LeftKnee"]
        points[[names.index(name) for name in missing]] = np.nan
        mpii = detections.to_mpii(
            detections.from_sigma(points, np.ones(17, np.float32)), "coco_17"
        )
        found = dict(zip(MPII_JOINTS, np.asarray(mpii.found), strict=True))
        assert [name for name, there in found.items() if not there] == [
            "LHip",
            "LKnee",
            "RShoulder",
        ]
        assert np.isfinite(mpii.mean).all() and np.isfinite(mpii.covariance).all()

    def test_unknown_skeletons_and_counts_are_named(self):
        keypoints = detections.from_sigma(numbers(0, 17, 2), np.ones(17, np.float32))
        with pytest.raises(ValueError, match="coco_17.*'coco'"):
            detections.to_mpii(keypoints, "coco")
        with pytest.raises(ValueError, match="25 joints for body_25"):
            detections.to_mpii(keypoints, "body_25")


def test_pixels_keep_their_precision():
    """On accelerators 1,920 px would be rounded to whole ones, or worse."""
    keypoints = detections.from_sigma(numbers(9, 17, 2), np.ones(17, np.float32))
    assert_exact(lambda k: detections.to_mpii(k, "coco_17"), keypoints)


def test_what_is_no_record_is_told():
    with pytest.raises(TypeError, match="expected fit, a GaussianFit; got a "):
        detections.fill_missing(np.zeros((16, 7), np.float32))
    plain = tuple(detections.from_sigma(numbers(0, 16, 2), np.ones(16, np.float32)))
    with pytest.raises(TypeError, match="keypoints, a Keypoints; got a tuple"):
        detections.to_mpii(plain, "mpii_16")
    with pytest.raises(TypeError, match="keypoints, a Keypoints; got a tuple"):
        detections.to_fits(plain)
