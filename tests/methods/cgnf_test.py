"""The flow over the skeleton's graph: its edges, its inverse and its density."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.common import made_up
from jaxflow.gaussians.condition import condition
from jaxflow.methods import cgnf, whitening
from jaxflow.skeleton import CONDITIONED_MPII, H36M_JOINTS, MPII_JOINTS
from tests.helpers import methods as small

DATA = made_up(2)
NODE = {H36M_JOINTS[joint]: i for i, joint in enumerate(cgnf.NODES)}
DETECTED = {name: i for i, name in enumerate(MPII_JOINTS)}


@pytest.fixture(scope="module")
def model():
    """Four layers, so that each coordinate has its turn, and one of them twice."""
    config = dataclasses.replace(small.TINY.net, depth=4)
    params = cgnf.METHOD.fresh(jax.random.key(0), config)
    rng = np.random.default_rng(0)
    net = jax.tree.map(
        lambda a: a + 0.05 * jnp.asarray(rng.normal(size=a.shape), a.dtype),
        params["net"],
    )
    train = dataclasses.replace(small.TINY, net=config)
    return cgnf.METHOD.model({**params, "net": net}, train)


@pytest.fixture(scope="module")
def seen(model):
    return whitening.seen(model.params["whitening"], DATA.pose2d, DATA.cond)


def test_bones_join_nodes_and_the_left_hip_stands_for_both():
    bones = cgnf.bones()
    np.testing.assert_array_equal(bones, bones.T)
    assert bones.sum() == 2 * 13 and not np.diagonal(bones).any()
    assert bones[NODE["LHip"], NODE["RKnee"]] and bones[NODE["LHip"], NODE["LKnee"]]
    roots = np.flatnonzero(cgnf.at_root()[:, 0])
    assert {*roots} == {NODE["LHip"], NODE["Spine"]}


def test_each_node_hears_its_own_detection():
    told = cgnf.detection_edges()
    assert (told.sum(1) == 1).sum() == 14  # all but the hips' node
    assert told[NODE["LHip"], DETECTED["RHip"]] and told[NODE["LHip"], DETECTED["LHip"]]
    assert told[NODE["Nose"], DETECTED["Head"]]
    assert not told[:, DETECTED["Hip"]].any()
    wrist = told[NODE["LWrist"]]
    assert np.flatnonzero(wrist).tolist() == [DETECTED["LWrist"]]


def test_nodes_have_all_freedom_of_a_pose():
    axes = np.asarray(DATA.pose3d).reshape(2, 3, 16)
    poses = (axes - axes.mean(-1, keepdims=True)).reshape(2, 48)
    nodes = cgnf.to_nodes(jnp.asarray(poses))
    assert nodes.shape == (2, 15, 3)
    np.testing.assert_allclose(cgnf.to_pose(nodes), poses, atol=1e-6)


def test_a_detection_is_heard_up_to_five_pixels_along_its_longer_axis():
    fits = np.zeros((16, 7), np.float32)
    fits[:, 0], fits[:, 1:3] = 0.8, np.random.default_rng(0).uniform(20, 40, (16, 2))
    fits[:, 3:6] = [2.0, 0.7, 1.5]
    fits[DETECTED["LWrist"], 3:6] = [1.0, 0.7, 5.1]
    fits[DETECTED["RWrist"], 3:6] = [4.9, 0.7, 4.9]
    fits[DETECTED["RHip"], 3:6] = [9.0, 0.7, 9.0]  # of hips nothing is known
    heard = cgnf.sure(condition(jnp.asarray(fits)))
    np.testing.assert_array_equal(np.flatnonzero(heard == 0), [DETECTED["LWrist"]])


def test_what_is_not_heard_reaches_no_node(model, seen):
    net, wrist = model.params["net"], DETECTED["LWrist"]
    heard = jnp.ones((2, 16)).at[:, wrist].set(0)
    columns = [wrist, 16 + wrist]  # its place among the inputs
    moved = seen.inputs.at[:, columns].add(1.0)
    before, after = (cgnf.shares(net, rows, heard) for rows in (seen.inputs, moved))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    every = jnp.ones((2, 16))
    before, after = (cgnf.shares(net, rows, every) for rows in (seen.inputs, moved))
    changed = np.abs(before.second - after.second).max((0, 1, 3))
    assert (changed > 1e-4).all()  # all nodes hear of it, by the others


def test_an_unsure_detection_moves_no_hypothesis(model):
    row = 6 * CONDITIONED_MPII.index(DETECTED["LWrist"])
    cond = np.array(DATA.cond)
    cond[:, row + 3 : row + 6] = [0.6, 0.0, 0.6]  # 7.7 px
    pose2d = np.array(DATA.pose2d)
    moved = np.copy(pose2d)
    moved[:, [DETECTED["LWrist"], 16 + DETECTED["LWrist"]]] += 0.5
    one, other = (
        model.sample(rows, cond, small.KEY, num_hypotheses=3)
        for rows in (pose2d, moved)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    told = model.sample(moved, DATA.cond, small.KEY, num_hypotheses=3)
    assert (
        np.abs(
            told - model.sample(pose2d, DATA.cond, small.KEY, num_hypotheses=3)
        ).max()
        > 1e-4
    )


def test_layers_invert_and_the_density_is_that_of_what_is_drawn(model, seen):
    params, one = model.params, jax.tree.map(lambda a: a[0], seen)
    layers = params["net"]["layers"]
    shares = cgnf.shares(params["net"], one.inputs, cgnf.sure(one.cond))
    z = jax.random.normal(small.KEY, (15, 3))
    u = cgnf.inverse(layers, shares, z)
    np.testing.assert_allclose(cgnf.forward(layers, shares, u)[0], z, atol=1e-5)

    def pose(flat):
        return cgnf.to_pose(cgnf.inverse(layers, shares, flat.reshape(15, 3)))

    jacobian = np.asarray(jax.jacobian(pose)(z.reshape(-1)), np.float64)
    log_det = np.linalg.slogdet(whitening.basis().T @ jacobian)[1]
    expected = np.sum(-(np.asarray(z, np.float64) ** 2) / 2 - np.log(2 * np.pi) / 2)
    place = params["whitening"]["pose"]["place"]
    density = cgnf.density(params, place + cgnf.to_pose(u), one)
    np.testing.assert_allclose(density, expected - log_det, atol=2e-3)


def test_losses_by_joint_and_the_mode_s_error_in_mm():
    """Of layers that do nothing but scale one coordinate by sigmoid(2) + 0.001."""
    method, config = cgnf.METHOD, small.TINY
    state = method.init(jax.random.key(0), config)
    out = state.params["net"]["layers"]["second"]["out"]
    out["kernel"] = jnp.zeros_like(out["kernel"])
    batches = small.batches(method)
    noise = method.draw_noise(small.KEY, config)
    iteration = jax.jit(lambda *given: method.iteration(*given, config))
    _, losses = iteration(state, batches, noise)
    u = np.asarray(cgnf.to_nodes(batches.frames.pose3d[0]), np.float64)
    lengths = np.sqrt((u**2).sum(-1))
    np.testing.assert_allclose(losses.mode, 1000 / 3.6 * lengths.mean(), rtol=1e-4)
    scale = 1 / (1 + np.exp(-2)) + 0.001
    z = u * [scale, 1, 1]
    density = -(z**2).sum(-1) / 2 - 1.5 * np.log(2 * np.pi) + np.log(scale)
    np.testing.assert_allclose(losses.likelihood, -density.mean(), rtol=1e-4)
    np.testing.assert_allclose(losses.prior, losses.likelihood, rtol=1e-5)
