"""The posterior over 3D poses as a distrax distribution.

The flow read backwards is a distrax bijector from [z, pose2d] to pose3d; the posterior
is what it makes of N(0, I) latents and an observation N(pose2d, scale^2 I). Its
``log_prob`` is `jaxflow.log_prob`'s number.
"""

from __future__ import annotations

from typing import Any

import distrax
import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.flow import model, stack
from jaxflow.maths import checks
from jaxflow.types import Params


class InverseFlow(distrax.Bijector):
    """[z, pose2d] (..., D) -> pose3d (..., D) for fixed conditions (..., K).

    A distribution's bijector leads from noise to data: this one's forward direction is
    the flow's inverse, and its inverse the flow's forward direction.
    """

    def __init__(self, params: Params, cond: jax.Array, clamp: SoftClamp):
        """Encodes the conditions once."""
        super().__init__(event_ndims_in=1)
        self._params = params
        self._cond, self._clamp = cond, clamp
        self._encoded = model.encode(params, cond)

    def forward_and_log_det(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[z, pose2d] -> pose3d, log|det|."""
        if "affine" not in self._params:
            return self._mapped(stack.inverse, x)
        z, pose2d = jnp.split(x, [x.shape[-1] // 3], axis=-1)
        return model.inverse(self._params, z, pose2d, self._of(x), clamp=self._clamp)

    def inverse_and_log_det(self, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """pose3d -> [z, pose2d], log|det|."""
        if "affine" not in self._params:
            return self._mapped(stack.forward, y)
        z, pose2d, log_det = model.forward(
            self._params, y, self._of(y), clamp=self._clamp
        )
        return jnp.concatenate([z, pose2d], axis=-1), log_det

    def same_as(self, other: distrax.Bijector) -> bool:
        """Whether the other is this very object."""
        return other is self

    def _of(self, rows: jax.Array) -> jax.Array:
        """The condition of each row, the axes of samples among them."""
        return jnp.broadcast_to(self._cond, (*rows.shape[:-1], self._cond.shape[-1]))

    def _mapped(self, along: Any, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Distrax puts sample axes in front of the batch's.
        extra = (1,) * (rows.ndim - self._encoded.ndim)
        encoded = self._encoded.reshape(*extra, *self._encoded.shape)
        blocks = self._params["blocks"]
        shares = stack.project(blocks, jnp.moveaxis(encoded, -1, 0))
        columns = jnp.moveaxis(rows, -1, 0)
        mapped, log_det = along(blocks, columns, shares, self._clamp)
        return jnp.moveaxis(mapped, 0, -1), log_det


def posterior(
    params: Params,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    *,
    observation_scale: float | jax.Array,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> distrax.Distribution:
    """p(pose3d | pose2d, cond), the 2D pose carrying N(0, scale^2) noise.

    Args:
      params: from `jaxflow.init` or a checkpoint.
      pose2d: (..., 32) the observed, normalised 2D pose.
      cond: (..., 78) from `jaxflow.condition`.
      observation_scale: standard deviation of pose2d's noise, normalised units.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      A distrax distribution of batch shape (...) and event shape (48,): poses in the
      network's frame, metres, y up.

    Raises:
      TypeError: not floating point.
      ValueError: wrong sizes, or leading shapes that differ.
    """
    pose2d = checks.floating("pose2d", pose2d, (2 * model.size(params) // 3,))
    cond = checks.floating("cond", cond, (None,))
    checks.same_batch(pose2d=pose2d.shape[:-1], cond=cond.shape[:-1])
    latent = pose2d[..., : pose2d.shape[-1] // 2]
    scale = jnp.asarray(observation_scale, pose2d.dtype)
    base = distrax.MultivariateNormalDiag(
        loc=jnp.concatenate([jnp.zeros_like(latent), pose2d], axis=-1),
        scale_diag=jnp.concatenate(
            [jnp.ones_like(latent), jnp.broadcast_to(scale[..., None], pose2d.shape)],
            axis=-1,
        ),
    )
    return distrax.Transformed(base, InverseFlow(params, cond, clamp))
