"""Heatmaps of known bumps: what is read of them, and where it is turned to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.detector.blazepose import uncertainty
from jaxflow.gaussians import ellipses
from jaxflow.gaussians.keypoints import Keypoints
from jaxflow.gaussians.skeletons import COCO_17
from jaxflow.skeleton import MPII_JOINTS
from tests.helpers.drawn_people import STANDING

COCO = {name: i for i, name in enumerate(COCO_17.joints)}


def bump(place, covariance, height=0.9):
    """A map (64, 64) of a Gaussian, image frame."""
    y, x = np.mgrid[:64, :64]
    offset = np.stack([x, y], -1) - np.asarray(place)
    distance = np.einsum("yxi,ij,yxj->yx", offset, np.linalg.inv(covariance), offset)
    return height * np.exp(-distance / 2)


@functools.partial(jax.jit, static_argnames=("blur", "share"))
def of(maps, blur=1.1, share=1.0):
    return uncertainty.of_maps(maps, blur, share)


def two(*maps):
    return of(jnp.asarray(np.stack(maps), jnp.float32)[None])


def test_the_network_s_blur_is_taken_away():
    """S of what is left, and nothing where a map is narrower than the blur."""
    spread = np.array([[6.0, 2], [2, 3]])
    unit = np.eye(2)
    seen = two(bump([20, 30], 1.1**2 * unit + spread), bump([40, 30], unit))
    np.testing.assert_allclose(seen.covariance[0, 0], spread, atol=0.02)
    np.testing.assert_allclose(seen.covariance[0, 1], 0, atol=1e-5)
    shift = uncertainty.SHIFT
    np.testing.assert_allclose(
        seen.mean[0], np.array([[20, 30], [40, 30]]) + shift, atol=0.01
    )


def test_a_share_of_what_is_left():
    spread = np.array([[6.0, 2], [2, 3]])
    maps = jnp.asarray(bump([20, 30], 1.1**2 * np.eye(2) + spread), jnp.float32)
    seen = of(jnp.stack([maps, maps])[None], share=0.8)
    np.testing.assert_allclose(seen.covariance[0, 0], 0.8**2 * spread, atol=0.02)


def test_two_peaks_are_as_wide_as_their_map():
    """About the higher one, where one Gaussian would say that it is sure."""
    unit = 1.2**2 * np.eye(2)
    one, other = bump([20, 30], unit, 0.5), bump([40, 30], unit, 0.45)
    seen = two(one + other, one)
    np.testing.assert_allclose(seen.mean[0, 0, 0], 20 + uncertainty.SHIFT, atol=0.1)
    share = 0.45 / 0.95
    across, along = seen.covariance[0, 0, 0, 0], seen.covariance[0, 0, 1, 1]
    assert across == pytest.approx(share * 20**2, rel=0.1) and along < 0.5


def test_turned_back_as_the_crop_was():
    """A quarter turn: the crop's right is the picture's down."""
    seen = Keypoints(
        jnp.asarray([[[42.0, 32]]]),
        jnp.asarray([[[[4.0, 1], [1, 2]]]]),
        jnp.ones((1, 1), bool),
    )
    back = uncertainty.turned_back(seen, jnp.asarray([np.pi / 2], jnp.float32))
    np.testing.assert_allclose(back.mean, [[[32, 42]]], atol=1e-5)
    np.testing.assert_allclose(back.covariance, [[[[2, -1], [-1, 4]]]], atol=1e-5)


def standing():
    """COCO-17 and the middle of the hips of a standing person, heatmap px, sure."""
    joints = {name: 60 * STANDING[i] for i, name in enumerate(MPII_JOINTS)}
    places = np.zeros((18, 2))
    for name, i in COCO.items():
        side = name[0] if name[:4] in ("Left", "Righ") else ""
        part = name.removeprefix("Left").removeprefix("Right")
        part = {"Ankle": "Foot"}.get(part, part)
        face = joints["Head"] + [0, 4]
        places[i] = joints.get(side + part, face)
    places[-1] = joints["Hip"] + [0, 1]  # not where the rule would put it
    return places


def read(places, turn=0.0, wide=()):
    maps = np.stack(
        [
            bump(place, (9.0 if i in wide else 1.2) * np.eye(2), 0.95)
            for i, place in enumerate(places)
        ]
    )
    logits = np.full((64, 64, 39), -20.0, np.float32)
    maps = np.clip(maps, 1e-9, 1 - 1e-6)
    logits[..., uncertainty.CHANNELS] = np.moveaxis(np.log(maps / (1 - maps)), 0, -1)
    turn = jnp.asarray([turn], jnp.float32)
    return jax.tree.map(
        lambda x: np.asarray(x)[0], uncertainty.read(logits[None], turn, 1.1)
    )


def sigma(reading, joint):
    return reading.fit[MPII_JOINTS.index(joint), [3, 5]].max()


def test_sixteen_joints_of_sure_maps():
    places = standing()
    reading = read(places)
    assert reading.found.all() and reading.peak.min() > 0.8
    at = dict(zip(MPII_JOINTS, reading.mean - uncertainty.SHIFT, strict=True))
    np.testing.assert_allclose(at["Hip"], places[-1], atol=0.05)
    np.testing.assert_allclose(at["LFoot"], places[COCO["LeftAnkle"]], atol=0.05)
    shoulders = places[[COCO["LeftShoulder"], COCO["RightShoulder"]]].mean(0)
    np.testing.assert_allclose(at["Thorax"], shoulders, atol=0.05)
    # The flow's training set has a blur of 2 px on joints that are sure.
    assert sigma(reading, "LKnee") == pytest.approx(2, abs=0.02)


def test_what_is_made_up_says_so():
    """The rules' own errors, in shares of the torso's length."""
    reading = read(standing())
    torso = 60 * (0.55 - 0.25) + 1
    for joint, share in uncertainty.RULES.items():
        expected = np.hypot(2, share * torso)
        assert sigma(reading, joint) == pytest.approx(expected, rel=0.03), joint
    wide = read(standing(), wide=[COCO["LeftShoulder"]])
    assert sigma(wide, "Thorax") > sigma(reading, "Thorax") + 0.2
    assert sigma(wide, "LShoulder") == pytest.approx(np.sqrt(4 + 9 - 1.21), rel=0.01)


def test_a_turned_crop_reads_as_the_upright_one():
    """The person upright in a crop that was turned by 30 degrees is turned by them."""
    places = standing()
    reading = read(places, np.radians(30.0))
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    offset = places + uncertainty.SHIFT - 32
    knee, j = MPII_JOINTS.index("LKnee"), COCO["LeftKnee"]
    expected = 32 + np.array([[cos, -sin], [sin, cos]]) @ offset[j]
    np.testing.assert_allclose(reading.mean[knee], expected, atol=0.05)
    fit = reading.fit[knee]
    covariance = ellipses.covariance_image_frame(fit[[3, 5]], fit[4])
    np.testing.assert_allclose(covariance, 4 * np.eye(2), atol=0.1)
