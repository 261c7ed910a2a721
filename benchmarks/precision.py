"""What an accelerator's lower precisions cost in hypotheses, emulated on any machine.

    python -m benchmarks.precision [--checkpoint=cmu] [--data_dir=DIR]

A TPU takes a float32 product in passes of bfloat16: with --precision=high three, of the
high halves and of one's high with the other's low half, with "default" one, of the high
halves alone; sums are float32. Here the same is done by exact products of numbers that
were rounded so. Prints how far joints move from where exact products put them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxflow
from benchmarks import common
from jaxflow import data

POSES, HYPOTHESES = 64, 50
_product: Any = jax.lax.dot_general


def halves(array: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A high and a low half, each of what bfloat16 holds, as float32."""
    high = array.astype(jnp.bfloat16).astype(jnp.float32)
    return high, (array - high).astype(jnp.bfloat16).astype(jnp.float32)


def passes(count: int) -> Any:
    """`jax.lax.dot_general` in so many passes of bfloat16: 1 or 3."""

    def product(
        lhs: jax.Array, rhs: jax.Array, dimension_numbers: Any, **_: Any
    ) -> jax.Array:
        def exact(a: jax.Array, b: jax.Array) -> jax.Array:
            return _product(a, b, dimension_numbers, precision="highest")

        (high, low), (other, rest) = halves(lhs), halves(rhs)
        total = exact(high, other)
        return total if count == 1 else total + (exact(high, rest) + exact(low, other))

    return product


def main() -> None:
    """Prints the table."""
    parser = common.parser(__doc__)
    parser.add_argument("--checkpoint", default="cmu")
    parser.add_argument("--dataset", default="synthetic_lift")
    parser.add_argument("--data_dir")
    options = parser.parse_args()
    records = data.load_records(options.dataset, "test", options.data_dir)
    batch = data.to_batch(data.evenly(records, POSES))
    params, key = jaxflow.load_params(options.checkpoint), jax.random.key(0)

    def draw(product: Any) -> np.ndarray:
        jax.clear_caches()
        jax.lax.dot_general = product
        arrays = params, batch.pose2d, batch.cond, key
        return np.asarray(jaxflow.sample(*arrays, num_hypotheses=HYPOTHESES))

    exact, rows = draw(_product), []
    for name, count in (("high", 3), ("default", 1)):
        moved = 1e3 * np.linalg.norm(draw(passes(count)) - exact, axis=-1)
        figures = moved.mean(), np.quantile(moved, 0.999), moved.max()
        rows.append([name, *(f"{figure:.2g}" for figure in figures)])
    heads = "precision", "mm a joint, mean", "99.9 % below", "most"
    print(common.markdown(heads, rows))


if __name__ == "__main__":
    main()
