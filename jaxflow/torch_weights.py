"""The released PyTorch code's weights, by its names, to parameters of this package.

Takes NumPy arrays (or anything NumPy understands); only to `read` a file is PyTorch
needed. PyTorch stores a dense kernel as (out, in), Flax as (in, out). Block k's nets
are ``inn.module_list.{2k+1}.s1`` and ``.s2``, the modules between them the
permutations, which carry no learned weight.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import critic, flow
from jaxflow.config import FlowConfig
from jaxflow.runs import torch_files
from jaxflow.runs.errors import UserError, listed
from jaxflow.types import Params

_LISTED = 20  # of what is wrong


def read(path: pathlib.Path, *, exact_clamp: bool = False) -> tuple[Params, FlowConfig]:
    """The flow in a PyTorch file.

    Args:
      path: a file with ``{"net": state_dict}`` or a bare ``state_dict``.
      exact_clamp: whether it was trained with the paper's 2/pi in the soft clamp, which
        the file does not say.

    Returns:
      Parameters as from `jaxflow.init`, and their configuration: the released one but
      for the coupling nets' width, which the file has.

    Raises:
      ImportError: PyTorch is not installed.
      FileNotFoundError: there is no such file.
      UserError: it is damaged, no PyTorch file, holds more than weights, or weights of
        another model; names the file and what is wrong.
    """
    state = torch_files.without_prefix(torch_files.read_state(path), "module.")
    config = FlowConfig(hidden=_hidden_width(state), exact_clamp=exact_clamp)
    try:
        return params_from_state(state, config), config
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _hidden_width(state: Mapping[str, np.ndarray]) -> int:
    """Of the coupling nets (1028 released, 1024 paper), from a bias of the first one.

    Where it is missing the released width is given, so that the check that follows says
    what else is missing.
    """
    bias = state.get("inn.module_list.1.s1.0.bias")
    return FlowConfig().hidden if bias is None or bias.ndim != 1 else max(1, bias.size)


def params_from_state(
    state: Mapping[str, Any], config: FlowConfig = FlowConfig()
) -> Params:
    """The flow's and encoder's parameters from the released code's ``state_dict``.

    Args:
      state: name -> array, e.g. ``inn.module_list.1.s1.0.weight`` (1028, 80).
      config: the architecture to expect.

    Returns:
      Parameters as from `jaxflow.init`.

    Raises:
      UserError: names that are missing or unknown, shapes that differ, permutations
        other than this package's, or numbers that are not finite: all are named.
    """
    perms = _check_permutations(state, config)
    weights = {name: array for name, array in state.items() if name not in perms}
    names = _flow_names(config)
    arrays = _collect(weights, names)
    half = 3 * config.joints // 2
    blocks = [
        {net: _coupling_net(arrays, _block_prefix(k, net), half) for net in _NETS}
        for k in range(config.blocks)
    ]
    params = {
        "encoder": {
            "Dense_0": _dense(arrays, "cond_net.0"),
            "Dense_1": _dense(arrays, "cond_net.2"),
        },
        "blocks": jax.tree.map(lambda *leaves: np.stack(leaves), *blocks),
    }
    expected = jax.eval_shape(lambda: flow.init(jax.random.key(0), config))
    return _as_params(params, expected)


def critic_params_from_state(state: Mapping[str, Any]) -> Params:
    """The critic's parameters from the released code's ``state_dict`` (fc1 to fc9).

    Raises:
      UserError: names that are missing or unknown, shapes that differ, or numbers that
        are not finite: all are named.
    """
    expected = jax.eval_shape(lambda: critic.init(jax.random.key(0)))
    names = {
        f"{layer}.{kind}": shape
        for layer, leaves in expected.items()
        for kind, shape in (
            ("weight", leaves["kernel"].shape[::-1]),
            ("bias", leaves["bias"].shape),
        )
    }
    arrays = _collect(state, names)
    return _as_params({layer: _dense(arrays, layer) for layer in expected}, expected)


_NETS = {"net1": "s1", "net2": "s2"}


def _block_prefix(block: int, net: str) -> str:
    return f"inn.module_list.{2 * block + 1}.{_NETS[net]}"


def _flow_names(config: FlowConfig) -> dict[str, tuple[int, ...]]:
    """Every weight the released code stores, with its shape there."""
    size = 3 * config.joints
    inputs = size // 2 + config.encoded
    layers = {
        "cond_net.0": (config.encoder_hidden, config.condition),
        "cond_net.2": (config.encoded, config.encoder_hidden),
    }
    for block in range(config.blocks):
        for net in _NETS:
            prefix = _block_prefix(block, net)
            layers[f"{prefix}.0"] = (config.hidden, inputs)
            layers[f"{prefix}.2"] = (size, config.hidden)
    names: dict[str, tuple[int, ...]] = {}
    for layer, shape in layers.items():
        names[f"{layer}.weight"] = shape
        names[f"{layer}.bias"] = shape[:1]
    return names


def _collect(
    state: Mapping[str, Any], names: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The named arrays as float32, or an error that lists everything that is wrong."""
    if problems := torch_files.problems(state, names):
        first = listed(problems, _LISTED)
        raise UserError(f"these weights are not the model's:\n  {first}")
    return {name: np.asarray(state[name], np.float32) for name in names}


def _dense(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {"kernel": arrays[f"{prefix}.weight"].T, "bias": arrays[f"{prefix}.bias"]}


def _coupling_net(
    arrays: Mapping[str, np.ndarray], prefix: str, half: int
) -> dict[str, dict[str, np.ndarray]]:
    """One net; its first layer splits into the features' and the condition's share."""
    first = _dense(arrays, f"{prefix}.0")
    return {
        "features": {"kernel": first["kernel"][:half]},
        "condition": {"kernel": first["kernel"][half:], "bias": first["bias"]},
        "output": _dense(arrays, f"{prefix}.2"),
    }


def _check_permutations(state: Mapping[str, Any], config: FlowConfig) -> set[str]:
    """Names of the permutations stored, which must be those seeded 0, 1, 2, ..."""
    found = set()
    for block, perm in enumerate(flow.permutations(config.blocks, 3 * config.joints)):
        prefix = f"inn.module_list.{2 * block + 2}"
        for kind, wanted in (("perm", perm), ("perm_inv", np.argsort(perm))):
            name = f"{prefix}.{kind}"
            if name not in state:
                continue
            found.add(name)
            if not np.array_equal(np.asarray(state[name]), wanted):
                raise UserError(
                    f"{name} differs from the permutation seeded with {block}, which "
                    "this package uses: the checkpoint is of another model"
                )
    return found


def _as_params(arrays: Any, expected: Any) -> Params:
    """Device arrays, in the structure `init` gives."""
    return jax.tree.map(lambda want, array: jnp.asarray(array), expected, arrays)
