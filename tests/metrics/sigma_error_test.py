"""Sigma against 2D error: sums, means and the correlation, by hand and by SciPy."""

import numpy as np
import scipy.stats

from jaxflow.metrics.sigma_error import ERROR_EDGES, SIGMA_EDGES, summarize, sums_of
from jaxflow.metrics.sums import add


def frames(seed, count=50):
    """A detector whose error grows with the sigma it reports."""
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.uniform(np.log(1.5), np.log(9), (count, 16, 1)))
    error = 4 * sigma * rng.normal(size=(count, 16, 2))
    truth = rng.uniform(50, 200, (count, 16, 2))
    fits = rng.normal(size=(count, 16, 7))
    fits[..., [3, 5]] = sigma * np.exp(rng.normal(0, 0.1, (count, 16, 2)))
    fits[..., 3] *= rng.choice([-1, 1], (count, 16))  # a sigma's sign means nothing
    return tuple(a.astype(np.float32) for a in (fits, truth + error, truth))


def observations(fits, pose2d, truth):
    """(sigma, error) of every joint, heatmap px, one at a time."""
    found = []
    for frame in range(len(fits)):
        for joint in range(16):
            widths = [
                min(max(abs(float(fits[frame, joint, i])), 0.2), 10) for i in (3, 5)
            ]
            x, y = pose2d[frame, joint].astype(float) - truth[frame, joint]
            found.append((sum(widths) / 2, (x**2 + y**2) ** 0.5 / 4))
    return np.array(found)


def test_figures_equal_those_of_the_single_observations():
    inputs = frames(0)
    result = summarize(sums_of(*inputs))
    sigma, error = observations(*inputs).T
    assert result.total == len(sigma) == 800
    np.testing.assert_allclose(
        result.correlation, scipy.stats.pearsonr(sigma, error).statistic, rtol=1e-9
    )
    assert result.correlation > 0.3
    for i in range(20):
        inside = (sigma >= SIGMA_EDGES[i]) & (sigma < SIGMA_EDGES[i + 1])
        inside |= (i == 19) & (sigma >= SIGMA_EDGES[20])
        assert result.observations[i] == inside.sum()
        if inside.any():
            np.testing.assert_allclose(result.sigma[i], sigma[inside].mean())
            np.testing.assert_allclose(result.error[i], error[inside].mean())
        else:
            assert np.isnan([result.sigma[i], result.error[i]]).all()
    table, _, _ = np.histogram2d(
        np.minimum(sigma, 9.99), np.minimum(error, 19.99), (SIGMA_EDGES, ERROR_EDGES)
    )
    np.testing.assert_array_equal(result.table, table)


def test_sums_add_up_over_batches():
    inputs = frames(1)
    whole = sums_of(*inputs)
    parts = add(sums_of(*(a[:13] for a in inputs)), sums_of(*(a[13:] for a in inputs)))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    none = sums_of(*(a[:0] for a in inputs))
    for one, other in zip(whole, add(whole, none), strict=True):
        np.testing.assert_array_equal(one, other)


def test_wide_fits_and_gross_errors_fall_into_the_last_bins():
    fits, pose2d, truth = frames(2, count=1)
    fits[..., [3, 5]] = 1e6
    pose2d = truth + 1e4
    result = summarize(sums_of(fits, pose2d, truth))
    assert result.table[19, 39] == 16
    assert result.sigma[19] == 10
    np.testing.assert_allclose(result.error[19], 2500 * np.sqrt(2), rtol=1e-5)


def test_no_correlation_where_nothing_varies():
    fits, pose2d, truth = frames(3, count=2)
    fits[..., [3, 5]] = 2.0
    result = summarize(sums_of(fits, pose2d, truth))
    assert (
        np.isnan(result.correlation)
        and result.observations.sum() == result.observations[4] == 32
    )
