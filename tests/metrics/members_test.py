"""Every rule of choice and every metric over what all of them promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import metrics
from jaxflow.metrics import selection
from tests.oracles import metrics as oracle
from tests.oracles import selection as oracle_selection

N, M = 4, 9
RNG = np.random.default_rng(7)
TARGET = RNG.normal(0, 0.3, (N, 17, 3))
TARGET = (TARGET - TARGET[:, :1]).astype(np.float32)  # metres, hip at 0
HYPOTHESES = RNG.normal(0, 0.06, (N, M, 17, 3)) * RNG.uniform(0.5, 2, (N, M, 1, 1))
HYPOTHESES = (TARGET[:, None] + HYPOTHESES).astype(np.float32)
HYPOTHESES[..., 0, :] = 0
LOG_DENSITY = RNG.normal(0, 5, (N, M)).astype(np.float32)
KEYS = jax.random.split(jax.random.key(3), N)
ORDER = np.array([4, 0, 8, 2, 7, 1, 6, 3, 5])


def in_float64(function, *arrays):
    """Its value where everything is float64."""
    with jax.enable_x64(True):
        return np.asarray(
            jax.jit(function)(*(jnp.asarray(a, jnp.float64) for a in arrays))
        )


# Rules: name -> what `select` needs beside the hypotheses, of each frame, and whether
# it belongs to the single hypotheses, which another order takes along.
NEEDS = {
    "z0": ({"mode": TARGET}, False),
    "mean": ({}, False),
    "medoid": ({}, False),
    "largest_cluster": ({"key": KEYS}, False),
    "most_likely": ({"log_density": LOG_DENSITY}, True),
}
every_rule = pytest.mark.parametrize("rule", selection.RULES)
# The clusters start from hypotheses by their number: another order, other clusters.
ORDERLESS = [rule for rule in selection.RULES if rule != "largest_cluster"]
of_hypotheses = pytest.mark.parametrize("rule", [r for r in NEEDS if r != "z0"])
SELECT = {
    rule: jax.jit(lambda h, rest, rule=rule: selection.select(rule, h, **rest))
    for rule in selection.RULES
}  # op by op, the first call of each costs seconds


def choose(rule, hypotheses=HYPOTHESES, **changed):
    return np.asarray(SELECT[rule](hypotheses, {**NEEDS[rule][0], **changed}))


def test_the_table_has_every_rule():
    assert set(NEEDS) == set(selection.RULES)


@pytest.mark.parametrize("rule", ORDERLESS)
def test_a_rule_does_not_see_the_order(rule):
    needs, turns = NEEDS[rule]
    turned = {name: one[:, ORDER] for name, one in needs.items()} if turns else needs
    got = choose(rule, HYPOTHESES[:, ORDER], **turned)
    np.testing.assert_allclose(got, choose(rule), atol=1e-6)


def test_the_largest_of_clear_clusters_does_not_see_the_order():
    """Six in one place, three apart: where the clusters start decides nothing."""
    which = np.array([0, 0, 1, 0, 0, 1, 0, 1, 0])
    places = np.stack([TARGET, TARGET + 3], axis=1)[:, which]
    near = places + (HYPOTHESES - TARGET[:, None]) * np.float32(0.01)
    rule = jax.jit(lambda h, k: selection.largest_cluster(h, k, clusters=2))
    for order in (slice(None), ORDER):
        got = rule(near[:, order], KEYS)
        np.testing.assert_allclose(got, near[:, which == 0].mean(1), atol=1e-5)


@of_hypotheses
def test_one_hypothesis_is_the_answer(rule):
    single = {"log_density": LOG_DENSITY[:, :1]} if rule == "most_likely" else {}
    got = choose(rule, HYPOTHESES[:, :1], **single)
    np.testing.assert_allclose(got, HYPOTHESES[:, 0], atol=1e-7)


@every_rule
def test_of_equals_it_is_the_answer(rule):
    equal = np.repeat(TARGET[:, None], M, axis=1)
    np.testing.assert_allclose(choose(rule, equal), TARGET, atol=1e-6)


@every_rule
def test_a_batch_of_any_shape_is_its_frames(rule):
    needs = NEEDS[rule][0]
    rows = [
        SELECT[rule](HYPOTHESES[i], {name: one[i] for name, one in needs.items()})
        for i in range(N)
    ]
    folded = {name: one.reshape(2, 2, *one.shape[1:]) for name, one in needs.items()}
    got = choose(rule, HYPOTHESES.reshape(2, 2, M, 17, 3), **folded)
    assert got.shape == (2, 2, 17, 3) and got.dtype == np.float32
    np.testing.assert_allclose(got.reshape(N, 17, 3), rows, atol=1e-6)


@every_rule
def test_a_choice_moves_and_grows_with_the_poses(rule):
    """Nothing in a rule knows where the origin is or what the unit is."""
    shift, scale = np.float32([0.5, -0.25, 2.0]), np.float32(1000)
    moved = {"mode": scale * (TARGET + shift)} if rule == "z0" else {}
    got = choose(rule, scale * (HYPOTHESES + shift), **moved)
    want = scale * (choose(rule) + shift)
    np.testing.assert_allclose(got, want, atol=2e-3)  # a rounding of 2 m in mm


@pytest.mark.parametrize("rule", ["mean", "medoid"])
def test_a_rule_is_the_slow_one(rule):
    for i in range(N):
        if rule == "mean":
            want = oracle_selection.mean(HYPOTHESES[i])
        else:
            want = HYPOTHESES[i, oracle_selection.medoid_index(HYPOTHESES[i])]
        np.testing.assert_allclose(choose(rule)[i], want, atol=1e-6)


# Metrics of (hypotheses (..., M, 17, 3), target (..., 17, 3)).
# Name -> function, axis of the hypotheses in its value or None where they are joined,
# whether its value is a frame's, its value at equality, its float64 oracle of a frame.
def _each(figure):
    return lambda h, t: np.array([figure(pose, t) for pose in h])


def _within(h, t, mm=150):
    return np.array([np.mean([oracle.distances(p, t)[oracle.PCK] <= mm]) for p in h])


def _joints_aligned(pose, target):
    return oracle.distances(oracle.aligned(pose, target), target)


def _curve(h, t):
    return oracle.frame(h, t, t)["cps_curve"]


def _axis_hits(h, t):
    """(21, 16, 3): is less than that share of the hypotheses nearer to their median?"""
    centre = np.median(h, axis=0)
    nearer = np.mean(np.abs(h - centre) < np.abs(t - centre), axis=0)[1:]
    return np.array([nearer < level / 20 for level in range(21)])


def _score(distance):
    """E |h - x| - E |h - h'| / 2 over all pairs, in mm, by a distance of two poses."""

    def slow(h, t):
        error = np.mean([distance(pose, t) for pose in h], axis=0)
        pairs = [distance(h[i], h[j]) for i in range(M) for j in range(M) if i != j]
        return 1000 * (error - np.mean(pairs, axis=0) / 2)

    return slow


# Of nine hypotheses each is compared with all eight others, so no order counts.
SCORES = {
    "joint": _score(lambda a, b: np.linalg.norm(a - b, axis=-1)[1:]),
    "pose": _score(lambda a, b: np.linalg.norm((a - b)[1:]) / 4),
    "crps": _score(lambda a, b: np.abs(a - b)[1:]),
}
MEMBERS = {
    **{
        f"scores {part}": (
            lambda h, t, part=part: getattr(metrics.scores(h, t), part),
            None,
            True,
            0.0,
            slow,
        )
        for part, slow in SCORES.items()
    },
    "axis_hits": (metrics.axis_hits, None, True, None, _axis_hits),
    "mpjpe": (
        metrics.mpjpe,
        1,
        True,
        0.0,
        _each(lambda p, t: oracle.distances(p, t).mean()),
    ),
    "pa_mpjpe": (
        metrics.pa_mpjpe,
        1,
        True,
        0.0,
        _each(lambda p, t: _joints_aligned(p, t).mean()),
    ),
    "joint_errors": (metrics.joint_errors, 1, True, 0.0, _each(oracle.distances)),
    "aligned_joint_errors": (
        metrics.aligned_joint_errors,
        1,
        True,
        0.0,
        _each(_joints_aligned),
    ),
    "pck": (metrics.pck, 1, True, 1.0, _within),
    "spread": (
        lambda h, t: metrics.spread(h),
        None,
        True,
        0.0,
        lambda h, t: 1000 * np.std(h, axis=0, ddof=1),
    ),
    "calibration_hits": (metrics.calibration_hits, None, True, None, oracle.hits),
    "cps_curve": (metrics.cps_curve, None, False, 1.0, _curve),
    "cps": (metrics.cps, None, False, 299.0, lambda h, t: oracle.area(_curve(h, t))),
    "calibration": (
        lambda h, t: metrics.calibration(h, t).ece,
        None,
        False,
        None,
        lambda h, t: oracle.calibration_error([oracle.hits(h, t)]),
    ),
}
METRICS = {name: jax.jit(row[0]) for name, row in MEMBERS.items()}
every_metric = pytest.mark.parametrize("name", MEMBERS)
# What of the face is no metric of hypotheses and a target: constants, types, a part.
OTHERS = {
    "CALIBRATION_LEVELS",
    "CPS_THRESHOLDS",
    "ERROR_NAMES",
    "PCK_THRESHOLD",
    "ExampleErrors",
    "Scores",
    "area_under_cps_curve",
    "of_example",
}
LENGTHS = ["mpjpe", "pa_mpjpe", "joint_errors", "aligned_joint_errors", "spread"]  # mm
LENGTHS += [f"scores {part}" for part in SCORES]


def value(name, hypotheses=HYPOTHESES, target=TARGET):
    return np.asarray(METRICS[name](hypotheses, target))


def test_the_table_has_every_metric():
    named = {name.partition(" ")[0] for name in MEMBERS}
    assert named | OTHERS == set(metrics.__all__)


@every_metric
def test_float64_and_the_slow_reference_agree(name):
    function, _, of_frames, _, slow = MEMBERS[name]
    got = value(name)
    assert got.dtype == np.float32
    exact = in_float64(function, HYPOTHESES, TARGET)
    assert exact.dtype == np.float64
    np.testing.assert_allclose(got, exact, rtol=2e-5, atol=1e-4)
    pairs = list(zip(HYPOTHESES.astype(float), TARGET.astype(float), strict=True))
    if of_frames:
        want = [slow(h, t) for h, t in pairs]
        np.testing.assert_allclose(exact, want, rtol=1e-6, atol=1e-6)
    else:
        for i, (h, t) in enumerate(pairs):
            one = in_float64(function, HYPOTHESES[i : i + 1], TARGET[i : i + 1])
            np.testing.assert_allclose(one, slow(h, t), rtol=1e-6, atol=1e-9)


@every_metric
def test_the_order_of_hypotheses_turns_the_value_at_most(name):
    axis = MEMBERS[name][1]
    want = value(name) if axis is None else np.take(value(name), ORDER, axis)
    np.testing.assert_allclose(value(name, HYPOTHESES[:, ORDER]), want, rtol=1e-5)


@every_metric
def test_the_order_of_frames_turns_the_value_at_most(name):
    order = np.array([2, 0, 3, 1])
    want = value(name)[order] if MEMBERS[name][2] else value(name)
    got = value(name, HYPOTHESES[order], TARGET[order])
    np.testing.assert_allclose(got, want, rtol=1e-5)


@every_metric
def test_a_batch_of_any_shape_is_its_frames_one_by_one(name):
    _, _, of_frames, *_ = MEMBERS[name]
    folded = HYPOTHESES.reshape(2, 2, M, 17, 3), TARGET.reshape(2, 2, 17, 3)
    got = value(name, *folded)
    if of_frames:
        rows = [value(name, HYPOTHESES[i], TARGET[i]) for i in range(N)]
        np.testing.assert_allclose(got.reshape(N, *got.shape[2:]), rows, rtol=1e-4)
    else:
        np.testing.assert_allclose(got, value(name), rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in MEMBERS if MEMBERS[n][3] is not None])
def test_equality_has_the_best_value_and_nothing_else_has(name):
    best = MEMBERS[name][3]
    perfect = np.repeat(TARGET[:, None], M, axis=1)
    np.testing.assert_allclose(value(name, perfect), best, atol=1e-3)
    # Far off, no joint at its place; each hypothesis has a noise of its own.
    far = TARGET[:, None] + 4 * (HYPOTHESES - TARGET[:, None])
    far[..., 0, :] = 0
    away = np.abs(value(name, far) - best)
    assert away.mean() > (10 if best in (0, 299) else 0.1)


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_are_millimetres_of_metres(name):
    got = value(name, 2 * HYPOTHESES, 2 * TARGET)
    np.testing.assert_allclose(got, 2 * value(name), rtol=1e-4, atol=1e-3)
    if name == "spread":
        one = np.zeros((2, 17, 3), np.float32)
        one[1, 5, 2] = 0.002 * np.sqrt(2)
        np.testing.assert_allclose(value(name, one, TARGET[0])[5, 2], 2, rtol=1e-6)
    elif name in ("mpjpe", "joint_errors"):
        moved = value(name, TARGET + np.float32([0.003, 0.004, 0]), TARGET)
        np.testing.assert_allclose(moved, 5, rtol=1e-3)


@pytest.mark.parametrize(
    "name", ["pck", "cps_curve", "cps", "calibration_hits", "axis_hits"]
)
def test_shares_lie_between_nothing_and_everything(name):
    most = 299 if name == "cps" else 1
    got = value(name)
    assert (got >= 0).all() and (got <= most).all() and 0 < got.mean() < most


@pytest.mark.parametrize(
    "name", ["pa_mpjpe", "aligned_joint_errors", "cps_curve", "cps"]
)
def test_aligned_figures_do_not_see_a_similarity_of_the_hypotheses(name):
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    moved = (1.7 * HYPOTHESES @ turn + [0.3, 0, -1]).astype(np.float32)
    np.testing.assert_allclose(value(name, moved), value(name), rtol=1e-3, atol=1e-3)
    plain = metrics.mpjpe(moved, TARGET) - metrics.mpjpe(HYPOTHESES, TARGET)
    assert np.abs(plain).min() > 100


@pytest.mark.parametrize("name", MEMBERS)
def test_a_turn_of_both_changes_only_what_has_axes(name):
    """Distances stay; the spread and the median of each coordinate belong to axes."""
    turn = np.float32([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # x to y: 90 degrees
    got = value(name, HYPOTHESES @ turn, TARGET @ turn)
    want = value(name)
    if name in ("spread", "scores crps", "axis_hits"):
        want = want[..., [1, 0, 2]]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
