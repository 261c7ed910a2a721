"""Cameras turned to the middle of a crop: by how much, and where that is."""

import dataclasses

import numpy as np
import pytest

from data_builders.files import DataFileError
from data_builders.simulation import centred
from jaxflow.skeleton import MPII_TO_H36M
from tests.helpers import people

CENTRE = np.asarray([300.0, -150.0])  # crop pixels, of the camera's picture


def seen(count, error):
    """People off the centre, and detections with an error of so many pixels."""
    rng = np.random.default_rng(0)
    pose3d = people.standing() * [1, -1, 1] + rng.normal(scale=60, size=(count, 17, 3))
    pose3d = pose3d + [900, 700, 4000]
    joints = pose3d[:, list(MPII_TO_H36M)]
    truth = 900 * joints[..., :2] / joints[..., 2:] + 128 - CENTRE
    fits = np.zeros((count, 16, 7))
    fits[..., [3, 5]] = 2.0
    return pose3d, truth + error * rng.normal(size=truth.shape), fits


def angle(ray):
    """Degrees from where the crop's middle is."""
    expected = np.asarray([*CENTRE / 900, 1])
    cosine = ray @ expected / np.linalg.norm(expected)
    return np.rad2deg(np.arccos(np.minimum(cosine, 1)))


def test_the_crops_middle_is_found():
    ray = centred.ray_of_crop(*seen(20, 0))
    np.testing.assert_allclose(ray, np.tile(ray[:1], (20, 1)), atol=1e-9)
    assert angle(ray).max() < 1e-5
    assert angle(centred.ray_of_crop(*seen(200, 2.0))).max() < 0.2


def test_unsure_joints_count_little():
    pose3d, pose2d, fits = seen(20, 0)
    pose2d[:, 10] += 60  # a wrist that was not found
    fits[:, 10, [3, 5]] = 15.0
    assert angle(centred.ray_of_crop(pose3d, pose2d, fits)).max() < 0.02
    fits[:, 10, [3, 5]] = 2.0
    assert angle(centred.ray_of_crop(pose3d, pose2d, fits)).min() > 0.2


def test_turned_poses_are_where_the_camera_looks():
    pose3d, pose2d, fits = seen(20, 0)
    ray = centred.ray_of_crop(pose3d, pose2d, fits)
    turned = centred.turned(pose3d, ray)
    along = centred.turned(1000 * ray[:, None], ray)[:, 0]
    np.testing.assert_allclose(along, np.tile([0, 0, 1000.0], (20, 1)), atol=1e-9)
    handed = [np.linalg.det(one[:, [1, 7, 11]]) for one in (turned, pose3d)]
    np.testing.assert_allclose(*handed)
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=-1), np.linalg.norm(pose3d, axis=-1)
    )
    back = centred.turned(turned, ray * [-1, -1, 1])
    np.testing.assert_allclose(back, pose3d)


def test_poses_about_the_hip_are_refused():
    """They have no place before the camera, and a crop none in its picture."""
    flat = people.flat_records(3, 4.0)
    centred.records(flat)
    about = flat.pose3d - flat.pose3d[:, :1]
    with pytest.raises(DataFileError, match="expected poses in front of the camera"):
        centred.records(dataclasses.replace(flat, pose3d=about))
