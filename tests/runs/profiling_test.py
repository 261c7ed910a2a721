"""Traces are written where asked for, and nowhere else."""

import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.runs import profiling


@pytest.mark.slow
def test_a_trace_opens(tmp_path):
    def product_of_itself(x):
        return x @ x

    double = jax.jit(product_of_itself)
    x = jnp.ones((50, 50))
    traced = profiling.steady(double, tmp_path)
    for _ in range(6):
        np.testing.assert_array_equal(traced(x), double(x))
    (perfetto,) = tmp_path.rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.open(perfetto).read())["traceEvents"]
    assert any("product_of_itself" in event.get("name", "") for event in events)
    (plane,) = tmp_path.rglob("*.xplane.pb")
    assert plane.stat().st_size > 0


def test_no_trace_unless_asked(tmp_path):
    assert profiling.steady(max, "") is max
    with profiling.traced(""):
        pass
    assert not list(tmp_path.iterdir())
