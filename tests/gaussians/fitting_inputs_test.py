"""The heatmap fit on maps nobody should give it, and on every kind of input."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxflow.gaussians import fitting
from jaxflow.gaussians.fitting import fit_gaussians
from tests.helpers.fit import assert_alike, assert_same_bits, rows
from tests.oracles import gaussian_fit as oracle


@pytest.fixture(scope="module")
def maps():
    """64 maps (64, 64, 64) of every kind."""
    return oracle.random_maps(64, seed=1)[0]


@pytest.fixture(scope="module")
def fits(maps):
    return fit_gaussians(jnp.asarray(maps))


def _hard_maps():
    base = oracle.bump([0.8, 30.3, 20.6, 3.0, 0.4, 2.0]).astype(np.float32)
    pixel = np.zeros((64, 64), np.float32)
    pixel[20, 30] = 1
    spoiled = {
        name: np.where(pixel > 0, np.float32(value), base)
        for name, value in (("nan", np.nan), ("inf", np.inf), ("below", -1.0))
    }
    far = oracle.bump([1.0, 80.0, -12.0, 6.0, 0.3, 8.0]).astype(np.float32)
    noise = np.random.default_rng(0).random((64, 64), np.float32)
    stripe = np.repeat(np.exp(-((np.arange(64) - 30.0) ** 2) / 8), 64).reshape(64, 64)
    return {
        "zero": (np.zeros_like(base), False),
        "constant": (np.ones_like(base), False),
        "negative": (-base, False),
        "lowered": (base - 0.5, False),
        "subnormal": (base * np.float32(1e-39), False),
        "one nan pixel": (spoiled["nan"], False),
        "one infinite pixel": (spoiled["inf"], False),
        "one very negative pixel": (spoiled["below"], False),
        "all nan": (np.full_like(base, np.nan), False),
        "a ridge without end": (stripe.astype(np.float32), False),
        "noise": (noise * 0.01, None),
        "hot pixel": (pixel, None),
        "hot corner": (np.eye(1, 4096, dtype=np.float32).reshape(64, 64), None),
        "saturated": (np.clip(base * 20, 0, 1), True),
        "two lobes": (base + np.roll(base, 20, 1), None),
        "border": (np.roll(base, 34, 1) * (np.arange(64) > 40), True),
        "outside the frame": (far, None),
        "slightly negative": (base - 0.02, True),
        "huge": (base * np.float32(1e37), True),
        "tiny": (base * np.float32(1e-36), True),
    }


def filled(maps):
    """Empty maps to 64, for which the fit is compiled once."""
    return jnp.asarray(np.pad(maps, [(0, 64 - len(maps)), (0, 0), (0, 0)]))


class TestHardMaps:
    @pytest.fixture(scope="class")
    @classmethod
    def hard(cls):
        maps = np.stack([heatmap for heatmap, _ in _hard_maps().values()])
        return maps, rows(fit_gaussians(filled(maps)), slice(len(maps)))

    @pytest.mark.parametrize("name", list(_hard_maps()))
    def test_finite_and_honest(self, hard, name):
        index = list(_hard_maps()).index(name)
        expected = _hard_maps()[name][1]
        maps, fit = hard[0], rows(hard[1], index)
        assert all(np.isfinite(field).all() for field in fit)
        assert (fit.sigma > 0).all() and 0 <= fit.theta < np.pi
        assert expected is None or bool(fit.converged) is expected
        if not fit.converged:
            finite = np.where(np.isfinite(maps[index]), maps[index], 0)
            top = np.unravel_index(finite.argmax(), finite.shape)
            assert fit.amplitude == max(finite.max(), 0) or name == "subnormal"
            assert tuple(fit.mean) == (top[1], top[0]) or fit.amplitude == 0
            assert tuple(fit.sigma) == (2, 2) and fit.theta == 0

    def test_gradients_are_finite(self, hard):
        def loss(maps):
            fit = fit_gaussians(maps)
            return sum(jnp.sum(field) for field in fit[:5])

        gradient = jax.jit(jax.grad(loss))(jnp.asarray(hard[0]))
        assert np.isfinite(gradient).all()
        assert not np.asarray(gradient)[~np.asarray(hard[1].converged)].any()

    @pytest.mark.parametrize("start", [(np.nan, 3.0), (np.inf, np.nan)])
    def test_start_that_is_not_finite(self, maps, fits, start):
        init = np.full((64, 2), start, np.float32)
        assert_alike(fit_gaussians(jnp.asarray(maps), init), fits)

    def test_start_far_outside(self, maps):
        init = np.full((64, 2), [1e5, -1e5], np.float32)
        fit = fit_gaussians(jnp.asarray(maps), init)
        assert not fit.converged.any()
        assert all(np.isfinite(field).all() for field in fit)
        np.testing.assert_array_equal(fit.mean, init)

    def test_no_maps(self):
        fit = fit_gaussians(jnp.zeros((0, 16, 64, 64)))
        assert fit.mean.shape == (0, 16, 2) and fit.converged.dtype == bool


class TestInputs:
    @pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
    def test_half_precision_is_widened_exactly(self, maps, dtype):
        half = maps.astype(dtype)
        fit = fit_gaussians(half)
        assert fit.mean.dtype == jnp.float32
        assert_alike(fit, fit_gaussians(half.astype(np.float32)))

    def test_uint8_is_a_share_of_255(self, maps):
        integers = np.round(np.clip(maps, 0, 1) * 255).astype(np.uint8)
        exact = integers.astype(np.float32) / np.float32(255)
        assert_same_bits(fit_gaussians(integers), fit_gaussians(exact))

    def test_streamed_maps_keep_their_precision(self, monkeypatch):
        monkeypatch.setattr(fitting, "_BLOCK_MAPS", 16)
        true = [0.7, 4.25, 3.5, 1.3, 0.3, 1.1]
        streamed = np.stack([oracle.bump(true, 9, 9)] * 20)
        with jax.enable_x64(True):
            fit = fit_gaussians(streamed)
        assert fit.mean.dtype == np.float64
        np.testing.assert_allclose(fit.mean, np.tile(true[1:3], (20, 1)), atol=1e-9)

    @pytest.mark.parametrize("shape", [(96, 72), (7, 31), (3, 3)])
    def test_map_sizes(self, shape):
        height, width = shape
        true = [0.7, width * 0.45, height * 0.6, 1.3, 0.3, 1.1]
        fit = fit_gaussians(oracle.bump(true, height, width).astype(np.float32))
        np.testing.assert_allclose(fit.mean, true[1:3], atol=2e-3)

    def test_given_starts_choose_the_lobe(self):
        left = oracle.bump([0.8, 15, 32, 2, 0, 2])
        heatmap = (left + oracle.bump([0.7, 50, 32, 2, 0, 2])).astype(np.float32)
        init = np.tile(np.float32([[15, 32], [49, 33]]), (32, 1))
        fit = fit_gaussians(np.stack([heatmap] * 64), init)
        np.testing.assert_allclose(fit.mean[:2], [[15, 32], [50, 32]], atol=0.01)

    @pytest.mark.parametrize(
        ("heatmaps_", "init", "error", "message"),
        [
            (np.zeros((2, 64, 64), np.int32), None, TypeError, "uint8"),
            (np.zeros((2, 64, 64), bool), None, TypeError, "uint8"),
            (np.zeros(64, np.float32), None, ValueError, r"\(\.\.\., rows, columns\)"),
            (np.zeros((2, 2, 64), np.float32), None, ValueError, "at least 3 x 3"),
            (
                np.zeros((2, 9, 9), np.float32),
                np.zeros((2, 3), np.float32),
                ValueError,
                r"\(\.\.\., 2\)",
            ),
            (
                np.zeros((2, 9, 9), np.float32),
                np.zeros((3, 2), np.float32),
                ValueError,
                "batch",
            ),
            (
                np.zeros((2, 9, 9), np.float32),
                np.zeros((2, 2), np.int32),
                TypeError,
                "init",
            ),
            (np.zeros((9000, 9, 9), np.int8), None, TypeError, "uint8"),
        ],
    )
    def test_refused(self, heatmaps_, init, error, message):
        with pytest.raises(error, match=message):
            fit_gaussians(heatmaps_, init)
