"""One pose out of many: each rule against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import metrics
from jaxflow.maths.kmeans import kmeans
from jaxflow.metrics import selection
from tests.oracles import selection as oracle

KEY = jax.random.key(31)
N, M = 3, 20
medoid = jax.jit(selection.medoid)


def poses(seed, *shape, scale=0.1):
    values = np.random.default_rng(seed).normal(size=(*shape, 17, 3))
    return (scale * values).astype(np.float32)


HYPOTHESES, MODE = poses(0, N, M), poses(1, N)
LOG_DENSITY = np.random.default_rng(2).normal(size=(N, M)).astype(np.float32)
INPUTS = {"mode": MODE, "log_density": LOG_DENSITY, "key": KEY}


def test_the_rules_by_name():
    assert tuple(selection.RULES) == (
        "z0",
        "mean",
        "medoid",
        "largest_cluster",
        "most_likely",
    )


@pytest.mark.parametrize("rule", selection.RULES)
def test_every_rule_gives_one_pose_a_frame(rule):
    got = selection.select(rule, HYPOTHESES, **INPUTS)
    assert got.shape == (N, 17, 3) and got.dtype == jnp.float32
    row = selection.select(
        rule,
        HYPOTHESES[0],
        mode=MODE[0],
        log_density=LOG_DENSITY[0],
        key=jax.random.fold_in(KEY, 0),
    )
    np.testing.assert_allclose(got[0], row, atol=1e-6)


def test_z0_is_the_given_pose():
    np.testing.assert_array_equal(selection.select("z0", HYPOTHESES, mode=MODE), MODE)


def test_mean_is_the_slow_reference():
    got = selection.select("mean", HYPOTHESES)
    for i in range(N):
        np.testing.assert_allclose(got[i], oracle.mean(HYPOTHESES[i]), atol=1e-6)


def test_medoid_is_the_slow_reference():
    got = medoid(HYPOTHESES)
    for i in range(N):
        want = HYPOTHESES[i, oracle.medoid_index(HYPOTHESES[i])]
        np.testing.assert_array_equal(got[i], want)


def test_medoid_has_the_least_mpjpe_to_the_others():
    """By the package's own metric, every hypothesis in turn as the target."""
    errors = [metrics.mpjpe(HYPOTHESES[0], pose).sum() for pose in HYPOTHESES[0]]
    best = HYPOTHESES[0, int(np.argmin(errors))]
    np.testing.assert_array_equal(medoid(HYPOTHESES[0]), best)


def test_medoid_of_close_hypotheses_far_from_the_origin():
    """Differences of a millimetre at ten metres: inner products would lose them."""
    far = (poses(3, N, M, scale=1e-3) + np.float32(10)).astype(np.float32)
    got = medoid(far)
    for i in range(N):
        want = far[i, oracle.medoid_index(far[i])]
        np.testing.assert_array_equal(got[i], want)


def test_medoid_ignores_an_outlier_and_takes_the_first_of_equals():
    some = HYPOTHESES[0].copy()
    some[4] += 1e3
    chosen = oracle.medoid_index(some)
    np.testing.assert_array_equal(medoid(some), some[chosen])
    assert np.abs(selection.mean(some)).max() > 40
    same = np.broadcast_to(some[:1], (M, 17, 3))
    np.testing.assert_array_equal(medoid(same), some[0])
    np.testing.assert_array_equal(selection.medoid(some[:1]), some[0])


def test_medoid_needs_no_table_of_all_pairs():
    """Of 2,000 hypotheses, whose pairs would take 272 MB."""
    shape = jax.ShapeDtypeStruct((2000, 17, 3), jnp.float32)
    memory = medoid.lower(shape).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2e6


def test_largest_cluster_is_the_centre_of_most():
    """Twelve around one pose, eight around another and apart."""
    two = poses(4, 2, scale=1.0)
    which = np.arange(M) % 5 < 2
    some = (two[which.astype(int)] + poses(5, M, scale=0.001)).astype(np.float32)
    got = selection.largest_cluster(some, KEY, clusters=2)
    np.testing.assert_allclose(got, some[~which].mean(0), atol=1e-6)


def test_largest_cluster_by_default_is_of_five():
    found = kmeans(HYPOTHESES, selection.CLUSTERS, KEY)
    got = selection.select("largest_cluster", HYPOTHESES, key=KEY)
    for i in range(N):
        members = np.asarray(found.labels[i]) == int(np.argmax(found.sizes[i]))
        np.testing.assert_allclose(got[i], HYPOTHESES[i][members].mean(0), atol=1e-6)
    few = selection.largest_cluster(HYPOTHESES[0, :3], KEY)
    assert (np.asarray(few) == HYPOTHESES[0, :3]).all((-1, -2)).any()


def test_most_likely_has_the_highest_density():
    got = selection.select("most_likely", HYPOTHESES, log_density=LOG_DENSITY)
    for i in range(N):
        want = max(range(M), key=lambda m, i=i: LOG_DENSITY[i, m])
        np.testing.assert_array_equal(got[i], HYPOTHESES[i, want])


def test_under_jit_and_vmap():
    frame_keys = jax.random.split(KEY, N)

    def all_rules(hypotheses, mode, log_density, key):
        inputs = {"mode": mode, "log_density": log_density, "key": key}
        return [selection.select(r, hypotheses, **inputs) for r in selection.RULES]

    got = jax.jit(jax.vmap(all_rules))(HYPOTHESES, MODE, LOG_DENSITY, frame_keys)
    inputs = {**INPUTS, "key": frame_keys}
    for rule, one in zip(selection.RULES, got, strict=True):
        want = selection.select(rule, HYPOTHESES, **inputs)
        np.testing.assert_allclose(one, want, atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "change", "message"),
    [
        ("median", {}, "a rule of z0, mean, .*; got 'median'"),
        ("z0", {"mode": None}, "z0 needs mode"),
        ("most_likely", {"log_density": None}, "most_likely needs log_density"),
        ("largest_cluster", {"key": None}, "largest_cluster needs key"),
        ("z0", {"mode": MODE[:2]}, r"hypotheses \(3,\), mode \(2,\)"),
        ("most_likely", {"log_density": LOG_DENSITY[:, 1:]}, r"\(\.\.\., 20\)"),
        ("most_likely", {"log_density": LOG_DENSITY[:2]}, r"log_density \(2,\)"),
        ("mean", {"hypotheses": HYPOTHESES[:, :0]}, "at least one hypothesis"),
        ("medoid", {"hypotheses": HYPOTHESES[..., :2]}, r"\(\.\.\., any, 17, 3\)"),
    ],
)
def test_bad_input(rule, change, message):
    inputs = {"hypotheses": HYPOTHESES, **INPUTS, **change}
    with pytest.raises(ValueError, match=message):
        selection.select(rule, **inputs)
