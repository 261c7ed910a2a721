"""Poses in and out of the network's frame (paper section 4.2).

The network sees coordinate-major vectors (all x, all y, all z), y up, z towards the
camera, mean-centred. Cameras and users see (joint, axis) arrays, y down, z away.
Nothing here is learned and everything takes any leading batch shape.
"""

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks
from jaxflow.skeleton import H36M_MIRRORED, LEFT_HIP_16, MPII_TO_H36M, RIGHT_HIP_16

_FLIP_YZ = (1.0, -1.0, -1.0)


def to_joints(vector: jax.Array, axes: int = 3) -> jax.Array:
    """Coordinate-major (..., axes * J) to (..., J, axes)."""
    joints = vector.shape[-1] // axes
    return jnp.swapaxes(vector.reshape(*vector.shape[:-1], axes, joints), -1, -2)


def to_vector(joints: jax.Array) -> jax.Array:
    """(..., J, axes) to coordinate-major (..., axes * J)."""
    count, axes = joints.shape[-2:]
    return jnp.swapaxes(joints, -1, -2).reshape(*joints.shape[:-2], axes * count)


@checks.promoting
def normalize_pose2d(pixels: jax.typing.ArrayLike) -> jax.Array:
    """A 2D pose as the network sees it: centred, y up, unit standard deviation.

    Args:
      pixels: (..., 16, 2) MPII-16 order, x right and y down, in any unit.

    Returns:
      (..., 32) coordinate-major. Its standard deviation over all 32 numbers is one.
      NaN where all sixteen joints lie in one place, which has no scale. So they do
      where fewer than two were found and the others stand in their middle
      (`jaxflow.detections.fill_missing`): leave such people out, as `Lifter` does those
      of fewer than `jaxflow.detections.MIN_JOINTS`.

    Raises:
      TypeError: not floating point.
      ValueError: the shape does not end in (16, 2).

    Source: paper section 4.2; axes as in the released code.
    """
    pixels = checks.floating("pixels", pixels, (16, 2))
    centred = pixels - jnp.mean(pixels, axis=-2, keepdims=True)
    vector = to_vector(centred * jnp.asarray([1.0, -1.0], pixels.dtype))
    return vector / jnp.std(vector, axis=-1, keepdims=True)


@checks.promoting
def normalize_pose3d(pose: jax.typing.ArrayLike) -> jax.Array:
    """A 3D pose as the network sees it.

    Args:
      pose: (..., 17, 3) H36M-17 order, metres, camera frame (y down, z away).

    Returns:
      (..., 48) coordinate-major metres: the hip dropped, each axis centred on the mean
      of the other 16 joints, y up, z towards the camera.

    Raises:
      TypeError: not floating point.
      ValueError: the shape does not end in (17, 3).

    Source: paper section 4.2; axes as in the released code.
    """
    pose = checks.floating("pose", pose, (17, 3))
    joints = pose[..., 1:, :]
    centred = joints - jnp.mean(joints, axis=-2, keepdims=True)
    return to_vector(centred * jnp.asarray(_FLIP_YZ, pose.dtype))


def with_hip(vector: jax.Array) -> jax.Array:
    """The network's pose (..., 48) with its hip put back: (..., 17, 3), hip at 0.

    The hip is the midpoint of the right and the left hip (released code). Units and
    the frame stay the network's: metres, y up, z towards the camera.
    """
    joints = to_joints(vector)
    hip = (joints[..., RIGHT_HIP_16, :] + joints[..., LEFT_HIP_16, :]) / 2
    rest = joints - hip[..., None, :]
    return jnp.concatenate([jnp.zeros_like(hip)[..., None, :], rest], axis=-2)


def flip_yz(pose: jax.Array) -> jax.Array:
    """(..., 3) between the network's frame and the camera's: y and z change sign."""
    return pose * jnp.asarray(_FLIP_YZ, pose.dtype)


@checks.promoting
def denormalize_pose3d(vector: jax.typing.ArrayLike) -> jax.Array:
    """A 3D pose of the network as cameras see it.

    Args:
      vector: (..., 48) coordinate-major metres, as `normalize_pose3d` gives them.

    Returns:
      (..., 17, 3) H36M-17 order, metres, camera frame (y down, z away), hip at 0.

    Raises:
      TypeError: not floating point.
      ValueError: the shape does not end in (48,).

    Source: paper section 4.2; the hip and the axes as in the released code.
    """
    vector = checks.floating("vector", vector, (48,))
    return flip_yz(with_hip(vector))


def relative_to_hip(pose: jax.Array) -> jax.Array:
    """(..., 17, 3) in any unit and frame, moved so that the hip is the origin."""
    return pose - pose[..., :1, :]


def mirrored(pose3d: jax.Array) -> jax.Array:
    """Poses (..., 17, 3), camera frame, as a mirror shows them.

    x the other way, left and right exchanged.
    """
    exchanged = pose3d[..., jnp.asarray(H36M_MIRRORED), :]
    return exchanged * jnp.asarray([-1.0, 1.0, 1.0], pose3d.dtype)


def seen_slopes(pose3d: jax.Array) -> jax.Array:
    """Where the joints that a detector sees lie on the picture of a unit camera.

    Args:
      pose3d: (..., 17, 3) in any unit, camera frame, in front of the camera.

    Returns:
      (..., 16, 2) MPII-16 order: x / z and y / z.
    """
    joints = pose3d[..., jnp.asarray(MPII_TO_H36M), :]
    return joints[..., :2] / joints[..., 2:]


def fit_picture(slopes: jax.Array, pose2d: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The crop's scale and origin: ``pose2d = scale * slopes + origin``, least squares.

    Args:
      slopes: (..., 16, 2) of the true joints.
      pose2d: (..., 16, 2) crop pixels.

    Returns:
      (..., 1, 1) crop pixels, and (..., 1, 2).
    """
    middle = jnp.mean(slopes, axis=-2, keepdims=True)
    seen = jnp.mean(pose2d, axis=-2, keepdims=True)
    centred = slopes - middle
    products = jnp.sum(centred * (pose2d - seen), axis=(-2, -1), keepdims=True)
    scale = products / jnp.sum(centred**2, axis=(-2, -1), keepdims=True)
    return scale, seen - scale * middle
