"""The flags by which several processes of one command find each other."""

from __future__ import annotations

from absl import flags

from jaxflow.runs import multihost
from jaxflow.runs.errors import UserError

_MULTIHOST = flags.DEFINE_bool(
    "multihost", False, "Work together with other processes; never guessed."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator_address",
    None,
    "HOST:PORT of process 0, with --multihost; Cloud TPU, Slurm and Open MPI tell it.",
)
_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes, with --multihost; as above."
)
_PROCESS = flags.DEFINE_integer(
    "process_id", None, "Which of them this is, from 0, with --multihost; as above."
)
_TIMEOUT = flags.DEFINE_integer(
    "heartbeat_timeout",
    multihost.TIMEOUT,
    "Seconds without a sign of life after which a process counts as lost and the "
    "others end, with --multihost.",
)


def join_others() -> None:
    """With --multihost, connects to the other processes.

    Raises:
      UserError: the flags for several processes do not belong together.
    """
    if _MULTIHOST.value:
        multihost.initialize(
            _COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _TIMEOUT.value
        )
        return
    for flag in (_COORDINATOR, _PROCESSES, _PROCESS):
        if flag.value is not None:
            raise UserError(f"--{flag.name} is of no use without --multihost")
