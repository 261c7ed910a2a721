"""Two trees of arrays compared: by structure, shapes and dtypes, or by their bits."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def differences(stored: Any, wanted: Any) -> list[str]:
    """A line for each leaf that is missing, unknown, or of another shape or dtype.

    Args:
      stored: nested containers of anything with ``shape`` and ``dtype``.
      wanted: what it should be.
    """
    ours, theirs = _kinds(wanted), _kinds(stored)
    problems = [f"missing: {name}" for name in ours if name not in theirs]
    problems += [f"unknown: {name}" for name in theirs if name not in ours]
    problems += [
        f"{name} is {theirs[name]}, expected {ours[name]}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    return problems


def checksum(tree: Any) -> int:
    """CRC-32 of the bytes of all arrays, one after the other."""
    total = 0
    for leaf in jax.tree.leaves(jax.device_get(tree)):
        data = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data
        total = zlib.crc32(data, total)
    return total


def checksums(tree: Any) -> dict[str, int]:
    """CRC-32 of the bytes of every array, by its path in the tree."""
    return {name: checksum(leaf) for name, leaf in by_path(tree).items()}


def other_bits(tree: Any, recorded: Mapping[str, int]) -> list[str]:
    """Paths of the arrays whose `checksums` are not the recorded ones."""
    sums = checksums(tree)
    return sorted(
        name for name in {*sums, *recorded} if sums.get(name) != recorded.get(name)
    )


def by_path(tree: Any) -> dict[str, Any]:
    """Path -> leaf, of every array and everything that tells its shape."""
    leaves = jax.tree_util.tree_leaves_with_path(
        tree, is_leaf=lambda leaf: hasattr(leaf, "shape")
    )
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
        if hasattr(leaf, "shape")
    }


def _kinds(tree: Any) -> dict[str, str]:
    """Path -> ``dtype(shape)`` of every array."""
    return {
        name: f"{np.dtype(leaf.dtype)}{tuple(leaf.shape)}"
        for name, leaf in by_path(tree).items()
    }
