"""What JAX compiles while something runs, and how well."""

import contextlib

import jax
import jax.monitoring

COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def compilations():
    """A list that gets the name of every program that is compiled."""
    names = []

    def listen(event, duration, **details):
        if event == COMPILED:
            names.append(details.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@contextlib.contextmanager
def optimised():
    """Programs are compiled as they are for users: what computes for long needs it."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
