"""What is kept of each frame is that frame's, in whatever batches it comes."""

import jax
import numpy as np

from jaxflow import metrics
from jaxflow.evaluation.frames import Frames
from tests.helpers.evaluation import records


def test_every_frame_has_its_own_figures():
    some = records().take(np.arange(5))
    rng = np.random.default_rng(0)
    hypotheses = rng.normal(size=(5, 9, 17, 3)).astype(np.float32)
    target = rng.normal(size=(5, 17, 3)).astype(np.float32)
    of_example = jax.jit(metrics.of_example)
    errors = jax.device_get(of_example(hypotheses, hypotheses[:, 0], target))
    energy = np.arange(5, dtype=np.float32)
    found = Frames.of(some)
    for rows in (slice(0, 3), slice(3, 5)):
        some_errors = type(errors)(*(figure[rows] for figure in errors))
        found.add(rows, some_errors, energy[rows])
    assert found.records is some
    each = 1000 * np.linalg.norm(hypotheses - target[:, None], axis=-1).mean(axis=-1)
    for got, want in (
        (found.z0, each[:, 0]),
        (found.best, each.min(axis=1)),
        (found.mean, each.mean(axis=1)),
        (found.spread, 1000 * hypotheses.std(axis=1, ddof=1).mean(axis=(1, 2))),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4)
    aligned = metrics.pa_mpjpe(hypotheses, target[:, None]).min(axis=1)
    np.testing.assert_allclose(found.aligned, aligned, rtol=1e-4)
    np.testing.assert_array_equal(found.energy, energy)
