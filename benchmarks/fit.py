"""Gaussian fits side by side: SciPy, optimistix where installed, jaxflow.

    python -m benchmarks.fit [--maps=2000] [--repeats=5]

All fit the same maps in one run, so the ratios hold whatever else the machine does.
Also: how the answers agree with SciPy's, the iterations, and how near the fits come to
what memory and arithmetic allow. On an accelerator the last line is fits/s there.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import gauss_newton, gaussians, heatmaps
from jaxflow.gaussian_fit import fit_gaussians
from tests.oracles import gaussian_fit as oracle

# Floating point operations of one evaluation for each pixel: the exponent 6, exp about
# 16, amplitude, residual and its square 4, both weights 2, and the first, larger of the
# two products of moments 2 (5 + 3).
OPERATIONS = 6 + 16 + 4 + 2 + 16


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The median time in seconds, after one call to warm up, and the result."""
    result = jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def scipy_fits(maps: np.ndarray) -> np.ndarray:
    """SciPy's fits (n, 7) one after the other, from the maxima."""
    places = [np.unravel_index(m.argmax(), m.shape)[::-1] for m in maps]
    return np.array([oracle.fit(m, at) for m, at in zip(maps, places, strict=True)])


def scipy_on_all_cores(maps: np.ndarray) -> tuple[str, float]:
    """The same on every core: its name and the seconds it took, start-up left out."""
    cores = os.cpu_count() or 1
    pieces = np.array_split(maps, 8 * cores)
    if importlib.util.find_spec("joblib"):
        import joblib

        name, pool = f"SciPy, joblib on {cores} cores", joblib.Parallel(n_jobs=cores)
        pool(joblib.delayed(scipy_fits)(piece[:1]) for piece in pieces)
        start = time.perf_counter()
        pool(joblib.delayed(scipy_fits)(piece) for piece in pieces)
        return name, time.perf_counter() - start
    with concurrent.futures.ProcessPoolExecutor(cores) as executor:
        list(executor.map(scipy_fits, [piece[:1] for piece in pieces]))
        start = time.perf_counter()
        list(executor.map(scipy_fits, pieces))
        return f"SciPy, {cores} processes", time.perf_counter() - start


def optimistix_fits(maps: np.ndarray, repeats: int) -> float | None:
    """Seconds that optimistix's Levenberg-Marquardt takes, if it is installed."""
    if not importlib.util.find_spec("optimistix"):
        return None
    import optimistix

    solver = optimistix.LevenbergMarquardt(rtol=1e-5, atol=1e-6)

    def one(heatmap: jax.Array, start: jax.Array) -> jax.Array:
        def residual(quadratic: jax.Array, _: Any) -> jax.Array:
            return heatmaps.render_quadratic(quadratic, *heatmap.shape) - heatmap

        found = optimistix.least_squares(
            residual, solver, start, max_steps=200, throw=False
        )
        return found.value

    starts = heatmaps.start_values(jnp.asarray(maps), None)
    first = heatmaps.start_quadratic(starts.peak, starts.mean)
    fit = jax.jit(lambda m, s: jax.lax.map(lambda a: one(*a), (m, s), batch_size=32))
    return timed(lambda: fit(jnp.asarray(maps), first), repeats)[0]


def agreement(maps: np.ndarray, fit: Any, reference: np.ndarray) -> None:
    """Prints how the fits compare with SciPy's."""
    numbers = np.asarray(fit.as_array(), np.float64)
    bumps = np.stack([oracle.bump(row[:6], *maps.shape[1:]) for row in numbers])
    squares = np.square(maps - bumps).sum((1, 2))
    ratio = squares / (reference[:, 6] ** 2 * maps[0].size)
    same = np.abs(ratio - 1) < 1e-4
    mean = np.abs(numbers[:, 1:3] - reference[:, 1:3]).max(1)[same]
    ours = gaussians.covariance_image_frame(fit.sigma, fit.theta)
    theirs = oracle.covariance_image(*reference[:, 3:6].T)
    covariance = np.abs(np.asarray(ours) - theirs).max((1, 2))[same]
    print(f"no worse than SciPy (1 + 1e-4)  {np.mean(ratio <= 1 + 1e-4):8.2%}")
    print(f"the same optimum                {same.mean():8.2%}")
    print(f"  means within 1e-3 px          {np.mean(mean < 1e-3):8.2%}")
    print(f"  covariances within 1e-2 px^2  {np.mean(covariance < 1e-2):8.2%}")
    print(f"converged                       {np.mean(fit.converged):8.2%}")


def floors(maps: np.ndarray, seconds: float) -> None:
    """Prints the iterations, and the time against two floors."""
    starts = heatmaps.start_values(jnp.asarray(maps), None)
    solve = jax.jit(gauss_newton.solve, static_argnums=2)
    iterations = np.asarray(solve(jnp.asarray(maps), starts, 16).iterations)
    middle, late = np.percentile(iterations, [50, 95])
    print(f"iterations: median {middle:.0f}, 95th percentile {late:.0f}, mean "
          f"{iterations.mean():.1f}")  # fmt: skip

    square = jnp.ones((2048, 2048), jnp.float32)
    product, _ = timed(jax.jit(lambda: square @ square), 5)
    speed = 2 * 2048**3 / product
    work = OPERATIONS * maps.size * iterations.mean()
    source = np.ones(2**26, np.float32)
    copied, _ = timed(lambda: np.copyto(np.empty_like(source), source), 3)
    bandwidth = 2 * source.nbytes / copied
    print(
        f"arithmetic: {work / speed / seconds:.1%} of the time would do at the "
        f"{speed / 1e9:.0f} GFLOP/s of a 2048 x 2048 product"
    )
    print(
        f"memory: {maps.nbytes / bandwidth / seconds:.1%} of the time would do to read "
        f"the maps once at {bandwidth / 1e9:.1f} GB/s"
    )


def main() -> None:
    """Runs everything and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--maps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    maps, _ = oracle.random_maps(arguments.maps, seed=0)

    start = time.perf_counter()
    reference = scipy_fits(maps)
    single = time.perf_counter() - start
    rows = [("SciPy, one process", single), scipy_on_all_cores(maps)]
    optimistix = optimistix_fits(maps, 1)
    if optimistix is not None:
        rows.append(("optimistix LM", optimistix))
    seconds, fit = timed(lambda: fit_gaussians(maps), arguments.repeats)
    rows.append(("jaxflow, host array", seconds))
    on_device = jnp.asarray(maps)
    rows.append(
        ("jaxflow, device array",
         timed(lambda: fit_gaussians(on_device), arguments.repeats)[0])
    )  # fmt: skip
    print(f"{len(maps)} maps, {jax.devices()[0].device_kind}, {os.cpu_count()} cores")
    print(f"{'':28}{'us a fit':>10}{'fits/s':>10}{'ratio':>8}")
    for name, took in rows:
        each = took / len(maps)
        print(f"{name:28}{each * 1e6:10.0f}{1 / each:10.0f}{single / took:8.1f}")
    agreement(maps, fit, reference)
    floors(maps, min(took for name, took in rows if name.startswith("jaxflow")))


if __name__ == "__main__":
    main()
