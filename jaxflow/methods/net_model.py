"""A trained net behind the protocol of models: what turns its parameters into poses.

    params, pose2d (..., 32), cond (..., 78), key -> (..., M, 17, 3) metres

A method gives functions of one pose (`supervised.Supervised`); batches, keys, tiles and
the pose's frame are the same for all.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.config import NetConfig
from jaxflow.flow import sampling
from jaxflow.maths import batching, checks, geometry, keys
from jaxflow.methods import whitening
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.types import Params, Sampled


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NetModel:
    """A trained method; see `jaxflow.types.Model`.

    Attributes:
      params: as a checkpoint has them.
      sampler: of the method.
      config: the net's architecture.
    """

    params: Params
    sampler: Any = dataclasses.field(metadata={"static": True})
    config: NetConfig = dataclasses.field(metadata={"static": True})

    @property
    def method(self) -> str:
        """The name of the method."""
        return str(self.sampler.name)

    def parameters(self) -> Params:
        """As a checkpoint has them."""
        return self.params

    def fresh(self, key: jax.Array) -> NetModel:
        """The same method before any training."""
        params = self.sampler.fresh(key, self.config)
        return dataclasses.replace(self, params=params)

    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Hypotheses (..., M, 17, 3) metres, as `jaxflow.sample` gives them."""
        inputs, number = sampling.checked(
            pose2d, cond, key, temperature, num_hypotheses
        )
        return _draw(
            *inputs,
            params=self.params,
            sampler=self.sampler,
            config=self.config,
            num_hypotheses=number,
            density=False,
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NetLikelihoodModel(NetModel):
    """A trained method that knows its density, but not cheaply enough for each draw."""

    @checks.promoting
    def log_prob(
        self,
        pose3d: jax.typing.ArrayLike,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        *,
        observation_scale: float | jax.Array,
    ) -> jax.Array:
        """Log-density (...) of poses (..., 48) or (..., 17, 3), nats.

        A density over the 45 degrees of freedom of a centred pose: no noise of the
        observation is needed, and ``observation_scale`` has no influence.
        """
        del observation_scale
        pose2d = checks.floating("pose2d", pose2d, (32,))
        cond = checks.floating("cond", cond, (78,))
        vector = jnp.asarray(pose3d)
        if vector.shape[-2:] == (17, 3):
            vector = geometry.normalize_pose3d(vector)
        vector = checks.floating("pose3d", vector, (48,))
        checks.human_scale("pose3d", vector)
        axes = pose2d.ndim - 1  # behind them there may be one of hypotheses
        batch = checks.same_batch(
            pose3d=vector.shape[:-1][:axes],
            pose2d=pose2d.shape[:-1],
            cond=cond.shape[:-1],
        )
        count = math.prod(batch)
        density = _densities(
            self.params,
            vector.reshape(count, math.prod(vector.shape[axes:-1]), 48),
            pose2d.reshape(count, 32),
            cond.reshape(count, 78),
            sampler=self.sampler,
        )
        return density.reshape(vector.shape[:-1])


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NetDensityModel(NetLikelihoodModel):
    """A trained method that knows its density; see `jaxflow.types.DensityModel`."""

    def sample_with_log_density(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> Sampled:
        """The poses of `sample`, and the log-density (..., M) of each."""
        inputs, number = sampling.checked(
            pose2d, cond, key, temperature, num_hypotheses
        )
        static: Any = {"sampler": self.sampler, "config": self.config}
        static |= {"params": self.params, "num_hypotheses": number}
        return Sampled(*(_draw(*inputs, **static, density=d) for d in (False, True)))


@checks.promoting
@batching.bucketed
@functools.partial(
    jax.jit, static_argnames=("sampler", "config", "num_hypotheses", "density")
)
def _draw(
    pose2d: jax.Array,
    cond: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    *,
    params: Params,
    sampler: Any,
    config: NetConfig,
    num_hypotheses: int,
    density: bool,
) -> jax.Array:
    """Poses (..., M, 17, 3), or their densities (..., M); checked input."""
    batch_shape = pose2d.shape[:-1]

    def of_pose(pose2d: jax.Array, cond: jax.Array, key: jax.Array) -> jax.Array:
        seen = whitening.seen(params["whitening"], pose2d, cond)
        how = Asked(key, temperature, num_hypotheses)
        poses = sampler.draw(params, seen, how, config)
        if not density:
            return geometry.denormalize_pose3d(poses)
        return _each_density(params, poses, seen, sampler)

    def of_tile(*rows: jax.Array) -> jax.Array:
        return jax.vmap(of_pose)(*rows) if rows[0].ndim > 1 else of_pose(*rows)

    each = keys.for_batch(key, batch_shape).reshape(-1)
    flat = pose2d.reshape(-1, 32), cond.reshape(-1, 78)
    size = batching.poses_per_tile(num_hypotheses)
    drawn = batching.tiled(of_tile, size)(*flat, each)
    return drawn.reshape(*batch_shape, *drawn.shape[1:])


@functools.partial(jax.jit, static_argnames="sampler")
def _densities(
    params: Params,
    poses: jax.Array,
    pose2d: jax.Array,
    cond: jax.Array,
    *,
    sampler: Any,
) -> jax.Array:
    """(B, M) log-densities of poses (B, M, 48) of detected ones (B, ...)."""
    seen = whitening.seen(params["whitening"], pose2d, cond)
    each = functools.partial(_each_density, params, sampler=sampler)
    return jax.vmap(each)(poses, seen)


def _each_density(
    params: Params, poses: jax.Array, seen: Seen, sampler: Any
) -> jax.Array:
    """(M,) of poses (M, 48) of one detected pose."""
    return jax.vmap(lambda pose: sampler.density(params, pose, seen))(poses)
