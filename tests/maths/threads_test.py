"""JAX's settings of one thread in another."""

import threading

import jax
import jax.numpy as jnp
import pytest

from jaxflow.maths import threads


def elsewhere(function):
    """What a function gives in a thread that begins with nothing."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("default_device", jax.devices()[1]),
        ("enable_x64", True),
        ("default_matmul_precision", "highest"),
        ("default_prng_impl", "rbg"),
        ("numpy_dtype_promotion", "standard"),
        ("numpy_rank_promotion", "raise"),
        ("debug_nans", True),
        ("debug_infs", True),
    ],
)
def test_a_setting_is_carried(setting, value):
    def read():
        return getattr(jax.config, f"jax_{setting}")

    before = read()
    assert before != value
    with getattr(jax, setting)(value):
        assert elsewhere(read) == before  # or nothing would have to be carried
        carried = threads.carrying(read)
    assert elsewhere(carried) == value  # that of when it was made
    assert elsewhere(read) == before


def test_what_was_compiled_there_serves_here():
    traced = []

    @jax.jit
    def doubled(x):
        traced.append(x)
        return 2 * x

    for precision in (None, "highest"):
        traced.clear()
        with jax.default_matmul_precision(precision):
            elsewhere(threads.carrying(lambda: doubled(jnp.ones(3))))
            doubled(jnp.ones(3))
        assert len(traced) == 1
