"""A flow's checkpoint: its parameters, its configuration and the run that made it.

    params, config <-> DIR/checkpoints/<step>/params and config

How a checkpoint lies on disk is `runs.checkpoint`'s; those of a run under way are
`runs.checkpointer`'s.
"""

from __future__ import annotations

import pathlib
from typing import Any

import jax

from jaxflow._version import __version__
from jaxflow.config import DataConfig, FlowConfig, TrainConfig
from jaxflow.flow import model, stack
from jaxflow.runs import plain_config
from jaxflow.runs.checkpoint import (
    CheckpointError,
    DamagedError,
    check_same,
    check_tree,
    find,
    read_about,
    restore_tree,
    save_items,
)
from jaxflow.types import Params

METHOD = "flow"


def save_params(
    directory: str | pathlib.Path,
    params: Params,
    config: TrainConfig | FlowConfig = TrainConfig(),
    *,
    step: int = 0,
) -> None:
    """Saves a model without any optimiser state, as `load_params` reads it.

    Args:
      directory: made if need be; must not hold a checkpoint of this step.
      params: of the flow and encoder.
      config: what the parameters were trained with; a `FlowConfig` will do.
      step: the checkpoint's number.

    Raises:
      CheckpointError: the parameters are not the configuration's, or the checkpoint is
        there already or cannot be written.
    """
    if isinstance(config, FlowConfig):
        config = TrainConfig(flow=config)
    if not isinstance(config, TrainConfig):
        raise TypeError(f"expected a TrainConfig or FlowConfig; got {config!r}")
    if pathlib.Path(directory).suffix == ".npz":
        raise CheckpointError(
            f"expected a folder to save to; got {directory}: one file is what "
            "jaxflow.export --format=weights makes of it"
        )
    params = stack.stacked(params)
    try:
        check_tree(
            params, flow_shapes(config.flow), "the model of the given parameters"
        )
    except DamagedError as error:
        raise CheckpointError(
            f"the parameters are not of the given configuration (default: the "
            f"paper's), which jaxflow.load_config reads where they lie; {error}"
        ) from None
    save_items(directory, {"params": params}, about_run(config), step=step)


def load_params(directory: str | pathlib.Path) -> Params:
    """Parameters of the flow and encoder, for sampling.

    Args:
      directory: a run's workdir or its ``checkpoints`` folder (either gives the newest
        checkpoint, or the best of a run that keeps it), one checkpoint's folder, a file
        of weights, or the name of a model that comes with the package
        (`jaxflow.pretrained`).

    Returns:
      A nested dict of float32 arrays on the default device.

    Raises:
      CheckpointError: there is no complete checkpoint, or it is another model's.
    """
    folder = find(directory)
    config = _read_config(folder)
    method = read_about(folder).get("method", METHOD)  # the first ones name none
    if method != METHOD:
        raise CheckpointError(f"{folder} is of the method {method!r}, expected a flow")
    return restore_tree(folder / "params", flow_shapes(config.flow))


def load_config(directory: str | pathlib.Path) -> TrainConfig:
    """What a checkpoint of any method was trained with.

    Of a flow ``.flow.clamp`` is what `sample` wants.

    Args:
      directory: as `load_params` takes it.

    Raises:
      CheckpointError: there is no complete checkpoint.
    """
    return _read_config(find(directory))


def flow_shapes(config: FlowConfig) -> Params:
    """The parameters' shapes and dtypes, without making them."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), config))


def about_run(
    config: TrainConfig,
    fingerprint: dict[str, int] | None = None,
    source: DataConfig | None = None,
    begun_with: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the checkpoint of a run, of any method, says of itself.

    Args:
      config: of the run.
      fingerprint: of the data that it trains on.
      source: where they come from.
      begun_with: of the weights that it began with: where from, and their checksum.
    """
    train = plain_config.to_dict(config)
    about = {
        "method": config.method,
        "train": train,
        "data": fingerprint or {},
        "begun_with": begun_with or {},
    }
    if source is not None:
        folder = source.data_dir and str(pathlib.Path(source.data_dir).absolute())
        about["source"] = {"dataset": source.dataset, "data_dir": folder}
    return about


def load_source(directory: str | pathlib.Path) -> DataConfig | None:
    """The data set that a checkpoint of any method was trained on.

    Args:
      directory: as `load_params` takes it.

    Returns:
      Its name, and the folder that it lay in; None where the checkpoint does not say,
      which an older or a converted one does not.

    Raises:
      CheckpointError: there is no complete checkpoint, or it is damaged.
    """
    folder = find(directory)
    source = read_about(folder).get("source")
    if source is None:
        return None
    try:
        names = str(source["dataset"]), str(source["data_dir"])
    except (KeyError, TypeError) as error:
        raise DamagedError(f"{folder}: its config is damaged: {error!r}") from error
    return DataConfig(*names)


def _read_config(folder: pathlib.Path) -> TrainConfig:
    about = read_about(folder)
    if "kind" in about:
        raise CheckpointError(
            f"{folder} holds a detector ({about['kind']}), expected a flow"
        )
    try:
        return plain_config.from_dict(TrainConfig, _as_meant(about.get("train", {})))
    except (AttributeError, TypeError, ValueError) as error:
        writer = about.get("jaxflow", __version__)  # of a file that was handed on
        if writer != __version__:
            raise CheckpointError(
                f"{folder} was written by jaxflow {writer} and says what this one, "
                f"{__version__}, does not know: {error}"
            ) from error
        raise DamagedError(f"{folder}: its config is damaged: {error}") from error


def _as_meant(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration without iterations that had no layer to train.

    They were no mistake once, and had no effect.
    """
    none = not stored.get("flow", {}).get("affine_hidden")
    return {**stored, "affine_iterations": 0} if none else stored


def check_same_run(folder: pathlib.Path, ours: dict[str, Any]) -> None:
    """A run goes on only with the configuration it began with, but may be longer.

    Args:
      folder: of one checkpoint.
      ours: `about_run` of the run that wants to go on from it.

    Raises:
      CheckpointError: names every difference.
      DamagedError: the checkpoint's config cannot be read.
    """
    # Read as a configuration first: one stored before a field was added lacks it.
    about = read_about(folder)
    begun = about.get("begun_with")
    theirs = about_run(_read_config(folder), about.get("data"), begun_with=begun)
    check_same(
        ours,
        theirs,
        str(folder),
        advice="take that run's flags and data, or another --workdir",
        # A set may lie elsewhere now; its fingerprint says whether it is the same, as
        # the weights' checksum does.
        longer=("epochs", "iterations", "source", "init_from"),
    )
