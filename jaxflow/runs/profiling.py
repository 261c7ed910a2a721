"""Where the time and the memory go: traces, stages, high-water marks.

    a folder -> <folder>/plugins/profile/<time>/*, written by JAX's profiler

TensorBoard's profile plugin reads the folder; ui.perfetto.dev opens the file
``perfetto_trace.json.gz`` in it.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax

_Result = TypeVar("_Result")

_TRACED = range(2, 4)  # calls of `steady`, from 0; the ones before compile

# Of a prediction.
STAGES = ("reading", "people", "crop", "detector", "fit", "lift", "write")


def traced(folder: str | pathlib.Path) -> contextlib.AbstractContextManager[Any]:
    """Traces what happens inside; nothing where the folder is ""."""
    if not str(folder):
        return contextlib.nullcontext()
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python's calls would bury the device's work
    place = str(pathlib.Path(folder).absolute())
    return jax.profiler.trace(
        place, create_perfetto_trace=True, profiler_options=options
    )


def steady(
    function: Callable[..., _Result], folder: str | pathlib.Path
) -> Callable[..., _Result]:
    """The function, of which some calls, once it runs steadily, are traced.

    Args:
      function: gives arrays, and is called again and again.
      folder: where to write; "" for no trace, and the function itself.

    Returns:
      A function that does the same. It waits for the call before the first traced one
      and for the last; a trace that the program's end cuts short is written, too.
    """
    if not str(folder):
        return function
    numbers = itertools.count()
    under_way: list[Any] = []
    trace = contextlib.ExitStack()

    def call(*arguments: Any) -> _Result:
        number = next(numbers)
        if number == _TRACED[0]:
            jax.block_until_ready(under_way)
            trace.enter_context(traced(folder))
            atexit.register(trace.close)
        result = function(*arguments)
        under_way[:] = [result] if number == _TRACED[0] - 1 else []
        if number == _TRACED[-1]:
            jax.block_until_ready(result)
            atexit.unregister(trace.close)
            trace.close()
        return result

    return call


class Clock:
    """Seconds spent in each stage, those of its first call apart: it compiles."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.later: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            if stage in self.first:
                self.later[stage] += seconds
            else:
                self.first[stage] = seconds

    def table(self) -> str:
        """A line a stage."""
        total = sum(self.later.values()) or 1.0
        lines = ["stage      first call      after it     share"]
        for stage, seconds in self.later.items():
            share = 100 * seconds / total
            first = self.first.get(stage, 0.0)
            lines.append(f"{stage:<10}{first:9.2f} s {seconds:11.2f} s {share:7.1f} %")
        return "\n".join(lines)


def memory(devices: Sequence[jax.Device]) -> dict[str, float]:
    """The most memory used so far, MiB: this process's, and the fullest device's.

    Returns:
      host_peak_mib, and device_peak_mib where the devices count it (GPU and TPU).
    """
    peaks = [
        stats["peak_bytes_in_use"]
        for device in devices
        if (stats := device.memory_stats()) and "peak_bytes_in_use" in stats
    ]
    host = {"host_peak_mib": host_peak() / 2**20}
    return host | ({"device_peak_mib": max(peaks) / 2**20} if peaks else {})


def host_peak() -> int:
    """The most bytes that this process has had in memory."""
    try:  # Linux's getrusage counts what the process that started this one had, too
        status = pathlib.Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        import resource  # which Windows has not

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_room(devices: Sequence[jax.Device]) -> int:
    """Bytes that the smallest of some devices of this process has for arrays.

    Where devices do not count their memory they share the machine's.
    """
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    known = [limit for limit in limits if limit]
    return min(known) if known else host_room() // max(1, len(devices))


def host_room() -> int:
    """Bytes of memory that this machine, or this process's container, has."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):  # of Windows
        return 8 * 2**30
    with contextlib.suppress(OSError, ValueError):  # "max": without a limit
        limit = pathlib.Path("/sys/fs/cgroup/memory.max").read_text()
        found.append(int(limit))
    return min(found)
