"""The error of the best hypothesis as a function of how many are drawn.

In: the errors (..., M) of M hypotheses. Out: for each of some numbers m <= M, the
expected least error among m of them, drawn without replacement. Averaging over all
subsets of size m, rather than taking the first m, uses every hypothesis that was drawn.

With the errors sorted, e_1 <= ... <= e_M, e_i is the least of a random m-subset with
probability C(M - i, m - 1) / C(M, m): the other m - 1 lie above it.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.maths import linalg

_STEPS = (1, 2, 3, 5, 7)


def counts(hypotheses: int) -> tuple[int, ...]:
    """Numbers of samples to report for M drawn: 1, 2, 3, 5, 7, 10, 20, ..., M."""
    scales = (10**power for power in range(len(str(hypotheses))))
    wanted = {step * scale for scale in scales for step in _STEPS} | {hypotheses}
    return tuple(sorted(count for count in wanted if count <= hypotheses))


def expected_best(errors: jax.Array) -> jax.Array:
    """(..., M) to (..., K): the expected best of m for each m of ``counts(M)``."""
    weights = jnp.asarray(_weights(errors.shape[-1]), errors.dtype)
    return linalg.einsum("...m,mk->...k", jnp.sort(errors, axis=-1), weights)


def _weights(total: int) -> np.ndarray:
    """(M, K): the probability that the i-th least error is the best of m."""
    return np.array(
        [
            [math.comb(total - i, m - 1) / math.comb(total, m) for m in counts(total)]
            for i in range(1, total + 1)
        ]
    )
