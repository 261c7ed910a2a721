"""Made-up people before a camera, whose pictures follow from their poses."""

import jax
import numpy as np

from jaxflow.gaussians import unsure
from jaxflow.maths import geometry
from jaxflow.skeleton import H36M_JOINTS, MPII_TO_H36M
from jaxflow.types import PoseRecords, RawFrames

FOCAL = 600.0  # crop pixels

_seen_slopes = jax.jit(geometry.seen_slopes)
_covariance_of = jax.jit(unsure.covariance_of)


def frames(count, seed=0, error=0.5):
    """People of random poses, detected with this deviation in heatmap pixels."""
    rng = np.random.default_rng(seed)
    hip = rng.uniform([-500, -300, 4000], [500, 300, 6000], (count, 1, 3))
    body = rng.normal(0, 250, (17, 3)) * [1, 2, 1] + rng.normal(0, 150, (count, 17, 3))
    body[:, 0] = 0
    pose3d = (hip + body).astype(np.float32)
    slopes = np.asarray(_seen_slopes(pose3d))
    origin = 128 - FOCAL * slopes.mean(axis=1, keepdims=True)
    truth = FOCAL * slopes + origin
    fits = np.zeros((count, 16, 7), np.float32)
    fits[..., 0], fits[..., 6] = 0.9, 0.01
    fits[..., 3] = fits[..., 5] = np.hypot(2, error)
    noise = rng.normal(0, error, (count, 16, 2))
    pose2d = (truth + 4 * noise).astype(np.float32)
    fits[..., 1:3] = pose2d / 4
    return RawFrames(pose3d, pose2d, fits)


def standing():
    """Somebody who stands (17, 3), mm: left, up, towards the camera; feet at 80."""
    heights = dict(
        Hip=900, RHip=900, LHip=900, RKnee=480, LKnee=480, RFoot=80, LFoot=80,
        Spine=1100, Thorax=1300, Nose=1450, Head=1650, LShoulder=1350, RShoulder=1350,
        LElbow=1080, RElbow=1080, LWrist=850, RWrist=850,
    )  # fmt: skip
    sides = {"L": 1.0, "R": -1.0}
    return np.asarray(
        [[150 * sides.get(name[0], 0), heights[name], 0] for name in H36M_JOINTS]
    )


def covariance(gaussfit):
    """Of fits, pose frame, as NumPy."""
    return np.asarray(_covariance_of(gaussfit))


def flat_records(count, depth, seed=0):
    """People 5 m away, flat but for noise in depth.

    Args:
      count: of frames, in ten takes, each by three cameras.
      depth: mm, deviation of each joint's depth, which no picture tells.
      seed: of all of it.
    """
    rng = np.random.default_rng(seed)
    body = np.zeros((count, 17, 3))
    shape = np.random.default_rng(0).normal(0, 1, (17, 2)) * [300, 600]
    body[..., :2] = shape + rng.normal(0, 60, (count, 17, 2))
    picture = body[:, list(MPII_TO_H36M), :2]
    picture = picture - picture.mean(axis=1, keepdims=True)
    body[..., :2] *= 550 / picture.std(axis=(1, 2), keepdims=True)
    body[..., 2] = rng.normal(0, depth, (count, 17))
    body[:, 0, 2] = 0
    truth = 128 + FOCAL * body[:, list(MPII_TO_H36M), :2] / 5000
    fits = np.zeros((count, 16, 7), np.float32)
    fits[..., 0], fits[..., 6] = 0.9, 0.01
    fits[..., 3] = fits[..., 5] = np.hypot(2, 0.5)
    pose2d = truth + 4 * rng.normal(0, 0.5, truth.shape)
    fits[..., 1:3] = pose2d / 4
    text = np.array(["S9"] * count)
    return PoseRecords(
        pose3d=(body + [0, 0, 5000]).astype(np.float32),
        pose2d=pose2d.astype(np.float32),
        gaussfit=fits,
        subject=text,
        action=np.array(["Walking", "Eating"])[np.arange(count) % 2],
        subaction=np.array([str(i % 5) for i in range(count)]),
        camera=np.array([str(i // 10 % 3) for i in range(count)]),
        frame=np.arange(count, dtype=np.int32),
    )
