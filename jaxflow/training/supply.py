"""Where an iteration's frames come from: held on the devices, or read when wanted.

    RunConfig -> Supply;  iterations -> Held, on the devices

Both give every iteration the same frames with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import jax
import numpy as np

from jaxflow import data
from jaxflow.config import RunConfig, TrainConfig
from jaxflow.data import records as store
from jaxflow.runs import multihost, profiling
from jaxflow.training import dispatch, frames, parallel
from jaxflow.training.method import Method
from jaxflow.training.streamed import Streamed
from jaxflow.types import Batch, Held, PoseRecords

# Of a device's memory, and of this machine's, that held frames may take.
_SHARE = 0.25
# Bytes of this machine that a frame takes while all are loaded (`benchmarks.stream`).
_LOADING = 4300


class Supply(Protocol):
    """The frames of a run.

    Attributes:
      frames: how many there are to train on.
      held_out: to validate on, if any.
      part: what `parallel.make_run` takes as ``frames``: 0 where all are held.
      most: iterations that a dispatch may have.
    """

    frames: int
    held_out: PoseRecords | None
    part: int
    most: int

    def fingerprint(self) -> dict[str, int]:
        """See `frames.fingerprint`."""

    def sample(self, most: int) -> tuple[Batch, np.ndarray]:
        """So many frames, evenly spaced, and the group that each is of, (n,)."""

    def place(self, devices: Sequence[jax.Device], total: int) -> None:
        """Makes ready for a run on these devices of so many iterations in all."""

    def take(self, step: int, count: int) -> Held:
        """What the next ``count`` iterations see, on this process's devices.

        Args:
          step: iterations done before.
          count: at most `most`.
        """

    def close(self) -> None:
        """Ends what is under way."""


class Resident:
    """All frames on every device; see `Supply`."""

    def __init__(self, config: RunConfig, method: Method):
        """Reads them.

        Raises:
          UserError: see `frames.load`.
        """
        self._records: PoseRecords | None
        self._records, self.held_out = frames.load(config)
        self.frames, self.part = len(self._records), 0
        self.most = dispatch.MOST_PER_DISPATCH
        self._fingerprint = frames.fingerprint(self._records)
        self._config, self._groups = config.train, method.groups
        self._held: Held | None = None

    def fingerprint(self) -> dict[str, int]:
        """See `Supply`."""
        return self._fingerprint

    def sample(self, most: int) -> tuple[Batch, np.ndarray]:
        """See `Supply`."""
        assert self._records is not None
        rows = data.evenly_spaced(self.frames, most)
        raw = data.to_raw(self._records.take(rows))
        return frames.seen(raw), frames.group_of(self._records, self._groups)[rows]

    def place(self, devices: Sequence[jax.Device], total: int) -> None:
        """Puts them there, where all that training needs then is.

        Raises:
          UserError: see `frames.inputs`.
        """
        del total
        assert self._records is not None
        inputs = frames.inputs(self._records, self._config, self._groups)
        self._held = parallel.replicate(inputs, devices)
        self._records = None

    def take(self, step: int, count: int) -> Held:
        """See `Supply`."""
        del step, count
        assert self._held is not None
        return self._held

    def close(self) -> None:
        """Nothing is under way."""


def opened(config: RunConfig, method: Method, devices: Sequence[jax.Device]) -> Supply:
    """The frames of a run, held or read as configured; says which.

    Args:
      config: of the run.
      method: that is trained.
      devices: of the run.

    Raises:
      UserError: see `frames.load`.
    """
    where = config.data
    builders = data.prepared(where.dataset, where.data_dir, where.manual_dir)
    count = sum(store.frames_of(builder, "train") for builder in builders)
    needs = (
        ("a device's", count * _bytes(config.train, method), _device_room(devices)),
        ("this machine's", count * _LOADING, profiling.host_room()),
    )
    wanting = [need for need in needs if need[1] > _SHARE * need[2]]
    # All processes do the same.
    short = bool(multihost.gather_column(np.asarray([bool(wanting)])).any())
    stream = short if config.loop.stream == "auto" else config.loop.stream == "always"
    if multihost.is_first():
        whose, taken, room = (wanting or needs)[0]
        how = "read from their files as training goes on" if stream else "held"
        would = "all would take" if stream else "they take"
        print(
            f"{count:,} frames, {how}; {would} {_size(taken)} of {whose} {_size(room)}"
        )
    return Streamed(config, method) if stream else Resident(config, method)


def _device_room(devices: Sequence[jax.Device]) -> int:
    return profiling.device_room(parallel.own(devices))


def _bytes(config: TrainConfig, method: Method) -> int:
    """That a frame takes on a device."""
    shapes = store.ARRAYS.values() if config.augment.any else [(48,), (32,), (78,)]
    numbers = sum(int(np.prod(shape)) for shape in shapes)
    return 4 * (numbers + bool(method.groups))


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
