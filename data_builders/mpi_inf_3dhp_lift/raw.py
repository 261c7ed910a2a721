"""Arrays out of foreign files: MATLAB v7.3 (HDF5) and NPZ, nothing trusted.

In: a path and the shapes its arrays must have. Out: NumPy arrays by name. Nothing is
unpickled, no link out of the file is followed, and whatever is wrong is one
``DataFileError`` that names the file.
"""

from __future__ import annotations

import pathlib
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from data_builders.files import DataFileError
from jaxflow.runs import array_files
from jaxflow.runs.array_files import ArrayFileError

# Name -> the shape behind the axis of frames.
Shapes = Mapping[str, tuple[int, ...]]

_MOST_FRAMES = 1_000_000  # more than any video has: a damaged or a malicious header


def read_mat(path: pathlib.Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB v7.3 file, whose axes HDF5 shows in reverse.

    Args:
      path: the file.
      shapes: the arrays to read, each (n, *shape) with the same n.

    Raises:
      DataFileError: not such a file, truncated, or other arrays than expected.
      ImportError: h5py is not installed; says how to install it.
    """
    try:
        with array_files.open_hdf5(path) as file:
            arrays = {}
            for name, shape in shapes.items():
                dataset = array_files.own_dataset(file, name)
                _check(path, name, dataset.shape, dataset.dtype, shape)
                arrays[name] = dataset[()]
    except DataFileError:
        raise
    except ArrayFileError as error:
        raise DataFileError(f"{path}: {error}") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataFileError(
            f"{path} cannot be read as a MATLAB v7.3 (HDF5) file, it may be truncated: "
            f"{error}"
        ) from error
    return _same_lengths(path, arrays)


def read_npz(path: pathlib.Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """Arrays of an NPZ file; as ``read_mat`` otherwise.

    Raises:
      DataFileError: not such a file, truncated, pickled, or other arrays than expected.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist()]
            if missing := [name for name in shapes if name not in there]:
                raise DataFileError(
                    f"{path} has no {', '.join(missing)}; it has "
                    f"{', '.join(there) or 'nothing'}"
                )
            arrays = {
                name: _unpacked(path, archive, name, shape)
                for name, shape in shapes.items()
            }
    except DataFileError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        MemoryError,
        RuntimeError,  # zipfile: encrypted, or packed in a way it does not know
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataFileError(
            f"{path} cannot be read as NPZ, it may be truncated: {error}"
        ) from error
    return _same_lengths(path, arrays)


def _unpacked(
    path: pathlib.Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]
) -> np.ndarray:
    """An array of an archive, whose header is looked at before its numbers."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        found, _, dtype = array_files.read_header(file, member.file_size)
    _check(path, name, found, dtype, shape)
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check(
    path: pathlib.Path,
    name: str,
    found: tuple[int, ...] | None,
    dtype: np.dtype,
    shape: tuple[int, ...],
) -> None:
    """What a header says, before anything is made of it."""
    if not found or found[1:] != shape or not 0 < found[0] <= _MOST_FRAMES:
        expected = ", ".join(["frames", *map(str, shape)])
        raise DataFileError(
            f"{path}: expected {name} of shape ({expected}); got {found}"
        )
    if dtype.kind not in "fiub":
        raise DataFileError(f"{path}: expected {name} to be numbers; got {dtype}")


def _same_lengths(
    path: pathlib.Path, arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataFileError(f"{path}: numbers of frames differ: {lengths}")
    return arrays
