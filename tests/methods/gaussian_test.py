"""The Gaussian in closed form: its widths follow what is seen."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import made_up
from jaxflow.methods import gaussian, whitening
from jaxflow.methods.ridge import Weights
from jaxflow.types import Batch
from tests.helpers.methods import TINY

N = 2000


def test_variances_fit_where_their_bounds_hold_some_back():
    rng = np.random.default_rng(1)
    given = rng.normal(size=(N, 1))
    squares = np.exp(1 + 1.5 * given) * rng.chisquare(1, (N, 45))

    class Ridge:
        """Predicts the truth but for a constant."""

        def fit(self, targets):
            kernel = np.zeros((2, 45), np.float32)
            kernel[0] = 1.5
            return Weights(kernel, kernel[None])

        def residuals(self, targets, weights):
            return targets - 1.5 * given

    residuals = np.sqrt(squares).astype(np.float32)
    fitted = whitening.Fitted({}, np.zeros(0), Ridge(), residuals)
    net = gaussian.fit({}, fitted)["net"]
    features = jnp.asarray(np.hstack([given, np.ones((N, 1))]), jnp.float32)
    variances = np.exp(gaussian._log_variance(net, features))
    np.testing.assert_allclose(np.mean(squares / variances, axis=0), 1, rtol=0.02)


def test_widths_are_those_that_the_frames_were_drawn_with():
    """Noise whose deviation one input decides: small below 0, three times above."""
    rng = np.random.default_rng(0)
    seen = made_up(1)
    pose2d = rng.normal(size=(N, 32)).astype(np.float32)
    wide = np.where(pose2d[:, :1] > 0, 0.3, 0.1)
    pose3d = (wide * rng.normal(size=(N, 45)) @ whitening.basis().T).astype(np.float32)
    cond = np.broadcast_to(seen.cond, (N, 78))
    frames = Batch(*map(jnp.asarray, (pose3d, pose2d, cond)))
    # One feature is the input that matters.
    start = whitening.init(jax.random.key(0), 2)
    kernel = (
        jnp.zeros_like(start["features"]["kernel"]).at[0].set(jnp.asarray([9, -9.0]))
    )
    start["features"] = {"kernel": kernel, "bias": jnp.asarray([-1.0, -1.0])}
    fitted = whitening.fit(start, frames, np.arange(N) % 4, 4)
    params = gaussian.fit({"whitening": fitted.params}, fitted)
    model = gaussian.METHOD.model(params, TINY)
    rows = [int(np.argmin(pose2d[:, 0])), int(np.argmax(pose2d[:, 0]))]
    poses = model.sample(
        pose2d[rows], cond[rows], jax.random.key(0), num_hypotheses=500
    )
    narrow, broad = np.asarray(poses)[..., 1:, :].std(1).mean((1, 2))
    assert narrow < 0.15 and broad > 0.22
    densities = model.log_prob(pose3d, pose2d, cond, observation_scale=1.0)
    # The entropy of the truth, 45 dimensions: half of the frames are of each width.
    truth = -45 * (0.5 + 0.5 * np.log(2 * np.pi) + np.log(wide).mean())
    assert abs(float(densities.mean()) - truth) < 0.15 * 45
