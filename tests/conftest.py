"""Strict JAX settings for every test, eight virtual devices, and shared files."""

import gc
import os
import pathlib

from tests.helpers import quick

# Before JAX starts: enough devices to test data parallelism on any machine.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Commands started by tests leave the user's cache folder alone.
os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")
# Tests spend most of their time compiling, so the compiler optimises little, in the
# commands that they start, too: a quarter less time. What computes long asks for more:
# a module with `pytestmark = pytest.mark.usefixtures("optimised")`, or a function with
# `helpers.compiled.optimised`.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick.EIGHT_DEVICES}"

import jax
import numpy as np
import pytest

from tests.helpers.compiled import optimised

# Tracing and compiling make millions of small objects that stay: looking through them
# as often as Python does by default took 4 % of three folders' time.
gc.set_threshold(20_000, 20, 50)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_legacy_prng_key", "error")

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


def shared_path(name: str) -> pathlib.Path:
    """A file or folder of ../shared; the test skips where it is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not here: only checkouts beside it run this")
    return path


@pytest.fixture(scope="session")
def reference():
    """Loads ``../shared/reference/<name>.npz`` as a dict of arrays."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(shared_path(f"reference/{name}.npz")) as file:
            return {key: file[key] for key in file.files}

    return load


@pytest.fixture(scope="module", name="optimised")
def optimised_fixture():
    """A module's programs, and its commands', are compiled as they are for users."""
    with optimised(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "false")
        yield


@pytest.fixture(scope="module")
def optimised_fits():
    """Fits of heatmaps are, and nothing else: they compute longer than they compile."""
    from jaxflow.gaussians import fitting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_fit", optimised()(fitting._fit))
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Folder of the small data set that training tests share; they only read it."""
    from jaxflow import data
    from tests.helpers.training import DATASET

    folder = tmp_path_factory.mktemp("data")
    data.load_records(DATASET, "train", folder)
    return folder
