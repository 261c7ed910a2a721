"""Recordings: a body moving through key poses in a studio.

Out: joints (T, 17, 3) in mm in the studio's frame: x and y on the floor, z up, the
floor at z = 0 and the studio's centre at the origin.
"""

from __future__ import annotations

import numpy as np

from data_builders.simulation import bodies, families
from jaxflow.skeleton import H36M_JOINTS

FRAME_RATE = 50.0  # video frames a second
FRAME_STEP = 16  # every 16th video frame is kept

_KEY_SECONDS = 1.1  # from one key pose to the next
_STEP_SECONDS = 1.15  # a gait cycle, two steps
_WALK_RADIUS = (700.0, 1300.0)  # mm
_STAND_RADIUS = 900.0  # mm, how far from the centre people stand

# How far above the floor a joint's centre lies when its body part touches it, mm.
_FLESH = {
    "Hip": 110.0,
    "LHip": 110.0,
    "RHip": 110.0,
    "LKnee": 60.0,
    "RKnee": 60.0,
    "LFoot": 80.0,
    "RFoot": 80.0,
    "LWrist": 40.0,
    "RWrist": 40.0,
}


def record(
    rng: np.random.Generator, body: bodies.Body, family: families.Family, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """One recording.

    Args:
      rng: its random numbers.
      body: who moves.
      family: what it does.
      frames: T, how many frames, ``FRAME_STEP / FRAME_RATE`` seconds apart.

    Returns:
      joints (T, 17, 3) mm in the studio's frame, and the angles (T, D) in degrees.
    """
    seconds = np.arange(frames) * FRAME_STEP / FRAME_RATE
    keys = int(np.ceil(seconds[-1] / _KEY_SECONDS)) + 2 if frames else 2
    poses = families.key_poses(rng, body, family, keys)
    if rng.random() < 0.5:  # left-handed takes are as frequent as right-handed ones
        poses = bodies.mirrored(poses)
    angles = _interpolate(poses, seconds / _KEY_SECONDS)
    angles = bodies.within_limits(angles + family.gait * _gait(rng, seconds))
    joints = bodies.forward_kinematics(body, angles)
    position, heading = _track(rng, body, family, seconds)
    return _place(joints, position, heading), angles


def _interpolate(keys: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Eases from key to key: (K, ...) at (T,) positions in keys to (T, ...).

    Every result lies between its two keys, so limits that hold for the keys hold here.
    """
    index = np.floor(position).astype(int)
    ease = (1 - np.cos(np.pi * (position - index))) / 2
    ease = ease.reshape(-1, *[1] * (keys.ndim - 1))
    return keys[index] * (1 - ease) + keys[index + 1] * ease


def _gait(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """What walking adds to the angles, (T, D) degrees: legs and arms in turn."""
    cycle = _STEP_SECONDS * rng.uniform(0.9, 1.15)
    phase = 2 * np.pi * (seconds / cycle + rng.random())
    added = np.zeros((len(seconds), len(bodies.ANGLES)))
    for side, shift in zip(bodies.SIDES, (0.0, np.pi), strict=True):
        swing = np.sin(phase + shift)
        # The knee bends most while its leg swings forward.
        lift = np.maximum(0, np.cos(phase + shift)) ** 2
        added[:, bodies.column(f"{side}_hip_flexion")] = 26 * swing + 6
        added[:, bodies.column(f"{side}_knee_flexion")] = 52 * lift + 4
        added[:, bodies.column(f"{side}_shoulder_flexion")] = -24 * swing
        added[:, bodies.column(f"{side}_elbow_flexion")] = -8 * swing
    added[:, bodies.column("lumbar_twist")] = 5 * np.sin(phase)
    added[:, bodies.column("pelvis_roll")] = 3 * np.cos(phase)
    return added


def _track(
    rng: np.random.Generator,
    body: bodies.Body,
    family: families.Family,
    seconds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Floor position (T, 2) mm and heading (T,) radians over time."""
    start = rng.uniform(0, 2 * np.pi)
    if family.gait >= 0.5:  # round the studio on a circle
        radius = rng.uniform(*_WALK_RADIUS)
        turn = rng.choice([-1.0, 1.0])
        speed = 0.75 * family.gait * body.height  # mm a second
        bearing = start + turn * seconds * speed / radius
        circle = radius * np.stack([np.cos(bearing), np.sin(bearing)], -1)
        return circle, bearing + turn * np.pi / 2
    place = _STAND_RADIUS * rng.uniform(-1, 1, 2)
    keys = int(np.ceil(seconds[-1] / (3 * _KEY_SECONDS))) + 2 if len(seconds) else 2
    turns = start + np.cumsum(np.deg2rad(35) * rng.standard_normal(keys))
    sway = place + 60 * rng.standard_normal((keys, 2))
    position = seconds / (3 * _KEY_SECONDS)
    return _interpolate(sway, position), _interpolate(turns, position)


def _place(joints: np.ndarray, position: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Body frame to studio: turned to its heading, its lowest part on the floor."""
    forward = np.stack([np.cos(heading), np.sin(heading)], -1)
    left = np.stack([-np.sin(heading), np.cos(heading)], -1)
    floor = (
        joints[..., :1] * left[:, None]
        + joints[..., 2:] * forward[:, None]
        + position[:, None]
    )
    flesh = np.asarray([_FLESH.get(name, 0.0) for name in H36M_JOINTS])
    up = joints[..., 1]
    up = up - np.min(up - flesh, axis=-1, keepdims=True)
    return np.concatenate([floor, up[..., None]], axis=-1)
