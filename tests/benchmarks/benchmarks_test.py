"""The benchmarks' arithmetic; what they measure is no matter of tests."""

import math
import time

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import accelerator, common, curves, devices, precision
from jaxflow.config import FlowConfig


def test_the_flow_s_work_is_that_of_its_products():
    """16 nets of 24 x 1028 and 1028 x 48 a hypothesis, the condition's share a pose."""
    one = common.sampling_flops(FlowConfig(), 1, 1)
    two = common.sampling_flops(FlowConfig(), 1, 2)
    assert two - one == 2 * 16 * (24 * 1028 + 1028 * 48)
    shared = 78 * 256 + 256 * 56 + 16 * 56 * 1028
    assert 2 * one - two == 2 * shared
    # 263 kB a hypothesis where each hidden number is written and read twice.
    assert common.sampling_bytes(FlowConfig(), 1) == pytest.approx(263e3, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "flops"),
    [
        ("NVIDIA H200", 67e12),
        ("NVIDIA A100-SXM4-80GB", 19.5e12),
        ("NVIDIA L4", 30.3e12),
        ("Tesla T4", 8.1e12),
        ("TPU v5 lite", 197e12 / 6),
        ("TPU v5", 459e12 / 6),
        ("TPU v6 lite", 153e12),
    ],
)
def test_a_device_is_known_by_its_name(kind, flops):
    sheet = devices.sheet(kind)
    peaks = [sheet.peak(name) for name in devices.PRECISIONS]
    assert peaks[0] == flops and peaks == sorted(peaks)
    assert devices.sheet("cpu") is None and devices.sheet("NVIDIA L40S") is None


def test_a_share_is_of_the_data_sheet_s_best():
    sheet = devices.Sheet(1e12, 2e12, 4e12, 8e12, bandwidth=1e12)

    def cells(precision, given, started=0):
        times, work = [0.002, 0.004, 0.003], (1e9, 6e8)
        return accelerator.row(
            ("what", precision),
            times,
            work,
            given,
            lambda took: f"{1 / took:.0f}/s",
            started,
        )

    exact = cells("highest", sheet)
    assert exact == ["what", "highest", "3.00 (2.00)", "33%", "20%", "-", "333/s"]
    assert cells("default", sheet)[3:5] == ["8%", "20%"]
    assert cells("highest", sheet, started=1000)[5] == "2.00"
    assert cells("highest", None)[3:5] == ["unknown", "unknown"]


def test_a_curve_says_how_cost_grows():
    sizes = (1, 10, 100, 1000)
    linear = curves.curve("M", sizes, [1e-3 + 1e-5 * size for size in sizes], 100)
    assert "| 1,000 | 11.00 | 11.00 |" in linear
    assert "M^0.74" in linear and "0.55 times" in linear
    assert common.exponent(sizes, [3.0 * size**2 for size in sizes]) == pytest.approx(2)


def test_short_calls_are_called_more_often():
    """As many as fill the turn, of which the first ones do not count."""
    calls = []

    def run():
        calls.append(1)
        time.sleep(0.01)
        return jnp.zeros(())

    turns = 2
    (times,) = common.take_turns({"": run}, turns).values()
    assert turns < len(times) <= turns * common._BURST / 0.01 + turns
    assert len(calls) > len(times) + 2 * turns
    assert all(0.01 <= one < math.inf for one in times)
    (alone,) = common.after_a_pause({"": run}, turns).values()
    assert len(alone) == turns and min(alone) >= 0.01


def test_made_up_poses_have_the_network_s_shapes():
    made = common.made_up(3)
    assert [array.shape for array in made] == [(3, 48), (3, 32), (3, 78)]
    assert all(array.dtype == np.float32 for array in made)


def test_three_passes_of_bfloat16_keep_twice_the_digits_of_one():
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.normal(size=(30, 30)), jnp.float32) for _ in range(2))
    axes, exact = (((1,), (0,)), ((), ())), np.asarray(a, float) @ np.asarray(b, float)

    def error(count):
        product = precision.passes(count)(a, b, axes)
        return np.abs(product - exact).max() / np.abs(exact).max()

    assert 1e-3 < error(1) < 2**-7 and error(3) < 2**-14
