"""Detectors on disk: an orbax checkpoint like a flow's, of the kind "hrnet".

variables, HRNetConfig <-> DIR/checkpoints/<step>/params and config
"""

from __future__ import annotations

import pathlib
from typing import Any

from jaxflow.detector.network import hrnet
from jaxflow.detector.network.hrnet import HRNetConfig
from jaxflow.runs import checkpoint, plain_config
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.types import Params

KIND = "hrnet"


def save(
    directory: str | pathlib.Path,
    variables: Params,
    config: HRNetConfig,
    *,
    step: int = 0,
) -> None:
    """Saves a detector.

    Args:
      directory: made if need be; must not hold a checkpoint of this step.
      variables: as from `hrnet.init`.
      config: of the network.
      step: the checkpoint's number.

    Raises:
      CheckpointError: the variables are not the configuration's, or the checkpoint is
        there already or cannot be written.
    """
    checkpoint.check_tree(variables, hrnet.shapes(config), "the given detector")
    checkpoint.save_items(directory, {"params": variables}, about(config), step=step)


def about(config: HRNetConfig) -> dict[str, Any]:
    """What a detector's checkpoint says of itself."""
    return {"kind": KIND, KIND: plain_config.to_dict(config)}


def load(directory: str | pathlib.Path) -> tuple[Params, HRNetConfig]:
    """A detector's variables and the sizes of its network.

    Args:
      directory: a training run's folder, its ``checkpoints`` folder (either gives the
        newest checkpoint), or one checkpoint's folder.

    Returns:
      Variables as from `hrnet.init` on the default device, and their configuration.

    Raises:
      CheckpointError: there is no complete checkpoint, it holds a flow, or it is
        damaged.
    """
    folder = checkpoint.find(directory)
    config = read_config(folder)
    return checkpoint.restore_tree(folder / "params", hrnet.shapes(config)), config


def read_config(folder: pathlib.Path) -> HRNetConfig:
    """The network's sizes, from one checkpoint's folder.

    Raises:
      CheckpointError: it holds a flow, or its config is damaged.
    """
    stored = checkpoint.read_about(folder)
    if stored.get("kind") != KIND:
        raise CheckpointError(
            f"{folder} holds a flow, expected a detector, as python -m "
            "jaxflow.import_torch --kind=hrnet or python -m jaxflow.train_detector "
            "writes it"
        )
    try:
        return plain_config.from_dict(HRNetConfig, stored[KIND])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: its config is damaged: {error}") from error
