"""What the hypotheses are compared with: detector noise around one pose.

    pose2d (..., 32), cond (..., 78), keys (...) -> (..., M, 17, 3) metres

The paper's figure 5 sets the flow against a sampler that takes the z = 0 pose and adds,
to each joint, noise of its fitted Gaussian across the picture and of one constant
Gaussian in depth.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.evaluation.around import Around
from jaxflow.gaussians.condition import PER_JOINT
from jaxflow.skeleton import CONDITIONED_H36M_16

# The condition's covariances, 20 px units, to m^2: 10 mm for a pixel of a joint that
# is unsure, whose sigma the condition doubles (released code).
_SQUARE_METRES = 0.01


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ModeWithNoise(Around):
    """A model's z = 0 pose of each frame with noise on its joints: a model itself.

    Attributes:
      model: whose poses.
      depth: standard deviation along z, metres, of every joint but the hip.

    Source: paper section 4.5 (sample set size and noise baseline).
    """

    WAY = " with detector noise"

    depth: float = dataclasses.field(metadata={"static": True})

    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Draws poses.

        Args:
          pose2d: (B, 32).
          cond: (B, 78).
          key: (B,) one typed key a frame.
          num_hypotheses: M.
          temperature: scales the noise.

        Returns:
          (B, M, 17, 3) metres, camera frame, hip at 0.
        """
        mode = self.model.sample(pose2d, cond, key, num_hypotheses=1, temperature=0.0)
        shape = (num_hypotheses, 17, 3)
        noise = jax.vmap(lambda frame: jax.random.normal(frame, shape))(key)
        across = _across(jnp.asarray(cond), noise[..., 1:, :2])
        away = self.depth * noise[..., 1:, 2:]
        moves = jnp.concatenate([across, away], axis=-1)
        moves = jnp.pad(moves, ((0, 0), (0, 0), (1, 0), (0, 0)))
        return mode + temperature * moves


def _across(cond: jax.Array, noise: jax.Array) -> jax.Array:
    """Standard noise (B, M, 16, 2) to the fitted Gaussians', metres, y down.

    Joints that the condition leaves out stay where they are.
    """
    c00, c01, c11 = jnp.moveaxis(cond.reshape(-1, 1, 13, PER_JOINT)[..., 3:], -1, 0)
    # The Cholesky factor of [[c00, c01], [c01, c11]], then y turned downwards.
    first = jnp.sqrt(c00)
    slope = c01 / first
    second = jnp.sqrt(jnp.maximum(c11 - slope**2, 0))
    joints = jnp.asarray(CONDITIONED_H36M_16)
    along = noise[..., joints, :]
    x = first * along[..., 0]
    y = -(slope * along[..., 0] + second * along[..., 1])
    moves = jnp.sqrt(jnp.asarray(_SQUARE_METRES, cond.dtype)) * jnp.stack([x, y], -1)
    return jnp.zeros_like(noise).at[..., joints, :].set(moves)
