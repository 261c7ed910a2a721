"""Arrays in files: slices are those of the array, whatever holds it."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from jaxflow.runs import array_files
from jaxflow.runs.errors import UserError
from tests.conftest import shared_path

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


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_capitals(suffix, tmp_path):
    small = {".npy": npy, ".npz": packed, ".h5": hdf5}[suffix](tmp_path / "maps")
    large = small.rename(tmp_path / f"MAPS{suffix.upper()}")
    np.testing.assert_array_equal(array_files.open_maps(large)[0:7], MAPS)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_fortran_order(save, tmp_path):
    save(tmp_path / "maps.npz", heatmaps=np.asfortranarray(MAPS))
    maps = array_files.open_maps(tmp_path / "maps.npz")
    assert maps.shape == MAPS.shape
    np.testing.assert_array_equal(maps[2:5], MAPS[2:5])


def header(shape, kind="<f4"):
    """What .npy begins with."""
    file = io.BytesIO()
    text = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, text)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(10**20, 16, 64, 64), (-1, 16, 64, 64), (2, -3, -3)])
@pytest.mark.parametrize("packing", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_a_header_promises_must_be_there(shape, packing, tmp_path):
    content = header(shape) + bytes(400)
    path = tmp_path / ("maps.npy" if packing is None else "maps.npz")
    if packing is None:
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr("heatmaps.npy", content)
    with pytest.raises(UserError, match="its header promises .* there are 400 bytes"):
        array_files.open_maps(path)


@pytest.mark.parametrize(
    "content",
    [
        header((2, 3, 3))[:90],
        header((2, 3, 3)).replace(b"<f4", b"<q4"),
        header((2, 3, 3)).replace(b"(2,", b"([,"),
        header((2, 3, 3), "|O"),
        b"",
        b"PK\x03\x04 of another kind",
        b"\x93NUMPY\x09\x00" + bytes(50),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_headers(content, packed, tmp_path):
    path = tmp_path / ("maps.npz" if packed else "maps.npy")
    path.write_bytes(content)
    if packed:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("heatmaps.npy", content)
    with pytest.raises(UserError, match="cannot read heatmaps from .*maps.np"):
        array_files.open_maps(path)


def test_a_damaged_stream_is_named_when_it_is_read(tmp_path):
    path = packed(tmp_path / "maps")
    content = bytearray(path.read_bytes())
    content[1000:1040] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot read heatmaps from .*maps.npz"):
        array_files.open_maps(path)[0:7]


@pytest.mark.parametrize("name", ["badmember.npz", "hugeint.npy", "negshape.npy"])
def test_cases(name):
    path = shared_path(f"cases/heatmaps/{name}")
    with pytest.raises(UserError, match=f"cannot read heatmaps from .*{name}"):
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


def test_hdf5_does_not_reach_into_other_files(tmp_path):
    """External storage takes any local file for numbers, a virtual one any HDF5's."""
    (tmp_path / "secret").write_bytes(bytes(8))
    other = hdf5(tmp_path / "other")
    path = tmp_path / "maps.h5"
    with h5py.File(path, "w") as file:
        outside = [(str(tmp_path / "secret"), 0, 8)]
        file.create_dataset("external", (8,), np.uint8, external=outside)
        layout = h5py.VirtualLayout(MAPS.shape, MAPS.dtype)
        layout[:] = h5py.VirtualSource(str(other), "a/heatmaps", MAPS.shape)
        file.create_virtual_dataset("virtual", layout)
    for name in ("external", "virtual"):
        with pytest.raises(UserError, match=f"maps.h5: {name} lies in other files"):
            array_files.open_maps(path, name)


def test_an_archive_s_arrays_by_name(tmp_path):
    archive = array_files.Npz(npz(tmp_path / "maps"))
    np.testing.assert_array_equal(archive.array("heatmaps")[1:2], MAPS[1:2])
    np.testing.assert_array_equal(archive.array("other")[:], np.arange(3))
    assert archive.array("other") is archive.array("other")
    with pytest.raises(UserError, match="no array 'third'.*heatmaps, other"):
        archive.array("third")
    with pytest.raises(FileNotFoundError, match="none.npz"):
        array_files.Npz(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="broken.npz"):
        array_files.Npz(tmp_path / "broken.npz")


def test_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([None]), allow_pickle=True)
    np.savez_compressed(tmp_path / "a.npz", heatmaps=np.array([None]))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=f"cannot read heatmaps from .*{name}"):
            array_files.open_maps(tmp_path / name)
