"""Flows of any numbers, for tests that need one and not what it was begun with."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import FlowConfig
from jaxflow.flow import model
from jaxflow.types import Params


def some(config: FlowConfig, seed: int = 0) -> Params:
    """Parameters drawn with NumPy: to compile `flow.init` takes seconds a size."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), config))
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.05 * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )
