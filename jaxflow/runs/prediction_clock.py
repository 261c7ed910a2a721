"""Where the time of a prediction goes: seconds by stage, as a table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

STAGES = ("reading", "crop", "detector", "fit", "lift", "write")


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
