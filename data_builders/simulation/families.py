"""Pose families: what people do, as distributions over joint angles.

A family is a mean and a spread in degrees per angle of ``bodies.ANGLES``, an amplitude
of gait and whether one side leads. ``key_poses`` draws poses that the body reaches
without touching itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from data_builders.simulation import bodies
from jaxflow.skeleton import H36M_JOINTS

# Mean and spread (degrees) of an upright person; families change what differs. A name
# without a side stands for both sides.
_UPRIGHT: dict[str, tuple[float, float]] = {
    "pelvis_pitch": (0, 4),
    "pelvis_roll": (0, 3),
    "lumbar_flexion": (4, 8),
    "lumbar_lateral": (0, 5),
    "lumbar_twist": (0, 8),
    "neck_flexion": (5, 10),
    "neck_lateral": (0, 6),
    "neck_twist": (0, 22),
    "hip_flexion": (2, 6),
    "hip_abduction": (4, 4),
    "hip_rotation": (-5, 8),
    "knee_flexion": (6, 6),
    "clavicle_elevation": (3, 4),
    "shoulder_flexion": (6, 16),
    "shoulder_abduction": (10, 9),
    "shoulder_rotation": (15, 18),
    "elbow_flexion": (22, 18),
}


class Family(NamedTuple):
    """A family of poses.

    Attributes:
      mean: (D,) degrees.
      spread: (D,) degrees, standard deviation.
      gait: 0 stands still, 1 walks.
      on_floor: sits on the floor, so that the knees' bend follows from the thighs'.
    """

    mean: np.ndarray
    spread: np.ndarray
    gait: float
    on_floor: bool


def _family(
    gait: float = 0.0, on_floor: bool = False, **changes: tuple[float, float]
) -> Family:
    """The upright person with some angles changed, on both sides or on one."""
    mean, spread = np.zeros((2, len(bodies.ANGLES)))
    for k, name in enumerate(bodies.ANGLES):
        unsided = name.removeprefix("left_").removeprefix("right_")
        chosen = changes.get(name, changes.get(unsided, _UPRIGHT[unsided]))
        mean[k], spread[k] = chosen
    return Family(mean, spread, gait, on_floor)


FAMILIES: Mapping[str, Family] = {
    "Standing": _family(),
    "Walking": _family(gait=1.0, shoulder_flexion=(2, 6), elbow_flexion=(25, 10)),
    "Carrying": _family(
        gait=0.6,
        shoulder_flexion=(18, 12),
        shoulder_abduction=(10, 6),
        shoulder_rotation=(12, 12),
        elbow_flexion=(85, 18),
    ),
    "Gesturing": _family(
        shoulder_flexion=(38, 25),
        shoulder_abduction=(22, 18),
        shoulder_rotation=(15, 30),
        elbow_flexion=(75, 30),
    ),
    "Reaching": _family(
        lumbar_flexion=(14, 12),
        lumbar_lateral=(0, 9),
        lumbar_twist=(0, 15),
        right_shoulder_flexion=(95, 35),
        right_shoulder_abduction=(15, 25),
        right_elbow_flexion=(25, 18),
        right_clavicle_elevation=(12, 6),
    ),
    "Stretching": _family(
        lumbar_flexion=(-4, 7),
        shoulder_flexion=(60, 65),
        shoulder_abduction=(95, 40),
        shoulder_rotation=(0, 20),
        elbow_flexion=(20, 20),
        clavicle_elevation=(12, 6),
    ),
    "Phoning": _family(
        gait=0.25,
        right_shoulder_flexion=(84, 8),
        right_shoulder_abduction=(10, 8),
        right_shoulder_rotation=(22, 8),
        right_elbow_flexion=(140, 3),
    ),
    "Bending": _family(
        pelvis_pitch=(38, 14),
        lumbar_flexion=(32, 13),
        lumbar_twist=(0, 12),
        neck_flexion=(-5, 14),
        hip_flexion=(4, 7),
        knee_flexion=(14, 11),
        shoulder_flexion=(72, 24),
        elbow_flexion=(20, 16),
    ),
    "Crouching": _family(
        pelvis_pitch=(22, 8),
        lumbar_flexion=(22, 10),
        neck_flexion=(-8, 12),
        hip_flexion=(76, 10),
        hip_abduction=(16, 8),
        knee_flexion=(116, 10),
        shoulder_flexion=(55, 28),
        elbow_flexion=(45, 28),
    ),
    "Kneeling": _family(
        pelvis_pitch=(4, 6),
        lumbar_flexion=(10, 12),
        hip_flexion=(12, 10),
        hip_abduction=(10, 6),
        knee_flexion=(102, 7),
        shoulder_flexion=(28, 28),
        elbow_flexion=(50, 30),
    ),
    "Lunging": _family(
        pelvis_pitch=(8, 6),
        lumbar_flexion=(10, 9),
        right_hip_flexion=(66, 10),
        right_knee_flexion=(78, 12),
        left_hip_flexion=(-18, 6),
        left_knee_flexion=(34, 14),
        shoulder_flexion=(30, 30),
        elbow_flexion=(50, 30),
    ),
    "Sitting": _family(
        pelvis_pitch=(-8, 6),
        lumbar_flexion=(14, 12),
        hip_flexion=(86, 7),
        hip_abduction=(9, 8),
        knee_flexion=(88, 14),
        shoulder_flexion=(28, 18),
        shoulder_rotation=(22, 16),
        elbow_flexion=(58, 26),
    ),
    "FloorSitting": _family(
        on_floor=True,
        pelvis_pitch=(-12, 6),
        lumbar_flexion=(26, 12),
        hip_flexion=(116, 15),
        hip_abduction=(20, 11),
        hip_rotation=(-16, 12),
        shoulder_flexion=(42, 24),
        elbow_flexion=(38, 24),
    ),
}

_CANDIDATES = 8  # poses drawn for each key pose, of which the first free one is taken
_RECORDING_SHARE = 0.5  # of the variance belongs to a whole recording, not to a pose

# Nearest distance in mm between a joint and a bone of the same body.
_CLEARANCES: tuple[tuple[tuple[str, str], tuple[str, str], float], ...] = tuple(
    clearance
    for side, other in (("L", "R"), ("R", "L"))
    for clearance in (
        ((f"{side}Wrist", f"{side}Elbow"), ("Hip", "Spine"), 140.0),
        ((f"{side}Wrist", f"{side}Elbow"), ("Spine", "Thorax"), 140.0),
        ((f"{side}Wrist", f"{side}Elbow"), ("Nose", "Head"), 95.0),
        ((f"{side}Wrist", f"{side}Elbow"), (f"{side}Hip", f"{side}Knee"), 85.0),
        ((f"{side}Wrist", f"{side}Elbow"), (f"{other}Hip", f"{other}Knee"), 85.0),
        ((f"{side}Wrist", f"{side}Elbow"), (f"{other}Elbow", f"{other}Wrist"), 75.0),
        ((f"{side}Knee", f"{side}Foot"), (f"{other}Hip", f"{other}Knee"), 95.0),
        ((f"{side}Knee", f"{side}Foot"), (f"{other}Knee", f"{other}Foot"), 85.0),
    )
)


def key_poses(
    rng: np.random.Generator, body: bodies.Body, family: Family, count: int
) -> np.ndarray:
    """Key poses of one recording, (count, D) degrees within the joints' limits."""
    size = len(bodies.ANGLES)
    own = np.sqrt(_RECORDING_SHARE) * rng.standard_normal(size)
    each = np.sqrt(1 - _RECORDING_SHARE) * rng.standard_normal(
        (count, _CANDIDATES, size)
    )
    angles = family.mean + family.spread * (own + each)
    angles = bodies.within_limits(_legs_in_space(family, angles))
    free = _is_free(bodies.forward_kinematics(body, angles))
    first = np.argmax(free, axis=1)  # the first candidate if none is free
    return angles[np.arange(count), first]


def _legs_in_space(family: Family, angles: np.ndarray) -> np.ndarray:
    """Hips that keep the thighs' direction while the pelvis tips; feet on the floor."""
    pitch = angles[..., bodies.column("pelvis_pitch")]
    for side in bodies.SIDES:
        thigh = angles[..., bodies.column(f"{side}_hip_flexion")]  # 90 is level
        if family.on_floor:
            # Thigh and shank are equally long: the knee bends twice the thigh's rise.
            angles[..., bodies.column(f"{side}_knee_flexion")] = 2 * (thigh - 90)
        angles[..., bodies.column(f"{side}_hip_flexion")] = thigh + pitch
    return angles


def _is_free(pose: np.ndarray) -> np.ndarray:
    """Whether no limb is inside another: (..., 17, 3) mm to (...)."""
    free = np.ones(pose.shape[:-2], bool)
    at = {name: pose[..., k, :] for k, name in enumerate(H36M_JOINTS)}
    for points, (start, end), clearance in _CLEARANCES:
        for point in points:
            free &= _distance(at[point], at[start], at[end]) > clearance
    return free


def _distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance of points to line segments, all (..., 3), to (...)."""
    bone = end - start
    along = np.sum((point - start) * bone, -1) / np.sum(bone * bone, -1)
    nearest = start + np.clip(along, 0, 1)[..., None] * bone
    return np.linalg.norm(point - nearest, axis=-1)
