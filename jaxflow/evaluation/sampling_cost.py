"""What hypotheses cost: parameters, and operations for a pose and for each hypothesis.

model -> SamplingCost
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxflow.maths import operations
from jaxflow.types import Model

_FEW, _MANY = 100, 200  # more than any model draws for whoever asks for less


class SamplingCost(NamedTuple):
    """Of one model.

    Attributes:
      parameters: how many numbers a checkpoint holds for it.
      pose: floating-point operations that a pose takes once, see `operations`.
      hypothesis: that each of its hypotheses takes besides.
    """

    parameters: int
    pose: float
    hypothesis: float

    def of(self, hypotheses: float) -> float:
        """Operations of so many hypotheses of one pose."""
        return self.pose + hypotheses * self.hypothesis


def of_model(model: Model) -> SamplingCost:
    """Read from the program that draws; nothing is drawn."""
    pose2d = jax.ShapeDtypeStruct((1, 32), jnp.float32)
    cond = jax.ShapeDtypeStruct((1, 78), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 1)

    def drawn(count: int) -> float:
        def draw(pose2d: jax.Array, cond: jax.Array) -> jax.Array:
            return model.sample(pose2d, cond, keys, num_hypotheses=count)

        return operations.count(draw, pose2d, cond)

    few, many = drawn(_FEW), drawn(_MANY)
    each = (many - few) / (_MANY - _FEW)
    leaves = jax.tree.leaves(model.parameters())
    size = sum(leaf.size for leaf in leaves)
    return SamplingCost(size, few - _FEW * each, each)
