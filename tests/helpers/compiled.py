"""What JAX compiles while something runs."""

import contextlib

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
