"""Frames a data set does not have but could: turned, recombined, of others, unsure.

    RawFrames (B, ...), one key an example, AugmentConfig -> RawFrames (B, ...)

Happens on the device within the iteration, anew each time a frame is met. Turning,
mirroring and limbs held as in other frames are of poses, of which data sets have too
few; other limbs' lengths are of people, of whom they have fewer still. An unsure
detection is what the hypotheses' width is to follow, and which few frames have: some
joints get an error e ~ N(0, E), and their fitted Gaussians say so.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data
from jaxflow.config import AugmentConfig
from jaxflow.gaussians import covariance_pose_frame, unsure
from jaxflow.gaussians.condition import MAP_EDGE
from jaxflow.maths import geometry, keys, linalg
from jaxflow.maths.geometry import fit_picture, relative_to_hip, seen_slopes
from jaxflow.skeleton import (
    CROP_PER_HEATMAP,
    H36M_BONES,
    H36M_JOINTS,
    H36M_MIRRORED,
    H36M_PARENTS,
    HIP,
    MPII_MIRRORED,
)
from jaxflow.types import Batch, RawFrames

_ASPECT_SPREAD = 0.45  # of the logarithm of E's larger deviation over its smaller one
_SHORT = 1e-3  # mm: a bone without a direction
_WHOLE = 2.0**30  # a direction's coordinates in whole numbers
_BUILD, _LIMBS = 3, 4  # key what came after the others
# The limb that ends in each joint, left and right alike.
_LIMB = tuple(map(min, enumerate(H36M_MIRRORED)))


def _joints(*names: str) -> tuple[int, ...]:
    return tuple(map(H36M_JOINTS.index, names))


class Group(NamedTuple):
    """Limbs that are held together, as steps and swings are.

    Attributes:
      joints: where their bones end.
      left, right: across which the body spans them.
      low, high: along which it stands there.
    """

    joints: tuple[int, ...]
    left: int
    right: int
    low: int
    high: int


GROUPS = (
    Group(
        _joints("LElbow", "LWrist", "RElbow", "RWrist"),
        *_joints("LShoulder", "RShoulder", "Spine", "Thorax"),
    ),
    Group(
        _joints("LKnee", "LFoot", "RKnee", "RFoot"),
        *_joints("LHip", "RHip", "Hip", "Spine"),
    ),
)


def up(torso_sum: np.ndarray) -> np.ndarray:
    """(3,) what people stand along: the direction of a sum of `torsos`."""
    mean = torso_sum.astype(np.float64)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def torsos(pose3d: np.ndarray) -> np.ndarray:
    """The sum (3,) of the directions from hip to thorax of poses (n, 17, 3).

    In whole numbers, so that sums of parts are the sum of all, to the bit.
    """
    torso = pose3d[:, H36M_JOINTS.index("Thorax")].astype(np.float64) - pose3d[:, HIP]
    length = np.linalg.norm(torso, axis=-1, keepdims=True)
    directions = torso / np.maximum(length, _SHORT)
    return np.rint(directions * _WHOLE).astype(np.int64).sum(axis=0)


def frame_keys(key: jax.Array, count: int, examples: jax.Array) -> jax.Array:
    """(N, B) keys, one for each frame of an iteration.

    Args:
      key: the iteration's, of this purpose.
      count: N, batches of an iteration.
      examples: (B,) numbers within the global batch: a frame is changed alike however
        the batch is split over devices.
    """
    batch_keys = keys.per_example(key, jnp.arange(count))
    return jax.vmap(keys.per_example, (0, None))(batch_keys, examples)


def others(each: jax.Array, frames: int) -> jax.Array:
    """(..., G) int32: of so many frames those that lend each group's limbs.

    Args:
      each: (...) keys of `frame_keys`.
      frames: of the whole data set.
    """

    def of_one(key: jax.Array) -> jax.Array:
        rows = [_limbs_keys(key, number)[0] for number in range(len(GROUPS))]
        return jnp.stack([jax.random.randint(row, (), 0, frames) for row in rows])

    return jnp.vectorize(of_one, signature="()->(g)")(each)


def batches(
    frames: RawFrames,
    each: jax.Array,
    up: jax.Array,
    lenders: jax.Array | None,
    config: AugmentConfig,
) -> Batch:
    """An iteration's batches, changed, as the network sees them.

    Args:
      frames: (N, B, ...), N batches.
      each: (N, B) keys.
      up: see `augment`.
      lenders: (N, B, G, 17, 3) likewise.
      config: static.
    """
    change = functools.partial(augment, up=up, config=config)
    changed = jax.vmap(jax.vmap(change))(frames, each, lenders)
    return data.network_inputs(changed)


def _limbs_keys(key: jax.Array, number: int) -> jax.Array:
    """Two, of whose limbs of a group are borrowed and of whether they are."""
    limbs_key = jax.random.fold_in(jax.random.fold_in(key, _LIMBS), number)
    return jax.random.split(limbs_key)


def augment(
    frame: RawFrames,
    key: jax.Array,
    lenders: jax.Array | None,
    up: jax.Array,
    config: AugmentConfig,
) -> RawFrames:
    """A frame changed in the ways that are configured.

    Args:
      frame: one.
      key: typed.
      lenders: (G, 17, 3) poses of the data set whose limbs are borrowed, one for each
        of `GROUPS`; None where no limbs are.
      up: (3,) unit vector that people stand along, camera frame.
      config: static; what is off leaves no trace in the program.
    """
    turn_key, mirror_key, detection_key = jax.random.split(key, 3)
    if config.proportions:
        build_key = jax.random.fold_in(key, _BUILD)
        frame = built(frame, lengths(build_key, config.proportions))
    if config.recombined:
        assert lenders is not None
        for number, group in enumerate(GROUPS):
            changed = recombined(frame, lenders[number], group)
            share_key = _limbs_keys(key, number)[1]
            frame = _maybe(share_key, config.recombined, changed, frame)
    if config.turned:
        angle_key, share_key = jax.random.split(turn_key)
        angle = jax.random.uniform(angle_key, minval=-jnp.pi, maxval=jnp.pi)
        frame = _maybe(share_key, config.turned, turned(frame, angle, up), frame)
    if config.mirrored:
        frame = _maybe(mirror_key, config.mirrored, mirrored(frame), frame)
    if config.unsure:
        frame = _less_sure(frame, detection_key, config)
    return frame


def _maybe(
    key: jax.Array, share: float, changed: RawFrames, frame: RawFrames
) -> RawFrames:
    change = jax.random.bernoulli(key, share)
    return jax.tree.map(lambda new, old: jnp.where(change, new, old), changed, frame)


def mirrored(frame: RawFrames) -> RawFrames:
    """The frame as a mirror shows it: x the other way, left and right exchanged."""
    joints = jnp.asarray(MPII_MIRRORED)
    width = CROP_PER_HEATMAP * MAP_EDGE
    pose2d = frame.pose2d.at[..., 0].set(width - frame.pose2d[..., 0])[joints]
    fits = frame.gaussfit
    fits = fits.at[..., 1].set(MAP_EDGE - fits[..., 1]).at[..., 4].multiply(-1)[joints]
    return RawFrames(geometry.mirrored(frame.pose3d), pose2d, fits)


def turned(frame: RawFrames, angle: jax.Array, up: jax.Array) -> RawFrames:
    """The person turned on the spot, seen by the same camera with the same errors.

    The picture's scale, in crop pixels for a ray's slope, is what fits the detections
    best; detections then move as the true joints' pictures do, so that they keep their
    errors and what their Gaussians say of them.

    Args:
      frame: one.
      angle: radians, a scalar.
      up: (3,) unit vector to turn about, camera frame.
    """
    pose = relative_to_hip(frame.pose3d)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    # Rodrigues' formula.
    along = (pose @ up)[:, None] * up
    pose = cos * pose + sin * jnp.cross(up, pose) + (1 - cos) * along
    return _seen(frame, pose + frame.pose3d[HIP])


def lengths(key: jax.Array, deviation: float) -> jax.Array:
    """(17,) factors of the bones that end in each joint, left and right alike.

    The logarithms of the person's size and of each limb's have this deviation.
    """
    size_key, limb_key = jax.random.split(key)
    limbs = jax.random.normal(limb_key, (len(_LIMB),))[jnp.asarray(_LIMB)]
    return jnp.exp(deviation * (jax.random.normal(size_key) + limbs))


def built(frame: RawFrames, factors: jax.Array) -> RawFrames:
    """Somebody of other limbs in the same posture, the hip where it was; see `turned`.

    Args:
      frame: one.
      factors: (17,) of the bone that ends in each joint.
    """
    return _of_bones(frame, factors[:, None] * _bones(frame.pose3d))


def recombined(frame: RawFrames, other: jax.Array, group: Group) -> RawFrames:
    """The person with some limbs held as somebody else does; see `turned`.

    Limbs keep their lengths; their directions are the other's, told from the part of
    the body that they hang on. Crossing poses is Li et al.'s idea (CVPR 2020,
    evolutionary training data).

    Args:
      frame: one.
      other: (17, 3) pose, camera frame.
      group: of limbs.
    """
    bones, theirs = _bones(frame.pose3d), _bones(other)
    turn = linalg.matmul(_axes(other, group).T, _axes(frame.pose3d, group))
    held = jnp.asarray(group.joints)
    directions = linalg.matmul(_unit(theirs[held]), turn)
    lengths = jnp.linalg.norm(bones[held], axis=-1, keepdims=True)
    return _of_bones(frame, bones.at[held].set(lengths * directions))


def _axes(pose: jax.Array, group: Group) -> jax.Array:
    """(3, 3) rows: across the body, along it, and forward."""
    across = _unit(pose[group.left] - pose[group.right])
    along = pose[group.high] - pose[group.low]
    along = _unit(along - jnp.sum(along * across) * across)
    return jnp.stack([across, along, jnp.cross(across, along)])


def _unit(vectors: jax.Array) -> jax.Array:
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / jnp.maximum(length, _SHORT)


def _bones(pose: jax.Array) -> jax.Array:
    """(17, 3) to each joint from its parent; the hip, which has none, counts not."""
    return pose - pose[jnp.asarray(H36M_PARENTS)]


def _of_bones(frame: RawFrames, bones: jax.Array) -> RawFrames:
    """The frame with these bones (17, 3), the hip where it was."""
    chains = np.zeros((len(H36M_PARENTS),) * 2, np.float32)  # bones up to each joint
    for parent, joint in H36M_BONES:
        chains[joint] = chains[parent]
        chains[joint, joint] = 1
    pose = linalg.matmul(jnp.asarray(chains), bones) + frame.pose3d[HIP]
    return _seen(frame, pose)


def _seen(frame: RawFrames, pose: jax.Array) -> RawFrames:
    """The frame with a person in another pose before the same camera."""
    before, after = seen_slopes(frame.pose3d), seen_slopes(pose)
    focal, _ = fit_picture(before, frame.pose2d)
    move = focal * (after - before)
    fits = frame.gaussfit.at[..., 1:3].add(move / CROP_PER_HEATMAP)
    return RawFrames(pose, frame.pose2d + move, fits)


def _less_sure(frame: RawFrames, key: jax.Array, config: AugmentConfig) -> RawFrames:
    """Some joints seen with an error, of which their Gaussians tell."""
    share_key, size_key, aspect_key, angle_key, error_key = jax.random.split(key, 5)
    joints = frame.pose2d.shape[:1]
    least, most = jnp.log(config.unsure_least), jnp.log(config.unsure_most)
    larger = jnp.exp(jax.random.uniform(size_key, joints, minval=least, maxval=most))
    aspect = jnp.exp(_ASPECT_SPREAD * jnp.abs(jax.random.normal(aspect_key, joints)))
    angle = jax.random.uniform(angle_key, joints, maxval=jnp.pi)
    sigma = jnp.stack([larger, larger / aspect], axis=-1)
    added = covariance_pose_frame(sigma, angle)
    error = unsure.draw_error(added, jax.random.normal(error_key, (*joints, 2)))
    covariance = unsure.covariance_of(frame.gaussfit) + added
    pose2d, fits = unsure.reported(frame.pose2d, frame.gaussfit, error, covariance)
    hit = jax.random.bernoulli(share_key, config.unsure, joints)[:, None]
    return RawFrames(
        frame.pose3d,
        jnp.where(hit, pose2d, frame.pose2d),
        jnp.where(hit, fits, frame.gaussfit),
    )
