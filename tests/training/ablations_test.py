"""Ablations: what they take out is gone, from the result and from the work."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow import losses
from jaxflow.config import FlowConfig, LossConfig, TrainConfig
from jaxflow.flow import model, sampling
from jaxflow.training import objective, presets, state, step
from jaxflow.types import Batch
from tests.golden import make

SIZES = FlowConfig(**make.SIZES, blocks=2)
PART, NOISE = make.training_case()[2][0]
HYPOTHESIS_WEIGHTS = [
    field.name
    for field in dataclasses.fields(LossConfig)
    if field.name in ("best_of_m_weight", "heatmap_weight", "energy_weight")
]
# Terms of weight 0 and the random numbers that nothing else needs.
NEEDS = {
    "gen_weight": ("critic_z", "mix", "generator_z"),
    "mmd_weight": ("mmd_z",),
    **dict.fromkeys(HYPOTHESIS_WEIGHTS, ("hypothesis_z",)),
}


def configured(flow=SIZES, **loss):
    return TrainConfig(
        batch_size=4, hypotheses=8, critic_hidden=16, flow=flow, loss=LossConfig(**loss)
    )


def run(config, **noise):
    """One iteration from a fresh state: (before, after, terms)."""
    before = state.init(jax.random.key(5), config)
    drawn = step.Noise(**(NOISE | noise))
    iterate = jax.jit(step.iteration, static_argnums=3)
    return before, *iterate(before, Batch(*PART), drawn, config)


def assert_equal(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.slow
def test_terms_of_weight_zero_need_no_random_numbers():
    """NaN goes through any sum, so what is finite has not used it."""
    broken = {
        name: np.full_like(NOISE[name], np.nan)
        for names in NEEDS.values()
        for name in names
    }
    before, after, terms = run(configured(**dict.fromkeys(NEEDS, 0.0)), **broken)
    assert_equal(after.critic, before.critic)
    assert_equal(after.critic_optimizer, before.critic_optimizer)
    off = {name.removesuffix("_weight") for name in NEEDS} | {"critic"}
    assert {name for name, value in terms._asdict().items() if value == 0} == off
    assert "energy" in off
    _, _, want = run(configured())
    np.testing.assert_allclose(terms.l2d, want.l2d, rtol=1e-5)
    np.testing.assert_allclose(terms.det, want.det, rtol=1e-5)
    for leaf in jax.tree.leaves(after):
        assert np.isfinite(leaf).all()
    moved = [
        np.abs(a - b).max()
        for a, b in zip(*map(jax.tree.leaves, (after.flow, before.flow)), strict=True)
    ]
    assert min(moved) > 1e-6  # L2D and L_det still teach every parameter


def alone(**weights):
    """These weights of what is inverted, and no others."""
    off = dict.fromkeys((*HYPOTHESIS_WEIGHTS, "det_weight", "gen_weight"), 0.0)
    return configured(**(off | weights))


def hypothesis_part(config):
    """Terms and gradient of the losses of what is inverted."""
    params = state.init(jax.random.key(5), config).flow
    batch = Batch(*(array[-1] for array in PART))

    @jax.jit
    def part(params, *arguments):
        seen, back = jax.vjp(lambda params: model.see(params, batch.cond), params)
        terms, (gradient, by_seen) = objective.inverse_gradient(
            params, seen, *arguments, config
        )
        return terms, jax.tree.map(jnp.add, gradient, *back(by_seen))

    hypotheses = jnp.swapaxes(jnp.asarray(NOISE["hypothesis_z"]), 0, 1)
    latents = objective.Latents(hypotheses, hypotheses[:, 0], hypotheses[:, 0])
    terms, gradient = part(params, batch, latents, jnp.zeros_like(batch.pose3d))
    return terms[1:], gradient


@pytest.mark.parametrize(
    ("off", "inverted"),
    [
        ((), 8 + 1 + 1),
        (("det_weight",), 8 + 1),
        (("det_weight", "gen_weight"), 8),
        (HYPOTHESIS_WEIGHTS, 1 + 1),
        ((*HYPOTHESIS_WEIGHTS, "det_weight"), 1),
        ((*HYPOTHESIS_WEIGHTS, "det_weight", "gen_weight"), None),
    ],
)
def test_only_what_is_judged_is_inverted(monkeypatch, off, inverted):
    """Hypotheses, the pose's own latents, the critic's; nothing for a weight of 0."""
    seen, invert = [], sampling.hypotheses

    def counted(params, z, *arguments, **options):
        seen.append(z.shape[-2])
        return invert(params, z, *arguments, **options)

    monkeypatch.setattr(sampling, "hypotheses", counted)
    jax.eval_shape(lambda: hypothesis_part(configured(**dict.fromkeys(off, 0.0))))
    assert set(seen) == ({inverted} if inverted else set())


@pytest.mark.slow
def test_losses_of_hypotheses_are_the_public_ones():
    """Tile by tile, and all of the batch at once."""
    terms, _ = hypothesis_part(alone(**dict.fromkeys(HYPOTHESIS_WEIGHTS, 1.0)))
    params = state.init(jax.random.key(5), configured()).flow
    pose3d, pose2d, cond = (array[-1] for array in PART)
    latents = NOISE["hypothesis_z"]
    given = (np.broadcast_to(a, (len(latents), *a.shape)) for a in (pose2d, cond))
    hypotheses, _ = jaxflow.flow.inverse(params, latents, *given)
    want = (
        losses.best_of_m(hypotheses, pose3d),
        losses.heatmap_covariance(hypotheses, cond),
        losses.energy_score(hypotheses, pose3d),
    )
    np.testing.assert_allclose(terms, want, rtol=1e-4)


@pytest.mark.slow
def test_losses_of_hypotheses_add_up():
    """Each alone reads as beside the other, and gradients are each other's rest."""
    weights = dict(zip(HYPOTHESIS_WEIGHTS, (4.0, 750.0, 16.0), strict=True))
    terms, gradient = hypothesis_part(alone(**weights))
    total = jax.tree.map(jnp.zeros_like, gradient)
    for number, (name, weight) in enumerate(weights.items()):
        one, part = hypothesis_part(alone(**{name: weight}))
        np.testing.assert_allclose(one[number], terms[number], rtol=1e-5)
        assert terms[number] > 0
        assert [bool(term) for term in one] == [i == number for i in range(len(one))]
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(part)) > 1e-4
        total = jax.tree.map(jnp.add, total, part)
    for ours, want in zip(*map(jax.tree.leaves, (total, gradient)), strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def unconditioned():
    flow = dataclasses.replace(SIZES, use_condition=False)
    return run(configured(flow, gen_weight=0.0))


@pytest.fixture(scope="module")
def usual():
    return state.init(jax.random.key(5), configured()).flow


def test_without_the_condition_nothing_else_starts_otherwise(usual, unconditioned):
    ours = unconditioned[0].flow
    assert not np.any(ours["encoder"]["Dense_0"]["kernel"])
    assert_equal(ours["blocks"], usual["blocks"])
    assert_equal(ours["encoder"]["Dense_1"], usual["encoder"]["Dense_1"])
    assert np.any(ours["encoder"]["Dense_0"]["bias"])


def test_without_the_condition_the_kernel_stays_at_zero(unconditioned):
    """And the rest of the encoder learns its constant."""
    before, after, _ = unconditioned
    assert not np.any(after.flow["encoder"]["Dense_0"]["kernel"])
    for layer, kind in (
        ("Dense_0", "bias"),
        ("Dense_1", "kernel"),
        ("Dense_1", "bias"),
    ):
        old, new = (one.flow["encoder"][layer][kind] for one in (before, after))
        assert np.abs(new - old).max() > 1e-6, (layer, kind)


def test_without_the_condition_samples_do_not_depend_on_it(usual, unconditioned):
    """The parameters alone carry it: `sample` is called as ever."""
    pose2d, cond = PART[1][0], PART[2][0]
    other = np.roll(cond, 1, axis=0)
    key = jax.random.key(0)
    for params, same in ((unconditioned[1].flow, True), (usual, False)):
        ours, theirs = (
            jaxflow.sample(params, pose2d, given, key, num_hypotheses=3)
            for given in (cond, other)
        )
        assert np.array_equal(ours, theirs) == same


def test_without_the_condition_its_heatmaps_are_still_the_aim(unconditioned):
    assert unconditioned[2].heatmap > 0


def test_k50_needs_its_hypotheses_and_no_best_of_m_none():
    k50 = presets.ABLATIONS["k50"]
    with pytest.raises(ValueError, match="at least best_k = 50, not 25"):
        presets.apply(TrainConfig(hypotheses=25), k50)
    both = presets.apply(TrainConfig(hypotheses=25), presets.ABLATIONS["no_best_of_m"])
    assert dataclasses.replace(both, hypotheses=2).hypotheses == 2
