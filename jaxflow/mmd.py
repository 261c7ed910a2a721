"""Maximum mean discrepancy with a mixture of inverse multiquadric kernels.

    k(v, v') = sum over b of b / (b + |v - v'|^2),   b in {0.0025, 0.04, 0.81}

Paper equations 6 and 10; the bandwidths are the paper's.
"""

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks

BANDWIDTHS = (0.0025, 0.04, 0.81)


def mmd(
    x: jax.typing.ArrayLike, y: jax.typing.ArrayLike, *, unbiased: bool = False
) -> jax.Array:
    """Squared MMD between the rows of two samples of the same size.

    Args:
      x: (B, D) rows of one sample.
      y: (B, D) rows of the other.
      unbiased: leave the diagonal of the within-sample terms out (paper equation 6);
        the released code averages over all B^2 pairs.

    Returns:
      A scalar; the unbiased estimate can be negative.

    Raises:
      TypeError: not floating point.
      ValueError: not two matrices of one shape, or fewer than two rows when unbiased.
    """
    x = checks.floating("x", x, (None, None))
    y = checks.floating("y", y, (None, None))
    if x.shape != y.shape or x.ndim != 2:
        raise ValueError(
            f"expected two (B, D) samples of one shape; got {x.shape} and {y.shape}"
        )
    rows = x.shape[0]
    if rows < 1 + unbiased:
        raise ValueError(f"expected at least {1 + unbiased} rows; got {rows}")
    within = kernel(x, x) + kernel(y, y)
    across = jnp.mean(kernel(x, y))
    if not unbiased:
        return jnp.mean(within) - 2 * across
    off_diagonal = jnp.where(jnp.eye(rows, dtype=bool), 0, within)
    return jnp.sum(off_diagonal) / (rows * (rows - 1)) - 2 * across


def kernel(x: jax.Array, y: jax.Array) -> jax.Array:
    """(N, D), (M, D) -> the kernel of every pair, (N, M).

    Distances are sums of squared differences: the shorter expansion by inner products
    would lose the small ones, which the narrow kernels see, to rounding.
    """
    squared = jnp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)
    return sum(
        (bandwidth / (bandwidth + squared) for bandwidth in BANDWIDTHS),
        start=jnp.zeros_like(squared),
    )
