"""The released code's weights by name: the way in, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import critic, flow, torch_weights
from jaxflow.config import FlowConfig
from tests.golden import make
from tests.oracles import released_names

SMALL = FlowConfig(blocks=2, **make.SIZES)
STATE = make.flow_state(50, blocks=2)


def params_from(state):
    return torch_weights.params_from_state(state, SMALL)


def test_released_checkpoint_has_the_structure_of_init(reference):
    params = torch_weights.params_from_state(reference("flow_params"))
    expected = jax.eval_shape(lambda: flow.init(jax.random.key(0)))
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    for got, want in zip(
        jax.tree.leaves(params), jax.tree.leaves(expected), strict=True
    ):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)


def test_every_weight_has_its_place():
    back = released_names.flow_state(params_from(STATE))
    assert back.keys() == STATE.keys()
    for name in STATE:
        np.testing.assert_array_equal(back[name], STATE[name])


def test_every_critic_weight_has_its_place():
    state = make.critic_state(51)
    params = torch_weights.critic_params_from_state(state)
    expected = jax.eval_shape(lambda: critic.init(jax.random.key(0)))
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    back = released_names.critic_state(params)
    for name in state:
        np.testing.assert_array_equal(back[name], state[name])


def test_float64_and_lists_become_float32():
    state = {name: leaf.astype(np.float64) for name, leaf in STATE.items()}
    state["cond_net.0.bias"] = state["cond_net.0.bias"].tolist()
    for leaf in jax.tree.leaves(params_from(state)):
        assert leaf.dtype == jnp.float32


def test_stored_permutations_are_checked_and_left_out():
    state = dict(STATE)
    for block in range(2):
        perm = np.random.RandomState(block).permutation(48)
        state[f"inn.module_list.{2 * block + 2}.perm"] = perm
        state[f"inn.module_list.{2 * block + 2}.perm_inv"] = np.argsort(perm)
    assert jax.tree.structure(params_from(state)) == jax.tree.structure(
        params_from(STATE)
    )
    state["inn.module_list.4.perm"] = np.arange(48)
    with pytest.raises(ValueError, match=r"inn\.module_list\.4\.perm .*seeded with 1"):
        params_from(state)


def altered(**changes):
    state = {**STATE, **changes}
    return {name: leaf for name, leaf in state.items() if leaf is not None}


def test_everything_wrong_is_named_at_once():
    state = altered(
        **{
            "cond_net.0.bias": None,
            "cond_net.1.bias": np.zeros(3),
            "cond_net.2.bias": np.zeros(9),
            "inn.module_list.3.s1.2.bias": np.full(48, np.nan),
        }
    )
    with pytest.raises(ValueError) as caught:
        params_from(state)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: cond_net.0.bias",
        "  unknown: cond_net.1.bias",
        "  wrong shape: cond_net.2.bias is (9,), expected (8,)",
        "  not finite in float32: inn.module_list.3.s1.2.bias",
    ]


def test_another_depth_and_another_width_are_refused():
    with pytest.raises(ValueError, match=r"unknown: inn\.module_list\.5\.s1"):
        params_from(make.flow_state(50, blocks=3))
    with pytest.raises(ValueError, match=r"and \d+ more"):
        torch_weights.params_from_state(STATE)


def test_critic_problems_are_named():
    state = make.critic_state(51)
    state["fc10.bias"] = state.pop("fc9.bias")
    with pytest.raises(ValueError, match=r"missing: fc9\.bias\n  unknown: fc10\.bias"):
        torch_weights.critic_params_from_state(state)
