"""Few poses and one pose out of many, against slow references."""

import itertools

import jax
import numpy as np
import pytest

from jaxflow.evaluation import measuring, reductions
from jaxflow.maths import kmeans
from jaxflow.metrics import selection, sums
from jaxflow.reporting import result_tables
from jaxflow.reporting.tables import best_cells
from tests.oracles import metrics as oracle

FRAMES, HYPOTHESES = 5, 12


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(FRAMES, HYPOTHESES + 2, 17, 3)).astype(np.float32) * 0.2
    poses -= poses[:, :, :1]
    return measuring.Drawn(
        hypotheses=poses[:, 2:],
        mode=poses[:, 0],
        target=poses[:, 1],
        keys=jax.random.split(jax.random.key(1), FRAMES),
        log_density=rng.normal(size=(FRAMES, HYPOTHESES)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def measured(drawn):
    asked = reductions.Reductions.of(HYPOTHESES)
    return asked, jax.tree.map(np.asarray, measuring._apply(asked, drawn))


def errors(pose, target):
    """Both protocols of one pose, slowly."""
    aligned = oracle.aligned(pose, target)
    return [oracle.distances(one, target).mean() for one in (pose, aligned)]


def test_what_is_asked_for_fits_the_hypotheses():
    assert reductions.Reductions.of(200).few == (5, 10, 200)
    assert reductions.Reductions.of(12).few == (5, 10, 12)
    small = reductions.Reductions.of(3)
    assert small.few == (3,) and small.centres == ()
    assert small.rules == tuple(selection.RULES)
    assert "most_likely" not in reductions.Reductions.of(3, log_density=False).rules


def test_the_best_of_a_few_is_the_mean_over_all_subsets(drawn, measured):
    asked, found = measured
    for frame in range(2):
        target = drawn.target[frame]
        each = np.array([errors(one, target) for one in drawn.hypotheses[frame]])
        for column, count in enumerate(asked.few):
            best = [
                each[list(chosen)].min(axis=0)
                for chosen in itertools.combinations(range(HYPOTHESES), count)
            ]
            np.testing.assert_allclose(
                found.drawn[frame, column], np.mean(best, axis=0), rtol=1e-4
            )


def test_single_poses_and_centres_have_their_errors(drawn, measured):
    asked, found = measured
    own = jax.vmap(jax.random.fold_in, (0, None))(drawn.keys, 5)
    for column, rule in enumerate(asked.rules):
        pose = np.asarray(
            selection.select(
                rule,
                drawn.hypotheses,
                mode=drawn.mode,
                key=own,
                log_density=drawn.log_density,
            )
        )
        for frame in range(2):
            np.testing.assert_allclose(
                found.poses[frame, column],
                errors(pose[frame], drawn.target[frame]),
                rtol=1e-4,
                err_msg=rule,
            )
    centres = np.asarray(kmeans.kmeans(drawn.hypotheses, 5, own).centres)
    want = np.min([errors(one, drawn.target[0]) for one in centres[0]], axis=0)
    np.testing.assert_allclose(found.centres[0, 0], want, rtol=1e-4)


def test_sums_are_averaged_over_actions(measured):
    asked, found = measured
    actions = np.array(["b", "a", "a", "b", "b"])
    totals = {}
    for rows in (slice(0, 2), slice(2, 5)):
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], found)
        sums.add_by_name(totals, sums.grouped(actions[rows], part))
    result = reductions.ReductionResult.of(asked, totals)
    want = (found.poses[1:3].mean(0) + found.poses[[0, 3, 4]].mean(0)) / 2
    np.testing.assert_allclose(result.average.poses, want, rtol=1e-5)
    document = result.to_json()
    assert list(document["one_pose"]) == list(selection.RULES)
    np.testing.assert_allclose(
        document["best_of_drawn"]["5"]["mpjpe_mm"], result.average.drawn[0, 0]
    )
    few, single = result_tables.fewer(result), result_tables.one_pose(result)
    assert few.rows[-1].cells[0] == "10 K-means centres"
    assert len(best_cells(single)) >= 2
