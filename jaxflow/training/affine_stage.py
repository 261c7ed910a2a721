"""The conditional affine layer learns alone: how a run with it begins.

    state, batches, latents -> gradient, energy score

The blocks stay the identity meanwhile, so that the flow is a conditional Gaussian
(`flow.affine`), which costs a small part of a whole iteration.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxflow import losses
from jaxflow.config import TrainConfig
from jaxflow.flow import affine
from jaxflow.training.state import TrainState
from jaxflow.types import Batch, Params

# Batches of the iteration that are learned from, hypotheses a frame, and what a nat of
# the density, by each number of a pose, counts beside a metre of energy score.
_BATCHES = 4
_HYPOTHESES = 16
_LIKELIHOOD = 0.003


def stage_ahead(config: TrainConfig, step: int, total: int) -> str:
    """A line on the stage for a run that is at this step of so many; "" if it is over.

    Args:
      config: of the run.
      step: iterations done.
      total: of the run.
    """
    end = min(config.affine_iterations, total)
    if step >= end:
        return ""
    first = _by_likelihood(config)
    likelihood = f"until step {first} by likelihood, then " if step < first else ""
    return (
        f"until step {end} the affine layer learns alone, in short iterations: "
        f"{likelihood}by the energy score; no other loss is computed"
    )


def _by_likelihood(config: TrainConfig) -> int:
    """How many iterations, at the start."""
    return min(config.affine_iterations // 3, config.affine_likelihood)


def gradient(
    state: TrainState, batches: Batch, hypothesis_z: jax.Array, config: TrainConfig
) -> tuple[Params, jax.Array]:
    """Of the flow's parameters, zero but for the layer's; and the energy score.

    At first by likelihood, which finds the widths in few iterations; then by the energy
    score of few hypotheses of each frame, which judges what is drawn, and a little of
    the likelihood, which tells of what the latents do not reach.

    Args:
      state: before the iteration.
      batches: (N, B, ...) as of `step.iteration`.
      hypothesis_z: (L, B, 16).
      config: static.
    """
    first = state.step < _by_likelihood(config)
    latents = jnp.swapaxes(hypothesis_z[:_HYPOTHESES], 0, 1)
    seen = jax.tree.map(lambda array: array[:_BATCHES], batches)

    def objective(params: Params) -> tuple[jax.Array, jax.Array]:
        z = jnp.tile(latents, (len(seen.pose3d), 1, 1))
        frames = jax.tree.map(lambda array: array.reshape(-1, array.shape[-1]), seen)
        nets, inputs = params["affine"], frames[1:]
        # Once for both terms: its gradient would be computed for each of them.
        layer = affine.base(nets, frames.cond)
        hypotheses = affine.hypotheses(nets, layer, z, *inputs)
        energy = jnp.mean(jax.vmap(losses.pose_energy_score)(hypotheses, frames.pose3d))
        density = affine.log_prob(nets, layer, *frames)
        density = jnp.mean(density) / seen.pose3d.shape[-1]
        later = energy - _LIKELIHOOD * density
        return jnp.where(first, -density, later), energy

    return jax.grad(objective, has_aux=True)(state.flow)
