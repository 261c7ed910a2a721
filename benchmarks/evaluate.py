"""Times evaluation: alignment against an SVD, and the figures of 200 hypotheses.

    python benchmarks/evaluate.py [poses]

Prints medians of several runs after a warm-up. What BUILD_NOTES.md says of the
evaluation's speed comes from here.
"""

import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxflow import metrics, procrustes

RUNS = 5


def align_by_svd(points: jax.Array, target: jax.Array) -> jax.Array:
    """The same alignment through the batched library SVD."""
    centre = target.mean(-2, keepdims=True)
    moved = points - points.mean(-2, keepdims=True)
    covariance = jnp.einsum("...ja,...jb->...ab", moved, target - centre)
    u, s, vt = jnp.linalg.svd(covariance)
    flip = jnp.ones_like(s).at[..., -1].set(jnp.sign(jnp.linalg.det(u @ vt)))
    scale = (s * flip).sum(-1) / (moved**2).sum((-2, -1))
    return scale[..., None, None] * moved @ (u * flip[..., None, :] @ vt) + centre


def median_ms(function: Callable[..., object], *arguments: jax.Array) -> float:
    """Median wall time of one call in ms, compiled and warm."""
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*arguments))
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    """Prints one line a measurement."""
    poses = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    shape = (poses, 200, 17, 3)
    target = 0.3 * jax.random.normal(jax.random.key(0), (poses, 17, 3))
    hypotheses = target[:, None] + 0.1 * jax.random.normal(jax.random.key(1), shape)
    each = target[:, None]
    print(f"{poses} poses x 200 hypotheses on {jax.devices()[0].device_kind}")
    print(f"align, Jacobi {median_ms(procrustes.align, hypotheses, each):9.1f} ms")
    print(f"align, SVD    {median_ms(align_by_svd, hypotheses, each):9.1f} ms")
    figures = median_ms(metrics.of_example, hypotheses, target, target)
    print(f"all figures   {figures:9.1f} ms")
    hits = median_ms(metrics.calibration_hits, hypotheses, target)
    print(f"  calibration {hits:9.1f} ms")


if __name__ == "__main__":
    main()
