"""People as pictures show them: any lens, any height, off the centre, cut off.

Each pose gets a camera of its own, which sees it in a random direction. Three quarters
of the cameras are 0.3 to 3 m above the person's floor; for the others the person
stands on another level (stairs, a stage, a slope), so that steep views from far occur.
A share of the pictures, exactly as drawn, cuts somebody off: views are drawn anew until
they do, or do not.

In: joints (N, 17, 3) mm, y up, the floor at y = 0. Out: ``Snapshots``. Camera: x right,
y down, z away. In pictures lengths are tangents: x / z and y / z.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_builders.simulation import centred
from data_builders.simulation.cameras import CROP_SIZE
from jaxflow.gaussians.keypoints import CROP_MARGIN
from jaxflow.skeleton import MPII_BONES, MPII_TO_H36M

FIELD_OF_VIEW = (25.0, 90.0)  # degrees, of the picture's longer side
DISTANCE = (1.5, 12.0)  # m, to the middle of the joints; even in its logarithm
HEIGHT = (0.3, 3.0)  # m, of the camera above the person's floor
PITCH = (-40.0, 40.0)  # degrees, positive where the camera looks up
OTHER_LEVEL_SHARE = 0.25
OTHER_LEVEL = (-1.0, 5.0)  # m, the camera's height then
CUT_SHARE = 0.3  # of the pictures lack a joint
LEAST_INSIDE = 7  # joints of 16 that a picture shows at least

_ROLL = (4.0, 15.0)  # degrees, standard deviation and most
_PLACE_SPREAD = 0.4  # of the picture's half, how far off its centre people are
_ASPECTS = (1.0, 4 / 3, 3 / 2, 16 / 9)  # landscape or portrait
_NEAREST = 300.0  # mm, of any joint
_PATIENCE = 200  # draws until a picture need no longer cut anybody off

_BOX_GROWTH = (0.04, 0.06)  # logarithm of box over joints, mean and deviation
_BOX_SHIFT = 0.02  # of the side
_WHOLE_BOX_SHARE = 0.3  # of the boxes reach beyond the picture, round the whole body


class Snapshots(NamedTuple):
    """N people in front of N cameras.

    Attributes:
      pose3d: (N, 17, 3) mm, camera frame.
      truth: (N, 16, 2) px of the 256-px crop, MPII-16 order.
      cut: (N, 16) bool, joints outside the picture.
      pitch, roll, fov: (N,) degrees.
      height: (N,) m, of the camera above the person's floor.
      distance: (N,) m.
      ray: (N, 3) direction of the crop's middle, of length 1, camera frame.
    """

    pose3d: np.ndarray
    truth: np.ndarray
    cut: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    fov: np.ndarray
    height: np.ndarray
    distance: np.ndarray
    ray: np.ndarray


class _Lens(NamedTuple):
    """Cameras and where in their pictures the people are.

    Attributes:
      half: (N, 2) half the picture, tangents.
      ray: (N, 3) direction of the middle of the joints, of length 1.
      pitch, roll: (N,) radians.
      fov: (N,) degrees.
      distance: (N,) m.
    """

    half: np.ndarray
    ray: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    fov: np.ndarray
    distance: np.ndarray


def taken(rng: np.random.Generator, joints: np.ndarray) -> Snapshots:
    """A picture of each pose.

    Args:
      rng: of everything drawn.
      joints: (N, 17, 3) mm, y up.
    """
    wanted = rng.random(len(joints)) < CUT_SHARE
    rows = np.arange(len(joints))
    kept: list[tuple[np.ndarray, Snapshots]] = []
    tries = 0
    while len(rows):
        shots, good = _attempt(rng, joints[rows])
        if tries < _PATIENCE:
            good &= shots.cut.any(axis=1) == wanted[rows]
        kept.append((rows[good], Snapshots(*(column[good] for column in shots))))
        rows = rows[~good]
        tries += 1
    order = np.argsort(np.concatenate([own for own, _ in kept]))
    columns = zip(*(shots for _, shots in kept), strict=True)
    return Snapshots(*(np.concatenate(column)[order] for column in columns))


def _attempt(
    rng: np.random.Generator, joints: np.ndarray
) -> tuple[Snapshots, np.ndarray]:
    """A picture of each pose, and (N,) whether it is one that people take."""
    middle = joints.mean(axis=1)
    level = middle[:, 1] / 1000
    lens, possible = _lenses(rng, level)
    pose3d = _seen(rng, joints - middle[:, None], lens)
    pixels = pose3d[:, MPII_TO_H36M, :2] / pose3d[:, MPII_TO_H36M, 2:]
    inside = (np.abs(pixels) <= lens.half[:, None]).all(axis=-1)
    height = level - lens.distance * _rise(lens)
    # Those on the person's own level are within these bounds as they are drawn.
    possible &= (OTHER_LEVEL[0] <= height) & (height <= OTHER_LEVEL[1])
    pitch = np.rad2deg(lens.pitch)
    possible &= (PITCH[0] <= pitch) & (pitch <= PITCH[1])
    possible &= pose3d[..., 2].min(axis=1) > _NEAREST
    possible &= inside.sum(axis=1) >= LEAST_INSIDE
    truth, crop = _cropped(rng, pixels, inside, lens.half)
    shots = Snapshots(
        pose3d=pose3d,
        truth=truth,
        cut=~inside,
        pitch=pitch,
        roll=np.rad2deg(lens.roll),
        fov=lens.fov,
        height=height,
        distance=lens.distance,
        ray=centred.direction(crop),
    )
    return shots, possible


def _lenses(rng: np.random.Generator, level: np.ndarray) -> tuple[_Lens, np.ndarray]:
    """Cameras for people whose middle is at a height (N,) m; (N,) whether possible."""
    count = len(level)
    fov = rng.uniform(*FIELD_OF_VIEW, count)
    nearest, farthest = (float(np.log(bound)) for bound in DISTANCE)
    distance = np.exp(rng.uniform(nearest, farthest, count))
    aspect = rng.choice(_ASPECTS, count)
    shape = np.stack([np.ones(count), 1 / aspect], axis=-1)
    upright = rng.random(count) < 0.5
    shape = np.where(upright[:, None], shape[:, ::-1], shape)
    half = np.tan(np.deg2rad(fov) / 2)[:, None] * shape
    place = _PLACE_SPREAD * rng.standard_normal((count, 2))
    possible = (np.abs(place) < 1).all(axis=1)
    ray = centred.direction(place * half)
    roll = np.clip(_ROLL[0] * rng.standard_normal(count), -_ROLL[1], _ROLL[1])
    lens = _Lens(half, ray, np.zeros(count), np.deg2rad(roll), fov, distance)
    # A ray climbs by M sin(pitch - own): the pitch that a height asks for is known.
    across, reach = _upright(lens)
    sine = (level - rng.uniform(*HEIGHT, count)) / distance / reach
    own_level = np.arctan2(across, ray[:, 2]) + np.arcsin(np.clip(sine, -1, 1))
    free = np.deg2rad(rng.uniform(*PITCH, count))
    elsewhere = rng.random(count) < OTHER_LEVEL_SHARE
    possible &= elsewhere | (np.abs(sine) <= 1)
    return lens._replace(pitch=np.where(elsewhere, free, own_level)), possible


def _upright(lens: _Lens) -> tuple[np.ndarray, np.ndarray]:
    """How far down the rays point without the roll, and with what they can climb."""
    x, y, z = lens.ray.T
    down = np.cos(lens.roll) * y - np.sin(lens.roll) * x
    return down, np.hypot(down, z)


def _rise(lens: _Lens) -> np.ndarray:
    """How much the rays climb, (N,)."""
    down, _ = _upright(lens)
    return np.sin(lens.pitch) * lens.ray[:, 2] - np.cos(lens.pitch) * down


def _seen(rng: np.random.Generator, joints: np.ndarray, lens: _Lens) -> np.ndarray:
    """Joints about their middle, y up, turned at random, in the cameras' frames."""
    heading = rng.uniform(0, 2 * np.pi, len(joints))[:, None]
    pitch, roll = lens.pitch[:, None], lens.roll[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    x, z = (
        np.cos(heading) * x + np.sin(heading) * z,
        np.cos(heading) * z - np.sin(heading) * x,
    )
    down = -np.cos(pitch) * y - np.sin(pitch) * z
    away = np.sin(pitch) * y - np.cos(pitch) * z
    right = np.cos(roll) * x - np.sin(roll) * down
    down = np.sin(roll) * x + np.cos(roll) * down
    place = 1000 * lens.distance[:, None] * lens.ray
    return np.stack([right, down, away], axis=-1) + place[:, None]


def _cropped(
    rng: np.random.Generator, pixels: np.ndarray, inside: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """2D joints (N, 16, 2) in px of the crop that a box gives, and its middle (N, 2).

    The box holds the joints inside and the bones up to the border, or, where it is one
    that guesses the whole body, all joints.
    """
    count = len(pixels)
    held = inside.copy()
    for start, end in MPII_BONES:
        held[:, start] |= inside[:, end]
        held[:, end] |= inside[:, start]
    whole = (rng.random(count) < _WHOLE_BOX_SHARE) | ~held.any(axis=1)
    limit = np.where(whole[:, None], np.inf, half)[:, None]
    held = (held | whole[:, None])[..., None]
    bounded = np.clip(pixels, -limit, limit)
    low = np.where(held, bounded, np.inf).min(axis=1)
    high = np.where(held, bounded, -np.inf).max(axis=1)
    growth = _BOX_GROWTH[0] + _BOX_GROWTH[1] * rng.standard_normal(count)
    side = CROP_MARGIN * (high - low).max(axis=-1) * np.exp(growth)
    middle = (low + high) / 2
    middle = middle + _BOX_SHIFT * side[:, None] * rng.standard_normal((count, 2))
    scale = (CROP_SIZE / side)[:, None, None]
    return (pixels - middle[:, None]) * scale + CROP_SIZE / 2, middle
