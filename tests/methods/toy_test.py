"""Every method learns a posterior that is known: two modes, whatever is seen.

A whitened pose is +-1.5 along the first axis, each half of the time, with noise of 0.3
along all. Its mean is 0 and its deviation along that axis (1.5^2 + 0.3^2)^(1/2).
"""

import dataclasses

import numpy as np
import pytest

from tests.helpers import methods as small

MANY_STEPS = {"net": dataclasses.replace(small.TOY.net, steps=10)}
# Method -> what of the toy it can represent, and settings beside the helpers'.
CAN = {
    "gaussian_nll": ("width", {}),
    "mdn": ("modes", {}),
    "regression": ("mean", {}),
    "flow_matching": ("modes", MANY_STEPS),
    "diffusion": ("modes", MANY_STEPS),
    "generator": ("modes", {}),
}
WHOLE = np.hypot(small.APART, small.WIDE)


def test_all_methods_that_learn_are_here():
    assert {*CAN, "gaussian"} == {*small.OTHERS}  # the latter takes no step


@pytest.mark.slow
@pytest.mark.parametrize("name", CAN)
def test_it_learns(name):
    what, settings = CAN[name]
    config = dataclasses.replace(small.TOY, method=name, **settings)
    model, losses = small.learned(name, config, iterations=config.iterations)
    assert np.isfinite(np.asarray(losses)).all()
    r = small.residuals(model)
    assert np.abs(r.mean(0)).max() < 0.45
    if what == "mean":
        return
    np.testing.assert_allclose(r[:, 0].std(), WHOLE, rtol=0.15)
    np.testing.assert_allclose(np.median(r[:, 1:].std(0)), small.WIDE, rtol=0.25)
    if what == "modes":
        away = np.abs(r[:, 0])
        assert np.mean(away < 0.6) < 0.05
        assert abs(np.mean(r[:, 0] > 0) - 0.5) < 0.2
