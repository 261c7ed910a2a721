"""JAX's settings in other threads, which know those of the whole process alone.

`carrying` makes of a function one that is computed there as it would be here.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

_P = ParamSpec("_P")
_T = TypeVar("_T")

# What decides where things are computed, in which precision, and what is refused; each
# can be entered as a context and is read from the configuration by the other name.
_SETTINGS: dict[str, Callable[[Any], contextlib.AbstractContextManager[Any]]] = {
    "jax_default_device": jax.default_device,
    "jax_enable_x64": jax.enable_x64,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_default_prng_impl": jax.default_prng_impl,
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
    "jax_debug_nans": jax.debug_nans,
    "jax_debug_infs": jax.debug_infs,
}


def carrying(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """The function for another thread, under the settings that hold here and now."""
    wanted = _settings()

    @functools.wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> _T:
        there = _settings()
        with contextlib.ExitStack() as stack:
            for name, value in wanted.items():
                # What holds there anyway is not entered: nothing is compiled for it.
                if there[name] != value:
                    stack.enter_context(_SETTINGS[name](value))
            return function(*args, **options)

    return call


def _settings() -> dict[str, Any]:
    return {name: getattr(jax.config, name) for name in _SETTINGS}
