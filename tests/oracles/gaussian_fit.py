"""The Gaussian fit as NumPy and SciPy would do it: one map, a numerical Jacobian.

In: a heatmap (H, W) and a start mean. Out: A, x0, y0, sx, theta, sy, rmse, as the paper
parametrises the bump. Slow, and written apart from the package.
"""

import numpy as np
import scipy.optimize


def bump(parameters, height=64, width=64):
    """The Gaussian A, x0, y0, sx, theta, sy over the pixels of a map.

    In this form, and not along the ellipse's axes, theta does exactly nothing while
    sx = sy. A rounding error there, where every fit starts, sends MINPACK astray.
    """
    amplitude, x0, y0, sx, theta, sy = parameters
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    dx, dy = x - x0, y - y0
    cos, sin, twice = np.cos(theta), np.sin(theta), np.sin(2 * theta)
    a = cos**2 / (2 * sx**2) + sin**2 / (2 * sy**2)
    b = -twice / (4 * sx**2) + twice / (4 * sy**2)
    c = sin**2 / (2 * sx**2) + cos**2 / (2 * sy**2)
    return amplitude * np.exp(-(a * dx**2 + 2 * b * dx * dy + c * dy**2))


def fit(heatmap, start):
    """MINPACK's Levenberg-Marquardt from the released start; the start if it fails."""
    heatmap = np.maximum(np.asarray(heatmap, np.float64), 0)
    first = np.array([heatmap.max(), start[0], start[1], 2.0, 0.0, 2.0])
    best, _, _, _, status = scipy.optimize.leastsq(
        lambda p: (bump(p, *heatmap.shape) - heatmap).ravel(),
        first,
        maxfev=1400,
        full_output=True,
    )
    best = best if status in (1, 2, 3, 4) else first
    rmse = np.sqrt(np.mean((bump(best, *heatmap.shape) - heatmap) ** 2))
    return np.append(best, rmse)


def polish(heatmap, fitted):
    """Takes a fit on to the optimum: mean (2,), covariance_image (2, 2) and rmse.

    In the coefficients of the quadratic form, which determine the bump uniquely.
    """
    heatmap = np.maximum(np.asarray(heatmap, np.float64), 0)
    y, x = np.indices(heatmap.shape)
    amplitude, x0, y0, sx, theta, sy = fitted[:6]
    inverse = np.linalg.inv(covariance_image(sx, theta, sy)) / 2

    def residual(p):
        dx, dy = x - p[1], y - p[2]
        exponent = p[3] * dx * dx + 2 * p[4] * dx * dy + p[5] * dy * dy
        return (p[0] * np.exp(-exponent) - heatmap).ravel()

    found = scipy.optimize.least_squares(
        residual,
        [amplitude, x0, y0, inverse[0, 0], inverse[0, 1], inverse[1, 1]],
        method="lm",
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
    )
    a, b, c = found.x[3:]
    covariance = np.linalg.inv([[a, b], [b, c]]) / 2
    return found.x[1:3], covariance, np.sqrt(2 * found.cost / heatmap.size)


def covariance_image(sx, theta, sy):
    """Covariances (..., 2, 2) in heatmap px, y down, of fits given by their axes."""
    cos, sin = np.cos(theta), np.sin(theta)
    along = np.stack([cos, -sin], -1) * np.asarray(sx)[..., None]
    across = np.stack([sin, cos], -1) * np.asarray(sy)[..., None]
    axes = np.stack([along, across], -1)
    return axes @ np.swapaxes(axes, -1, -2)


def random_maps(count, seed, height=64, width=64):
    """Detector-like maps (count, height, width) float32 in [0, 1], and their kinds.

    Sure, wide, two-lobed, faint and border joints, with smooth noise as a network's
    last layer leaves it.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.choice(
        ["sure", "wide", "two", "faint", "border"],
        count,
        p=[0.7, 0.13, 0.05, 0.07, 0.05],
    )
    maps = np.stack([_random_map(rng, kind, height, width) for kind in kinds])
    return np.clip(maps, 0, 1).astype(np.float32), kinds


def _random_map(rng, kind, height, width):
    size = np.array([width, height])
    at = rng.uniform(0.15, 0.85, 2) * size
    sigma = rng.uniform(1.8, 2.6, 2)
    amplitude, noise = rng.uniform(0.6, 0.95), 0.004
    if kind == "wide":
        sigma = rng.uniform(3, 8, 2)
        amplitude = rng.uniform(0.15, 0.5)
    if kind == "faint":
        amplitude, noise = rng.uniform(0.03, 0.12), 0.008
    if kind == "border":
        at[rng.integers(2)] = rng.choice([-1.0, 0.5, 63.5])
    theta = rng.uniform(0, np.pi)
    heatmap = bump([amplitude, *at, sigma[0], theta, sigma[1]], height, width)
    if kind == "two":
        other = np.clip(at + rng.normal(0, 10, 2), 2, size - 3)
        share = rng.uniform(0.3, 0.9)
        heatmap += bump([share * amplitude, *other, 2.2, 0.0, 2.2], height, width)
    rough = rng.normal(0, 1, (height, width))
    smooth = (rough + np.roll(rough, 1, 0) + np.roll(rough, 1, 1)) / np.sqrt(3)
    return heatmap * (1 + 0.05 * smooth) + noise * smooth
