"""The paper's conditional normalizing flow: draw latents, invert.

The model, and beside it what `jaxflow.training.method.Method` asks of a method. How the
flow learns is ``training.step``; what it learns from there is in ``training.state``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.typing

from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.flow import density, sampling, stack
from jaxflow.flow import init as initial
from jaxflow.training.method import Sample
from jaxflow.training.noise import draw_noise
from jaxflow.training.state import TrainState, init, shown
from jaxflow.training.step import Losses, iteration
from jaxflow.types import Params, Sampled

__all__ = [
    "FlowModel",
    "losses",
    "batches",
    "draw_noise",
    "groups",
    "init",
    "iteration",
    "model",
    "name",
    "prepare",
    "published",
    "shown",
]

name, losses, groups = "flow", Losses, 0
published: Mapping[str, Any] = {}  # the configuration's defaults


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FlowModel:
    """A trained flow; see `jaxflow.types.DensityModel`.

    Attributes:
      params: the flow's, its blocks one by one (`of` separates them once).
      config: its architecture.
      idle: its blocks are the identity, and are not computed.
    """

    params: Params
    config: FlowConfig = dataclasses.field(metadata={"static": True})
    idle: bool = dataclasses.field(default=False, metadata={"static": True})

    @classmethod
    def of(cls, params: Params, config: FlowConfig = FlowConfig()) -> FlowModel:
        """From parameters as `jaxflow.load_params` gives them."""
        return cls(stack.separate(params), config, stack.idle(params))

    @property
    def method(self) -> str:
        """The name of the method."""
        return name

    def parameters(self) -> Params:
        """As `jaxflow.load_params` gives them, the blocks stacked."""
        return stack.stacked(self.params)

    @property
    def active(self) -> Params:
        """What is to be computed with."""
        return stack.without_blocks(self.params) if self.idle else self.params

    def fresh(self, key: jax.Array) -> FlowModel:
        """A flow of the same architecture with initial parameters."""
        return FlowModel.of(initial(key, self.config), self.config)

    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Hypotheses (..., M, 17, 3) metres: `jaxflow.sample`."""
        return sampling.sample(
            self.active,
            pose2d,
            cond,
            key,
            num_hypotheses=num_hypotheses,
            temperature=temperature,
            clamp=self.config.clamp,
        )

    def sample_with_log_density(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> Sampled:
        """The same and their log-densities (..., M)."""
        return sampling.sample_with_log_density(
            self.active,
            pose2d,
            cond,
            key,
            num_hypotheses=num_hypotheses,
            temperature=temperature,
            clamp=self.config.clamp,
        )

    def log_prob(
        self,
        pose3d: jax.typing.ArrayLike,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        *,
        observation_scale: float | jax.Array,
    ) -> jax.Array:
        """Log-density of the posterior (...): `jaxflow.log_prob`."""
        return density.log_prob(
            self.active,
            pose3d,
            pose2d,
            cond,
            observation_scale=observation_scale,
            clamp=self.config.clamp,
        )


def model(params: Params, config: TrainConfig) -> FlowModel:
    """What draws hypotheses with these parameters."""
    return FlowModel.of(params, config.flow)


def prepare(state: TrainState, sample: Sample) -> TrainState:
    """The state as it is: a flow learns all that it knows."""
    del sample
    return state


def batches(config: TrainConfig) -> int:
    """Two for each update of the critic, and the flow's."""
    return config.batches_per_iteration
