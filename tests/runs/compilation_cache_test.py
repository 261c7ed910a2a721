"""Compiled programs are kept between processes; broken entries do no harm."""

import jax
import pytest

from jaxflow.runs import compilation_cache
from tests.helpers.training import command

PROGRAM = """
import sys, jax, jax.monitoring
from jaxflow import commands
from jaxflow.methods import flow
from jaxflow.runs import compilation_cache
from jaxflow.training import parallel, state
from benchmarks.common import made_up
from tests.helpers.training import TINY
import jax.numpy as jnp
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
folder = compilation_cache.enable(sys.argv[1])
devices = tuple(jax.devices()[:1])
now = parallel.replicate(state.init(jax.random.key(0), TINY), devices)
run = parallel.make_run(TINY, devices, 4, flow)
data = parallel.replicate(made_up(400), devices)
hits.clear()
now, losses = run(now, data, jnp.int32(2))
counts = [sum(kind in hit for hit in hits) for kind in ("cache_hits", "cache_misses")]
print("found", folder, *counts, float(losses.det[1]))
"""


def start_up(tmp_path):
    """(folder, hits, misses, a loss) of a process that trains two iterations."""
    (tmp_path / "start.py").write_text(PROGRAM)
    started = command(
        str(tmp_path / "cache"),
        module="start",
        cwd=tmp_path,
        JAX_ENABLE_COMPILATION_CACHE="true",
    )
    output, _ = started.communicate(timeout=300)
    assert started.returncode == 0, output
    # Warnings of broken entries may come behind it.
    (line,) = [text for text in output.splitlines() if text.startswith("found ")]
    _, folder, hits, misses, loss = line.split(" ")
    return folder, int(hits), int(misses), float(loss)


@pytest.mark.slow
def test_a_second_start_compiles_nothing_and_broken_entries_do_no_harm(tmp_path):
    folder, hits, misses, loss = start_up(tmp_path)
    assert hits == 0 and misses >= 1
    assert start_up(tmp_path) == (folder, misses, 0, loss)
    entries = list((tmp_path / "cache").rglob("*-cache"))
    assert entries
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:100])
    broken = start_up(tmp_path)
    assert broken[1] == 0 and broken[3] == loss


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compilation_cache.user_folder() == tmp_path / "jaxflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compilation_cache.user_folder() == tmp_path / ".cache" / "jaxflow"
    assert compilation_cache.enable(compilation_cache.OFF) is None
    assert compilation_cache.machine() == compilation_cache.machine()
    assert jax.config.jax_compilation_cache_dir is None
