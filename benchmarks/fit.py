"""Gaussian fits side by side: SciPy, optimistix where installed, jaxflow.

    python -m benchmarks.fit [--maps=2000] [--repeats=5]

All fit the same maps in one run, so the ratios hold whatever else the machine does: us
a fit (median and least), the floor (the arithmetic of the iterations that these maps
take, at the speed of a large matrix product, or reading the maps once at the speed of a
copy, whichever is longer) and the ratio to it. The peer is SciPy, with which the
released code fits; there is no PyTorch one. Also: how the answers agree with SciPy's.
"""

from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from jaxflow import gaussians
from jaxflow.gaussians import gauss_newton, heatmaps
from jaxflow.gaussians.fitting import fit_gaussians
from tests.oracles import gaussian_fit as oracle

# Floating point operations of one evaluation for each pixel: the exponent 6, exp about
# 16, amplitude, residual and its square 4, both weights 2, and the first, larger of the
# two products of moments 2 (5 + 3).
OPERATIONS = 6 + 16 + 4 + 2 + 16


def timed(function: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """The times in seconds, after one call to warm up, and the result."""
    result = jax.block_until_ready(function())
    return [common.seconds_of(function) for _ in range(repeats)], result


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


def optimistix_fits(maps: np.ndarray, repeats: int) -> list[float]:
    """Seconds that optimistix's Levenberg-Marquardt takes, if it is installed."""
    if not importlib.util.find_spec("optimistix"):
        return []
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


class Floor(NamedTuple):
    """Seconds for all maps, at the least.

    Attributes:
      arithmetic: at the speed of a large matrix product.
      memory: to read the maps once, at the speed of a copy.
      iterations: of the fits: median, 95th percentile, mean.
      machine: whose speeds these are.
    """

    arithmetic: float
    memory: float
    iterations: tuple[float, float, float]
    machine: common.Speed

    def seconds(self) -> float:
        """Whichever is longer."""
        return max(self.arithmetic, self.memory)


def floor(maps: np.ndarray) -> Floor:
    """Of these maps on this machine."""
    starts = heatmaps.start_values(jnp.asarray(maps), None)
    solve = jax.jit(gauss_newton.solve, static_argnums=2)
    iterations = np.asarray(solve(jnp.asarray(maps), starts, 16).iterations)
    middle, late = np.percentile(iterations, [50, 95])
    mean = float(iterations.mean())
    machine = common.speed(5)
    return Floor(
        arithmetic=OPERATIONS * maps.size * mean / machine.flops,
        memory=maps.nbytes / machine.bandwidth,
        iterations=(middle, late, mean),
        machine=machine,
    )


def table(rows: Sequence[tuple[str, list[float]]], count: int, least: Floor) -> str:
    """One line a way to fit; the first is the one compared with."""
    floor_us = 1e6 * least.seconds() / count
    first = statistics.median(rows[0][1])
    lines = []
    for name, times in rows:
        took = statistics.median(times)
        ours = name.startswith("jaxflow")
        lines.append(
            [
                name,
                f"{1e6 * took / count:.0f} ({1e6 * min(times) / count:.0f})",
                f"{count / took:,.0f}",
                f"{first / took:.1f}",
                f"{floor_us:.1f}" if ours else "",
                f"{took / least.seconds():.1f}" if ours else "",
            ]
        )
    columns = [
        f"{count} maps",
        "us a fit, median (min)",
        "fits/s",
        "times SciPy",
        "floor us",
        "ratio",
    ]
    return common.markdown(columns, lines)


def main() -> None:
    """Runs everything and prints the table."""
    parser = common.parser(__doc__)
    parser.add_argument("--maps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    maps, _ = oracle.random_maps(arguments.maps, seed=0)
    on_device = jnp.asarray(maps)

    start = time.perf_counter()
    reference = scipy_fits(maps)
    rows = [("SciPy, one process", [time.perf_counter() - start])]
    name, seconds = scipy_on_all_cores(maps)
    rows.append((name, [seconds]))
    optimistix = optimistix_fits(maps, 1)
    if optimistix:
        rows.append(("optimistix LM", optimistix))
    times, fit = timed(lambda: fit_gaussians(maps), arguments.repeats)
    rows.append(("jaxflow, host array", times))
    times, _ = timed(lambda: fit_gaussians(on_device), arguments.repeats)
    rows.append(("jaxflow, device array", times))
    least = floor(maps)
    print(least.machine.text() + "\n")
    print(table(rows, len(maps), least) + "\n")
    middle, late, mean = least.iterations
    print(
        f"iterations: median {middle:.0f}, 95th percentile {late:.0f}, mean {mean:.1f}"
        f"; arithmetic {1e6 * least.arithmetic / len(maps):.1f} us a fit, memory "
        f"{1e6 * least.memory / len(maps):.1f} us\n"
    )
    agreement(maps, fit, reference)


if __name__ == "__main__":
    main()
