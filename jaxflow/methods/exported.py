"""Any method's sampler as a StableHLO file that runs without this package.

    fits (b, 16, 7), pose2d (b, 16, 2), seeds (b, 2), temperature -> (b, M, 17, 3)

What a flow draws is told by latents that come from outside (``flow.exported``). Other
methods draw noise of several kinds, mixtures their components, and some in many steps:
so this file has JAX's random generator within, which gives the same numbers on every
platform. M is fixed, b is free; poses go one after the other.
"""

from __future__ import annotations

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxflow.flow import exported
from jaxflow.flow.exported import PLATFORMS, Sampler
from jaxflow.gaussians.condition import condition
from jaxflow.maths import geometry
from jaxflow.runs.errors import missing
from jaxflow.types import Model

_SIZES = 1, 3  # b that a file is checked at


def to_stablehlo(model: Model, num_hypotheses: int) -> bytes:
    """The sampler as ``jax.export`` writes it, b symbolic.

    Raises:
      ImportError: flatbuffers is not installed.
    """
    (b,) = jax.export.symbolic_shape("b")
    arguments = [
        jax.ShapeDtypeStruct((b, 16, 7), jnp.float32),
        jax.ShapeDtypeStruct((b, 16, 2), jnp.float32),
        jax.ShapeDtypeStruct((b, 2), jnp.uint32),
        jax.ShapeDtypeStruct((), jnp.float32),
    ]
    draw = functools.partial(_draw, model, num_hypotheses=num_hypotheses)
    written = jax.export.export(jax.jit(draw), platforms=PLATFORMS)(*arguments)
    try:
        return bytes(written.serialize())
    except ImportError as error:
        raise missing("writing StableHLO", "flatbuffers", "export") from error


def check(run: Sampler, model: Model, num_hypotheses: int) -> float:
    """The largest difference of a sampler that was read back from the library's.

    In units of the largest coordinate.

    Raises:
      UserError: as ``flow.exported.compared``.
    """
    draw = jax.jit(_draw, static_argnames="num_hypotheses")
    worst = 0.0
    for size in _SIZES:
        fits, pose2d, _ = exported.example_inputs(size, 1)
        seeds = np.random.default_rng(size).integers(0, 2**32, (size, 2), np.uint32)
        inputs = fits, pose2d, seeds, np.float32(0.9)
        expected = np.asarray(draw(model, *inputs, num_hypotheses=num_hypotheses))
        got = functools.partial(run, *inputs)
        worst = max(worst, exported.compared(got, expected, f"{size} poses"))
    return worst


def _draw(
    model: Model,
    fits: jax.Array,
    pose2d: jax.Array,
    seeds: jax.Array,
    temperature: jax.Array,
    *,
    num_hypotheses: int,
) -> jax.Array:
    """Hypotheses (b, M, 17, 3) metres, as ``Model.sample`` gives them."""

    def of_one(pose: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        fit, joints, seed = pose
        return model.sample(
            geometry.normalize_pose2d(joints),
            condition(fit),
            jax.random.wrap_key_data(seed),
            num_hypotheses=num_hypotheses,
            temperature=temperature,
        )

    return jax.lax.map(of_one, (fits, pose2d, seeds))
