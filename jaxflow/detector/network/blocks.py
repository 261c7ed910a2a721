"""What HRNet is built of: convolutions with batch normalisation, residual blocks.

    activations (B, H, W, C) -> (B, H', W', C'), channels last

The layers of Sun et al. 2019, padding and statistics as in PyTorch. ``train`` says
whether normalisation takes this batch's statistics and moves the running ones, in the
collection ``batch_stats``, or takes the running ones.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxflow.maths.linalg import EXACT

_EPSILON = 1e-5
MOMENTUM = 0.9  # share of the old statistics; PyTorch's momentum 0.1
_EXPANSION = 4  # output over inner channels of a bottleneck


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input passes."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> the same shape."""
        y = ConvNorm(x.shape[-1], name="conv1")(x, train)
        y = ConvNorm(x.shape[-1], relu=False, name="conv2")(y, train)
        return nn.relu(y + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around which the input passes."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, 4 features)."""
        wide = _EXPANSION * self.features
        y = ConvNorm(self.features, kernel=1, name="conv1")(x, train)
        y = ConvNorm(self.features, name="conv2")(y, train)
        y = ConvNorm(wide, kernel=1, relu=False, name="conv3")(y, train)
        if x.shape[-1] != wide:
            x = ConvNorm(wide, kernel=1, relu=False, name="downsample")(x, train)
        return nn.relu(y + x)


class ConvNorm(nn.Module):
    """A convolution, batch normalisation and, unless told otherwise, ReLU."""

    features: int
    kernel: int = 3
    stride: int = 1
    relu: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H / stride, W / stride, features)."""
        side = self.kernel // 2  # explicit: "SAME" pads differently at stride 2
        conv = nn.Conv(
            self.features,
            (self.kernel, self.kernel),
            strides=self.stride,
            padding=((side, side), (side, side)),
            use_bias=False,
            precision=EXACT,
            name="conv",
        )
        x = BatchNorm(name="norm")(conv(x), train)
        return nn.relu(x) if self.relu else x


class BatchNorm(nn.Module):
    """Batch normalisation with PyTorch's statistics.

    The running variance takes the unbiased variance of the batch, where the layer of
    Flax takes the biased one; statistics are float32 whatever the activations are.
    """

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(..., C) -> the same shape."""
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if train:
            axes = tuple(range(x.ndim - 1))
            values = x.astype(jnp.float32)
            now_mean, now_var = jnp.mean(values, axes), jnp.var(values, axes)
            count = x.size // x.shape[-1]
            unbiased = now_var * (count / max(count - 1, 1))
            mean.value = MOMENTUM * mean.value + (1 - MOMENTUM) * now_mean
            var.value = MOMENTUM * var.value + (1 - MOMENTUM) * unbiased
        else:
            now_mean, now_var = mean.value, var.value
        gain = scale.astype(jnp.float32) * jax.lax.rsqrt(now_var + _EPSILON)
        shift = bias.astype(jnp.float32) - now_mean * gain
        return x * gain.astype(x.dtype) + shift.astype(x.dtype)


def repeat(module: nn.Module, times: int, x: Any, train: bool) -> Any:
    """The module ``times`` over, each time with parameters of its own.

    They are stacked along a new first axis and scanned over: one module is compiled.
    """
    if not times:
        return x
    scan = nn.scan(
        lambda once, carry: (once(carry, train), None),
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
        length=times,
    )
    return scan(module, x)[0]


def upsample(x: jax.Array, factor: int) -> jax.Array:
    """Each pixel ``factor`` times along both sides (nearest)."""
    return jnp.repeat(jnp.repeat(x, factor, axis=1), factor, axis=2)
