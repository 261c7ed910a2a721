"""What the network sees of records, beside NumPy and the released code's."""

import jax.numpy as jnp
import numpy as np
import pytest

from data_builders import files
from jaxflow import data
from jaxflow.data import seen
from jaxflow.skeleton import CONDITIONED_MPII
from jaxflow.types import Batch, PoseRecords
from tests.helpers.training import DATASET


@pytest.fixture(scope="module")
def records(data_dir):
    return data.load_records(DATASET, "train[:230]", data_dir)


def replaced(records, **changes):
    return PoseRecords(**(vars(records) | changes))


def test_reference_preprocessing(records, reference):
    wanted = reference("preprocessing")
    count = len(wanted["raw_pose3d_mm"])
    some = replaced(
        records.take(np.zeros(count, int)),
        pose3d=wanted["raw_pose3d_mm"].reshape(count, 3, 17).swapaxes(1, 2),
        pose2d=wanted["raw_pose2d_px"].reshape(count, 2, 16).swapaxes(1, 2),
        gaussfit=wanted["raw_gaussfit"].reshape(count, 16, 7),
    )
    batch = data.to_batch(some)
    for got, name in zip(batch, ("pose3d", "pose2d", "condition"), strict=True):
        np.testing.assert_allclose(got, wanted[name], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("count", [1, 7, 230])
def test_to_batch_against_plain_numpy(records, count):
    some = records.take(slice(count))
    batch = data.to_batch(some)
    assert isinstance(batch, Batch)
    for array, width in zip(batch, (48, 32, 78), strict=True):
        assert array.shape == (count, width) and array.dtype == jnp.float32
    pose = some.pose3d[:, 1:].astype(np.float64) / 1000
    pose = (pose - pose.mean(axis=1, keepdims=True)) * [1, -1, -1]
    expected = pose.swapaxes(1, 2).reshape(count, 48)
    np.testing.assert_allclose(batch.pose3d, expected, atol=2e-6)
    flat = some.pose2d.astype(np.float64)
    flat = (flat - flat.mean(axis=1, keepdims=True)) * [1, -1]
    flat = flat.swapaxes(1, 2).reshape(count, 32)
    expected = flat / flat.std(axis=1, keepdims=True)
    np.testing.assert_allclose(batch.pose2d, expected, atol=5e-6)
    amplitude = np.asarray(batch.cond).reshape(count, 13, 6)[..., 0]
    expected = some.gaussfit[:, list(CONDITIONED_MPII), 0]
    np.testing.assert_allclose(amplitude, expected, atol=1e-6)


def test_chunks_change_nothing(records, monkeypatch):
    whole = data.to_batch(records)
    monkeypatch.setattr(seen, "_BATCH_CHUNK", 64)
    for one, other in zip(whole, data.to_batch(records), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("field", ["pose3d", "pose2d", "gaussfit"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(records, field, value):
    array = getattr(records, field).copy()
    array[33, 2, 1] = value
    with pytest.raises(files.DataFileError, match=f"{field} is not finite") as caught:
        data.to_batch(replaced(records, **{field: array}))
    assert data.describe(records, 33) in str(caught.value)
    assert records.action[33] in str(caught.value)


def test_wrong_shapes_and_no_frames(records):
    with pytest.raises(files.DataFileError, match=r"pose2d of shape \(230, 16, 2\)"):
        data.to_batch(replaced(records, pose2d=records.pose2d[:, :15]))
    with pytest.raises(files.DataFileError, match="action"):
        data.to_batch(replaced(records, action=records.action[:3]))
    with pytest.raises(ValueError, match="at least one frame"):
        data.to_batch(records.take(slice(0)))


def test_a_pose_without_extent(records):
    pose2d = records.pose2d.copy()
    pose2d[9] = 100.0
    with pytest.raises(ValueError, match="coincide in .* frame") as caught:
        data.to_batch(replaced(records, pose2d=pose2d))
    assert data.describe(records, 9) in str(caught.value)
