"""Where a run's numbers go: metrics.jsonl and TensorBoard events.

metrics.jsonl has one JSON object a line, ``{"kind": "train" | "validation", "step": n,
...}``; a line of losses says of how many ``iterations`` its means are. A resumed run
first drops the lines past the step it resumes from, so that the file reads as if the
run had never stopped. TensorBoard's own event writer is used; it needs no TensorFlow.
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import event_file_writer

from jaxflow.runs import files
from jaxflow.runs.errors import UserError

FILE = "metrics.jsonl"


class Writer:
    """Appends to a run's logs; close it to flush them."""

    def __init__(self, workdir: pathlib.Path, step: int):
        """Opens the logs of a run that goes on at ``step``; at 0 it begins anew."""
        self._path = workdir / FILE
        if self._path.exists():
            # A run at step 0 writes again what was there before the first iteration.
            kept = [line for line in read(workdir) if line["step"] <= step > 0]
            text = "".join(json.dumps(line) + "\n" for line in kept)
            files.write_text(self._path, text)
        self._lines = self._path.open("a", encoding="utf-8")
        self._events = event_file_writer.EventFileWriter(str(workdir / "tensorboard"))
        if step:
            # TensorBoard drops what an earlier, longer attempt wrote past this step.
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._events.add_event(
                event_pb2.Event(wall_time=time.time(), step=step, session_log=start)
            )

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """One line and one event, on disk when the call returns."""
        line = json.dumps({"kind": kind, "step": step, **values}) + "\n"
        try:
            self._lines.write(line)
            self._lines.flush()
        except OSError as error:  # a full disk's does not say of which file
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        summary = summary_pb2.Summary(
            value=[
                summary_pb2.Summary.Value(tag=f"{kind}/{name}", simple_value=value)
                for name, value in values.items()
            ]
        )
        self._events.add_event(
            event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        )

    def close(self) -> None:
        """Flushes and closes both."""
        self._lines.close()
        self._events.close()


def read(workdir: pathlib.Path) -> list[dict]:
    """The lines of a run's metrics.jsonl; one cut short by a kill is left out.

    Raises:
      FileNotFoundError: the run has none.
      UserError: a line that is not the last is damaged; names it.
    """
    path = pathlib.Path(workdir) / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    parsed = []
    for number, line in enumerate(lines, 1):
        try:
            parsed.append(_checked(json.loads(line)))
        except ValueError as error:
            if number < len(lines):
                raise UserError(
                    f"{path} line {number} is damaged: {error}; move the file away, "
                    "and the run goes on without its past"
                ) from error
    return parsed


def _checked(line: Any) -> dict:
    if isinstance(line, dict) and {"kind", "step"} <= line.keys():
        if isinstance(line["kind"], str) and type(line["step"]) is int:
            return line
    raise ValueError("it is no line of a run's numbers")
