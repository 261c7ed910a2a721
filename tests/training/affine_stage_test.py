"""The affine layer learns alone: only it has a gradient, and the score falls."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.flow import checkpoint
from jaxflow.training import affine_stage, epochs, state
from jaxflow.types import Batch
from tests.helpers.training import TINY, run_config, train_and_evaluate

FLOW = FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6, affine_hidden=16)
CONFIG = TrainConfig(
    batch_size=8, hypotheses=16, critic_hidden=16, affine_iterations=30, flow=FLOW
)


@pytest.fixture(scope="module")
def inputs():
    """State, batches of frames whose pose follows from the condition, latents."""
    start = state.init(jax.random.key(0), CONFIG)
    rng = np.random.default_rng(1)
    cond = rng.uniform(0.5, 1.5, (11, 8, 78))
    mix = rng.normal(size=(78, 48)) / 20
    pose3d = cond @ mix + 0.05 * rng.normal(size=(11, 8, 48))
    frames = pose3d, pose3d[..., :32], cond
    batches = Batch(*(array.astype(np.float32) for array in frames))
    return start, batches, rng.normal(size=(16, 8, 16)).astype(np.float32)


gradient = jax.jit(affine_stage.gradient, static_argnums=3)


def at(start, step):
    return start._replace(step=np.int32(step))


@pytest.mark.parametrize("step", [0, 20])
def test_only_the_layer_has_a_gradient(inputs, step):
    """In either half: likelihood first, then the energy score."""
    start, batches, latents = inputs
    grad, energy = gradient(at(start, step), batches, latents, CONFIG)
    assert np.isfinite(energy) and energy > 0
    for part, tree in grad.items():
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(tree))
        assert (largest > 0) == (part == "affine"), part


def test_the_halves_have_objectives_of_their_own(inputs):
    start, batches, latents = inputs
    first, _ = gradient(at(start, 9), batches, latents, CONFIG)
    later, _ = gradient(at(start, 10), batches, latents, CONFIG)
    pairs = zip(
        jax.tree.leaves(first["affine"]), jax.tree.leaves(later["affine"]), strict=True
    )
    assert any(not np.allclose(a, b, rtol=1e-3) for a, b in pairs)
    without = dataclasses.replace(CONFIG, affine_likelihood=0)
    again, _ = gradient(at(start, 9), batches, latents, without)
    jax.tree.map(np.testing.assert_array_equal, again, later)


@pytest.mark.parametrize(
    ("step", "total", "told"),
    [
        (0, 100, "until step 30 .*: until step 10 by likelihood, then by the energy"),
        (12, 20, "until step 20 .*: by the energy score"),
        (30, 100, "$"),
    ],
)
def test_what_a_run_is_told_of_it(step, total, told):
    assert re.match(told, affine_stage.stage_ahead(CONFIG, step, total))
    without = dataclasses.replace(CONFIG, flow=FlowConfig(), affine_iterations=0)
    assert not affine_stage.stage_ahead(without, step, total)


@jax.jit
def descended(params, grad):
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(grad)))
    return jax.tree.map(lambda p, g: p - 0.05 * g / norm, params, grad)


def test_descending_lowers_the_energy_score(inputs):
    start, batches, latents = inputs
    flow, scores = start.flow, []
    for _ in range(40):
        now = at(start._replace(flow=flow), 20)
        grad, energy = gradient(now, batches, latents, CONFIG)
        scores.append(float(energy))
        flow = descended(flow, grad)
    assert scores[-1] < 0.8 * scores[0]


@pytest.mark.slow
def test_a_run_goes_on_from_the_stage_to_the_rest(data_dir, tmp_path, capsys):
    """It says what the zeros mean; a stop within the stage changes no bit."""
    flow = dataclasses.replace(TINY.flow, affine_hidden=8)
    settings = dataclasses.replace(TINY, flow=flow, affine_iterations=3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, lengths in ((whole, [6]), (parts, [2, 6])):
        for iterations in lengths:
            config = dataclasses.replace(settings, iterations=iterations)
            train_and_evaluate(run_config(data_dir, config, checkpoint_every=2), folder)
    said = capsys.readouterr()
    assert (
        "until step 3 the affine layer learns alone, in short iterations: until step 1 "
        "by likelihood, then by the energy score"
    ) in said.out + said.err
    ours, theirs = (checkpoint.load_params(folder) for folder in (parts, whole))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    early = checkpoint.load_params(whole / "checkpoints" / "2")
    start = state.init(epochs.seeds(settings.seed).init, settings).flow
    jax.tree.map(np.testing.assert_array_equal, early["blocks"], start["blocks"])
    moved = [
        np.abs(a - b).max()
        for a, b in zip(*map(jax.tree.leaves, (ours, early)), strict=True)
    ]
    assert min(moved) > 0
