"""What calibration fitted for a checkpoint, kept in its folder.

    DIR/checkpoints/<step>/calibration.json

It belongs to those parameters alone: their checksum goes with it, and a later
checkpoint of the run has none until it is calibrated itself. A file of weights has the
same document within.
"""

from __future__ import annotations

import json
import math
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxflow.runs import checkpoint, files
from jaxflow.runs.errors import UserError

NAME = "calibration.json"
FITTED = "fitted"
AUTO = "auto"
ALONE = "temperature_alone"  # fitted for hypotheses as the model draws them
# Fitted beside the temperature: what holds where it was not, what may be, in words.
# The temperatures' spread is of their logarithm; of how much limbs' proportions differ
# the share stays, and 1 is all of it.
NUMBERS: dict[str, tuple[float, Callable[[float], bool], str]] = {
    "temperature_spread": (0.0, lambda value: 0 <= value < 3, "at least 0 and below 3"),
    "limbs_kept": (1.0, lambda value: 0 <= value <= 1, "from 0 to 1"),
}


def save(directory: str | pathlib.Path, document: dict[str, Any]) -> pathlib.Path:
    """Writes what `jaxflow.calibrate` found beside the parameters.

    Args:
      directory: of a checkpoint, or a run's workdir, as `checkpoint.find` takes it.
      document: plain values; ``temperature`` among them.

    Returns:
      The file.

    Raises:
      CheckpointError: there is no complete checkpoint, or it is a file of weights.
    """
    folder = place(directory)
    stamped = {**document, "params_crc32": _checksum(folder)}
    return files.write_json(folder / NAME, stamped)


def place(directory: str | pathlib.Path) -> pathlib.Path:
    """The folder of a checkpoint in which a temperature can be kept.

    Raises:
      CheckpointError: there is no complete checkpoint, or it is a file of weights.
    """
    folder = checkpoint.find(directory)
    if folder.is_file():
        raise checkpoint.CheckpointError(
            f"{folder} is a file of weights, which is never changed; give "
            "--temperature=NUMBER where it is used, or calibrate the run that it is of "
            "or one that python -m jaxflow.train --init_from has begun with it"
        )
    return folder


def load(directory: str | pathlib.Path) -> dict[str, Any] | None:
    """What was saved for the checkpoint; None where nothing was.

    Raises:
      CheckpointError: there is no complete checkpoint, or the file is damaged or of
        other parameters.
    """
    folder = checkpoint.find(directory)
    if folder.is_file():
        kept = checkpoint.read_about(folder).get("calibration")
        return None if kept is None else _checked(kept, folder)
    path = folder / NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise checkpoint.DamagedError(f"{path} is damaged: {error!r}") from error
    document = _checked(content, path)
    if document.get("params_crc32") != _checksum(folder):
        raise checkpoint.DamagedError(
            f"{path} belongs to other parameters; run jaxflow.calibrate again"
        )
    return document


def _checked(document: Any, path: pathlib.Path) -> dict[str, Any]:
    """The document, if its temperatures are some.

    Raises:
      DamagedError: one is none, or there is none.
    """
    try:
        temperature = float(document["temperature"])
        alone = float(document.get(ALONE, temperature))
    except (ValueError, KeyError, TypeError) as error:
        raise checkpoint.DamagedError(f"{path} is damaged: {error!r}") from error
    for value in (temperature, alone):
        if not 0 < value < math.inf:
            raise checkpoint.DamagedError(f"{path} is damaged: temperature {value}")
    return dict(document)


def load_temperature(directory: str | pathlib.Path) -> float:
    """The fitted temperature, for `jaxflow.sample`.

    Where more was fitted, this is the one for hypotheses as the model draws them:
    `jaxflow.sample` draws at one for all, and holds no limbs.

    Args:
      directory: of a checkpoint, or a run's workdir, as `checkpoint.find` takes it.

    Raises:
      UserError: nothing was fitted for this checkpoint, or there is none.
    """
    found = fitted(directory)
    return float(found.get(ALONE, found["temperature"]))


def fitted(directory: str | pathlib.Path) -> dict[str, Any]:
    """What `load` gives, where there is something.

    Raises:
      UserError: nothing was fitted for this checkpoint.
    """
    found = load(directory)
    if found is None:
        raise UserError(
            f"{checkpoint.find(directory)} has no fitted temperature; run "
            f"python -m jaxflow.calibrate --checkpoint={directory} first, or take "
            "a number"
        )
    return found


def number_of(
    document: dict[str, Any], name: str, directory: str | pathlib.Path
) -> float:
    """A number of `NUMBERS` that was fitted, or what stands for it where it was not.

    Args:
      document: from `load`.
      name: of the number.
      directory: that the document is of.

    Raises:
      DamagedError: what is there is no such number.
    """
    otherwise, allowed, words = NUMBERS[name]
    found = document.get(name, otherwise)
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if not number or not allowed(found):
        raise checkpoint.DamagedError(
            f"{checkpoint.find(directory)}: {name} is damaged; expected a number "
            f"{words}, got {found!r}"
        )
    return float(found)


def factors_of(
    document: dict[str, Any], directory: str | pathlib.Path, shape: tuple[int, ...]
) -> np.ndarray | None:
    """How much wider unsure joints are drawn; None where that was not fitted.

    Args:
      document: from `load`.
      directory: that it is of.
      shape: that the factors must have.

    Raises:
      DamagedError: what is there is no such table.
    """
    if "widths" not in document:
        return None
    try:
        factors = np.asarray(document["widths"]["factors"], np.float32)
    except (ValueError, KeyError, TypeError):
        factors = np.zeros(0, np.float32)
    if factors.shape != shape or not (np.isfinite(factors) & (factors > 0)).all():
        raise checkpoint.DamagedError(
            f"{checkpoint.find(directory)}: the fitted widths are damaged; expected "
            f"positive factors of shape {shape}"
        )
    return factors


def resolve(directory: str | pathlib.Path, wanted: str | float) -> float:
    """The temperature that a command was asked for, where it counts alone.

    Args:
      directory: of the checkpoint.
      wanted: a number of at least 0, as such or as text; "fitted"; or "auto", the
        fitted one where there is one, and else 1.

    Raises:
      UserError: none of these, or nothing was fitted for this checkpoint.
    """
    if wanted == AUTO:
        return 1.0 if load(directory) is None else load_temperature(directory)
    if wanted == FITTED:
        return load_temperature(directory)
    check(wanted)
    return float(wanted)


def check(wanted: str | float) -> None:
    """Refuses what is neither a temperature nor "fitted" or "auto".

    Raises:
      UserError: says what came.
    """
    if wanted in (FITTED, AUTO):
        return
    try:
        value = float(wanted)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise UserError(
            f"temperature must be a number of at least 0, {FITTED!r} or {AUTO!r}; got "
            f"{wanted!r}"
        )


def _checksum(folder: pathlib.Path) -> int:
    sums = checkpoint.read_about(folder).get("checksums", {}).get("params", {})
    return zlib.crc32(json.dumps(sums, sort_keys=True).encode())
