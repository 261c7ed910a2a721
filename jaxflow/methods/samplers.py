"""Other ways to draw hypotheses from a trained model: models themselves.

    directory, sampler -> Model

``noise``: the model's pose of temperature 0 with the detector's noise on its joints and
one constant deviation in depth (the paper's figure 5). ``means``: of a mixture the
components' means, as mixture density networks were published; the heaviest first, and
where more hypotheses are asked for than there are, over again. ``steps10``: of a
method that comes to a pose by any number of steps, so many. ``mirrored``: half of them
from the picture's mirror image (`methods.mirrored`).
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxflow import methods
from jaxflow.config import NetConfig
from jaxflow.evaluation.baselines import ModeWithNoise
from jaxflow.methods.mirrored import Mirrored
from jaxflow.methods.net_model import NetModel
from jaxflow.methods.supervised import Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.runs.errors import UserError
from jaxflow.types import Model, Params

# Metres: the paper does not give its depth's deviation; this is about what a regression
# leaves in depth on the benchmark of BUILD_NOTES.md.
DEPTH = 0.09


def load(directory: str, sampler: str = "") -> Model:
    """The model of a checkpoint, drawn from by a sampler.

    Args:
      directory: as ``methods.load`` takes it.
      sampler: as ``comparison.SAMPLERS`` has it, or nothing for the model as it is.

    Raises:
      UserError: the sampler is for models of another kind.
      CheckpointError: as ``methods.load``.
    """
    model = methods.load(directory)
    if sampler == "noise":
        return ModeWithNoise(model, DEPTH)
    if sampler == "mirrored":
        return Mirrored(model)
    if sampler == "means":
        return _means_of(model, directory)
    if sampler.startswith("steps"):
        return _in_steps(model, int(sampler.removeprefix("steps")), directory)
    return model


def _in_steps(model: Model, steps: int, folder: str) -> Model:
    sampler = getattr(model, "sampler", None)
    if not (isinstance(model, NetModel) and getattr(sampler, "any_steps", False)):
        raise UserError(
            f"{folder} holds the method {model.method}, which is not drawn from in any "
            "number of steps; expected flow_matching"
        )
    return dataclasses.replace(
        model, config=dataclasses.replace(model.config, steps=steps)
    )


def _means_of(model: Model, folder: str) -> Model:
    sampler = getattr(model, "sampler", None)
    if not (isinstance(model, NetModel) and getattr(sampler, "means", None)):
        raise UserError(
            f"{folder} holds the method {model.method}, which has no components whose "
            "means could be drawn; expected a mixture, such as mdn"
        )
    return NetModel(model.params, means_sampler(sampler), model.config)


@functools.cache
def means_sampler(sampler: Supervised) -> Supervised:
    """A mixture's, giving its means instead of draws."""
    assert sampler.means is not None

    def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
        assert sampler.means is not None
        means = sampler.means(params, seen, config)
        wanted = jnp.arange(how.num_hypotheses) % len(means)
        return means[jnp.where(how.temperature > 0, wanted, 0)]

    return dataclasses.replace(
        sampler, name=f"{sampler.name} means", draw=draw, density=None
    )
