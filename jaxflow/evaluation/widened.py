"""Any model whose unsure joints are spread as wide as held-out people asked for.

    joint = z0 joint + f(joint, sigma) (drawn joint - z0 joint)

A model that has seen few people is surer of an unsure joint than it is right: of a new
person the rest of the body says less than it has learnt to read from it. The latents'
temperature cannot mend that, since sure joints need none of it. f is at least 1, and 1
where the detector is sure; ``widths`` fits it. It depends on the condition alone, so
that densities stay exact.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.evaluation.around import AboutMode, AboutModeDensity
from jaxflow.gaussians.condition import PER_JOINT
from jaxflow.maths import checks
from jaxflow.skeleton import CONDITIONED_H36M_16
from jaxflow.types import DensityModel, Model, Params

# Heatmap pixels, of the larger deviation; f is 1 at the first, and between two of them
# linear in the logarithms of both.
KNOTS = (2.6, 3.0, 4.0, 6.0, 10.0)
_UNIT = 10.0  # heatmap pixels, of the condition's deviations
_JOINTS = np.asarray(CONDITIONED_H36M_16, np.int32) + 1  # of H36M-17
SHAPE = (len(_JOINTS), len(KNOTS))  # of the factors


def deviations(cond: jax.Array) -> jax.Array:
    """(..., 78) to the larger deviation of each conditioned joint, (..., 13) px.

    Of joints that are sure: half of it, as the condition has it (released code).
    """
    joints = cond.reshape(*cond.shape[:-1], len(_JOINTS), PER_JOINT)
    first, mixed, second = (joints[..., i] for i in (3, 4, 5))
    half = jnp.hypot((first - second) / 2, mixed)
    return _UNIT * jnp.sqrt(jnp.maximum((first + second) / 2 + half, 0))


def shares(sigma: jax.Array) -> jax.Array:
    """How much of each of `KNOTS` counts for deviations (...) px: (..., 5)."""
    numbers = jnp.arange(len(KNOTS), dtype=sigma.dtype)
    knots = jnp.log(jnp.asarray(KNOTS, sigma.dtype))
    place = jnp.interp(jnp.log(jnp.maximum(sigma, KNOTS[0])), knots, numbers)
    return jnp.maximum(1 - jnp.abs(place[..., None] - numbers), 0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Widened(AboutMode):
    """A model whose unsure joints are drawn wider.

    Attributes:
      model: any.
      factors: (13, 5) f of each conditioned joint at each of `KNOTS`.
    """

    factors: jax.Array

    def parameters(self) -> Params:
        """The model's, and the factors."""
        return {**self.model.parameters(), "widths": self.factors}

    def _scale(self, pose2d: Any, cond: Any, key: jax.Array, count: int) -> jax.Array:
        """Each joint's in all hypotheses, (..., 1, 17, 1)."""
        return self._factor(cond)[..., None, :, None]

    def _factor(self, cond: jax.typing.ArrayLike) -> jax.Array:
        """How much wider each joint is drawn, (..., 17)."""
        at = shares(deviations(jnp.asarray(cond)))
        logs = jnp.sum(at * jnp.log(self.factors).astype(at.dtype), axis=-1)
        ones = jnp.ones((*logs.shape[:-1], 17), logs.dtype)
        return ones.at[..., _JOINTS].set(jnp.exp(logs))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class WidenedDensity(Widened, AboutModeDensity):
    """The same of a model that knows the density of what it draws."""

    def _log_det(self, scale: jax.Array) -> jax.Array:
        return 3 * jnp.sum(jnp.log(scale[..., 0]), axis=-1)

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
        factor = self._factor(cond)
        hypotheses = tuple(range(factor.ndim - 1, poses.ndim - 2))
        scale = jnp.expand_dims(factor, hypotheses)[..., None]
        drawn = middle + (poses - middle) / scale
        density = self.model.log_prob(
            drawn, pose2d, cond, observation_scale=observation_scale
        )
        return density - self._log_det(scale)


def of(model: Model, factors: Any) -> Model:
    """A model with factors (13, 5)."""
    table = jnp.asarray(np.asarray(factors, np.float32))
    if isinstance(model, DensityModel):
        return WidenedDensity(model, table)
    return Widened(model, table)
