"""How many poses to push through the flow at once, and how many shapes to compile.

On a CPU the hidden layers of M hypotheses stay in cache only for some 1,600 rows;
writing 12,800 x 1,028 numbers out and back costs more than computing them. Accelerators
want rows in bulk, and a bound on memory all the same.
"""

import jax

_ROWS = {"cpu": 1600}
_ACCELERATOR_ROWS = 1 << 17


def rows_per_tile() -> int:
    """Hypotheses that go through the flow together on the default backend."""
    return _ROWS.get(jax.default_backend(), _ACCELERATOR_ROWS)


def poses_per_tile(hypotheses: int) -> int:
    """Poses whose hypotheses together fill one tile on the default backend."""
    return max(1, rows_per_tile() // hypotheses)


def dividing_tile(batch: int, hypotheses: int) -> int:
    """The largest number of poses, at most a tile's, that divides the batch."""
    most = min(batch, poses_per_tile(hypotheses))
    return next(size for size in range(most, 0, -1) if batch % size == 0)


def even_parts(count: int, most: int) -> tuple[int, int]:
    """How many parts of at most ``most`` things hold ``count``, and their size.

    Parts of one size may hold a few more things than there are: fewer than parts.
    """
    parts = max(1, -(-count // most))
    return parts, -(-count // parts)


def bucket(batch: int) -> int:
    """The number of poses that a program is compiled for, to serve this many.

    Powers of two and the numbers half-way between: 1, 2, 3, 4, 6, 8, 12, 16, ...; at
    most half as many again are computed in vain, a sixth on average.
    """
    power = 1 << max(0, batch - 1).bit_length()
    between = power // 4 * 3
    return between if batch <= between else power
