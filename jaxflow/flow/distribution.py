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
from jaxflow.flow import density, model, stack
from jaxflow.maths import checks
from jaxflow.types import Params


class InverseFlow(distrax.Bijector):
    """[z, pose2d] (..., D) -> pose3d (..., D) for fixed conditions (..., K).

    A distribution's bijector leads from noise to data: this one's forward direction is
    the flow's inverse, and its inverse the flow's forward direction.
    """

    def __init__(
        self,
        params: Params,
        cond: jax.Array,
        clamp: SoftClamp,
        encoded: jax.Array | None = None,
    ):
        """Encodes the conditions once, where they are not encoded (..., 56) already."""
        super().__init__(event_ndims_in=1)
        self._params, self._cond, self._clamp = params, cond, clamp
        self._encoded = model.encode(params, cond) if encoded is None else encoded

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
        encoded = jnp.moveaxis(encoded, -1, 0)
        columns = jnp.moveaxis(rows, -1, 0)
        mapped, log_det = along(blocks, columns, encoded, self._clamp)
        return jnp.moveaxis(mapped, 0, -1), log_det


class Posterior(distrax.Distribution):
    """What `posterior` gives: it may enter and leave what JAX transforms.

    Only its arrays are kept and passed on; distrax's own distribution of them, which
    holds on to values of the trace it was made in, is built anew by each call.
    """

    def __init__(
        self,
        params: Params,
        pose2d: jax.Array,
        cond: jax.Array,
        encoded: jax.Array,
        scale: jax.Array,
        clamp: SoftClamp,
    ) -> None:
        self._arrays = params, pose2d, cond, encoded, scale
        self._clamp = clamp

    def tree_flatten(self) -> tuple[Any, Any]:
        """The arrays, and what is static."""
        return self._arrays, self._clamp

    @classmethod
    def tree_unflatten(cls, clamp: Any, arrays: Any) -> Posterior:
        """The posterior again."""
        made: Any = cls
        return made(*arrays, clamp)

    @property
    def transformed(self) -> distrax.Transformed:
        """The base N([0, pose2d], diag(1, scale^2)), and the flow read backwards."""
        params, pose2d, cond, encoded, scale = self._arrays
        latent = jnp.zeros_like(pose2d[..., : pose2d.shape[-1] // 2])
        noise = jnp.broadcast_to(scale[..., None], pose2d.shape)
        base = distrax.MultivariateNormalDiag(
            loc=jnp.concatenate([latent, pose2d], axis=-1),
            scale_diag=jnp.concatenate([jnp.ones_like(latent), noise], axis=-1),
        )
        flow = InverseFlow(params, cond, self._clamp, encoded)
        return distrax.Transformed(base, flow)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(48,)."""
        return (3 * self._arrays[1].shape[-1] // 2,)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """That of the observed 2D poses."""
        return self._arrays[1].shape[:-1]

    @property
    def dtype(self) -> Any:
        """Of the poses."""
        return self._arrays[1].dtype

    @checks.promoting
    def log_prob(self, value: jax.typing.ArrayLike) -> jax.Array:
        """Nats of poses (..., 48), or (..., 17, 3) as `jaxflow.sample` gives them.

        Sample axes come first, as everywhere in distrax: (M, ..., 48).
        """
        params, pose2d, cond, _, scale = self._arrays
        vector, placed = density.as_vector(params, value)
        if placed:
            return self.transformed.log_prob(vector)
        batch = jnp.broadcast_shapes(vector.shape[:-1], self.batch_shape)
        rows = (jnp.broadcast_to(a, (*batch, a.shape[-1])) for a in (pose2d, cond))
        scale = jnp.broadcast_to(scale, batch)
        return density.of_poses(params, vector, *rows, scale, clamp=self._clamp)

    @checks.promoting
    def _sample_n(self, key: jax.Array, n: int) -> jax.Array:
        return self.transformed._sample_n(key, n)

    @checks.promoting
    def _sample_n_and_log_prob(
        self, key: jax.Array, n: int
    ) -> tuple[jax.Array, jax.Array]:
        return self.transformed._sample_n_and_log_prob(key, n)


@checks.promoting
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
      observation_scale: standard deviation of pose2d's noise, normalised units; how to
        choose it: see `jaxflow.log_prob`.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      A distrax distribution of batch shape (...) and event shape (48,): poses in the
      network's frame, metres, y up. Its ``log_prob`` also takes poses (..., 17, 3) as
      `jaxflow.sample` gives them. It is a pytree of arrays.

    Raises:
      TypeError: not floating point.
      ValueError: wrong sizes, or leading shapes that differ.
    """
    pose2d = checks.floating("pose2d", pose2d, (2 * model.size(params) // 3,))
    cond = checks.floating("cond", cond, (None,))
    checks.same_batch(pose2d=pose2d.shape[:-1], cond=cond.shape[:-1])
    scale = jnp.asarray(observation_scale, pose2d.dtype)
    checks.one_or_each("observation_scale", scale, pose2d.shape[:-1])
    checks.positive("observation_scale", scale)
    encoded = model.encode(params, cond)
    return Posterior(params, pose2d, cond, encoded, scale, clamp)
