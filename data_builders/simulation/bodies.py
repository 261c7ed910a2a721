"""Articulated bodies: proportions, joint limits and forward kinematics.

In: joint angles (..., D) in degrees, one column per entry of ``ANGLES``. Out: the 17
joints (..., 17, 3) in mm, H36M-17 order, in the body's frame with the pelvis at the
origin: x to the body's left, y up, z forward.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxflow.skeleton import H36M_JOINTS

# Lowest and highest angle in degrees that a joint reaches: usual ranges of motion of
# adults, pelvis angles relative to upright. Flexion bends forward (knee: backward),
# abduction leads away from the midline, rotation is inward.
_CENTRAL: dict[str, tuple[float, float]] = {
    "pelvis_pitch": (-40, 80),
    "pelvis_roll": (-20, 20),
    "lumbar_flexion": (-20, 65),
    "lumbar_lateral": (-25, 25),
    "lumbar_twist": (-35, 35),
    "neck_flexion": (-40, 45),
    "neck_lateral": (-30, 30),
    "neck_twist": (-60, 60),
}
_SIDED: dict[str, tuple[float, float]] = {
    "hip_flexion": (-20, 125),
    "hip_abduction": (-20, 45),
    "hip_rotation": (-40, 35),
    "knee_flexion": (0, 140),
    "clavicle_elevation": (-5, 25),
    "shoulder_flexion": (-45, 175),
    "shoulder_abduction": (-10, 165),
    "shoulder_rotation": (-60, 80),
    "elbow_flexion": (0, 145),
}
SIDES = ("left", "right")
LIMITS: dict[str, tuple[float, float]] = _CENTRAL | {
    f"{side}_{name}": limit for side in SIDES for name, limit in _SIDED.items()
}
ANGLES: tuple[str, ...] = tuple(LIMITS)

# Lengths as shares of the body's height: a typical adult.
_PROPORTIONS: dict[str, float] = {
    "hip": 0.072,
    "thigh": 0.252,
    "shank": 0.254,
    "spine": 0.134,
    "thorax": 0.146,
    "neck": 0.068,
    "head": 0.066,
    "clavicle": 0.086,
    "upper_arm": 0.162,
    "forearm": 0.144,
}
_HEIGHT_RANGE = (1540.0, 1930.0)
_PROPORTION_SPREAD = 0.035  # relative standard deviation from body to body
_CLAVICLE_DROP = 0.12  # the shoulder lies this share of the clavicle below the neck
_NOSE_LEAN = 0.30  # the nose is this far forward of the neck, as a slope


class Body(NamedTuple):
    """One person's segment lengths in mm; left and right are alike."""

    hip: float
    thigh: float
    shank: float
    spine: float
    thorax: float
    neck: float
    head: float
    clavicle: float
    upper_arm: float
    forearm: float

    @property
    def height(self) -> float:
        """Hip to head top plus the leg, mm: a scale, not an exact stature."""
        trunk = self.spine + self.thorax + self.neck + self.head
        return trunk + self.thigh + self.shank


def random_body(rng: np.random.Generator) -> Body:
    """A body of random height and proportions (mm)."""
    height = rng.uniform(*_HEIGHT_RANGE)
    return Body(
        **{
            name: height * share * np.exp(_PROPORTION_SPREAD * rng.standard_normal())
            for name, share in _PROPORTIONS.items()
        }
    )


def column(name: str) -> int:
    """The column of the angle called ``name``."""
    return ANGLES.index(name)


def within_limits(angles: np.ndarray) -> np.ndarray:
    """Angles (..., D) in degrees, each clipped to its joint's range."""
    low, high = np.asarray([LIMITS[name] for name in ANGLES], np.float64).T
    return np.clip(angles, low, high)


def mirrored(angles: np.ndarray) -> np.ndarray:
    """Angles (..., D) of the pose seen in a mirror: left and right exchanged."""
    left, right = SIDES
    other = {left: right, right: left}
    # Only angles about the midline change sign; sided ones are mirrored by definition.
    order, sign = [], []
    for name in ANGLES:
        side, _, joint = name.partition("_")
        order.append(column(f"{other.get(side, side)}_{joint}"))
        sign.append(-1.0 if name.endswith(("roll", "lateral", "twist")) else 1.0)
    return angles[..., order] * np.asarray(sign)


def rotation(axis: int, degrees: np.ndarray) -> np.ndarray:
    """Rotations about a coordinate axis: (...) degrees to (..., 3, 3)."""
    radians = np.deg2rad(degrees)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*radians.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = np.cos(radians)
    matrix[..., j, i] = np.sin(radians)
    matrix[..., i, j] = -matrix[..., j, i]
    return matrix


def forward_kinematics(body: Body, angles: np.ndarray) -> np.ndarray:
    """Joint positions of a body.

    Args:
      body: segment lengths, mm.
      angles: (..., D) degrees, in the order of ``ANGLES``.

    Returns:
      (..., 17, 3) mm, H36M-17 order, pelvis at 0, x left, y up, z forward. Every bone
      has the body's length, whatever the angles.
    """
    angle = {name: angles[..., k] for k, name in enumerate(ANGLES)}
    pelvis = rotation(0, angle["pelvis_pitch"]) @ rotation(2, angle["pelvis_roll"])
    joints = {"Hip": np.zeros((*angles.shape[:-1], 3))}
    thorax_frame = _trunk(body, angle, pelvis, joints)
    for side in SIDES:
        _leg(body, angle, side, pelvis, joints)
        _arm(body, angle, side, thorax_frame, joints)
    return np.stack([joints[name] for name in H36M_JOINTS], axis=-2)


def _along(frame: np.ndarray, x: float, y: float, z: float) -> np.ndarray:
    return frame @ np.asarray([x, y, z])


def _bend(angle: dict[str, np.ndarray], part: str, share: float) -> np.ndarray:
    """A share of the bend of the lumbar spine or the neck, (..., 3, 3)."""
    return (
        rotation(1, share * angle[f"{part}_twist"])
        @ rotation(0, share * angle[f"{part}_flexion"])
        @ rotation(2, share * angle[f"{part}_lateral"])
    )


def _trunk(
    body: Body,
    angle: dict[str, np.ndarray],
    pelvis: np.ndarray,
    joints: dict[str, np.ndarray],
) -> np.ndarray:
    """Adds spine, thorax, nose and head; returns the thorax' frame."""
    half_bend = _bend(angle, "lumbar", 0.5)  # the bend is spread over two joints
    lower = pelvis @ half_bend
    upper = lower @ half_bend
    head = upper @ _bend(angle, "neck", 1.0)
    joints["Spine"] = _along(lower, 0, body.spine, 0)
    joints["Thorax"] = joints["Spine"] + _along(upper, 0, body.thorax, 0)
    rise = body.neck / np.hypot(1, _NOSE_LEAN)
    joints["Nose"] = joints["Thorax"] + _along(head, 0, rise, _NOSE_LEAN * rise)
    joints["Head"] = joints["Nose"] + _along(head, 0, body.head, 0)
    return upper


def _ball_joint(
    angle: dict[str, np.ndarray], side: str, joint: str, frame: np.ndarray
) -> np.ndarray:
    """The frame of a thigh or an upper arm, whose bone points along its -y."""
    outward = 1.0 if side == "left" else -1.0
    return (
        frame
        @ rotation(0, -angle[f"{side}_{joint}_flexion"])
        @ rotation(2, outward * angle[f"{side}_{joint}_abduction"])
        @ rotation(1, -outward * angle[f"{side}_{joint}_rotation"])
    )


def _leg(
    body: Body,
    angle: dict[str, np.ndarray],
    side: str,
    pelvis: np.ndarray,
    joints: dict[str, np.ndarray],
) -> None:
    letter, outward = ("L", 1.0) if side == "left" else ("R", -1.0)
    thigh = _ball_joint(angle, side, "hip", pelvis)
    shank = thigh @ rotation(0, angle[f"{side}_knee_flexion"])
    hip = _along(pelvis, outward * body.hip, 0, 0)
    joints[f"{letter}Hip"] = hip
    joints[f"{letter}Knee"] = hip + _along(thigh, 0, -body.thigh, 0)
    joints[f"{letter}Foot"] = joints[f"{letter}Knee"] + _along(shank, 0, -body.shank, 0)


def _arm(
    body: Body,
    angle: dict[str, np.ndarray],
    side: str,
    thorax: np.ndarray,
    joints: dict[str, np.ndarray],
) -> None:
    letter, outward = ("L", 1.0) if side == "left" else ("R", -1.0)
    girdle = thorax @ rotation(2, outward * angle[f"{side}_clavicle_elevation"])
    upper = _ball_joint(angle, side, "shoulder", thorax)
    fore = upper @ rotation(0, -angle[f"{side}_elbow_flexion"])
    reach = body.clavicle / np.hypot(1, _CLAVICLE_DROP)
    shoulder = joints["Thorax"] + _along(
        girdle, outward * reach, -_CLAVICLE_DROP * reach, 0
    )
    joints[f"{letter}Shoulder"] = shoulder
    joints[f"{letter}Elbow"] = shoulder + _along(upper, 0, -body.upper_arm, 0)
    joints[f"{letter}Wrist"] = joints[f"{letter}Elbow"] + _along(
        fore, 0, -body.forearm, 0
    )
