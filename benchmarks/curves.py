"""What everything costs as it grows: hypotheses, poses, devices, whole data sets.

    python -m benchmarks.curves [--only=M,B,L,devices,stream] [--seconds=20]

M: hypotheses of one pose, 1 to 10,000. B: poses, 1 to 4,096, 200 hypotheses each. L:
hypotheses in training, 25 to 400 at batch 64. Devices: 1 to 8 virtual ones of a CPU,
the batch shared among them. Stream: 100,000 poses in bounded memory. Each prints a
Markdown table with the cost of one more unit, and the slope of log cost over log size
where work outweighs the calls: 1 is linear. About eight minutes on two quiet cores,
half of it compiling; every table is printed as soon as it is done, so that a run that
was stopped goes on with --only.
"""

from __future__ import annotations

import functools
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import common, train_step
from jaxflow import flow
from jaxflow.config import TrainConfig
from jaxflow.types import Params

HYPOTHESES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
POSES = (1, 4, 16, 64, 256, 1024, 4096)
LOSS_HYPOTHESES = (25, 50, 100, 200, 400)
STREAMED, EACH = 100_000, 25
_MOST_CALLS = 9


def measured(run: Callable[[], Any], seconds: float) -> float:
    """The median of as many calls as fit, at least two; one more compiles."""
    jax.block_until_ready(run())
    times: list[float] = []
    while len(times) < 2 or (sum(times) < seconds and len(times) < _MOST_CALLS):
        times.append(common.seconds_of(run))
    return statistics.median(times)


def curve(name: str, sizes: Sequence[int], taken: Sequence[float], base: int) -> str:
    """A table of the cost, and its slope from ``base`` on."""
    rows = [
        [f"{size:,}", f"{1e3 * took:.2f}", f"{1e6 * took / size:.2f}"]
        for size, took in zip(sizes, taken, strict=True)
    ]
    large = [index for index, size in enumerate(sizes) if size >= base]
    slope = common.exponent([sizes[i] for i in large], [taken[i] for i in large])
    first, last = (taken[i] / sizes[i] for i in (large[0], large[-1]))
    table = common.markdown([name, "ms", "us each"], rows)
    return (
        f"{table}\n\nFrom {base:,} to {sizes[-1]:,} the cost grows as {name}^"
        f"{slope:.2f}; one of {sizes[-1]:,} costs {last / first:.2f} times one of "
        f"{base:,}."
    )


def over_hypotheses(params: Params, seconds: float) -> str:
    """M for one pose."""
    taken = [measured(common.drawing(params, 1, m), seconds / 10) for m in HYPOTHESES]
    return curve("M", HYPOTHESES, taken, 300)


def over_poses(params: Params, seconds: float) -> str:
    """B with 200 hypotheses each."""
    taken = [measured(common.drawing(params, b, 200), seconds / 7) for b in POSES]
    return curve("B", POSES, taken, 16)


def over_loss_hypotheses(seconds: float) -> str:
    """L in training, where a part of the cost does not depend on it; sizes in turn."""
    runs = {}
    for count in LOSS_HYPOTHESES:
        run = train_step.Run(TrainConfig(hypotheses=count))
        runs[str(count)] = lambda r=run: r(2)
    times = common.take_turns(runs, max(3, round(seconds / 4)))
    taken = [statistics.median(each) / 2 for each in times.values()]
    slope, rest = np.polyfit(LOSS_HYPOTHESES, taken, 1)
    worst = max(
        abs(took / (rest + slope * count) - 1)
        for count, took in zip(LOSS_HYPOTHESES, taken, strict=True)
    )
    rows = [
        [f"{count}", f"{took:.3f}", f"{1e3 * took / count:.2f}"]
        for count, took in zip(LOSS_HYPOTHESES, taken, strict=True)
    ]
    table = common.markdown(["L", "s an iteration", "ms each"], rows)
    return (
        f"{table}\n\n{rest:.3f} s + {1e3 * slope:.2f} ms a hypothesis, which every "
        f"measurement meets within {worst:.0%}."
    )


def over_devices() -> str:
    """Virtual devices, in a process of their own, which splits the processor."""
    script = pathlib.Path(__file__).with_name("scaling.py")
    done = subprocess.run(
        [sys.executable, str(script), "--hypotheses=25"],
        check=True,
        capture_output=True,
        text=True,
        cwd=script.parents[1],
    )
    return done.stdout.split("\n\n")[0].strip()


def streamed(params: Params, count: int = STREAMED, each: int = EACH) -> str:
    """Many poses, a block at a time."""
    inputs = common.made_up(count)
    draw = functools.partial(common.sample_blocks, params, block=256)
    first = jax.tree.map(lambda column: column[:256], inputs)
    for _ in draw(first, jax.random.key(0), each):
        pass
    before, began, poses = common.peak_mib(), time.perf_counter(), 0
    for block in draw(inputs, jax.random.key(0), each):
        poses += len(block)
    took = time.perf_counter() - began
    whole = count * each * 17 * 3 * 4 / 2**20
    return (
        f"{poses:,} poses x {each} streamed in {took:.1f} s: {poses / took:,.0f} "
        f"poses/s, {1e6 * took / poses / each:.2f} us a hypothesis; the process's peak "
        f"rose by {common.peak_mib() - before:.0f} MiB, where all of them have "
        f"{whole:,.0f} MiB."
    )


def main() -> None:
    """Prints the tables asked for."""
    parser = common.parser(__doc__)
    parser.add_argument("--only", default="M,B,stream,L,devices")
    parser.add_argument("--seconds", type=float, default=20, help="about, a curve")
    options = parser.parse_args()
    params = jax.tree.map(lambda leaf: leaf / 2, flow.init(jax.random.key(0)))
    parts: dict[str, Callable[[], str]] = {
        "M": lambda: over_hypotheses(params, options.seconds),
        "B": lambda: over_poses(params, options.seconds),
        "stream": lambda: streamed(params),
        "L": lambda: over_loss_hypotheses(options.seconds),
        "devices": over_devices,
    }
    print(common.speed(5).text())
    began = time.perf_counter()
    for name in options.only.split(","):
        print(f"\n{parts[name]()}", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
