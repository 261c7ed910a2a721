"""Any model asked twice: what it makes of a picture, and of the picture's mirror image.

    hypotheses of (pose2d, cond), and of their mirror image, mirrored back

People and cameras know no left and right, but a model that has learned from few frames
does: its two answers err in different ways, so that their middle errs less. A model
itself, at no more hypotheses. BUILD_NOTES.md says what it gained, and what not.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.evaluation.around import Around
from jaxflow.gaussians.condition import PER_JOINT
from jaxflow.maths import geometry
from jaxflow.maths.geometry import to_joints, to_vector
from jaxflow.skeleton import CONDITIONED_MPII, MPII_MIRRORED

_MIRROR = 1  # keys the mirror image's latents
# In a mirror, of A, x, y, C00, C01, C11 of the condition.
_SIGNS = (1.0, -1.0, 1.0, 1.0, -1.0, 1.0)
_CONDITIONED = tuple(CONDITIONED_MPII.index(MPII_MIRRORED[i]) for i in CONDITIONED_MPII)


def inputs(pose2d: jax.Array, cond: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the network would see of the mirror image: (..., 32) and (..., 78)."""
    joints = to_joints(pose2d, axes=2)[..., jnp.asarray(MPII_MIRRORED), :]
    flat = to_vector(joints * jnp.asarray([-1.0, 1.0], pose2d.dtype))
    rows = cond.reshape(*cond.shape[:-1], -1, PER_JOINT)
    rows = rows[..., jnp.asarray(_CONDITIONED), :] * jnp.asarray(_SIGNS, cond.dtype)
    return flat, rows.reshape(cond.shape)


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["model"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Mirrored(Around):
    """A model and its mirror image.

    Attributes:
      model: any.
    """

    WAY = " and its mirror image"

    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Draws one half from the picture and the other from its mirror image.

        Args:
          pose2d: (B, 32).
          cond: (B, 78).
          key: (B,) one typed key a frame.
          num_hypotheses: M; of an odd number the picture has one more.
          temperature: of both. At 0 all poses are the mean of the two.

        Returns:
          (B, M, 17, 3) metres, camera frame, hip at 0.
        """
        pose2d, cond = jnp.asarray(pose2d), jnp.asarray(cond)
        half = (num_hypotheses + 1) // 2
        draw = functools.partial(
            self.model.sample, num_hypotheses=half, temperature=temperature
        )
        ours = draw(pose2d, cond, key)
        other_key = jax.vmap(functools.partial(jax.random.fold_in, data=_MIRROR))(key)
        theirs = geometry.mirrored(draw(*inputs(pose2d, cond), other_key))
        both = jnp.concatenate([ours, theirs], axis=1)[:, :num_hypotheses]
        middle = (ours[:, :1] + theirs[:, :1]) / 2
        return jnp.where(jnp.asarray(temperature) == 0, middle, both)
