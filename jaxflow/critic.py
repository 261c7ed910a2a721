"""The Wasserstein critic with its kinematic chain space path.

    pose3d (..., 48) -> score (...), higher for poses that look real

Paper section 3.3, after Wandt and Rosenhahn (RepNet): bone vectors B = X C, with X the
3 x 16 pose, give Psi = B^T B, whose entries are squared bone lengths and inner products
of bones; one path sees Psi, the other the pose.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.maths import checks, linalg
from jaxflow.maths.keys import check_key
from jaxflow.maths.layers import apply, uniform_dense
from jaxflow.skeleton import KCS_PAIRS
from jaxflow.types import Params

HIDDEN = 1000  # in the path of the bones
_SLOPE = 0.01


def kcs_matrix() -> np.ndarray:
    """C, (16, 16): column b is +1 at the first joint of bone b and -1 at the second."""
    matrix = np.zeros((16, len(KCS_PAIRS)), np.float32)
    for column, (plus, minus) in enumerate(KCS_PAIRS):
        matrix[plus, column] = 1
        matrix[minus, column] = -1
    return matrix


def kcs(pose3d: jax.typing.ArrayLike) -> jax.Array:
    """Psi of a pose: (..., 48) metres -> (..., 16, 16) square metres.

    Raises:
      TypeError: not floating point.
      ValueError: the last axis is not 48 long.
    """
    pose3d = checks.floating("pose3d", pose3d, (48,))
    bones = _bones(pose3d)
    return linalg.matmul(jnp.swapaxes(bones, -1, -2), bones)


def kcs_change(pose3d: jax.Array, change: jax.Array) -> jax.Array:
    """How `kcs` changes as a pose does: two (..., 48) -> (..., 16, 16)."""
    bones = jnp.swapaxes(_bones(pose3d), -1, -2)
    half = linalg.matmul(bones, _bones(change))
    return half + jnp.swapaxes(half, -1, -2)


def _bones(pose3d: jax.Array) -> jax.Array:
    """X C: (..., 48) -> (..., 3, 16)."""
    pose = pose3d.reshape(*pose3d.shape[:-1], 3, 16)
    return linalg.matmul(pose, jnp.asarray(kcs_matrix(), pose.dtype))


class Critic(nn.Module):
    """Both paths; layers carry the released code's names fc1 to fc9.

    Attributes:
      hidden: width of the path of the bones.
    """

    hidden: int = HIDDEN

    def setup(self) -> None:
        """Nine dense layers, PyTorch's default initialisation."""
        self.fc1 = uniform_dense(48, 100)
        self.fc2 = uniform_dense(100, 100)
        self.fc3 = uniform_dense(100, 100)
        self.fc4 = uniform_dense(100, 100)
        self.fc5 = uniform_dense(256, self.hidden)
        self.fc6 = uniform_dense(self.hidden, self.hidden)
        self.fc7 = uniform_dense(self.hidden, self.hidden)
        self.fc8 = uniform_dense(self.hidden + 100, 100)
        self.fc9 = uniform_dense(100, 1)

    def __call__(self, pose3d: jax.Array) -> jax.Array:
        """(..., 48) -> (...)."""
        psi = kcs(pose3d)
        return network(
            lambda name, x: getattr(self, name)(x),
            leaky_relu,
            pose3d,
            psi.reshape(*psi.shape[:-2], -1),
        )


def network(
    dense: Callable[[str, jax.Array], jax.Array],
    rectify: Callable[[jax.Array], jax.Array],
    pose3d: jax.Array,
    psi: jax.Array,
) -> jax.Array:
    """How both paths are wired, (..., 48) and (..., 256) -> (...).

    Args:
      dense: a layer, by its name, of its input.
      rectify: what bends its output.
      pose3d: the pose.
      psi: its `kcs`, flat.
    """
    first = rectify(dense("fc1", pose3d))
    residual = dense("fc3", rectify(dense("fc2", first))) + first
    pose_path = dense("fc4", rectify(residual))
    start = rectify(dense("fc5", psi))
    kcs_path = dense("fc7", rectify(dense("fc6", start))) + start
    paths = jnp.concatenate([pose_path, kcs_path], axis=-1)
    return dense("fc9", rectify(dense("fc8", paths)))[..., 0]


def init(key: jax.Array) -> Params:
    """Fresh parameters, a nested dict of float32 arrays.

    Raises:
      TypeError: a legacy key.
    """
    return of_width(key, HIDDEN)


def of_width(key: jax.Array, hidden: int) -> Params:
    """The same with another width of the path of the bones."""
    check_key(key)
    return _init(key, hidden)


@functools.partial(jax.jit, static_argnames="hidden")
def _init(key: jax.Array, hidden: int) -> Params:
    return Critic(hidden).init(key, jnp.zeros(48, jnp.float32))["params"]


def score(params: Params, pose3d: jax.typing.ArrayLike) -> jax.Array:
    """How real poses look: (..., 48) in the network's frame, metres -> (...).

    Raises:
      TypeError: not floating point.
      ValueError: the last axis is not 48 long.
    """
    pose3d = checks.floating("pose3d", pose3d, (48,))
    return apply(Critic(params["fc6"]["bias"].shape[-1]), params, pose3d)


def leaky_relu(x: jax.Array, above: jax.Array | None = None) -> jax.Array:
    """The critic's, or one that knows already which numbers are on its steep side."""
    return jnp.where(x >= 0 if above is None else above, x, _SLOPE * x)
