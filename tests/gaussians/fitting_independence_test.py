"""A map's fit is a function of that map, to the last bit.

A promise of programs as users get them: those that are compiled quickly do not keep it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.gaussians import fitting
from jaxflow.gaussians.fitting import fit_gaussians
from tests.helpers.fit import assert_same_bits, rows
from tests.oracles import gaussian_fit as oracle

pytestmark = pytest.mark.usefixtures("optimised")


@pytest.fixture(scope="module")
def maps():
    """64 maps (64, 61, 64) of every kind.

    Of a size that no other test fits: JAX would take its program, quickly compiled.
    """
    return oracle.random_maps(64, seed=1)[0][:, 1:-2]


@pytest.fixture(scope="module")
def fits(maps):
    return fit_gaussians(jnp.asarray(maps))


def test_alone(maps, fits):
    for i in (0, 17, 63):
        assert_same_bits(fit_gaussians(jnp.asarray(maps[i])), rows(fits, i))


def test_order_and_neighbours(maps, fits):
    order = np.random.default_rng(0).permutation(len(maps))
    maps = maps[order].copy()
    maps[::7] = np.nan
    shuffled = fit_gaussians(jnp.asarray(maps))
    kept = np.flatnonzero(np.arange(len(maps)) % 7)
    assert_same_bits(rows(shuffled, kept), rows(fits, order[kept]))


@pytest.mark.slow
def test_place_in_an_odd_size(maps):
    small = jnp.asarray(maps[:, 20:33, 17:46])
    forward, backward = fit_gaussians(small), fit_gaussians(small[::-1])
    assert_same_bits(rows(backward, slice(None, None, -1)), forward)
    assert_same_bits(fit_gaussians(small[5]), rows(forward, 5))


def test_batch_shapes_and_transformations(maps, fits):
    grid = jnp.asarray(maps).reshape(4, 16, 61, 64)
    expected = rows(fits, np.arange(64).reshape(4, 16))
    assert_same_bits(fit_gaussians(grid), expected)
    assert_same_bits(jax.jit(jax.vmap(jax.vmap(fit_gaussians)))(grid), expected)
    assert_same_bits(jax.pmap(fit_gaussians)(grid), expected)


@pytest.mark.slow
def test_vmap_over_starts_alone(maps):
    starts = jnp.asarray([[20.0, 20.0], [40.0, 30.0]])
    both = jax.vmap(fit_gaussians, in_axes=(None, 0))(jnp.asarray(maps[0]), starts)
    for i in range(2):
        one = fit_gaussians(jnp.asarray(maps[0]), starts[i])
        assert_same_bits(rows(both, i), one)


@pytest.mark.slow
def test_streamed_from_the_host(maps, fits, monkeypatch):
    monkeypatch.setattr(fitting, "_BLOCK_MAPS", 24)
    assert_same_bits(fit_gaussians(maps), fits)
    grid, start = maps.reshape(4, 16, 61, 64), np.full((4, 16, 2), 31.5, np.float32)
    whole = fit_gaussians(jnp.asarray(grid), start)
    assert_same_bits(fit_gaussians(grid, start), whole)
