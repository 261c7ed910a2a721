"""Heatmaps to joints, against rules that go pixel by pixel."""

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow.detector.network import decode
from tests.oracles import pictures as oracle


def bumps(places, sigma=2.0, height=64, width=64, amplitude=0.9):
    y, x = np.mgrid[:height, :width]
    places = np.asarray(places)[..., None, None]
    square = (x - places[..., 0, :, :]) ** 2 + (y - places[..., 1, :, :]) ** 2
    return (amplitude * np.exp(-square / (2 * sigma**2))).astype(np.float32)


def hard_cases():
    """Sure, wide, noisy, at the border, of two lobes, flat, below zero."""
    rng = np.random.default_rng(0)
    sure = bumps(rng.uniform(5, 59, (8, 2)))
    wide = bumps(rng.uniform(5, 59, (4, 2)), 5.0)
    border = bumps([[0, 30], [1, 30], [2, 2], [62, 30], [61, 61], [30, 63], [33, 62]])
    lobes = np.maximum(bumps([[20, 20]]), bumps([[26, 22]], 3.0, amplitude=0.89))
    noise = rng.normal(0, 0.02, (4, 64, 64)).astype(np.float32)
    flat = np.full((1, 64, 64), 0.25, np.float32)
    return np.concatenate(
        [sure, wide, border, lobes, noise, sure[:4] + noise, flat, -flat]
    )


def test_against_the_slow_rule():
    maps = hard_cases()
    found = decode.dark(maps)
    usable = maps.max((1, 2)) > 0
    expected = np.stack([oracle.dark(one) for one in maps[usable]])
    np.testing.assert_allclose(found.place[usable], expected, atol=2e-3)
    np.testing.assert_array_equal(found.score, maps.max((1, 2)))
    assert np.isfinite(found.place).all()


def test_dark_finds_a_bump_s_peak():
    places = np.random.default_rng(1).uniform(8, 55, (40, 2))
    for sigma in (1.5, 2.0, 3.0):
        found = decode.dark(bumps(places, sigma)).place
        np.testing.assert_allclose(found, places, atol=0.01)
    pixel = decode.largest_pixel(bumps(places)).place
    assert np.abs(np.asarray(pixel) - places).max() > 0.4


def test_shapes_and_kinds():
    maps = bumps(np.full((2, 3, 2), [20.4, 31.0]), height=48, width=60)
    found = decode.dark(maps)
    assert found.place.shape == (2, 3, 2) and found.score.shape == (2, 3)
    alone = decode.dark(maps[1, 2])
    np.testing.assert_allclose(alone.place, found.place[1, 2], atol=1e-6)
    coded = decode.dark((255 * maps).round().astype(np.uint8))
    np.testing.assert_allclose(coded.place, found.place, atol=0.02)
    with pytest.raises(TypeError, match="floating point"):
        decode.dark(np.zeros((8, 8), np.int32))
    with pytest.raises(ValueError, match="at least 3 x 3"):
        decode.largest_pixel(np.zeros((2, 2), np.float32))


def test_a_start_for_the_fits():
    maps = bumps([[20.3, 31.8], [40.0, 12.6]])
    fits = jaxflow.fit_gaussians(maps, decode.dark(maps).place)
    assert fits.converged.all()
    np.testing.assert_allclose(fits.mean, [[20.3, 31.8], [40.0, 12.6]], atol=1e-3)


def test_works_under_jit_and_vmap():
    maps = bumps(np.random.default_rng(2).uniform(8, 55, (3, 2)))
    found = jax.jit(jax.vmap(decode.dark))(maps)
    np.testing.assert_allclose(found.place, decode.dark(maps).place, atol=1e-6)
