"""Heatmaps to Gaussians: the fit of every joint, in one call (paper section 3.1).

In: heatmaps (..., H, W), optionally start means (..., 2). Out: ``GaussianFit`` (...).
Least squares over all pixels by damped Gauss-Newton (``gauss_newton``), as exact as the
SciPy fits of the released code.

Derivatives. At the optimum the gradient of the sum of squares vanishes, whatever the
heatmap h. Differentiating that equation (implicit function theorem) gives the change of
the fit without differentiating the iterations:

    dq = H^-1 sum g P dh,     H = sum g (2 g - h) P P^T,

with g, P and q as in ``moments``. A fit that did not converge has none: zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.gaussians import ellipses, gauss_newton, moments
from jaxflow.gaussians import heatmaps as maps_
from jaxflow.gaussians.gauss_newton import Solution
from jaxflow.maths import batching, checks, linalg, threads
from jaxflow.types import GaussianFit

# Fits that advance together. On a CPU their maps must fit a core's cache. Elsewhere a
# lane takes the next map when its own is done, so that one slow fit holds nobody up as
# long as there are many more maps than lanes: compiled for a TPU v5e, 1,024 maps are
# estimated at 10.5 ms with 256 lanes and 17 ms with 2,048. On a CPU other numbers gave
# the same bits; no compiler promises it, so a platform keeps its number for all calls.
_CPU_LANES, _LANES = 16, 256

# What one block of a stream may hold, and how many blocks are fitted side by side.
_BLOCK_BYTES, _BLOCK_MAPS = 2**25, 2048
_MOST_WORKERS = 8


def fit_gaussians(
    heatmaps: jax.typing.ArrayLike, init: jax.typing.ArrayLike | None = None
) -> GaussianFit:
    """Fits a 2D Gaussian to every heatmap.

    Each fit depends on its own map alone, bit for bit. Works under jit, vmap, pmap and
    grad. A NumPy array, memory-mapped files among them, is streamed: what is needed
    beyond it is a few thousand maps and the answer.

    Args:
      heatmaps: (..., H, W) floating point, or uint8 for value / 255. Negative pixels
        count as 0; see ``jaxflow.gaussians.heatmaps`` for what is no heatmap at all.
      init: (..., 2) column and row where the fits start; default the first maximum,
        which also replaces a start that is not finite.

    Returns:
      GaussianFit of shape (...), heatmap px, y down: sigma positive, the longer axis
      first, theta in [0, pi) turning from x towards up (see ``jaxflow.gaussians``);
      float64 for float64 maps, otherwise float32. Where no fit was found,
      ``converged`` is False and the fit is the start: the maximum, at the start mean,
      sigma 2, theta 0. All numbers are finite; rmse is that of the numbers given.

    Raises:
      TypeError: heatmaps neither floating point nor uint8; init not floating point.
      ValueError: heatmaps of rank below 2 or under 3 x 3 pixels; init of another batch
        shape.

    Source: paper section 3.1 and appendix A; start values of the released code.
    """
    if isinstance(heatmaps, np.ndarray) and heatmaps.ndim > 2:
        if math.prod(heatmaps.shape[:-2]) > block_size(heatmaps):
            return _fit_on_host(heatmaps, init)
    heatmaps = maps_.check_heatmaps(heatmaps)
    return _fit(heatmaps, _check_init(init, heatmaps.shape[:-2]))


def fit_blocks(maps: Any, init: Any = None, *, start: int = 0) -> Iterator[GaussianFit]:
    """Fits maps block by block, in order, a few blocks in memory at a time.

    Args:
      maps: (N, H, W), anything that slices like an array and has ``shape`` and
        ``dtype``: an array, a memory-mapped file, an HDF5 data set. It is sliced from
        one thread, front to back.
      init: (N, 2) likewise, or None.
      start: the map to begin with.

    Yields:
      GaussianFit of NumPy arrays for the next ``block_size(maps)`` maps.
    """
    block = block_size(maps)
    workers = min(batching.cores(), _MOST_WORKERS)
    fit = threads.carrying(_fit_padded)
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[GaussianFit]] = []
        for first in range(start, maps.shape[0], block):
            piece = np.asarray(maps[first : first + block])
            means = None if init is None else np.asarray(init[first : first + block])
            waiting.append(pool.submit(fit, piece, means, block))
            if len(waiting) > workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def block_size(maps: Any) -> int:
    """Maps in a block of a stream: at most 2048, and at most 32 MiB of float32."""
    height, width = maps.shape[-2:]
    return max(_CPU_LANES, min(_BLOCK_MAPS, _BLOCK_BYTES // (4 * height * width or 1)))


def _fit_on_host(
    heatmaps: np.ndarray, init: jax.typing.ArrayLike | None
) -> GaussianFit:
    """``fit_gaussians`` for an array that is streamed from host memory."""
    batch = heatmaps.shape[:-2]
    maps_.check_heatmaps(heatmaps[(slice(0, 1),) * len(batch)])
    start = _check_init(init, batch)
    blocks = fit_blocks(
        heatmaps.reshape(-1, *heatmaps.shape[-2:]),
        None if start is None else np.asarray(start).reshape(-1, 2),
    )
    flat = jax.tree.map(lambda *parts: np.concatenate(parts), *blocks)
    return jax.tree.map(lambda x: jnp.asarray(x.reshape(*batch, *x.shape[1:])), flat)


def _fit_padded(maps: np.ndarray, init: np.ndarray | None, block: int) -> GaussianFit:
    """Fits up to ``block`` maps with the program compiled for ``block`` of them."""
    count = maps.shape[0]
    # Empty maps end at their first evaluation.
    pad = [(0, block - count), (0, 0), (0, 0)]
    start = None if init is None else jnp.asarray(np.pad(init, pad[:2]))
    fit = _fit(maps_.check_heatmaps(np.pad(maps, pad)), start)
    return jax.tree.map(lambda x: np.asarray(x)[:count], fit)


def _check_init(
    init: jax.typing.ArrayLike | None, batch: tuple[int, ...]
) -> jax.Array | None:
    """The start means as a floating array of shape (*batch, 2), or None."""
    if init is None:
        return None
    init = checks.floating("init", init, (2,))
    checks.same_batch(heatmaps=batch, init=init.shape[:-1])
    return init


@checks.promoting
@jax.jit
def _fit(heatmaps: jax.Array, init: jax.Array | None) -> GaussianFit:
    """``fit_gaussians`` for arrays on a device, already checked."""
    batch = heatmaps.shape[:-2]
    maps = heatmaps.reshape(-1, *heatmaps.shape[-2:])
    start = None if init is None else init.reshape(-1, 2)
    # uint8 has no tangent space, so nothing to differentiate.
    solver = _solve if jnp.issubdtype(maps.dtype, jnp.floating) else _solve_batch
    solution = solver(maps, start)
    fit = GaussianFit(
        amplitude=solution.quadratic[:, 0],
        mean=solution.quadratic[:, 1:3],
        sigma=solution.sigma,
        theta=solution.theta,
        rmse=solution.rmse,
        converged=solution.converged,
    )
    return jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), fit)


@jax.custom_batching.custom_vmap
def _solve_batch(maps: jax.Array, init: jax.Array | None) -> Solution:
    """The optimum of N maps (N, H, W)."""
    count = maps.shape[0]
    # For one map alone the compiler simplifies what it cannot for many, and rounds
    # differently; so a short queue is filled up with empty maps, which cost nothing.
    short = max(0, _CPU_LANES - count)
    maps = jnp.pad(maps, [(0, short), (0, 0), (0, 0)])
    if init is not None:
        init = jnp.pad(init, [(0, short), (0, 0)])
    solution = jax.lax.platform_dependent(
        maps,
        maps_.start_values(maps, init),
        cpu=lambda maps, starts: gauss_newton.solve(maps, starts, _CPU_LANES),
        default=lambda maps, starts: gauss_newton.solve(maps, starts, _LANES),
    )
    return jax.tree.map(lambda column: column[:count], solution)


@_solve_batch.def_vmap
def _solve_vmapped(
    size: int, batched: list[Any], maps: jax.Array, init: jax.Array | None
) -> tuple[Solution, Solution]:
    """A batch of batches is one longer queue, with the same lanes."""

    def flat(array: jax.Array, has_axis: bool) -> jax.Array:
        if not has_axis:
            array = jnp.broadcast_to(array, (size, *array.shape))
        return array.reshape(-1, *array.shape[2:])

    start = None if init is None else flat(init, batched[1])
    solution = _solve_batch(flat(maps, batched[0]), start)
    shaped = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), solution)
    return shaped, jax.tree.map(lambda _: True, shaped)


@jax.custom_jvp
def _solve(maps: jax.Array, init: jax.Array | None) -> Solution:
    """``_solve_batch`` with the implicit function theorem's derivative."""
    return _solve_batch(maps, init)


@_solve.defjvp
def _solve_jvp(
    primals: tuple[jax.Array, jax.Array | None],
    tangents: tuple[jax.Array, jax.Array | None],
) -> tuple[Solution, Solution]:
    maps, init = primals
    solution = _solve(maps, init)
    quadratic, converged = solution.quadratic, solution.converged
    cleaned = maps_.clean(maps)
    change = jnp.where(cleaned > 0, maps_.to_float(tangents[0]), 0)
    bump = maps_.render_quadratic(quadratic, *maps.shape[1:])

    # In units of the amplitude, so that faint maps are as well scaled as bright ones.
    amplitude = jnp.where(converged, quadratic[:, 0], 1)[:, None, None]
    unit, target = bump / amplitude, cleaned / amplitude
    hessian = moments.moment_matrix(
        moments.moment_table(unit * (2 * unit - target), quadratic, 4)
    )
    force = moments.moment_vector(
        moments.moment_table(unit * change / amplitude, quadratic, 2)
    )
    step = moments.apply_step(quadratic, _solve_scaled(hessian, force, converged))
    _, (sigma_change, theta_change) = jax.jvp(
        ellipses.from_quadratic, (quadratic[:, 3:],), (step[:, 3:],)
    )

    # The fit's own change leaves the sum of squares as it is, to first order.
    root = jnp.where(converged & (solution.rmse > 0), solution.rmse, jnp.inf)[
        :, None, None
    ]
    rmse_change = jnp.mean((cleaned - bump) / root * change, axis=(1, 2))
    none: Any = np.zeros(converged.shape, jax.dtypes.float0)
    return solution, Solution(step, sigma_change, theta_change, rmse_change, none, none)


def _solve_scaled(matrix: jax.Array, vector: jax.Array, use: jax.Array) -> jax.Array:
    """Solves (N, 6, 6) for (N, 6), linear in the vector; zeros where not in ``use``.

    Zeros, too, where the matrix is singular to working precision (a single hot pixel in
    a corner, say): the optimum is then no function of the map.
    """
    identity = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)
    matrix = jnp.where(use[:, None, None], matrix, identity)
    scale = jnp.sqrt(jnp.abs(jnp.diagonal(matrix, axis1=1, axis2=2)))
    inverse = jnp.linalg.inv(matrix / (scale[:, :, None] * scale[:, None, :]))
    # With a diagonal of ones, the largest entry of the inverse is about the condition.
    largest = jnp.max(jnp.abs(inverse), axis=(1, 2))
    use = use & (largest < 1 / jnp.finfo(matrix.dtype).eps)
    inverse = jnp.where(use[:, None, None], inverse, 0)
    solved = linalg.einsum("nij,nj->ni", inverse, vector / scale)
    return jnp.where(use[:, None], solved / scale, 0)
