"""K-means against a slow reference, and in the cases where it usually breaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.maths.kmeans import kmeans, lloyd, plus_plus
from tests.oracles import kmeans as oracle

KEY = jax.random.key(5)
# A few shapes for all tests: each compiles once.
M, K = 40, 5
lloyd_of = jax.jit(lloyd, static_argnames="iterations")
start_of = jax.jit(plus_plus, static_argnums=1)


def hypotheses(seed, *batch, modes=4, count=M):
    """Poses around a few modes, metres."""
    rng = np.random.default_rng(seed)
    centres = 0.4 * rng.normal(size=(*batch, modes, 17, 3))
    chosen = rng.integers(modes, size=(*batch, count))[..., None, None]
    poses = np.take_along_axis(centres, chosen, axis=-3)
    return (poses + 0.08 * rng.normal(size=poses.shape)).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_lloyd_is_the_slow_reference(seed):
    points = hypotheses(seed).reshape(M, 51)
    start = points[np.random.default_rng(seed).choice(M, K, replace=False)]
    got = lloyd_of(points, start)
    centres, labels, inertia = oracle.lloyd(points, start)
    assert got.converged
    np.testing.assert_array_equal(got.labels, labels)
    np.testing.assert_allclose(got.centres, centres, atol=1e-6)
    np.testing.assert_allclose(got.inertia, inertia, rtol=1e-5)
    np.testing.assert_array_equal(got.sizes, np.bincount(labels, minlength=K))


@pytest.mark.parametrize("seed", range(3))
def test_no_worse_than_the_reference_from_the_same_start(seed):
    # On a plane and without clusters to find: many iterations, many local optima.
    points = np.random.default_rng(seed).normal(size=(M, 1, 2)).astype(np.float32)
    got = kmeans(points, K, KEY)
    start = start_of(points.reshape(M, 2), K, KEY)
    _, _, inertia = oracle.lloyd(points.reshape(M, 2), start)
    assert got.converged
    assert got.inertia <= inertia * (1 + 1e-5)


def test_finds_the_global_optimum_of_few_points():
    """Of nine points in three groups, over every possible labelling."""
    rng = np.random.default_rng(1)
    points = (
        rng.normal(size=(9, 1, 2)) * 0.1 + 5 * np.eye(3)[np.arange(9) % 3][:, None, :2]
    )
    got = kmeans(points.astype(np.float32), 3, KEY)
    want = oracle.least_inertia(points.reshape(9, 2), 3)
    np.testing.assert_allclose(got.inertia, want, rtol=1e-5)


def test_starts_at_distinct_points_spread_over_the_modes():
    points = hypotheses(7, modes=5).reshape(M, 51)
    drawn = jax.vmap(lambda key: plus_plus(points, K, key))(jax.random.split(KEY, 40))
    found = (np.asarray(drawn)[:, :, None] == points).all(-1)
    assert (found.sum(-1) == 1).all()  # each a point, and every point another
    chosen = found.argmax(-1)
    assert all(len(set(row)) == K for row in chosen)
    assert len(np.unique(chosen[:, 0])) > 10  # the first is any
    modes = oracle.lloyd(points, drawn[0])[1]
    hit = [len({modes[i] for i in row}) for row in chosen]
    assert np.mean(hit) > 4.5  # by chance 3.3 of 5


def test_one_centre_is_the_mean():
    points = hypotheses(8)
    got = kmeans(points, 1, KEY)
    np.testing.assert_allclose(got.centres[0], points.mean(0), atol=1e-6)
    assert got.sizes[0] == M and got.converged
    np.testing.assert_allclose(
        got.inertia, M * points.reshape(M, 51).var(0).sum(), rtol=1e-4
    )


def test_as_many_centres_as_points_are_the_points():
    points = hypotheses(9, count=7)
    got = kmeans(points, 7, KEY)
    assert got.inertia == 0 and got.converged
    np.testing.assert_array_equal(got.sizes, np.ones(7))
    np.testing.assert_array_equal(np.asarray(got.centres)[got.labels], points)


def test_identical_hypotheses():
    points = np.broadcast_to(hypotheses(10)[0] + np.float32(0.1), (M, 17, 3))
    got = kmeans(points, K, KEY)
    assert got.converged and got.inertia == 0
    np.testing.assert_array_equal(got.centres, points[:K])
    assert sorted(got.sizes.tolist()) == [0, 0, 0, 0, M]


@pytest.mark.parametrize("distinct", [2, 5])
def test_few_distinct_hypotheses_each_get_a_centre(distinct):
    """Also those that one start in the same place: empty clusters find them."""
    several = hypotheses(11, modes=distinct)[:distinct].reshape(distinct, 51)
    points = several[np.arange(M) % distinct]
    start = np.repeat(points[:1], K, axis=0)
    got = lloyd_of(points, start)
    assert got.converged and got.inertia == 0
    assert np.isfinite(got.centres).all()
    found = {tuple(row) for row in np.asarray(got.centres)}
    assert found == {tuple(row) for row in several}
    assert sorted(got.sizes.tolist())[-distinct:] == [M // distinct] * distinct


def test_an_empty_cluster_takes_the_farthest_point():
    points = hypotheses(12, modes=2).reshape(M, 51)
    points[3] += 3
    far_away = np.full((1, 51), 1e3, np.float32)  # nobody's nearest
    start = np.concatenate([points[10:11], far_away, far_away, points[11:13]])
    once = lloyd_of(points, start, iterations=1)
    np.testing.assert_array_equal(once.centres[1], points[3])
    got = lloyd_of(points, start)
    _, labels, inertia = oracle.lloyd(points, start)
    np.testing.assert_array_equal(got.labels, labels)
    np.testing.assert_allclose(got.inertia, inertia, rtol=1e-5)
    assert got.sizes.min() > 0


def test_results_agree_with_each_other():
    points = hypotheses(13, 4)
    got = kmeans(points, K, KEY)
    assert got.labels.dtype == got.sizes.dtype == jnp.int32
    assert got.centres.dtype == got.inertia.dtype == jnp.float32
    assert got.centres.shape == (4, K, 17, 3)
    for i in range(4):
        labels, distances = oracle.nearest(
            points[i].reshape(M, 51), np.asarray(got.centres[i]).reshape(K, 51)
        )
        np.testing.assert_array_equal(got.labels[i], labels)
        np.testing.assert_allclose(got.inertia[i], sum(distances), rtol=1e-5)
        for cluster in range(K):
            mean = points[i][got.labels[i] == cluster].mean(0)
            np.testing.assert_allclose(got.centres[i, cluster], mean, atol=1e-6)


def test_an_example_does_not_depend_on_its_neighbours():
    points = hypotheses(14, 4)
    example_keys = jax.random.split(KEY, 4)
    got = kmeans(points, K, example_keys)
    others = hypotheses(15, 4, modes=1)
    others[1] = points[1]
    again = kmeans(others, K, example_keys)
    for a, b in zip(got, again, strict=True):
        np.testing.assert_array_equal(a[1], b[1])
    alone = kmeans(points[1], K, example_keys[1])
    np.testing.assert_array_equal(alone.labels, got.labels[1])
    np.testing.assert_allclose(alone.centres, got.centres[1], atol=1e-6)


def test_batch_axes_keys_and_transformations():
    points = hypotheses(16, 2, 2)
    got = kmeans(points, K, KEY)
    row = kmeans(points.reshape(4, M, 17, 3), K, KEY)
    np.testing.assert_array_equal(got.labels.reshape(4, M), row.labels)
    own = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(4))
    mapped = jax.jit(jax.vmap(lambda p, k: kmeans(p, K, k)))
    again = mapped(points.reshape(4, M, 17, 3), own)
    np.testing.assert_array_equal(again.labels, row.labels)
    none = jax.eval_shape(lambda: kmeans(points[:0], K, KEY))
    assert none.centres.shape == (0, 2, K, 17, 3)


def test_the_cap_ends_it():
    # On a plane: in 51 dimensions few points ever change their cluster.
    points = np.random.default_rng(17).normal(size=(M, 1, 2)).astype(np.float32)
    short, whole = kmeans(points, K, KEY, iterations=1), kmeans(points, K, KEY)
    assert not short.converged and whole.converged
    assert whole.inertia < short.inertia


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k from 1 to the 40 points; got 0"),
        ({"k": 41}, ValueError, "k from 1 to the 40 points; got 41"),
        ({"k": 2.5}, TypeError, "float"),
        ({"iterations": 0}, ValueError, "at least 1, not 0"),
        ({"key": np.zeros(2, np.uint32)}, TypeError, "typed key"),
        ({"points": np.zeros((M, 17, 3), int)}, TypeError, "points to be floating"),
        ({"points": np.zeros((M, 51), np.float32)}, ValueError, "points of shape"),
    ],
)
def test_bad_input(change, error, message):
    inputs = {"points": hypotheses(18), "k": K, "key": KEY, **change}
    with pytest.raises(error, match=message):
        kmeans(**inputs)
