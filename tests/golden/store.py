"""Reads the golden files, and compares arrays as the tests do."""

import pathlib

import jax
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def load(name):
    """``<name>.npz`` as a dict of arrays."""
    with np.load(HERE / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def doubled(name, params, *names):
    """Parameters, and a file's arrays of these names, as float64."""
    arrays = load(name)
    leaves = [np.asarray(arrays[name], np.float64) for name in names]
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params), *leaves


def relative_error(got, want):
    """Largest difference, relative to the wanted array's largest magnitude."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, (got.shape, want.shape)
    return np.abs(got - want).max() / np.abs(want).max()


def assert_close(got, want, bound=1e-5):
    assert np.all(np.isfinite(np.asarray(got)))
    assert relative_error(got, want) <= bound
