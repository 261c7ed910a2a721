"""MPI-INF-3DHP's test set from real poses in the downloaded form."""

import numpy as np
import pytest

from data_builders.mpi_inf_3dhp_lift import parse
from jaxflow import data
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_TO_H36M
from tests.conftest import shared_path

pytest.importorskip("h5py", reason="h5py is not installed")

NAME = "mpi_inf_3dhp_lift"
TREE = "data/raw_tree/mpi_inf_3dhp_test_set"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The records of real poses in the downloaded form."""
    sets = tmp_path_factory.mktemp("real")
    return data.load_records(NAME, "test", sets, shared_path(TREE))


def test_real_frames(real):
    assert len(real) == 144 and real.extra["valid"].sum() == 106
    assert 2500 < real.pose3d[..., 2].min()  # mm in front of the camera
    for name in parse.SEQUENCES:
        assert list(real.frame[real.subject == name]) == list(range(1, 25))


def test_real_bones(real):
    """Bone lengths are a person's and the same on both sides; the order is right."""
    pose = real.extra["pose3d_universal"]
    length = {
        (H36M_JOINTS[a], H36M_JOINTS[b]): np.linalg.norm(
            pose[:, a] - pose[:, b], axis=-1
        )
        for a, b in H36M_BONES
    }
    for (start, end), values in length.items():
        assert 70 < values.min() and values.max() < 600, (start, end)
        if end[0] == "R":
            mirrored = length[start.replace("R", "L", 1), end.replace("R", "L", 1)]
            np.testing.assert_allclose(values.mean(), mirrored.mean(), rtol=0.05)
    middle = (pose[:, 1] + pose[:, 4]) / 2
    np.testing.assert_allclose(middle, pose[:, 0], atol=1e-2)
    upright = ("Head", "Nose", "Thorax", "Spine", "Hip", "RKnee", "RFoot")
    height = [pose[:, H36M_JOINTS.index(name), 1].mean() for name in upright]
    assert height == sorted(height)  # y down


def test_real_left_and_right(real):
    """The detector's joints, MPII by name, lie where the camera sees the 3D joints."""

    def normalised(points):
        points = points - points.mean(axis=1, keepdims=True)
        return points / points.std(axis=(1, 2), keepdims=True)

    def mean_distance(order):
        seen = real.pose3d[:, order, :2] / real.pose3d[:, order, 2:]
        # Both axes have about one focal length.
        difference = normalised(seen) - normalised(real.pose2d)
        return np.median(np.linalg.norm(difference, axis=-1), axis=0)

    straight = list(MPII_TO_H36M)
    mirror = {"R": "L", "L": "R"}
    mirrored = [
        H36M_JOINTS.index(mirror.get(name[0], name[0]) + name[1:])
        for name in (H36M_JOINTS[i] for i in straight)
    ]
    near, far = mean_distance(straight), mean_distance(mirrored)
    assert near.max() < 0.1
    sided = [
        i for i, (a, b) in enumerate(zip(straight, mirrored, strict=True)) if a != b
    ]
    assert len(sided) == 12 and (far[sided] > 2 * near[sided]).all()
