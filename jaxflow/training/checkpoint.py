"""Checkpoints by orbax: the only file that knows how they lie on disk.

    DIR/checkpoints/<step>/params      flow and encoder: all that sampling needs
                           training    critic, both optimisers, step: to go on training
                           config      JSON: the TrainConfig and the data's fingerprint

A model of another kind lies the same way, its ``kind`` named in the config.

A checkpoint appears under its number only when it is complete (orbax writes aside and
renames), so a half-written one is never read. Saving runs in the background.
"""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxflow import config as config_lib
from jaxflow import flow
from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.training import state as state_lib
from jaxflow.training import trees
from jaxflow.training.state import TrainState
from jaxflow.types import Params

FOLDER = "checkpoints"
_ARGS = ocp.args


class CheckpointError(ValueError):
    """A checkpoint that is missing, of another model, damaged, or cannot be written."""


class Checkpointer:
    """Saves and restores the training state of one run."""

    def __init__(
        self,
        workdir: str | pathlib.Path,
        config: TrainConfig,
        *,
        keep: int = 3,
        fingerprint: dict[str, int] | None = None,
    ):
        """Opens DIR/checkpoints, made if need be; leftovers of killed saves go.

        Args:
          workdir: the run's folder.
          config: of the run.
          keep: how many of the newest checkpoints stay.
          fingerprint: of the data the run trains on.

        Raises:
          CheckpointError: the run there has another configuration or other data.
        """
        self._config = config
        self._about = _about(config, fingerprint)
        self._folder = pathlib.Path(workdir).absolute() / FOLDER
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        latest = self._manager.latest_step()
        if latest is not None:
            _check_same_run(self._folder / str(latest), self._about)

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, state: TrainState) -> None:
        """Saves in the background; the state may be donated right after the call.

        Raises:
          CheckpointError: it (or the save before) could not be written.
        """
        host = jax.device_get(state)
        step = int(host.step)
        if step == self._manager.latest_step():
            return
        items = _ARGS.Composite(
            params=_ARGS.StandardSave(host.flow),
            training=_ARGS.StandardSave(_without_flow(host)),
            config=_ARGS.JsonSave(self._about),
        )
        try:
            self._manager.wait_until_finished()
            self._manager.save(step, args=items)
        except Exception as error:
            raise self._unwritten(step, error) from error

    def wait(self) -> None:
        """Returns once everything saved is on disk.

        Raises:
          CheckpointError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._unwritten(None, error) from error

    def restore(self) -> TrainState | None:
        """The newest state, on the default device; None where there is none.

        Raises:
          CheckpointError: it cannot be read.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        target = jax.eval_shape(lambda: state_lib.init(jax.random.key(0), self._config))
        folder = self._folder / str(step)
        rest = restore_tree(folder / "training", _without_flow(target))
        return TrainState(flow=restore_tree(folder / "params", target.flow), **rest)

    def close(self) -> None:
        """Waits for saves under way and lets the folder go."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def _unwritten(self, step: int | None, error: Exception) -> CheckpointError:
        kept = ocp.utils.checkpoint_steps(self._folder)
        which = "a checkpoint" if step is None else f"the checkpoint of step {step}"
        newest = f"step {max(kept)}" if kept else "none"
        return CheckpointError(
            f"{which} could not be written to {self._folder}: {error} "
            f"(newest complete checkpoint: {newest}; free disk space: "
            f"{shutil.disk_usage(self._folder).free / 2**20:.0f} MiB)"
        )


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
    save_items(directory, {"params": params}, _about(config, None), step=step)


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
    args = {name: _ARGS.StandardSave(tree) for name, tree in host.items()}
    args["config"] = _ARGS.JsonSave(about)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, cleanup_tmp_directories=keep is not None
    )
    try:
        with ocp.CheckpointManager(folder, options=options) as manager:
            manager.save(step, args=_ARGS.Composite(**args))
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
    return jax.eval_shape(lambda: flow.init(jax.random.key(0), config))


def _without_flow(state: TrainState) -> dict[str, Any]:
    return {name: leaf for name, leaf in state._asdict().items() if name != "flow"}


def _about(config: TrainConfig, fingerprint: dict[str, int] | None) -> dict[str, Any]:
    return {"train": config_lib.to_dict(config), "data": fingerprint or {}}


def read_about(folder: pathlib.Path) -> dict[str, Any]:
    """The config of the checkpoint in a folder that `find` gave, as plain values.

    Raises:
      CheckpointError: it cannot be read.
    """
    try:
        handler = ocp.JsonCheckpointHandler()
        return ocp.Checkpointer(handler).restore(folder / "config")
    except Exception as error:
        raise CheckpointError(
            f"{folder}: its config cannot be read: {error}"
        ) from error


def _read_config(folder: pathlib.Path) -> TrainConfig:
    about = read_about(folder)
    if about.get("kind", "flow") != "flow":
        raise CheckpointError(
            f"{folder} holds a detector ({about['kind']}), expected a flow"
        )
    try:
        return config_lib.from_dict(TrainConfig, about.get("train", {}))
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: its config is damaged: {error}") from error


def _check_same_run(folder: pathlib.Path, ours: dict[str, Any]) -> None:
    """A run goes on only with the configuration it began with, but may be longer."""
    # Read as a configuration first: one stored before a field was added lacks it.
    theirs = {**read_about(folder), "train": config_lib.to_dict(_read_config(folder))}
    lines = config_lib.differences(ours, theirs, skip=("epochs", "iterations"))
    if lines:
        listed = "\n  ".join(lines)
        raise CheckpointError(
            f"{folder} belongs to another run:\n  {listed}\n"
            "take that run's flags and data, or another --workdir"
        )


def restore_tree(folder: pathlib.Path, target: Any) -> Any:
    """Arrays of exactly the target's structure, shapes and dtypes.

    Raises:
      CheckpointError: the folder holds others, or is damaged.
    """
    # The handler itself: a checkpointer would look for the whole checkpoint's metadata.
    handler = ocp.StandardCheckpointHandler()
    try:
        stored = handler.metadata(folder)
    except Exception as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error
    check_tree(getattr(stored, "tree", stored), target, str(folder))
    where = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
        target,
    )
    try:
        return handler.restore(folder, args=_ARGS.StandardRestore(target))
    except Exception as error:
        raise CheckpointError(
            f"{folder} cannot be read, it may be damaged: {error}"
        ) from error
    finally:
        handler.close()


def check_tree(stored: Any, wanted: Any, where: str) -> None:
    """Refuses another structure, shape or dtype: orbax would cast silently.

    Raises:
      CheckpointError: names the leaves that differ.
    """
    problems = trees.differences(stored, wanted)
    if problems:
        listed = "\n  ".join(problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise CheckpointError(f"{where} is not this model:\n  {listed}{more}")
