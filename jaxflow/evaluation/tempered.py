"""Any model whose hypotheses each have a temperature of their own.

    joint = z0 joint + s_k (drawn joint - z0 joint),  s_k = exp(spread g_k),
    g_k one of 16 equally likely quantiles of N(0, 1)

Of some people a model is surer than it should be, of others less sure. One temperature
is right on average: a new person's truth then lies far out too often. Drawn from all
temperatures that people ask for, hypotheses get the heavier tails that errors of new
people have. How much temperatures differ is fitted as they are: by the calibration
error on people held out of training.

For a Gaussian s_k is a temperature. Other models' hypotheses are moved about the z = 0
pose as they are, modes and projection with them. The mixture is finite, so that
``log_prob`` is exact.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.evaluation import temperature as temperatures
from jaxflow.evaluation.around import AboutMode, AboutModeDensity
from jaxflow.maths import checks, keys
from jaxflow.types import Batch, DensityModel, Model, Params

SPREADS = tuple(float(i) / 20 for i in range(13))  # that are tried
_COUNT = 16
_FREEDOM = 45  # numbers of a pose that are free
_OWN = 0x7E3  # of a frame's key, for its hypotheses' temperatures


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tempered(AboutMode):
    """A model whose hypotheses differ in temperature.

    Attributes:
      model: any.
      spread: () deviation of the temperatures' logarithm, before there are but 16; 0
        for the model as it is.
    """

    spread: jax.Array

    def parameters(self) -> Params:
        """The model's, and the spread."""
        return {**self.model.parameters(), "temperature_spread": self.spread}

    def scales(self) -> jax.Array:
        """(16,) all s_k."""
        share = (np.arange(_COUNT) + 0.5) / _COUNT
        return jnp.exp(self.spread * jax.scipy.stats.norm.ppf(share))

    def _scale(self, pose2d: Any, cond: Any, key: jax.Array, count: int) -> jax.Array:
        """Each hypothesis's, (..., M, 1, 1)."""
        batch = jnp.shape(pose2d)[:-1]

        def of_frame(key: jax.Array) -> jax.Array:
            own = jax.random.fold_in(key, _OWN)
            return self.scales()[jax.random.randint(own, (count,), 0, _COUNT)]

        each = keys.for_batch(key, batch).reshape(-1)
        return jax.vmap(of_frame)(each).reshape(*batch, count, 1, 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TemperedDensity(Tempered, AboutModeDensity):
    """The same of a model that knows the density of what it draws.

    What is drawn comes with its density given its own s. The mixture's, as ``log_prob``
    gives it, would cost 16 densities a hypothesis.
    """

    def _log_det(self, scale: jax.Array) -> jax.Array:
        return _FREEDOM * jnp.log(scale[..., 0, 0])

    @checks.promoting
    def log_prob(
        self,
        pose3d: jax.typing.ArrayLike,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        *,
        observation_scale: float | jax.Array,
    ) -> jax.Array:
        """The posterior's log-density (...) of poses (..., 48) or (..., 17, 3)."""
        poses, middle = self._posed(pose3d, pose2d, cond)

        def with_scale(scale: jax.Array) -> jax.Array:
            density: jax.Array = self.model.log_prob(
                middle + (poses - middle) / scale,
                pose2d,
                cond,
                observation_scale=observation_scale,
            )
            return density - _FREEDOM * jnp.log(scale)

        each = jax.lax.map(with_scale, self.scales())
        return jax.nn.logsumexp(each, axis=0) - math.log(_COUNT)


def of(model: Model, spread: float | jax.Array) -> Model:
    """A model with such a spread."""
    if isinstance(model, DensityModel):
        return TemperedDensity(model, jnp.asarray(spread, jnp.float32))
    return Tempered(model, jnp.asarray(spread, jnp.float32))


def fit(
    with_spread: Callable[[float], Model],
    batch: Batch,
    targets: np.ndarray,
    key: jax.Array,
    temperature: float,
    *,
    num_hypotheses: int = 200,
    progress: Callable[[int], Any] = lambda frames: None,
) -> float:
    """Which of `SPREADS` has the least calibration error at a temperature.

    Args:
      with_spread: gives the model of a spread.
      batch: N frames; these and the next as of ``temperature.curve``.
      targets: theirs.
      key: a typed key.
      temperature: of all.
      num_hypotheses: M.
      progress: gets to 13 N.
    """
    errors = []
    for spread in SPREADS:
        curve = temperatures.curve(
            with_spread(spread),
            batch,
            targets,
            key,
            [temperature],
            num_hypotheses=num_hypotheses,
            progress=progress,
        )
        errors.append(float(curve.ece[0]))
    return float(SPREADS[int(np.argmin(errors))])
