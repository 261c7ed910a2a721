"""The methods that lift 2D to 3D, each behind one protocol (`jaxflow.types.Model`).

    directory of a checkpoint -> Model

A checkpoint says which method it is of. What evaluates, reports, predicts or exports
asks a model for hypotheses and never for its parameters.
"""

from __future__ import annotations

import pathlib

import jax

from jaxflow.flow import checkpoint as flow_checkpoint
from jaxflow.methods import (
    cgnf,
    cvae,
    diffusion,
    flow,
    flow_matching,
    gaussian,
    gaussian_nll,
    generator,
    graph_mdn,
    mdn,
    mmd_gan,
    regression,
)
from jaxflow.runs import checkpoint
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.training.method import Method, shown_params
from jaxflow.types import Model

__all__ = ["METHODS", "load"]

# Name, as checkpoints and --method have it -> module, or object of a module.
METHODS: dict[str, Method] = {
    "flow": flow,
    "gaussian": gaussian.METHOD,
    "gaussian_nll": gaussian_nll.METHOD,
    "regression": regression.METHOD,
    "mdn": mdn.METHOD,
    "cvae": cvae.METHOD,
    "graph_mdn": graph_mdn.METHOD,
    "cgnf": cgnf.METHOD,
    "mmd_gan": mmd_gan.METHOD,
    "flow_matching": flow_matching.METHOD,
    "diffusion": diffusion.METHOD,
    "generator": generator.METHOD,
}


def load(directory: str | pathlib.Path) -> Model:
    """The model that a checkpoint holds.

    Args:
      directory: a run's workdir or its ``checkpoints`` folder (either gives the newest
        checkpoint, or the best of a run that keeps it), one checkpoint's folder, a file
        of weights, or the name of a model that comes with the package.

    Raises:
      CheckpointError: there is no complete checkpoint, or it is of no method.
    """
    folder = checkpoint.find(directory)
    # The first checkpoints name no method; a detector's has none, which `load` says.
    name = checkpoint.read_about(folder).get("method", "flow")
    if name not in METHODS:
        raise CheckpointError(
            f"{folder} is of the method {name!r}; known are {', '.join(METHODS)}"
        )
    method = METHODS[name]
    config = flow_checkpoint.load_config(folder)
    start = jax.eval_shape(lambda: method.init(jax.random.key(0), config))
    params = checkpoint.restore_tree(folder / "params", shown_params(method, start))
    return method.model(params, config)
