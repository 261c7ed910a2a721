"""Shape and dtype checks that run once, when a function is traced.

Each returns its argument as a JAX array, so a caller checks and converts in one line.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.typing


def floating(
    name: str, array: jax.typing.ArrayLike, tail: tuple[int | None, ...]
) -> jax.Array:
    """``array`` as a floating array whose last axes are ``tail`` (None: any size).

    Raises:
      TypeError: the dtype is not floating.
      ValueError: the rank or the last axes differ.
    """
    if not isinstance(array, jax.Array):  # converting what is one already takes longer
        array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"expected {name} to be floating point; got {array.dtype}")
    got = array.shape[array.ndim - len(tail) :] if array.ndim >= len(tail) else None
    if got is None or any(
        want is not None and want != size for want, size in zip(tail, got, strict=True)
    ):
        sizes = ", ".join("any" if size is None else str(size) for size in tail)
        raise ValueError(f"expected {name} of shape (..., {sizes}); got {array.shape}")
    return array


def exactly(
    name: str, array: jax.typing.ArrayLike, shape: tuple[int | None, ...]
) -> jax.Array:
    """``array`` as a floating array of exactly this shape (None: any size).

    Raises:
      TypeError: the dtype is not floating.
      ValueError: the shape differs.
    """
    array = jnp.asarray(array)
    if array.ndim != len(shape):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"expected {name} of shape ({sizes}); got {array.shape}")
    return floating(name, array, shape)


def same_batch(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The batch shape that all the named leading shapes share.

    Raises:
      ValueError: they differ.
    """
    if len(set(shapes.values())) != 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"expected the same leading (batch) shape; got {listed}")
    return next(iter(shapes.values()))
