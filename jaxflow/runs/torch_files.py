"""PyTorch checkpoint files of any model: the only module that needs PyTorch.

    model.pt -> name -> array

The file is what the released code saves, ``{"net": state_dict}``, what a training run
or MMPose saves, ``{"state_dict": state_dict, ...}``, or a bare ``state_dict``. It is
read with PyTorch's weights-only loader, which runs no code that the file may carry.
"""

from __future__ import annotations

import pathlib
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxflow.runs.errors import UserError, missing, reason


def read_state(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The network's ``state_dict`` in a PyTorch file, as NumPy arrays.

    Args:
      path: a file with ``{"net": state_dict}``, ``{"state_dict": state_dict, ...}`` or
        a bare ``state_dict``.

    Returns:
      Name -> array; floating ones in float32.

    Raises:
      ImportError: PyTorch is not installed.
      FileNotFoundError: there is no such file.
      UserError: it is damaged, no PyTorch file, or holds more than weights.
    """
    content = _load(path)
    state = content
    for key in ("net", "state_dict"):
        if isinstance(content, Mapping) and key in content:
            state = content[key]
    if not isinstance(state, Mapping) or not state:
        raise UserError(
            f"{path}: expected {{'net': state_dict}} or a state_dict of tensors; got "
            f"{_describe(state)}"
        )
    return {str(name): _array(path, name, value) for name, value in state.items()}


def without_prefix(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The state with names that begin alike, as wrappers make them, cut.

    PyTorch's parallel wrappers put ``module.`` before every name; a file in which only
    some have it stays as it is.
    """
    if not all(name.startswith(prefix) for name in state):
        return state
    return {name.removeprefix(prefix): array for name, array in state.items()}


def problems(
    state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """A line for all that is wrong with arrays that must have these names and shapes.

    Whatever is missing, unknown, of another shape or not finite, and variances below
    zero.
    """
    found = [f"missing: {name}" for name in shapes if name not in state]
    found += [f"unknown: {name}" for name in state if name not in shapes]
    arrays = {name: np.asarray(state[name]) for name in shapes if name in state}
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            found.append(
                f"wrong shape: {name} is {array.shape}, expected {shapes[name]}"
            )
        elif not np.all(np.isfinite(array.astype(np.float32))):
            found.append(f"not finite in float32: {name}")
        elif name.endswith("running_var") and np.any(array < 0):
            found.append(f"a variance below zero: {name}")
    return found


def _load(path: pathlib.Path) -> Any:
    """What the file holds: tensors and plain containers, nothing else."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a PyTorch file; there is none")
    try:
        import torch
    except ImportError as error:
        raise missing(f"reading {path}", "PyTorch", "torch") from error
    try:
        _check_sums(path)
        # Resume files hold their best score as a NumPy number, which runs no code.
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch raises errors of many kinds here, with pages of advice.
        refused = re.search(r"GLOBAL\s+([\w.]+)", str(error))
        if refused:
            raise UserError(
                f"{path}: holds more than weights and was not loaded: it asks for "
                f"{refused.group(1)}"
            ) from error
        why = reason(error)
        if "weights_only" in why.lower() or "weights only" in why.lower():
            why = "it holds more than weights"  # and not the advice to load it all
        raise UserError(
            f"{path}: damaged, incomplete or no PyTorch file ({why})"
        ) from error


def _check_sums(path: pathlib.Path) -> None:
    """Reads through an archive whose members' checksums PyTorch itself passes over.

    Raises:
      zipfile.BadZipFile: one differs; says which.
    """
    if not zipfile.is_zipfile(path):  # older files have no checksums
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.CRC:  # torch.serialization.set_crc32_options(False)
                continue
            with archive.open(member) as file:
                while file.read(2**20):
                    pass


def _numpy_numbers() -> list[Any]:
    """What a pickled NumPy number asks for, by its names in NumPy 1 and 2."""
    scalar = np.float64(0).__reduce__()[0]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    kinds = (
        *(np.float64, np.float32, np.float16, np.bool_),
        *(np.int64, np.int32, np.int16, np.int8),
        *(np.uint64, np.uint32, np.uint16, np.uint8),
    )
    return [
        np.dtype,
        *(type(np.dtype(kind)) for kind in kinds),
        *((scalar, f"{module}.scalar") for module in modules),
    ]


def _array(path: pathlib.Path, name: str, value: Any) -> np.ndarray:
    if not hasattr(value, "is_floating_point"):
        raise UserError(
            f"{path}: expected {name} to be a tensor; got {_describe(value)}"
        )
    # NumPy has no bfloat16; integers are permutations and stay what they are.
    tensor = value.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an empty mapping"
    return f"an object of type {type(value).__name__}"
