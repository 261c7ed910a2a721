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
from jaxflow.flow import mirror
from jaxflow.maths import geometry

_MIRROR = 1  # keys the mirror image's latents


@jax.tree_util.register_dataclass
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
        theirs = geometry.mirrored(
            draw(mirror.pose2d(pose2d), mirror.cond(cond), other_key)
        )
        both = jnp.concatenate([ours, theirs], axis=1)[:, :num_hypotheses]
        middle = (ours[:, :1] + theirs[:, :1]) / 2
        return jnp.where(jnp.asarray(temperature) == 0, middle, both)
