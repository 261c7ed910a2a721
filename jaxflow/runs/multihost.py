"""Several processes of one run, each with devices of its own, by `jax.distributed`.

In: where the coordinator is, and which process this is. Out: the same data and the same
state in every process. Nothing is guessed: a run has one process unless `initialize`
was called. Process 0 alone writes; the others get from it what it has read.

If a process is lost the others end, too, with status 134 and JAX's words "another task
died", at most ``timeout`` seconds later (at once where it was process 0); started
again, they go on from the newest checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxflow.runs.errors import UserError
from jaxflow.types import PoseRecords

TIMEOUT = 60  # seconds without a sign of life after which a process counts as lost
_Result = TypeVar("_Result")


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: int = TIMEOUT,
) -> None:
    """Joins the other processes; to be called before anything else of JAX.

    Args:
      coordinator_address: ``host:port`` at which process 0 can be reached. This and the
        next two may be left out on Cloud TPU, Slurm and Open MPI, which tell JAX.
      num_processes: of the run.
      process_id: of this one, 0 to num_processes - 1.
      timeout: seconds without a sign of life after which a process counts as lost, and
        the longest that the first to end waits for the others.

    Raises:
      ValueError: something is missing that this machine's surroundings do not tell.
      RuntimeError: the others did not come, or JAX is in use already.
    """
    try:
        jax.distributed.initialize(
            coordinator_address,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=timeout,
            shutdown_timeout_seconds=timeout,
        )
    except ValueError as error:
        raise UserError(
            f"--multihost: {error} Give --coordinator_address=HOST:PORT, "
            "--num_processes and --process_id; only on Cloud TPU, Slurm and Open MPI "
            "can they be left out"
        ) from error
    print(
        f"process {jax.process_index()} of {jax.process_count()}, "
        f"{jax.local_device_count()} of {jax.device_count()} devices; should another "
        f"process be lost, this one ends within {timeout} s, and the same commands go "
        "on from the newest checkpoint",
        file=sys.stderr,
    )


def several() -> bool:
    """Whether this run has more than one process."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes."""
    return jax.process_index() == 0


def first_does(what: Callable[[], _Result]) -> _Result | None:
    """Lets process 0 do something; None in the others, once it is done.

    Raises:
      ConnectionError: in the others, if it failed in process 0, which raises its own.
    """
    result, failure = None, None
    if is_first():
        try:
            result = what()
        except Exception as error:
            failure = error
    if several():
        failed = multihost_utils.broadcast_one_to_all(np.int32(failure is not None))
        if failed and not is_first():
            raise ConnectionError("process 0 gave up; its own message says why")
    if failure is not None:
        raise failure
    return result


def from_first(tree: Any) -> Any:
    """Process 0's arrays in every process, as host arrays.

    Args:
      tree: in the other processes anything of the same structure, shapes and dtypes.
    """
    if not several():
        return tree
    return jax.device_get(multihost_utils.broadcast_one_to_all(jax.device_get(tree)))


def wait_for_all(where: str) -> None:
    """Returns once every process has come here."""
    if several():
        multihost_utils.sync_global_devices(where)


@contextlib.contextmanager
def failures_named() -> Iterator[None]:
    """Makes JAX's errors of an exchange between processes a line for the user.

    Raises:
      ConnectionError: instead of JAX's own error, where there are several processes.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not several():
            raise
        raise ConnectionError(
            f"process {jax.process_index()} lost the others, or the devices failed: "
            f"{str(error).splitlines()[0]}; the same commands go on from the newest "
            "checkpoint"
        ) from error


def own_part(split: str) -> str:
    """The part of a data set's split that this process reads: ``train[50%:100%]``."""
    number, count = jax.process_index(), jax.process_count()
    return f"{split}[{100 * number // count}%:{100 * (number + 1) // count}%]"


def own_rows(count: int) -> range:
    """The rows, of so many, that this process looks at."""
    number, processes = jax.process_index(), jax.process_count()
    return range(number * count // processes, (number + 1) * count // processes)


def gather(part: PoseRecords) -> PoseRecords:
    """All frames, in the data set's order, from the parts that the processes read.

    Every frame's bytes travel as they are, so the result does not depend on the number
    of processes. It is not small: 0.8 kB a frame.
    """
    columns = {name: gather_column(array) for name, array in part.columns().items()}
    extra = {name: columns.pop(name) for name in part.extra}
    return PoseRecords(**columns, extra=extra)


def gather_column(column: np.ndarray) -> np.ndarray:
    """Rows of all processes, in their order; texts take the longest one's length."""
    size = np.asarray([len(column), column.dtype.itemsize], np.int32)
    sizes = np.asarray(multihost_utils.process_allgather(size)).reshape(-1, 2)
    most, width = sizes.max(axis=0)
    if column.dtype.kind == "U":
        column = column.astype(f"U{width // np.dtype('U1').itemsize}")
    # Not -1, which says nothing of a process that has no rows.
    flat = np.ascontiguousarray(column).reshape(
        len(column), math.prod(column.shape[1:])
    )
    rows = flat.view(np.uint8)
    padded = np.zeros((most, rows.shape[1]), np.uint8)
    padded[: len(rows)] = rows
    gathered = np.asarray(multihost_utils.process_allgather(padded))
    parts = [rows[:count] for rows, count in zip(gathered, sizes[:, 0], strict=True)]
    whole = np.ascontiguousarray(np.concatenate(parts)).view(column.dtype)
    return whole.reshape(-1, *column.shape[1:])
