"""Any model whose hypotheses of a frame have more nearly one skeleton.

    bone b of length l -> b + t S b, whose length is L s (l / (s l_mean))^kept

Whoever is in a picture has limbs of one length, left and right alike; how large they
are a picture does not tell. A Gaussian in space does not know the one: where a limb's
depth is unsure, some hypotheses have it long and others short. It knows the other. So
a hypothesis keeps its size s, what all its bones are longer than on average, the surer
ones counting more, and its proportions are held. Of the logarithms of a limb's length
and of the other side's, each with its mean (l_mean) and variance over the frame's
hypotheses, L is where the two meet, the surer one counting more here, too. S is the
bone's covariance: S b is the direction in which another length takes the least, as in a
Kalman update that has observed it. So what is unsure gives way, mostly depth, and what
the picture tells hardly moves. Along it no length is reached that is shorter than what
stands across; such bones come as near as they can.

L, s and S are told by many hypotheses: whoever asks for fewer than 64 gets the first of
so many.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.evaluation.around import Fitted
from jaxflow.maths import linalg
from jaxflow.skeleton import H36M_BONES, H36M_MIRRORED, H36M_PARENTS
from jaxflow.types import DensityModel, Model, Params, Sampled

_MANY = 64  # hypotheses that tell of lengths
_SHORT = 1e-6  # a bone without a length
# By how much, in its logarithm, a limb differs from the other side's: of the people of
# CMU's motion capture by 0 to 0.05.
_UNLIKE = 0.02
_OTHER = np.asarray(H36M_MIRRORED[1:], np.int32) - 1  # the other side's bone


def held(poses: jax.Array, kept: float | jax.Array) -> jax.Array:
    """Hypotheses (..., M, 17, 3) of a frame, hip where it is, limbs held.

    Args:
      poses: metres, or any other unit.
      kept: share of a length's deviation from what the hypothesis's size makes of it,
        in its logarithm, that stays: 0 for one skeleton in several sizes; with 1 left
        and right meet, and that is all.

    Returns:
      The poses, of the same shape, unit and type.
    """
    kept = jnp.asarray(kept, poses.dtype)
    bones = (poses - poses[..., np.asarray(H36M_PARENTS, np.int32), :])[..., 1:, :]
    square = jnp.sum(bones**2, axis=-1)
    logs = jnp.log(jnp.maximum(square, _SHORT**2)) / 2
    mean, variance = _mean_and_variance(logs)
    other, unsure = mean[..., _OTHER], variance[..., _OTHER] + _UNLIKE**2
    length = mean + (other - mean) * variance / (variance + unsure)
    sure = 1 / (variance + _UNLIKE**2)
    share = sure / jnp.sum(sure, axis=-1, keepdims=True)
    size = jnp.sum((logs - mean) * share, axis=-1, keepdims=True)
    wanted = jnp.exp(2 * (length + size + kept * (logs - mean - size)))
    moved = bones + _steps(bones, square - wanted)
    chains = jnp.asarray(_chains(), moved.dtype)
    return poses[..., :1, :] + linalg.einsum("jk,...kd->...jd", chains, moved)


def _mean_and_variance(logs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Over hypotheses (..., M, 16), which stay an axis of one."""
    mean = jnp.mean(logs, axis=-2, keepdims=True)
    return mean, jnp.mean((logs - mean) ** 2, axis=-2, keepdims=True)


def _steps(bones: jax.Array, too_much: jax.Array) -> jax.Array:
    """What to add to bones (..., M, 16, 3) so that their squares lose so much.

    The squares' surplus is (..., M, 16), of the bones' unit squared.
    """
    offset = bones - jnp.mean(bones, axis=-3, keepdims=True)
    covariance = linalg.einsum("...mjd,...mje->...jde", offset, offset)  # times M
    direction = linalg.einsum("...jde,...mje->...mjd", covariance, bones)
    length = linalg.length(direction)[..., None]
    direction = direction / jnp.where(length > 0, length, 1)
    along = jnp.sum(bones * direction, axis=-1)
    # |b + t u|^2 = |b|^2 - too_much, and of both t the nearer one.
    left = linalg.root(jnp.maximum(along**2 - too_much, 0))
    step = jnp.where(along < 0, -left, left) - along
    return step[..., None] * direction


def _chains() -> np.ndarray:
    """(17, 16) the bones that lead from the hip to each joint."""
    chains = np.zeros((len(H36M_PARENTS), len(H36M_BONES)), np.float32)
    for parent, joint in H36M_BONES:
        chains[joint] = chains[parent]
        chains[joint, joint - 1] = 1
    return chains


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Held(Fitted):
    """A model whose hypotheses' limbs are held to one skeleton's proportions.

    Attributes:
      model: any.
      kept: () see `held`.
    """

    kept: jax.Array

    def parameters(self) -> Params:
        """The model's, and the share."""
        return {**self.model.parameters(), "limbs_kept": self.kept}

    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Hypotheses (..., M, 17, 3), limbs held."""
        poses = self.model.sample(
            pose2d,
            cond,
            key,
            num_hypotheses=_drawn(num_hypotheses, temperature),
            temperature=temperature,
        )
        return held(poses, self.kept)[..., :num_hypotheses, :, :]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class HeldDensity(Held):
    """The same of a model that knows the density of what it draws.

    Densities are the model's, of poses before their limbs are held: they rank
    hypotheses, but are not the density of what is returned.
    """

    def sample_with_log_density(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> Sampled:
        """The poses of ``sample``, and the log-density of what each is made of."""
        drawn = self.model.sample_with_log_density(
            pose2d,
            cond,
            key,
            num_hypotheses=_drawn(num_hypotheses, temperature),
            temperature=temperature,
        )
        poses = held(drawn.poses, self.kept)[..., :num_hypotheses, :, :]
        return Sampled(poses, drawn.log_density[..., :num_hypotheses])

    def log_prob(
        self,
        pose3d: jax.typing.ArrayLike,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        *,
        observation_scale: float | jax.Array,
    ) -> jax.Array:
        """The model's own log-density (...) of poses (..., 48) or (..., 17, 3)."""
        density: jax.Array = self.model.log_prob(
            pose3d, pose2d, cond, observation_scale=observation_scale
        )
        return density


def of(model: Model, kept: float | jax.Array) -> Model:
    """A model with this share kept."""
    share = jnp.asarray(kept, jnp.float32)
    if isinstance(model, DensityModel):
        return HeldDensity(model, share)
    return Held(model, share)


def _drawn(asked: int, temperature: float | jax.Array) -> int:
    """How many hypotheses to draw; at temperature 0 all are the z = 0 pose."""
    if isinstance(temperature, int | float) and not temperature:
        return asked
    return max(asked, _MANY)
