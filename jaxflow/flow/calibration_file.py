"""The fitted temperature of a checkpoint, kept in its folder.

    DIR/checkpoints/<step>/calibration.json

It belongs to those parameters alone: their checksum goes with it, and a later
checkpoint of the run has none until it is calibrated itself.
"""

from __future__ import annotations

import json
import math
import pathlib
import zlib
from typing import Any

from jaxflow.runs import checkpoint, files
from jaxflow.runs.errors import UserError

NAME = "calibration.json"
FITTED = "fitted"


def save(directory: str | pathlib.Path, document: dict[str, Any]) -> pathlib.Path:
    """Writes what `jaxflow.calibrate` found beside the parameters.

    Args:
      directory: of a checkpoint, or a run's workdir: its latest.
      document: plain values; ``temperature`` among them.

    Returns:
      The file.

    Raises:
      CheckpointError: there is no complete checkpoint.
    """
    folder = checkpoint.find(directory)
    stamped = {**document, "params_crc32": _checksum(folder)}
    return files.write_json(folder / NAME, stamped)


def load(directory: str | pathlib.Path) -> dict[str, Any] | None:
    """What was saved for the checkpoint; None where nothing was.

    Raises:
      CheckpointError: there is no complete checkpoint, or the file is damaged or of
        other parameters.
    """
    folder = checkpoint.find(directory)
    path = folder / NAME
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text())
        temperature = float(document["temperature"])
    except (ValueError, KeyError, TypeError) as error:
        raise checkpoint.DamagedError(f"{path} is damaged: {error!r}") from error
    if not 0 < temperature < math.inf:
        raise checkpoint.DamagedError(f"{path} is damaged: temperature {temperature}")
    if document.get("params_crc32") != _checksum(folder):
        raise checkpoint.DamagedError(
            f"{path} belongs to other parameters; run jaxflow.calibrate again"
        )
    return dict(document)


def load_temperature(directory: str | pathlib.Path) -> float:
    """The fitted temperature, for `jaxflow.sample`.

    Args:
      directory: of a checkpoint, or a run's workdir: its latest.

    Raises:
      UserError: nothing was fitted for this checkpoint, or there is none.
    """
    found = load(directory)
    if found is None:
        raise UserError(
            f"{checkpoint.find(directory)} has no fitted temperature; run "
            f"python -m jaxflow.calibrate --checkpoint={directory} first, or take "
            "a number"
        )
    return float(found["temperature"])


def resolve(directory: str | pathlib.Path, wanted: str | float) -> float:
    """The temperature that a command was asked for.

    Args:
      directory: of the checkpoint.
      wanted: a number of at least 0, as such or as text, or "fitted".

    Raises:
      UserError: neither, or nothing was fitted for this checkpoint.
    """
    if wanted == FITTED:
        return load_temperature(directory)
    check(wanted)
    return float(wanted)


def check(wanted: str | float) -> None:
    """Refuses what is neither a temperature nor "fitted".

    Raises:
      UserError: says what came.
    """
    if wanted == FITTED:
        return
    try:
        value = float(wanted)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise UserError(
            f"temperature must be a number of at least 0, or {FITTED!r}; got {wanted!r}"
        )


def _checksum(folder: pathlib.Path) -> int:
    sums = checkpoint.read_about(folder).get("checksums", {}).get("params", {})
    return zlib.crc32(json.dumps(sums, sort_keys=True).encode())
