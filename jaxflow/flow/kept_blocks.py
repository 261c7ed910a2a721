"""The flow's blocks one by one, kept from one call of the sampler to the next.

    params with stacked blocks -> params with separate blocks (`stack.separate`)

A program that gets the blocks stacked first copies each one's weights, which for one
pose is a tenth of its time. JAX's arrays do not change, so what was made from some
holds for as long as they live; with them it goes.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, NamedTuple

import jax

from jaxflow.flow import stack
from jaxflow.types import Params

_MOST = 4  # sets of parameters, 9 MB each in the released configuration


class _Kept(NamedTuple):
    sources: tuple[weakref.ref[Any], ...]
    blocks: Any


# By the identities of the stacked arrays; the oldest first.
_kept: dict[tuple[int, ...], _Kept] = {}
_separate = jax.jit(lambda blocks: stack.separate({"blocks": blocks})["blocks"])


def separate(params: Params) -> Params:
    """The same parameters, their blocks one by one if these are arrays of one device.

    What is traced, spread over devices or NumPy's, which may change, stays as it is:
    the program that gets it separates it for itself.
    """
    leaves = jax.tree.leaves(params["blocks"])
    key = tuple(map(id, leaves))
    kept = _kept.get(key)
    if kept is None:
        if not all(map(_settled, leaves)):
            return params
        forget = functools.partial(_forget, key)
        sources = tuple(weakref.ref(leaf, forget) for leaf in leaves)
        with jax.ensure_compile_time_eval():  # else a trace under way would be kept
            kept = _Kept(sources, _separate(params["blocks"]))
        _kept[key] = kept
        while len(_kept) > _MOST:
            _forget(next(iter(_kept)))
    elif any(leaf.is_deleted() for leaf in leaves):
        return params  # given away meanwhile: JAX says so
    return {**params, "blocks": kept.blocks}


def _settled(leaf: Any) -> bool:
    """Whether this is an array whose numbers are there, on one device, for good."""
    return (
        isinstance(leaf, jax.Array)
        and not isinstance(leaf, jax.core.Tracer)
        and not leaf.is_deleted()
        and leaf.is_fully_addressable
        and len(leaf.devices()) == 1
    )


def _forget(key: tuple[int, ...], _: Any = None) -> None:
    _kept.pop(key, None)
