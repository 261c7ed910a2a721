"""How random keys are derived: by step, by purpose, by example; never by device.

Noise that belongs to an example is keyed by the example's global number, so that a
result does not depend on how a batch is split over devices.
"""

import math

import jax
import jax.numpy as jnp


def check_key(key: jax.Array, name: str = "key") -> None:
    """Refuses anything but a typed key array, as made by ``jax.random.key``.

    Raises:
      TypeError: ``key`` is a legacy integer key or no key at all.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"expected {name} to be a typed key from jax.random.key(seed); got "
            f"{type(key).__name__} of dtype {dtype} (a legacy jax.random.PRNGKey "
            "becomes one by jax.random.wrap_key_data)"
        )


def per_example(key: jax.Array, examples: jax.Array) -> jax.Array:
    """One key an example: ``fold_in(key, i)`` for each i of ``examples`` (...)."""
    fold = jax.random.fold_in
    for _ in range(examples.ndim):
        fold = jax.vmap(fold, in_axes=(None, 0))
    return fold(key, examples)


def for_batch(key: jax.Array, batch_shape: tuple[int, ...]) -> jax.Array:
    """Keys of shape ``batch_shape`` from one key, or the given ones if they have it.

    Raises:
      TypeError: not a typed key.
      ValueError: neither one key nor one key per example.
    """
    check_batch(key, batch_shape)
    if key.shape == batch_shape:
        return key
    return per_example(key, jnp.arange(math.prod(batch_shape)).reshape(batch_shape))


def check_batch(key: jax.Array, batch_shape: tuple[int, ...]) -> None:
    """Refuses what `for_batch` refuses, without computing anything."""
    check_key(key)
    if key.shape not in ((), batch_shape):
        raise ValueError(
            f"expected one key or one key per example, shape () or {batch_shape}; "
            f"got keys of shape {key.shape}"
        )


def normal_rows(
    key: jax.Array, examples: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Standard normal noise (len(examples), *shape), a row keyed by its example."""
    draw = jax.vmap(lambda k: jax.random.normal(k, shape, jnp.float32))
    return draw(per_example(key, examples))
