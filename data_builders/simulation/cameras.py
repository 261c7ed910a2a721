"""Four studio cameras and the detector's crop.

World: mm, x and y on the floor, z up. Camera: mm, x right, y down, z away. Pictures:
pixels, x right, y down. ``Camera.see`` and ``project`` take joints from any source.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxflow.gaussians.keypoints import CROP_MARGIN

CROP_SIZE = 256.0  # pixels, the detector's input

CAMERA_NAMES: tuple[str, ...] = ("front-left", "front-right", "rear-left", "rear-right")
_BEARINGS = (135.0, 45.0, 225.0, 315.0)  # degrees from the studio's x axis

# Human3.6M-like: 1000-px pictures, about 46 degrees wide, head height, 4 m studio.
_FOCAL = (1145.0, 4.0)  # pixels, mean and standard deviation
_CENTRE = (508.0, 6.0)
_DISTANCE = (4900.0, 350.0)  # mm from the studio's centre
_HEIGHT = (1560.0, 90.0)
_LOOK_AT = (900.0, 60.0)  # mm above the floor
_TARGET_SPREAD = 120.0
_BEARING_SPREAD = 6.0
_ROLL_SPREAD = 0.8  # degrees

_BOX_SHIFT = 0.02  # of the side, how far detected boxes are off
_BOX_SCALE = 0.035


class Camera(NamedTuple):
    """A pinhole camera.

    Attributes:
      name: which of the four.
      rotation: (3, 3) world to camera.
      position: (3,) mm in the world.
      focal: (2,) pixels.
      centre: (2,) pixels, the principal point.
    """

    name: str
    rotation: np.ndarray
    position: np.ndarray
    focal: np.ndarray
    centre: np.ndarray

    def see(self, world: np.ndarray) -> np.ndarray:
        """Points (..., 3) mm in the world to the camera's frame."""
        return (world - self.position) @ self.rotation.T

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in the camera's frame, in front of it, to pixels (..., 2)."""
        return self.focal * points[..., :2] / points[..., 2:] + self.centre


def studio(rng: np.random.Generator) -> tuple[Camera, ...]:
    """Four cameras round the studio, all looking at its middle."""
    return tuple(
        _camera(rng, name, bearing)
        for name, bearing in zip(CAMERA_NAMES, _BEARINGS, strict=True)
    )


def _camera(rng: np.random.Generator, name: str, bearing: float) -> Camera:
    angle = np.deg2rad(rng.normal(bearing, _BEARING_SPREAD))
    distance, height, look = (rng.normal(*s) for s in (_DISTANCE, _HEIGHT, _LOOK_AT))
    position = np.asarray([distance * np.cos(angle), distance * np.sin(angle), height])
    target = np.asarray([*rng.normal(0, _TARGET_SPREAD, 2), look])
    return Camera(
        name=name,
        rotation=_towards(target - position, np.deg2rad(rng.normal(0, _ROLL_SPREAD))),
        position=position,
        focal=rng.normal(*_FOCAL, 2),
        centre=rng.normal(*_CENTRE, 2),
    )


def _towards(direction: np.ndarray, roll: float) -> np.ndarray:
    """World-to-camera rotation (3, 3) of a camera that looks along ``direction``."""
    away = direction / np.linalg.norm(direction)
    right = np.cross(away, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    down = np.cross(away, right)
    return np.stack(
        [
            np.cos(roll) * right + np.sin(roll) * down,
            np.cos(roll) * down - np.sin(roll) * right,
            away,
        ]
    )


def crop(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """2D joints in a square crop round the person, as a detector is given it.

    Args:
      rng: the box's imprecision; a detector's box is never exact.
      pixels: (F, J, 2) in the picture.

    Returns:
      (F, J, 2) pixels of the 256-px crop. The box is square, 1.25 times the person's
      larger extent.
    """
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    frames = len(pixels)
    side = CROP_MARGIN * np.max(high - low, axis=-1)
    side = side * np.exp(_BOX_SCALE * rng.standard_normal(frames))
    middle = (low + high) / 2
    middle = middle + _BOX_SHIFT * side[:, None] * rng.standard_normal((frames, 2))
    corner = middle - side[:, None] / 2
    return (pixels - corner[:, None]) * (CROP_SIZE / side)[:, None, None]
