"""What all nets here multiply by: dense layers and products, their precision pinned.

Accelerators multiply float32 matrices in lower precision by default; the flow must
invert what it computed, so exact products are the default everywhere. Who prefers speed
says so by JAX's own ``with jax.default_matmul_precision("high")``, which these layers
follow; what is exact by nature (alignment, bone vectors) stays so.

The coupling nets take vectors as columns, the features first and the batch behind: all
hypotheses' first number, then their second, ... A half of them, a permutation of them
or one of them is then a stretch of memory, which on a CPU makes a fifth of the time.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype, Initializer, PRNGKey, Shape

from jaxflow.maths.linalg import EXACT
from jaxflow.types import Params


def precision() -> jax.lax.Precision | None:
    """Of the nets' products: exact, or None, JAX's own, where that was chosen."""
    setting = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return EXACT if setting is None else None


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """``a @ b`` in the nets' precision."""
    return jnp.matmul(a, b, precision=precision())


def uniform(fan_in: int) -> Initializer:
    """Uniform in +-1/sqrt(fan_in): PyTorch's default for weights and biases alike."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: PRNGKey, shape: Shape, dtype: Dtype | None = None) -> jax.Array:
        return jax.random.uniform(key, shape, dtype or float, -bound, bound)

    return init


def uniform_dense(fan_in: int, features: int) -> nn.Dense:
    """An exact dense layer that starts as PyTorch's ``Linear(fan_in, features)``."""
    init = uniform(fan_in)
    return nn.Dense(features, kernel_init=init, bias_init=init, precision=precision())


def columns(layer: Params, x: jax.Array) -> jax.Array:
    """A dense layer on columns: (inputs, ...) -> (features, ...).

    Args:
      layer: its ``kernel`` (inputs, features) and its ``bias``. Layers stacked along a
        first axis, which all see ``x``, are one product, and give (layers, features,
        ...).
      x: the features first.
    """
    kernel = layer["kernel"]
    contracted = ((kernel.ndim - 2,), (0,)), ((), ())
    y = jax.lax.dot_general(kernel, x, contracted, precision=precision())
    bias = layer["bias"]
    return y + bias.reshape(*bias.shape, *(1,) * (x.ndim - 1))


def apply(module: nn.Module, params: Params, *inputs: jax.Array) -> jax.Array:
    """The module's output as a pure function of ``params``."""
    output = module.apply({"params": params}, *inputs)
    assert isinstance(output, jax.Array)
    return output
