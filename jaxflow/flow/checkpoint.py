"""Checkpoints by orbax: one of them, how it lies on disk, and models alone.

    DIR/checkpoints/<step>/params      flow and encoder: all that sampling needs
                           training    critic, both optimisers, step: to go on training
                           config      JSON: the TrainConfig, the data's fingerprint and
                                       every array's checksum

A model of another kind lies the same way, its ``kind`` named in the config.

A checkpoint appears under its number only when it is complete (orbax writes aside and
renames), so a half-written one is never read; one that was damaged later is known by
its checksums. The checkpoints of a run are `checkpointer`'s.
"""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxflow import config as config_lib
from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.flow import model
from jaxflow.runs import trees
from jaxflow.types import Params

FOLDER = "checkpoints"
_ARGS = ocp.args


class CheckpointError(ValueError):
    """A checkpoint that is missing, of another model, damaged, or cannot be written."""


class DamagedError(CheckpointError):
    """A checkpoint that is there and cannot be read as what was written."""


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
    check_tree(params, flow_shapes(config.flow), "the given parameters")
    save_items(directory, {"params": params}, about_run(config), step=step)


def save_items(
    directory: str | pathlib.Path,
    items: dict[str, Any],
    about: dict[str, Any],
    *,
    step: int,
    keep: int | None = None,
) -> None:
    """Saves any model: trees of arrays, ``params`` among them, and its config.

    Args:
      directory: made if need be; must not hold a checkpoint of this step.
      items: name -> nested arrays.
      about: plain values; ``kind`` tells models other than the flow.
      step: the checkpoint's number.
      keep: how many of the newest checkpoints stay; default all.

    Raises:
      CheckpointError: the checkpoint is there already or cannot be written.
    """
    folder = pathlib.Path(directory).absolute() / FOLDER
    if (folder / str(step)).exists():
        raise CheckpointError(f"{folder / str(step)} exists already")
    host = jax.device_get(items)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, cleanup_tmp_directories=keep is not None
    )
    try:
        with ocp.CheckpointManager(folder, options=options) as manager:
            manager.save(step, args=as_saved(host, about))
    except Exception as error:
        raise CheckpointError(f"{folder} could not be written: {error}") from error


def load_params(directory: str | pathlib.Path) -> Params:
    """Parameters of the flow and encoder, for sampling.

    Args:
      directory: a run's workdir, its ``checkpoints`` folder (either gives the newest
        checkpoint), or one checkpoint's folder.

    Returns:
      A nested dict of float32 arrays on the default device.

    Raises:
      CheckpointError: there is no complete checkpoint, or it is another model's.
    """
    folder = find(directory)
    return restore_tree(folder / "params", flow_shapes(_read_config(folder).flow))


def load_config(directory: str | pathlib.Path) -> TrainConfig:
    """What the checkpoint was trained with; ``.flow.clamp`` is what `sample` wants.

    Args:
      directory: as `load_params` takes it.

    Raises:
      CheckpointError: there is no complete checkpoint.
    """
    return _read_config(find(directory))


def find(directory: str | pathlib.Path) -> pathlib.Path:
    """The folder of the newest complete checkpoint in or at ``directory``.

    Raises:
      CheckpointError: there is none; says where it was looked for.
    """
    directory = pathlib.Path(directory).absolute()
    if (directory / "params").is_dir():
        return directory
    for folder in (directory / FOLDER, directory):
        if folder.is_dir():
            steps = ocp.utils.checkpoint_steps(folder)
            if steps:
                return folder / str(max(steps))
    state = "holds no complete checkpoint" if directory.exists() else "does not exist"
    raise CheckpointError(
        f"{directory} {state}; expected a training run's --workdir, its "
        f"'{FOLDER}' folder, or one checkpoint"
    )


def flow_shapes(config: FlowConfig) -> Params:
    """The parameters' shapes and dtypes, without making them."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), config))


def about_run(
    config: TrainConfig, fingerprint: dict[str, int] | None = None
) -> dict[str, Any]:
    """What a flow's checkpoint says of itself."""
    return {"train": config_lib.to_dict(config), "data": fingerprint or {}}


def as_saved(items: dict[str, Any], about: dict[str, Any]) -> Any:
    """Orbax's arguments for a checkpoint of host arrays and its config.

    Args:
      items: name -> nested arrays.
      about: plain values; gets the arrays' checksums.
    """
    sums = {name: trees.checksums(tree) for name, tree in items.items()}
    args = {name: _ARGS.StandardSave(tree) for name, tree in items.items()}
    return _ARGS.Composite(**args, config=_ARGS.JsonSave({**about, "checksums": sums}))


def read_about(folder: pathlib.Path) -> dict[str, Any]:
    """The config of the checkpoint in a folder that `find` gave, as plain values.

    Raises:
      DamagedError: it cannot be read.
    """
    try:
        return dict(ocp.JsonCheckpointHandler().restore(folder / "config"))
    except Exception as error:
        raise DamagedError(f"{folder}: its config cannot be read: {error}") from error


def _read_config(folder: pathlib.Path) -> TrainConfig:
    about = read_about(folder)
    if about.get("kind", "flow") != "flow":
        raise CheckpointError(
            f"{folder} holds a detector ({about['kind']}), expected a flow"
        )
    try:
        return config_lib.from_dict(TrainConfig, about.get("train", {}))
    except (AttributeError, TypeError, ValueError) as error:
        raise DamagedError(f"{folder}: its config is damaged: {error}") from error


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
    theirs = {
        "data": read_about(folder).get("data", {}),
        "train": config_lib.to_dict(_read_config(folder)),
    }
    lines = config_lib.differences(ours, theirs, skip=("epochs", "iterations"))
    if lines:
        listed = "\n  ".join(lines)
        raise CheckpointError(
            f"{folder} belongs to another run:\n  {listed}\n"
            "take that run's flags and data, or another --workdir"
        )


def restore_tree(folder: pathlib.Path, target: Any) -> Any:
    """Arrays of exactly the target's structure, shapes and dtypes, and the saved bits.

    Args:
      folder: an item's within a checkpoint's.
      target: a tree of arrays, or of their shapes and dtypes.

    Raises:
      DamagedError: the folder holds others, cannot be read, or an array's checksum is
        not the recorded one (older checkpoints have none).
    """
    # The handler itself: a checkpointer would look for the whole checkpoint's metadata.
    handler = ocp.StandardCheckpointHandler()
    where = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
        target,
    )
    try:
        stored = handler.metadata(folder)
        check_tree(getattr(stored, "tree", stored), target, str(folder))
        found = handler.restore(folder, args=_ARGS.StandardRestore(shapes))
    except DamagedError:
        raise
    except Exception as error:
        raise DamagedError(
            f"{folder} cannot be read, it may be damaged: {error}"
        ) from error
    finally:
        handler.close()
    recorded = read_about(folder.parent).get("checksums", {}).get(folder.name)
    differing = [] if recorded is None else trees.other_bits(found, recorded)
    if differing:
        raise DamagedError(
            f"{folder} is damaged: the checksum differs of\n  {_listed(differing)}"
        )
    return found


def check_tree(stored: Any, wanted: Any, where: str) -> None:
    """Refuses another structure, shape or dtype: orbax would cast silently.

    Raises:
      DamagedError: names the leaves that differ.
    """
    problems = trees.differences(stored, wanted)
    if problems:
        raise DamagedError(f"{where} is not this model:\n  {_listed(problems)}")


def _listed(lines: list[str]) -> str:
    more = [f"and {len(lines) - 10} more"] if len(lines) > 10 else []
    return "\n  ".join(lines[:10] + more)
