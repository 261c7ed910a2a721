"""What the user's setting JAX_NUMPY_RANK_PROMOTION=raise must not break."""

import jax
import jax.numpy as jnp
import pytest

from jaxflow import critic, fit_gaussians, flow, losses, methods, metrics
from jaxflow.gaussians import widening
from jaxflow.metrics import consistency, errors, paths, response, selection
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.types import RawFrames
from tests.helpers import methods as small

N, M, B = 3, 4, 5  # frames, hypotheses, rows of a batch
HEAD = MPII_JOINTS.index("Head")


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


KEY = jax.eval_shape(lambda: jax.random.key(0))
CRITIC = jax.eval_shape(critic.init, KEY)
FLOW = jax.eval_shape(flow.init, KEY)
MODELS = {
    name: jax.eval_shape(lambda n=name: small.model(n)) for name in methods.METHODS
}


def calls(*batch):
    """Name -> function and arguments whose frames have these leading axes."""
    return {
        **of_metrics(*batch),
        **of_uncertainty(*batch),
        **of_selection(*batch),
        **of_losses(),
        **of_networks(),
        **of_methods(*batch),
    }


def of_metrics(*batch):
    hypotheses, target = array(*batch, M, 17, 3), array(*batch, 17, 3)
    names = {name for name in metrics.__all__ if name[0].islower()}
    own = "spread", "of_example", "area_under_cps_curve"
    found = {
        f"metrics.{name}": (getattr(metrics, name), hypotheses, target)
        for name in sorted(names.difference(own))
    }
    for name in ("mpjpe", "pa_mpjpe", "pck"):
        function = getattr(metrics, name)
        found[f"metrics.{name} of one pose"] = function, target, array(2, *target.shape)
    return {
        **found,
        "metrics.area_under_cps_curve": (
            metrics.area_under_cps_curve,
            array(*batch, 300),
        ),
        "metrics.spread": (metrics.spread, hypotheses),
        "metrics.of_example": (metrics.of_example, hypotheses, target, target),
        "errors.expected_best": (errors.expected_best, array(*batch, M)),
    }


def of_uncertainty(*batch):
    hypotheses, target = array(*batch, M, 17, 3), array(*batch, 17, 3)
    seen = RawFrames(target, array(*batch, 16, 2), array(*batch, 16, 7))
    maps = array(*batch, 64, 64)

    def unsure(pose2d, fits, noise):
        covariance = response.covariance(6.0, 2.0)
        return response.make_unsure(pose2d, fits, HEAD, covariance, noise)

    return {
        "widening.widened": (
            widening.widened,
            maps,
            jax.eval_shape(fit_gaussians, maps),
        ),
        "consistency.of_example": (consistency.of_example, hypotheses, seen),
        "response.of_example": (
            lambda h, t: response.of_example(h, t, HEAD),
            hypotheses,
            target,
        ),
        "response.make_unsure": (unsure, seen.pose2d, seen.gaussfit, array(*batch, 2)),
    }


def of_selection(*batch):
    hypotheses, target = array(*batch, M, 17, 3), array(*batch, 17, 3)
    return {
        "paths.likeliest": (
            lambda h, d: paths.likeliest(h, d, 0.1),
            array(N, M, 17, 3),
            array(N, M),
        ),
        "selection.z0": (selection.z0, hypotheses, target),
        "selection.mean": (selection.mean, hypotheses),
        "selection.medoid": (selection.medoid, hypotheses),
        "selection.largest_cluster": (selection.largest_cluster, hypotheses, KEY),
        "selection.most_likely": (selection.most_likely, hypotheses, array(*batch, M)),
    }


def of_losses():
    rows, drawn, cond = array(B, 48), array(M, B, 48), array(B, 78)
    penalty = losses.gradient_penalty, CRITIC, rows, rows, array(B, 1)
    return {
        "losses.mmd": (losses.mmd, rows, rows),
        "losses.best_of_m": (lambda h, x: losses.best_of_m(h, x, 2), drawn, rows),
        "losses.heatmap_covariance": (losses.heatmap_covariance, drawn, cond),
        "losses.energy_score": (losses.energy_score, drawn, rows),
        "losses.gradient_penalty": penalty,
    }


def of_networks():
    rows, cond = array(B, 48), array(B, 78)
    return {
        "critic.init": (critic.init, KEY),
        "critic.kcs": (critic.kcs, rows),
        "critic.score": (critic.score, CRITIC, rows),
        "flow.init": (flow.init, KEY),
        "flow.encode": (flow.encode, FLOW, cond),
        "flow.forward": (flow.forward, FLOW, rows, cond),
        "flow.inverse": (flow.inverse, FLOW, array(B, 16), array(B, 32), cond),
    }


def of_methods(*batch):
    seen = array(*batch, 32), array(*batch, 78), KEY

    def draw(call):
        return lambda model, *seen: getattr(model, call)(*seen, num_hypotheses=M)

    return {
        f"{name}.{call}": (draw(call), model, *seen)
        for name, model in MODELS.items()
        for call in ("sample", "sample_with_log_density")
        if hasattr(model, call)
    }


@pytest.mark.parametrize("batch", [(), (N,)], ids=["one", "many"])
@pytest.mark.parametrize("name", calls())
def test_what_broadcasts_within_is_meant_to(name, batch):
    """Traced only, and under this setting anew: broadcasting is refused there."""
    function, *arguments = calls(*batch)[name]
    with jax.numpy_rank_promotion("raise"):
        strict = jax.eval_shape(function, *arguments)
    ordinary = jax.eval_shape(lambda *arrays: function(*arrays), *arguments)
    assert jax.tree.leaves(strict) == jax.tree.leaves(ordinary)


def test_the_setting_is_the_user_s_outside():
    with jax.numpy_rank_promotion("raise"):
        metrics.spread(jnp.ones((2, 17, 3)))
        with pytest.raises(ValueError, match="rank_promotion"):
            jnp.ones((2, 3)) + jnp.ones(3)
