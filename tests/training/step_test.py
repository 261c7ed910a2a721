"""One training iteration: the released code's numbers, its gradient, its variants."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxflow import torch_weights
from jaxflow.config import FlowConfig, LossConfig, OptimizerConfig, TrainConfig
from jaxflow.training import parallel, step
from jaxflow.training import state as state_lib
from jaxflow.types import Batch
from tests.golden import make, store
from tests.oracles import critic as critic_oracle
from tests.oracles import flow as flow_oracle
from tests.oracles import losses as losses_oracle
from tests.oracles import released_names

CONFIG = TrainConfig(batch_size=4, hypotheses=8, flow=FlowConfig(**make.SIZES))
FLOW_WEIGHTS, CRITIC_WEIGHTS, ITERATIONS = make.training_case()
# The paper's terms; the energy score is not among the released code's.
TERMS = [name for name in step.Losses._fields if name != "energy"]
iterate = jax.jit(step.iteration, static_argnums=3)


def start(config=CONFIG):
    return state_lib.from_params(
        torch_weights.params_from_state(FLOW_WEIGHTS, config.flow),
        torch_weights.critic_params_from_state(CRITIC_WEIGHTS),
        config,
    )


def run(config=CONFIG, *, rate_scale=1.0):
    """The first golden iteration under another configuration."""
    part, noise = ITERATIONS[0]
    arguments = Batch(*part), step.Noise(**noise), config
    return iterate(start(config), *arguments, rate_scale=np.float32(rate_scale))


@pytest.fixture(scope="module")
def plain():
    return run()


def share_within(differences, bound):
    return np.mean(np.concatenate([np.ravel(d) for d in differences]) <= bound)


def test_three_iterations_of_the_released_code(reference):
    """Mean losses (the file has them weighted) and the weights after them."""
    arrays, poses = reference("training"), reference("preprocessing")
    config = TrainConfig(batch_size=16, hypotheses=24)
    state = state_lib.from_params(
        torch_weights.params_from_state(reference("flow_params")),
        torch_weights.critic_params_from_state(reference("critic_params")),
        config,
    )
    history = []
    for i, rows in enumerate(arrays["batch_indices"]):
        batches = Batch(
            *(poses[name][rows] for name in ("pose3d", "pose2d", "condition"))
        )
        names = "critic_z", "critic_alpha", "mmd_z", "generator_z", "hypothesis_z"
        noise = step.Noise(*(arrays[f"{name}_{i}"] for name in names))
        state, terms = iterate(state, batches, noise, config)
        history.append(terms)
    weight = {"mmd": 10, "det": 4, "best_of_m": 4, "heatmap": 750}
    released = {"best_of_m": "mb", "heatmap": "hm"}
    for name in TERMS:
        got = np.mean([getattr(terms, name) for terms in history]) * weight.get(name, 1)
        want = arrays[f"mean_{released.get(name, name)}"]
        np.testing.assert_allclose(got, want, rtol=1e-3, err_msg=name)
    ours = {
        "flow": released_names.flow_state(state.flow),
        "critic": released_names.critic_state(state.critic),
    }
    listed = [name for name in arrays if "/" in name]
    differences = []
    for name in listed:
        model, weight_name = name.split("/")
        differences.append(np.abs(ours[model][weight_name] - arrays[name]))
    assert len(listed) == 25
    assert share_within(differences, 2e-6) >= 0.99
    assert share_within(differences, 1e-5) >= 0.999


def test_two_golden_iterations():
    """Against the float64 run of the same code."""
    history, params, critic_params = make.run_training(np.float32)
    arrays = store.load("training")
    for name in TERMS:
        got = [terms[name] for terms in history]
        np.testing.assert_allclose(got, arrays[name], rtol=1e-3, err_msg=name)
    leaves = {
        f"blocks/{net}/{layer}/{kind}": leaf[[0, -1]]
        for net, layers in params["blocks"].items()
        for layer, kinds in layers.items()
        for kind, leaf in kinds.items()
    }
    leaves["encoder/Dense_1/kernel"] = params["encoder"]["Dense_1"]["kernel"]
    leaves["critic/fc1/bias"] = critic_params["fc1"]["bias"]
    leaves["critic/fc9/kernel"] = critic_params["fc9"]["kernel"]
    differences = [np.abs(leaf - arrays[name]) for name, leaf in leaves.items()]
    assert share_within(differences, 2e-6) >= 0.99
    assert share_within(differences, 1e-5) >= 0.999
    moved = np.abs(leaves["critic/fc1/bias"] - CRITIC_WEIGHTS["fc1.bias"])
    assert np.median(moved) > 1e-4  # ten steps of some 1e-4 each


def first_moment(optimizer_state):
    """Adam's first moment; after one update from zero it is (1 - beta1) gradient."""
    found = [
        leaf
        for leaf in jax.tree.leaves(
            optimizer_state, is_leaf=lambda x: isinstance(x, optax.ScaleByAdamState)
        )
        if isinstance(leaf, optax.ScaleByAdamState)
    ]
    assert len(found) == 1
    return found[0].mu


@pytest.fixture(scope="module")
def double():
    """A float64 iteration with one critic update and no clipping, and its inputs."""
    config = dataclasses.replace(
        CONFIG,
        critic_updates=1,
        optimizer=OptimizerConfig(clip=1e9, critic_learning_rate=1e-3),
    )
    part, noise = ITERATIONS[0]
    # The real and the fake batch of the one critic update, and the flow's.
    rows = np.array([0, 1, 10])
    noise = {**noise, "critic_z": noise["critic_z"][:1], "mix": noise["mix"][:1]}
    state = start(config)
    with jax.enable_x64(True):
        state, batch, noise = jax.tree.map(
            lambda leaf: (
                leaf if leaf.dtype == jnp.int32 else np.asarray(leaf, np.float64)
            ),
            (state, Batch(*(a[rows] for a in part)), step.Noise(**noise)),
        )
        after, terms = jax.device_get(iterate(state, batch, noise, config))
    return state, batch, noise, after, terms


def directional(function, state, seed, step_size=1e-6):
    """A random direction, and the function's derivative along it."""
    rng = np.random.RandomState(seed)
    direction = {name: rng.randn(*np.shape(leaf)) for name, leaf in state.items()}

    def at(size):
        return function(
            {name: leaf + size * direction[name] for name, leaf in state.items()}
        )

    return direction, (at(step_size) - at(-step_size)) / (2 * step_size)


def along(gradient, direction):
    return sum(np.sum(gradient[name] * leaf) for name, leaf in direction.items())


def test_losses_are_the_oracles(double):
    state, batch, noise, after, terms = double
    weights = released_names.flow_state(state.flow)
    flow_batch = Batch(*(array[2] for array in batch))
    critic_after = released_names.critic_state(after.critic)
    want = losses_oracle.flow_terms(weights, critic_after, flow_batch, noise)
    for name, value in want.items():
        np.testing.assert_allclose(getattr(terms, name), value, rtol=1e-9, err_msg=name)
    assert all(abs(value) > 1e-4 for value in want.values())  # every term is at work


@pytest.mark.parametrize("seed", [0, 1])
def test_flow_gradient_is_the_objective_s_slope(double, seed):
    """Finite differences of the literal objective, what it stops kept at its value."""
    state, batch, noise, after, _ = double
    weights = released_names.flow_state(state.flow)
    flow_batch = Batch(*(array[2] for array in batch))
    critic_after = released_names.critic_state(after.critic)

    def objective(moved):
        terms = losses_oracle.flow_terms(
            moved, critic_after, flow_batch, noise, weights
        )
        return sum(losses_oracle.WEIGHTS[name] * term for name, term in terms.items())

    direction, want = directional(objective, weights, seed)
    mu = released_names.flow_state(first_moment(after.flow_optimizer))
    np.testing.assert_allclose(2 * along(mu, direction), want, rtol=1e-5)


def test_critic_gradient_is_its_objective_s_slope(double):
    state, batch, noise, after, terms = double
    weights = released_names.critic_state(state.critic)
    output = np.hstack([noise.critic_z[0], batch.pose2d[1]])
    flow_weights = released_names.flow_state(state.flow)
    fake = flow_oracle.inverse(flow_weights, output, batch.cond[1])

    def objective(moved):
        return critic_oracle.objective(moved, batch.pose3d[0], fake, noise.mix[0])

    np.testing.assert_allclose(terms.critic, objective(weights), rtol=1e-9)
    # So small a step that no leaky ReLU turns: the penalty jumps where one does.
    direction, want = directional(objective, weights, 3, step_size=1e-9)
    mu = released_names.critic_state(first_moment(after.critic_optimizer))
    np.testing.assert_allclose(2 * along(mu, direction), want, rtol=1e-5)


def test_first_updates_are_adam_steps(double):
    """From zero moments: rate * g / (|g| + eps), with the two rates apart."""
    state, _, _, after, _ = double
    for name, rate in (("flow", 1e-4), ("critic", 1e-3)):
        mu = first_moment(getattr(after, f"{name}_optimizer"))
        for before, now, moment in zip(
            *map(jax.tree.leaves, (getattr(state, name), getattr(after, name), mu)),
            strict=True,
        ):
            gradient = 2 * moment
            want = before - rate * gradient / (np.abs(gradient) + 1e-8)
            np.testing.assert_allclose(now, want, atol=1e-12)
    assert int(after.step) == 1


def changed(before, after):
    """Largest difference of any leaf."""
    leaves = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in leaves)


def assert_only(terms, plain_terms, *names):
    for name in TERMS:
        got, want = getattr(terms, name), getattr(plain_terms, name)
        same = np.isclose(got, want, rtol=1e-5, atol=1e-8)
        assert same == (name not in names), name


def test_loss_variants_change_their_terms_alone(plain):
    loss = LossConfig(unbiased_mmd=True, mask_needs_both=True)
    state, terms = run(dataclasses.replace(CONFIG, loss=loss))
    assert_only(terms, plain[1], "mmd", "heatmap")
    part, noise = ITERATIONS[0]
    pose3d, pose2d, cond = (array[10] for array in part)
    output, _ = flow_oracle.forward(FLOW_WEIGHTS, pose3d, cond)
    want = losses_oracle.mmd(output, np.hstack([noise["mmd_z"], pose2d]), unbiased=True)
    np.testing.assert_allclose(terms.mmd, want, rtol=1e-4)
    drawn = [
        flow_oracle.inverse(FLOW_WEIGHTS, np.hstack([z, pose2d]), cond)
        for z in noise["hypothesis_z"]
    ]
    want = losses_oracle.heatmap_covariance(np.stack(drawn), cond, needs_both=True)
    np.testing.assert_allclose(terms.heatmap, want, rtol=1e-4)
    assert changed(state.critic, plain[0].critic) == 0
    assert changed(state.flow, plain[0].flow) > 1e-6


@pytest.fixture(scope="module")
def clamped():
    """An iteration with the exact clamp and gradients cut at 1e-4."""
    flow_config = FlowConfig(**make.SIZES, exact_clamp=True)
    optimizer = OptimizerConfig(clip=1e-4)
    return run(dataclasses.replace(CONFIG, flow=flow_config, optimizer=optimizer))


@pytest.mark.slow
def test_the_exact_clamp_changes_what_goes_through_the_flow(plain, clamped):
    state, terms = clamped
    for name in TERMS:
        got, want = getattr(terms, name), getattr(plain[1], name)
        assert got != want and np.isclose(got, want, rtol=0.05), name
    part, noise = ITERATIONS[0]
    want = losses_oracle.flow_terms(
        FLOW_WEIGHTS,
        released_names.critic_state(state.critic),
        [array[10] for array in part],
        step.Noise(**noise),
        factor=2 / np.pi,
    )
    for name, value in want.items():
        np.testing.assert_allclose(getattr(terms, name), value, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize(("clip_encoder", "encoder"), [(False, 10.0), (True, 7.5)])
def test_clipping(clip_encoder, encoder):
    """To 15 an element in the blocks; in the encoder only if asked for."""
    gradient = {
        "encoder": {"w": jnp.array([20.0])},
        "blocks": {"w": jnp.array([20.0, -20.0, 3.0])},
    }
    config = OptimizerConfig(clip_encoder=clip_encoder)
    optimizer = state_lib.flow_optimizer(config)
    with jax.numpy_dtype_promotion("standard"):
        _, after = optimizer.update(gradient, optimizer.init(gradient))
    mu = first_moment(after)
    np.testing.assert_allclose(mu["blocks"]["w"], [7.5, -7.5, 1.5])
    np.testing.assert_allclose(mu["encoder"]["w"], [encoder])


def test_an_iteration_clips_the_blocks_alone(plain, clamped):
    """The clamped case is also cut at 1e-4: see its fixture."""
    del plain
    mu = jax.device_get(first_moment(clamped[0].flow_optimizer))
    largest = {
        part: max(np.abs(leaf).max() for leaf in jax.tree.leaves(mu[part]))
        for part in mu
    }
    np.testing.assert_allclose(largest["blocks"], 0.5e-4, rtol=1e-5)
    assert largest["encoder"] > 1e-3


def test_rates_are_halved_together(plain):
    state, terms = run(rate_scale=0.5)
    before = start()
    # The flow's step comes after the critic's, whose five steps are seen by two terms.
    assert_only(terms, plain[1], "critic", "gen")
    for model, tolerance in (("flow", 0.001), ("critic", 0.15)):
        trees = (getattr(one, model) for one in (state, plain[0], before))
        for half, whole, first in zip(*map(jax.tree.leaves, trees), strict=True):
            if first.size == 1:
                continue  # the critic's last bias, on which nothing depends
            halved, moved = (np.abs(np.subtract(x, first)) for x in (half, whole))
            ratio = np.median(halved) / np.median(moved)
            np.testing.assert_allclose(ratio, 0.5, atol=tolerance)


@pytest.mark.parametrize(
    ("epoch", "want"), [(0, 1.0), (149, 1.0), (150, 0.5), (154, 0.5)]
)
def test_rate_scale(epoch, want):
    assert (
        float(parallel.rate_scale(OptimizerConfig(), jnp.int32(epoch), jnp.int32(0)))
        == want
    )
