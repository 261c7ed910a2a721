"""Arrays in files: slices are those of the array, whatever holds it."""

import h5py
import numpy as np
import pytest

from jaxflow.runs import array_files

MAPS = np.random.default_rng(0).normal(size=(7, 2, 5, 6)).astype(np.float32)


def npy(path):
    np.save(path.with_suffix(".npy"), MAPS)
    return path.with_suffix(".npy")


def npz(path):
    np.savez(path.with_suffix(".npz"), heatmaps=MAPS, other=np.arange(3))
    return path.with_suffix(".npz")


def packed(path):
    np.savez_compressed(path.with_suffix(".npz"), only=MAPS)
    return path.with_suffix(".npz")


def hdf5(path):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["a/heatmaps"] = MAPS
    return path.with_suffix(".h5")


@pytest.mark.parametrize("write", [npy, npz, packed, hdf5])
def test_slices_in_any_order_are_the_array_s(write, tmp_path):
    maps = array_files.open_maps(write(tmp_path / "maps"))
    assert maps.shape == MAPS.shape and maps.dtype == MAPS.dtype
    for start, stop in [(0, 3), (3, 7), (5, 6), (0, 1), (2, 2), (0, 7)]:
        np.testing.assert_array_equal(maps[start:stop], MAPS[start:stop])
    flat = array_files.Flat(maps)
    assert flat.batch == (7, 2) and flat.shape == (14, 5, 6)
    rows = MAPS.reshape(14, 5, 6)
    for start in range(14):
        for stop in range(start, 15):
            np.testing.assert_array_equal(flat[start:stop], rows[start:stop])


@pytest.mark.parametrize("write", [npy, npz, packed, hdf5])
def test_a_file_that_is_cut_short_is_named(write, tmp_path):
    path = write(tmp_path / "maps")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match="cannot read heatmaps from .*maps"):
        array_files.open_maps(path)


def test_which_array(tmp_path):
    path = npz(tmp_path / "maps")
    np.testing.assert_array_equal(array_files.open_maps(path, "other")[:], range(3))
    with pytest.raises(ValueError, match="no array 'x' in it; it has heatmaps, other"):
        array_files.open_maps(path, "x")
    with pytest.raises(FileNotFoundError, match="no.npy"):
        array_files.open_maps(tmp_path / "no.npy")
    with pytest.raises(ValueError, match="expected one of .npy"):
        array_files.open_maps(path.rename(tmp_path / "maps.txt"))


def test_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([None]), allow_pickle=True)
    np.savez_compressed(tmp_path / "a.npz", heatmaps=np.array([None]))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=f"cannot read heatmaps from .*{name}"):
            array_files.open_maps(tmp_path / name)
