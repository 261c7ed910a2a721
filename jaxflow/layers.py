"""The dense layer of every net here: a Flax layer with its precision pinned.

Accelerators multiply float32 matrices in lower precision by default; the flow must
invert what it computed, so exact products are the default everywhere.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
from flax.typing import Dtype, Initializer, PRNGKey, Shape

from jaxflow.types import Params

EXACT = jax.lax.Precision.HIGHEST


def uniform(fan_in: int) -> Initializer:
    """Uniform in +-1/sqrt(fan_in): PyTorch's default for weights and biases alike."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: PRNGKey, shape: Shape, dtype: Dtype | None = None) -> jax.Array:
        return jax.random.uniform(key, shape, dtype or float, -bound, bound)

    return init


def uniform_dense(fan_in: int, features: int) -> nn.Dense:
    """An exact dense layer that starts as PyTorch's ``Linear(fan_in, features)``."""
    init = uniform(fan_in)
    return nn.Dense(features, kernel_init=init, bias_init=init, precision=EXACT)


def normal_dense(features: int, scale: float, use_bias: bool = True) -> nn.Dense:
    """An exact dense layer whose weights and biases start as scale * N(0, 1)."""
    init = nn.initializers.normal(scale)
    return nn.Dense(
        features,
        use_bias=use_bias,
        kernel_init=init,
        bias_init=init,
        precision=EXACT,
    )


def apply(
    module: nn.Module,
    params: Params,
    *inputs: jax.Array,
    method: Callable[..., jax.Array] | None = None,
) -> jax.Array:
    """The module's output, or one of its methods', as a pure function of ``params``."""
    output = module.apply({"params": params}, *inputs, method=method)
    assert isinstance(output, jax.Array)
    return output
