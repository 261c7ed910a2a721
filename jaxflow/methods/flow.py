"""The paper's conditional normalizing flow as a model: draw latents, invert."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.config import FlowConfig
from jaxflow.flow import checkpoint, model, sampling, stack
from jaxflow.types import Params, Sampled


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"]
)
@dataclasses.dataclass(frozen=True)
class FlowModel:
    """A trained flow; see `jaxflow.types.DensityModel`.

    Attributes:
      params: the flow's, its blocks one by one (`of` separates them once).
      config: its architecture.
    """

    params: Params
    config: FlowConfig

    @classmethod
    def of(cls, params: Params, config: FlowConfig = FlowConfig()) -> FlowModel:
        """From parameters as `jaxflow.load_params` gives them."""
        return cls(stack.separate(params), config)

    @property
    def method(self) -> str:
        """The name of the method."""
        return "flow"

    def parameters(self) -> Params:
        """As `jaxflow.load_params` gives them, the blocks stacked."""
        blocks = self.params["blocks"]
        return {
            **self.params,
            "blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks),
        }

    def fresh(self, key: jax.Array) -> FlowModel:
        """A flow of the same architecture with initial parameters."""
        return FlowModel.of(model.init(key, self.config), self.config)

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
            self.params,
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
            self.params,
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
        return model.log_prob(
            self.parameters(),  # forwards, the blocks are a scan's
            pose3d,
            pose2d,
            cond,
            observation_scale=observation_scale,
            clamp=self.config.clamp,
        )


def load(directory: str | pathlib.Path) -> FlowModel:
    """The flow that a checkpoint holds; errors as of `jaxflow.load_params`."""
    config = checkpoint.load_config(directory).flow
    return FlowModel.of(checkpoint.load_params(directory), config)
