"""PyTorch's HRNet weights, by their published names, to variables of this package.

    {"stage2.0.branches.0.1.conv2.weight": (32, 32, 3, 3), ...} -> variables of `hrnet`

Takes NumPy arrays (or anything NumPy understands); only to `read` a file is PyTorch
needed. The names are those of the network's released code, bare as in
the published MPII checkpoint, or

* all below ``module.``, as a run on several GPUs saves them, or
* ``backbone.``, the last layer in ``keypoint_head.`` or ``head.``, as MMPose does.

PyTorch stores a kernel as (out, in, rows, columns), Flax as (rows, columns, in, out).
What is scanned over here (the modules of a stage, the blocks of a branch) lies there in
one array for each repetition; those are stacked.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow.detector.network import hrnet
from jaxflow.detector.network.hrnet import HRNetConfig
from jaxflow.runs import torch_files
from jaxflow.runs.errors import UserError, listed
from jaxflow.types import Params

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_COUNTER = ".num_batches_tracked"
_PREFIXES = re.compile(r"^(module\.)?(backbone\.|(keypoint_)?head\.(?=final_layer\.))?")
_LISTED = 20


class _Leaf(NamedTuple):
    """One leaf of the variables and what it is made of.

    Attributes:
      kind: kernel, scale, bias, mean or var.
      shape: of the leaf.
      names: PyTorch's names, in the order of the repetitions.
    """

    kind: str
    shape: tuple[int, ...]
    names: list[str]

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """Of each of the arrays."""
        if self.kind != "kernel":
            return self.shape[-1:]
        rows, columns, inputs, outputs = self.shape[-4:]
        return outputs, inputs, rows, columns

    def gather(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The leaf from the named arrays."""
        stack = np.stack([arrays[name] for name in self.names])
        if self.kind == "kernel":
            stack = stack.transpose(0, 3, 4, 2, 1)
        return np.ascontiguousarray(stack.reshape(self.shape), np.float32)


def read(path: pathlib.Path) -> tuple[Params, HRNetConfig]:
    """The HRNet in a PyTorch file.

    Args:
      path: the published MPII checkpoint, the authors' fine-tuned one, a training
        run's resume file, or MMPose's.

    Returns:
      Variables as from `hrnet.init`, and their configuration: that of HRNet-W32
      but for the width and the joints, which the file has.

    Raises:
      ImportError: PyTorch is not installed.
      FileNotFoundError: there is no such file.
      UserError: it is damaged, or no HRNet's; names the file and what is wrong.
    """
    state = torch_files.read_state(path)
    try:
        return from_state(state)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def from_state(
    state: Mapping[str, Any], config: HRNetConfig | None = None
) -> tuple[Params, HRNetConfig]:
    """The network's variables from a ``state_dict``.

    Args:
      state: name -> array, with any of the prefixes above. Counters of batches
        (``num_batches_tracked``) carry nothing and may be missing.
      config: the sizes to expect; by default the width and the number of joints that
        the last layer has, all else as in HRNet-W32.

    Returns:
      Variables as from `hrnet.init`, as NumPy arrays, and their configuration.

    Raises:
      UserError: names that are missing, unknown or there twice, shapes that differ,
        numbers that are not finite, or a variance below zero: all are named.
    """
    state = plain_names(state)
    config = _sizes_of(state) if config is None else config
    paths, structure = jax.tree_util.tree_flatten_with_path(hrnet.shapes(config))
    leaves = [
        _leaf(tuple(entry.key for entry in path[1:]), leaf.shape, config)
        for path, leaf in paths
    ]
    wanted = {name: leaf.torch_shape for leaf in leaves for name in leaf.names}
    counters = {
        name.replace(".running_mean", _COUNTER)
        for name in wanted
        if name.endswith(".running_mean")
    }
    known = {name: state[name] for name in state if name not in counters}
    if problems := sorted(torch_files.problems(known, wanted)):
        first = listed(problems, _LISTED)
        raise UserError(f"these weights are not the detector's:\n  {first}")
    arrays = {name: np.asarray(state[name], np.float32) for name in wanted}
    made = [leaf.gather(arrays) for leaf in leaves]
    return jax.tree_util.tree_unflatten(structure, made), config


def plain_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state by the names of the published checkpoint, whoever saved it.

    Raises:
      UserError: two names become the same.
    """
    plain: dict[str, Any] = {}
    for name, array in state.items():
        short = _PREFIXES.sub("", name)
        if short in plain:
            raise UserError(f"these weights have {short} twice, once as {name}")
        plain[short] = array
    return plain


def _sizes_of(state: Mapping[str, Any]) -> HRNetConfig:
    """HRNet's sizes, with the width and the joints that the last layer has.

    Where it is missing or odd these are HRNet-W32's, so that the check that follows
    says what is wrong.
    """
    shape = np.shape(state.get("final_layer.weight", ()))
    if len(shape) != 4 or not min(shape):
        return HRNetConfig()
    return HRNetConfig(joints=shape[0], width=shape[1])


def _leaf(path: tuple[str, ...], shape: tuple[int, ...], config: HRNetConfig) -> _Leaf:
    """The leaf at a path such as stage3, branch0, conv1, conv, kernel."""
    *modules, part, kind = path
    single = 4 if kind == "kernel" else 1
    repeats = shape[: len(shape) - single]
    if part == "final":
        units = ["final_layer"]
    else:
        units = [
            _unit(modules, index, part == "norm", config)
            for index in np.ndindex(*repeats)
        ]
    return _Leaf(kind, shape, [f"{unit}.{_LEAVES[kind]}" for unit in units])


def _unit(
    modules: Sequence[str], index: Sequence[int], norm: bool, config: HRNetConfig
) -> str:
    """PyTorch's name of a convolution or of the normalisation after it.

    Args:
      modules: names from the outermost to the `ConvNorm`.
      index: which repetition, for those of them that are scanned over.
      norm: the normalisation rather than the convolution.
      config: the network's sizes.
    """
    prefix, left = "", list(index)
    for module in modules[:-1]:
        if module == "layer1_first":
            prefix += "layer1.0."
        elif module == "layer1":
            prefix += f"layer1.{left.pop(0) + 1}."
        elif module == "last":
            prefix += f"stage{len(config.modules) + 1}.{config.modules[-1] - 1}."
        elif module.startswith("branch"):
            prefix += f"branches.{module.removeprefix('branch')}.{left.pop(0)}."
        else:
            prefix += f"{module}.{left.pop(0)}."
    return prefix + _conv_norm(modules[-1], norm)


def _conv_norm(module: str, norm: bool) -> str:
    """The last part of a unit's name, e.g. ``bn1`` or ``fuse_layers.1.0.0.1``."""
    kind, numbers = re.fullmatch(r"([a-z]+)([\d_]*)", module).groups()  # type: ignore[union-attr]
    if kind in ("conv", "stem"):
        return f"{'bn' if norm else 'conv'}{numbers}"
    member = f".{int(norm)}"
    if kind == "downsample":
        return kind + member
    first, second, *step = map(int, numbers.split("_"))
    if kind == "transition":
        # The new branch's layers are a list of one; the old ones' are not in a list.
        listed = "" if second < first - 1 else ".0"
        return f"transition{first - 1}.{second}{listed}{member}"
    listed = "" if second > first else f".{step[0]}"
    return f"fuse_layers.{first}.{second}{listed}{member}"
