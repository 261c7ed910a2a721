"""Signs of trouble told once, memory counted, and lines where there is no terminal."""

import subprocess
import sys
import time

import numpy as np
import pytest

from jaxflow.runs import progress
from jaxflow.training import health


def told():
    lines = []
    return lines, health.Health(lines.append)


def test_an_exploding_critic_is_told_once_until_it_is_well_again():
    lines, watch = told()
    for step, value in enumerate([-4.0, 99.0, -250.0, 300.0, 1.0, -101.0]):
        watch.losses(step, {"critic": value})
    assert len(lines) == 2
    assert "step 2" in lines[0] and "-250" in lines[0] and "+-100" in lines[0]
    assert "step 5" in lines[1]


def test_vanished_diversity_is_told_by_axis():
    lines, watch = told()
    heatmaps = np.array([12.0, 20.0])
    watch.spread(1, np.array([3.1, 5.1, 4.1]), heatmaps)
    assert not lines
    watch.spread(2, np.array([2.9, 5.1, 3.9]), heatmaps)
    assert len(lines) == 2
    assert "2.9 mm along x" in lines[0] and "12.0 mm" in lines[0]
    assert "3.9 mm along z" in lines[1] and "16.0 mm" in lines[1]


def test_the_heatmaps_spread_is_the_losses_scale():
    """One pixel of a sure joint is 5 mm: sigma 2 px, over 20 in the condition."""
    cond = np.zeros((3, 13, 6))
    cond[..., 3], cond[..., 5] = (2 / 20) ** 2, (4 / 20) ** 2
    found = health.heatmap_spread(cond.reshape(3, 78))
    np.testing.assert_allclose(found, [10.0, 20.0])


def test_memory_is_that_of_the_process():
    """The most that it had: a new process's peak grows by a block, and stays."""
    program = (
        "import jax, numpy as np\n"
        "from jaxflow.runs import profiling\n"
        "peak = lambda: profiling.memory(jax.devices())['host_peak_mib']\n"
        "before = peak()\n"
        "block = np.ones(256 * 2**20, np.uint8)\n"
        "during = peak()\n"
        "del block\n"
        "print(before, during, peak())"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    before, during, after = map(float, printed.split())
    # What is freed before the block is laid may be used for it.
    assert 50 < before < 1e4 and 128 < during - before < 300
    assert abs(after - during) < 20  # the system counts a little late


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.4, "0 s"),
        (12, "12 s"),
        (245, "4 min 5 s"),
        (12000, "3 h 20 min"),
        (2 * 86400 + 3 * 3600 + 5, "2 d 3 h"),
        (float("inf"), "11574 d 1 h"),
        (-1, "0 s"),
    ],
)
def test_durations_are_readable(seconds, text):
    assert progress.duration(seconds) == text


def test_terms_that_are_not_computed_are_not_told():
    terms = {"l2d": 0.0, "energy": 0.1234, "critic": float("nan")}
    assert progress.terms_text(7, terms) == "step 7 energy 0.123 critic nan"


def test_lines_come_where_there_is_no_terminal(capfd, monkeypatch):
    """At once, at intervals and at the end; the time left is of training alone."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bar = progress.Progress(1000, 100, 704, every=30)
    now[0] = 500.0  # compiling
    bar.unpause()
    for _ in range(70):
        now[0] += 1.0
        bar.update(10, "l2d 0.1")
    bar.close()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("110 of 1000 iterations, 10 it/s, 7.04e+03 poses/s,")
    assert "1 min 29 s left: l2d 0.1" in lines[0]
    assert [line.split()[0] for line in lines] == ["110", "410", "710", "800"]


def test_a_quiet_process_says_nothing(capfd):
    bar = progress.Progress(10, 0, 1, quiet=True)
    bar.write("text")
    bar.update(5, "l2d 0.1")
    bar.close()
    assert capfd.readouterr() == ("", "")
