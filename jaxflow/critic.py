"""The Wasserstein critic with its kinematic chain space path.

    pose3d (..., 48) -> score (...), higher for poses that look real

Paper section 3.3, after Wandt and Rosenhahn (RepNet): bone vectors B = X C, with X the
3 x 16 pose, give Psi = B^T B, whose entries are squared bone lengths and inner products
of bones; one path sees Psi, the other the pose.
"""

from __future__ import annotations

import functools

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
    pose = pose3d.reshape(*pose3d.shape[:-1], 3, 16)
    matrix = jnp.asarray(kcs_matrix(), pose.dtype)
    bones = linalg.matmul(pose, matrix)
    return linalg.matmul(jnp.swapaxes(bones, -1, -2), bones)


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
        paths = [self._pose_path(pose3d), self._kcs_path(kcs(pose3d))]
        features = _leaky_relu(self.fc8(jnp.concatenate(paths, axis=-1)))
        return self.fc9(features)[..., 0]

    def _pose_path(self, pose3d: jax.Array) -> jax.Array:
        first = _leaky_relu(self.fc1(pose3d))
        residual = self.fc3(_leaky_relu(self.fc2(first))) + first
        return self.fc4(_leaky_relu(residual))

    def _kcs_path(self, psi: jax.Array) -> jax.Array:
        first = _leaky_relu(self.fc5(psi.reshape(*psi.shape[:-2], -1)))
        return self.fc7(_leaky_relu(self.fc6(first))) + first


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


def _leaky_relu(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, _SLOPE)
