"""Keypoints of any detector as fits, and the covariance conventions they rest on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import detections, gaussians, heatmaps
from jaxflow.condition import condition
from jaxflow.foreign_skeletons import SKELETONS
from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS, MPII_TO_H36M
from jaxflow.types import GaussianFit


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class TestCovarianceConventions:
    """The sign trap, against points drawn from the bump itself."""

    @pytest.fixture(scope="class")
    @classmethod
    def tilted(cls):
        one = jnp.float32
        return GaussianFit(
            amplitude=one(1),
            mean=jnp.asarray([31.0, 33.0]),
            sigma=jnp.asarray([5.0, 2.0]),
            theta=one(0.6),
            rmse=one(0),
            converged=jnp.asarray(True),
        )

    @staticmethod
    def sampled(fit):
        """Covariance of pixels drawn with the bump as their density: y points down."""
        density = np.asarray(heatmaps.render(fit), np.float64).ravel()
        rng = np.random.default_rng(0)
        chosen = rng.choice(density.size, 200_000, p=density / density.sum())
        rows, columns = np.unravel_index(chosen, (64, 64))
        return np.cov(np.stack([columns, rows]))

    def test_image_frame_is_the_spread_of_the_pixels(self, tilted):
        covariance = gaussians.covariance_image_frame(tilted.sigma, tilted.theta)
        np.testing.assert_allclose(covariance, self.sampled(tilted), atol=0.25)
        assert covariance[0, 1] < -5  # towards the upper right is up in y, down in rows

    def test_pose_frame_is_that_with_y_up(self, tilted):
        covariance = gaussians.covariance_pose_frame(tilted.sigma, tilted.theta)
        flip = np.diag([1, -1])
        expected = flip @ self.sampled(tilted) @ flip
        np.testing.assert_allclose(covariance, expected, atol=0.25)

    def test_condition_uses_the_pose_frame(self, tilted):
        fits = jax.tree.map(lambda x: jnp.broadcast_to(x, (16, *x.shape)), tilted)
        fits = fits._replace(mean=fits.mean + jnp.arange(32.0).reshape(16, 2))
        # Both sigmas are doubled where they exceed 2.1; 2.0 is not.
        sigma = jnp.asarray([10.0, 2.0]) / 20
        expected = gaussians.covariance_pose_frame(sigma, tilted.theta)
        found = condition(fits).reshape(13, 6)[0, 3:]
        np.testing.assert_allclose(
            found, [expected[0, 0], expected[0, 1], expected[1, 1]], atol=1e-6
        )

    def test_sigma_theta_inverts(self):
        sigma = jnp.exp(0.5 * numbers(1, 50, 2))
        theta = 3 * numbers(2, 50)
        covariance = gaussians.covariance_pose_frame(sigma, theta)
        back = gaussians.sigma_theta(covariance)
        np.testing.assert_allclose(back[0], -np.sort(-sigma, axis=1), rtol=1e-4)
        assert (back[1] >= 0).all() and (back[1] < np.pi).all()
        np.testing.assert_allclose(
            gaussians.covariance_pose_frame(*back), covariance, atol=1e-4
        )

    def test_quadratic_inverts(self):
        sigma, theta = jnp.exp(0.5 * numbers(1, 50, 2)), 3 * numbers(2, 50)
        back = gaussians.from_quadratic(gaussians.to_quadratic(sigma, theta))
        np.testing.assert_allclose(
            gaussians.covariance_pose_frame(*back),
            gaussians.covariance_pose_frame(sigma, theta),
            rtol=1e-3, atol=1e-3,
        )  # fmt: skip

    def test_derivatives_of_a_circle_are_finite(self):
        circle = 4 * jnp.eye(2)
        jacobian = jax.jacobian(gaussians.sigma_theta)(circle)
        assert all(np.isfinite(part).all() for part in jacobian)

    def test_forward_and_reverse_derivatives_agree_when_compiled(self):
        quadratic = jnp.asarray([[0.12, 0.02, 0.15], [0.1, -0.01, 0.2]])
        forward = jax.jit(jax.jacfwd(gaussians.from_quadratic))(quadratic)
        backward = jax.jit(jax.jacrev(gaussians.from_quadratic))(quadratic)
        for one, other in zip(forward, backward, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


class TestLayouts:
    def test_released_layout_and_back(self):
        flat = numbers(0, 5, 112)
        fits = gaussians.from_released_layout(flat)
        assert fits.mean.shape == (5, 16, 2)
        np.testing.assert_array_equal(fits.sigma[2, 3], flat[2, [24, 26]])
        np.testing.assert_array_equal(gaussians.to_released_layout(fits), flat)

    def test_wrong_lengths_are_named(self):
        with pytest.raises(ValueError, match="112"):
            gaussians.from_released_layout(np.zeros((2, 111), np.float32))
        fits = GaussianFit.from_array(jnp.zeros((15, 7)))
        with pytest.raises(ValueError, match="16, 7"):
            gaussians.to_released_layout(fits)

    def test_ambiguous_is_any_sigma_above_five(self):
        fits = np.full((4, 16, 7), 2.0, np.float32)
        fits[1, 3, 3] = 5.001
        fits[2, 9, 5] = -6.0  # the sign of a sigma means nothing
        fits[3, 0, 4] = 9.0  # an angle
        expected = [False, True, True, False]
        np.testing.assert_array_equal(gaussians.is_ambiguous(fits), expected)
        assert gaussians.is_ambiguous(GaussianFit.from_array(fits)).tolist() == expected
        with pytest.raises(ValueError, match="fits"):
            gaussians.is_ambiguous(GaussianFit.from_array(fits[0, 0]))


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
            "Nose": 0.93, "Eye": 0.93, "Ear": 0.93, "Head": 1.0, "Shoulder": 0.82,
            "Neck": 0.82, "Elbow": 0.63, "Wrist": 0.48, "Hip": 0.53, "MidHip": 0.53,
            "Knee": 0.28, "Ankle": 0.04,
        }  # fmt: skip
        points = []
        for joint in SKELETONS[skeleton].joints:
            side = -0.1 if "Right" in joint else 0.1 if "Left" in joint else 0.0
            plain = joint.replace("Right", "").replace("Left", "")
            points.append((side, -height.get(plain, 0.0)))
        return np.array(points, np.float32)

    @pytest.mark.parametrize("skeleton", ["coco_17", "body_25", "halpe_26"])
    def test_a_standing_person(self, skeleton):
        points = self.standing(skeleton)
        keypoints = detections.from_sigma(points, np.full(len(points), 0.01, "f4"))
        mpii = detections.to_mpii(keypoints, skeleton)
        at = dict(zip(MPII_JOINTS, np.asarray(mpii.mean), strict=True))
        expected = {
            "Head": (0, -1.0), "Thorax": (0, -0.82), "Hip": (0, -0.53),
            "Spine": (0, -0.675), "RFoot": (-0.1, -0.04), "LWrist": (0.1, -0.48),
            "RShoulder": (-0.1, -0.82), "LKnee": (0.1, -0.28),
        }  # fmt: skip
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
            "LHip", "LKnee", "RShoulder",
        ]  # fmt: skip
        assert np.isfinite(mpii.mean).all() and np.isfinite(mpii.covariance).all()

    def test_unknown_skeletons_and_counts_are_named(self):
        keypoints = detections.from_sigma(numbers(0, 17, 2), np.ones(17, np.float32))
        with pytest.raises(ValueError, match="coco_17.*'coco'"):
            detections.to_mpii(keypoints, "coco")
        with pytest.raises(ValueError, match="25 joints for body_25"):
            detections.to_mpii(keypoints, "body_25")
