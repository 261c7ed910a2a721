"""How many poses to push through the flow at once.

On a CPU the hidden layers of M hypotheses stay in cache only for some 1,600 rows;
writing 12,800 x 1,028 numbers out and back costs more than computing them. Accelerators
want rows in bulk, and a bound on memory all the same.
"""

import jax

_ROWS = {"cpu": 1600}
_ACCELERATOR_ROWS = 1 << 17


def poses_per_tile(hypotheses: int) -> int:
    """Poses whose hypotheses together fill one tile on the default backend."""
    rows = _ROWS.get(jax.default_backend(), _ACCELERATOR_ROWS)
    return max(1, rows // hypotheses)


def dividing_tile(batch: int, hypotheses: int) -> int:
    """The largest number of poses, at most a tile's, that divides the batch."""
    most = min(batch, poses_per_tile(hypotheses))
    return next(size for size in range(most, 0, -1) if batch % size == 0)
