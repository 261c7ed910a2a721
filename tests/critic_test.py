"""The critic: references, what the kinematic chain space does and does not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxflow import critic, losses, torch_weights
from tests.golden import make, store
from tests.golden.store import assert_close
from tests.oracles import critic as oracle

FEW = settings(max_examples=15, deadline=None, derandomize=True)
kcs = jax.jit(critic.kcs)
score = jax.jit(critic.score)
slope = jax.jit(
    jax.grad(lambda params, pose: critic.score(params, pose).sum(), argnums=1)
)
penalty = jax.jit(losses.gradient_penalty)
POSES = make.batch(30, 4)[0]
angles = st.floats(-3, 3, width=32)


@pytest.fixture(scope="module")
def params():
    return torch_weights.critic_params_from_state(make.critic_state(7))


@pytest.fixture(params=["released code", "golden"])
def case(request, reference, params):
    if request.param == "golden":
        return params, store.load("critic")
    weights = torch_weights.critic_params_from_state(reference("critic_params"))
    return weights, reference("critic")


def test_kcs_matrix(case):
    np.testing.assert_array_equal(critic.kcs_matrix(), case[1]["kcs_matrix"])


def test_kcs(case):
    assert_close(kcs(case[1]["pose3d"]), case[1]["kcs"])


def test_score_and_its_gradient(case):
    weights, arrays = case
    assert_close(score(weights, arrays["pose3d"]), arrays["score"][:, 0])
    assert_close(slope(weights, arrays["pose3d"]), arrays["score_grad"])


def test_gradient_penalty(case):
    weights, arrays = case
    got = penalty(weights, *(arrays[name] for name in ("pose3d", "fake", "alpha")))
    np.testing.assert_allclose(got, arrays["gradient_penalty"], rtol=1e-5)


def test_mix_is_the_share_of_the_real_pose(params):
    real, fake = POSES[:2], POSES[2:]
    only_fake = penalty(params, real, fake, np.zeros((2, 1), np.float32))
    only_real = penalty(params, real, fake, np.ones((2, 1), np.float32))
    state = make.critic_state(7)
    for got, poses in ((only_fake, fake), (only_real, real)):
        norms = [np.linalg.norm(oracle.score_gradient(state, one)) for one in poses]
        np.testing.assert_allclose(
            got, 10 * np.mean((np.array(norms) - 1) ** 2), rtol=1e-5
        )


def rotation(x, y, z):
    def about(axis, angle):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[j, i], turn[i, j] = np.sin(angle), -np.sin(angle)
        return turn

    return about(0, x) @ about(1, y) @ about(2, z)


@FEW
@given(x=angles, y=angles, z=angles, shift=angles)
def test_kcs_ignores_rotation_and_place(x, y, z, shift):
    joints = POSES.reshape(-1, 3, 16)
    moved = np.einsum("ij,njk->nik", rotation(x, y, z), joints) + shift
    got = kcs(moved.reshape(-1, 48).astype(np.float32))
    np.testing.assert_allclose(got, kcs(POSES), atol=3e-6)


def test_kcs_is_a_gram_matrix_of_bones():
    psi = np.asarray(kcs(POSES), np.float64)
    np.testing.assert_allclose(psi, psi.swapaxes(1, 2), atol=1e-7)
    assert np.linalg.eigvalsh(psi).min() > -1e-6
    shin = np.linalg.norm((POSES.reshape(-1, 3, 16)[..., 1:3] @ [1, -1]), axis=-1)
    np.testing.assert_allclose(psi[:, 1, 1], shin**2, rtol=1e-4)


def test_score_sees_rotation(params):
    turned = np.einsum("ij,njk->nik", rotation(0, 1, 0), POSES.reshape(-1, 3, 16))
    other = score(params, turned.reshape(-1, 48).astype(np.float32))
    assert np.abs(np.asarray(other) - np.asarray(score(params, POSES))).max() > 1e-3


def test_leading_axes_are_free(params):
    whole = score(params, POSES)
    assert critic.score(params, POSES.reshape(2, 2, 48)).shape == (2, 2)
    assert critic.kcs(POSES[0]).shape == (16, 16)
    np.testing.assert_allclose(critic.score(params, POSES[1]), whole[1], rtol=1e-4)


def test_init():
    init = jax.jit(critic.init)
    first, again = (init(jax.random.key(2)) for _ in range(2))
    assert sum(leaf.size for leaf in jax.tree.leaves(first)) == 2_404_401
    for name, layer in first.items():
        bound = 1 / np.sqrt(layer["kernel"].shape[0])
        for kind, leaf in layer.items():
            np.testing.assert_array_equal(leaf, again[name][kind])
            assert leaf.dtype == jnp.float32
            assert float(jnp.abs(leaf).max()) <= bound
            if leaf.size > 50:
                assert float(jnp.abs(leaf).max()) > 0.9 * bound
                assert abs(float(jnp.mean(leaf))) < 5 * bound / np.sqrt(3 * leaf.size)


def test_bad_input(params):
    with pytest.raises(
        ValueError, match=r"pose3d of shape \(\.\.\., 48\); got \(2, 51\)"
    ):
        critic.score(params, np.zeros((2, 51), np.float32))
    with pytest.raises(ValueError, match=r"pose3d of shape \(\.\.\., 48\)"):
        critic.kcs(np.zeros((16, 3), np.float32))
    with pytest.raises(TypeError, match="pose3d to be floating"):
        critic.kcs(np.zeros(48, int))
    with pytest.raises(TypeError, match="typed key"):
        critic.init(np.zeros(2, np.uint32))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 48), (3, 48), (2, 1)), r"real \(2,\), fake \(3,\), mix \(2,\)"),
        (((2, 48), (2, 48), (2,)), r"mix of shape \(\.\.\., any, 1\)"),
        (((2, 48), (2, 48), (2, 2)), r"mix of shape \(\.\.\., any, 1\)"),
        (((2, 47), (2, 48), (2, 1)), r"real of shape \(\.\.\., any, 48\)"),
    ],
)
def test_bad_input_to_the_penalty(params, shapes, message):
    with pytest.raises(ValueError, match=message):
        losses.gradient_penalty(params, *(np.zeros(s, np.float32) for s in shapes))
