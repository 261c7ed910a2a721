"""Two trees of arrays compared by structure, shapes and dtypes, not by numbers."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def differences(stored: Any, wanted: Any) -> list[str]:
    """A line for each leaf that is missing, unknown, or of another shape or dtype.

    Args:
      stored: nested containers of anything with ``shape`` and ``dtype``.
      wanted: what it should be.
    """
    ours, theirs = _leaves(wanted), _leaves(stored)
    problems = [f"missing: {name}" for name in ours if name not in theirs]
    problems += [f"unknown: {name}" for name in theirs if name not in ours]
    problems += [
        f"{name} is {theirs[name]}, expected {ours[name]}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    return problems


def _leaves(tree: Any) -> dict[str, str]:
    """Path -> ``dtype(shape)`` of every array."""
    leaves = jax.tree_util.tree_leaves_with_path(
        tree, is_leaf=lambda leaf: hasattr(leaf, "shape")
    )
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{np.dtype(leaf.dtype)}{tuple(leaf.shape)}"
        )
        for path, leaf in leaves
        if hasattr(leaf, "shape")
    }
