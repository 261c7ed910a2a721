"""The noise baseline: a model's z = 0 pose, spread as the detector is unsure."""

import jax
import numpy as np

from jaxflow import config
from jaxflow.evaluation import baselines
from jaxflow.methods.flow import FlowModel
from tests.helpers import flows

SMALL = config.FlowConfig(hidden=8, blocks=2)


def test_baseline_noise_has_the_fitted_covariance():
    rng = np.random.default_rng(0)
    cond = np.zeros((1, 13, 6), np.float32)
    cond[..., 3], cond[..., 4], cond[..., 5] = 0.09, 0.03, 0.04
    frame = rng.normal(size=(1, 32)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 1)
    model = FlowModel.of(flows.some(SMALL), SMALL)
    drawn = baselines.ModeWithNoise(model, depth=0.05).sample(
        frame, cond.reshape(1, 78), keys, num_hypotheses=4000
    )
    wrist = np.asarray(drawn)[0, :, 16]
    want = 0.01 * np.array([[0.09, -0.03], [-0.03, 0.04]])  # y down
    np.testing.assert_allclose(np.cov(wrist[:, :2].T), want, atol=4e-5)
    np.testing.assert_allclose(wrist[:, 2].std(), 0.05, rtol=0.05)
    assert np.ptp(np.asarray(drawn)[0, :, 0], axis=0).max() == 0
    still = np.asarray(drawn)[0, :, 1, :2]  # the right hip has no Gaussian
    assert np.ptp(still, axis=0).max() == 0
