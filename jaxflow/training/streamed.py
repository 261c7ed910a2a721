"""An iteration's frames, read from the files shortly before it; see `supply.Supply`.

    iterations -> Held, on the devices

Which rows an iteration sees follows from its number (`epochs`), so threads read them
ahead, each process those of its own devices. Poses whose limbs others borrow are rows
like the others and are read with them. A dispatch's frames are laid on the devices in
the order of use; what waits there and on the host has a bound, whatever the data set.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data
from jaxflow.config import RunConfig, TrainConfig
from jaxflow.data.records import ARRAYS
from jaxflow.data.seen import BLOCK
from jaxflow.data.source import Ahead, Source
from jaxflow.maths import batching
from jaxflow.training import augmentation, dispatch, epochs, frames, parallel
from jaxflow.training.method import Method
from jaxflow.training.survey import survey
from jaxflow.types import Batch, Held, PoseRecords, RawFrames

_ROOM = 32 * 2**20  # bytes of a dispatch's frames
_STEPS = 64  # iterations whose rows are told together
_Tree = TypeVar("_Tree")


class _Read(NamedTuple):
    """An iteration's frames: (devices, n, ...), n of each device as they are used."""

    frames: RawFrames
    group: np.ndarray | None
    others: np.ndarray | None


class Streamed:
    """Frames that stay in their files; see `supply.Supply`."""

    def __init__(self, config: RunConfig, method: Method):
        """Looks at all of them once.

        Raises:
          UserError: see `survey`, or poses are to be seen anew that do not stand before
            the camera.
        """
        train = config.train
        self._config = train
        self._source = _source(config, "train")
        self._known = survey(self._source, train.held_out)
        frames.check_depths(self._known.nearest, train.augment)
        self.held_out = self._held_out(config)
        self.frames = self.part = len(self._known.rows)
        self._batches = method.batches(train)
        self.most = _most(train, self._batches)
        self._group = self._known.groups(method.groups) if method.groups else None
        self._up = augmentation.up(self._known.torsos) if train.augment.any else None
        self._rows = _Rows(train, method, self.frames)
        self._own: tuple[jax.Device, ...] = ()
        self._examples = np.zeros((0, 0), int)
        self._total = self._next = 0
        self._ahead: Ahead[_Read] | None = None

    def _held_out(self, config: RunConfig) -> PoseRecords | None:
        if not config.loop.validate_every:
            return None
        source, rows = self._source, self._known.held_out
        if not config.train.held_out:
            source = _source(config, "test")
            rows = np.arange(len(source))
        wanted = data.evenly_spaced(len(rows), config.loop.validation_frames)
        return source.records(rows[wanted])

    def fingerprint(self) -> dict[str, int]:
        """See `supply.Supply`."""
        return {"frames": self.frames, "crc32": self._known.crc32}

    def sample(self, most: int) -> tuple[Batch, np.ndarray]:
        """See `supply.Supply`."""
        assert self._group is not None
        rows = data.evenly_spaced(self.frames, most)
        return frames.seen(self._raw(rows)), self._group[rows]

    def place(self, devices: Sequence[jax.Device], total: int) -> None:
        """See `supply.Supply`."""
        self._own, self._total = parallel.own(devices), total
        examples = np.arange(self._config.batch_size).reshape(len(devices), -1)
        self._examples = examples[[device in self._own for device in devices]]

    def take(self, step: int, count: int) -> Held:
        """See `supply.Supply`.

        Raises:
          DataFileError: the files cannot be read any more.
        """
        if self._ahead is None or step != self._next:
            self.close()
            read = functools.partial(self._read, step)
            self._ahead = Ahead(read, self._total - step, self.most)
        items = [next(self._ahead) for _ in range(count)]
        self._next = step + count
        shards = [
            self._lay(jax.tree.map(lambda array, n=number: array[n], items), device)
            for number, device in enumerate(self._own)
        ]
        return parallel.joined(shards, self._own)

    def close(self) -> None:
        """Ends the threads that read ahead."""
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = None

    def _read(self, first: int, number: int) -> _Read:
        """An iteration's frames, of this process's devices."""
        told = self._rows(first + number)

        def mine(rows: np.ndarray) -> np.ndarray:  # (N, B, ...) -> (devices, n)
            return rows[:, self._examples].swapaxes(0, 1).reshape(len(self._own), -1)

        rows = mine(told.rows)
        raw = self._raw(rows)
        group = None if self._group is None else self._group[rows]
        others = None
        if told.others is not None:
            lenders = mine(told.others)
            split_rows = self._known.rows[lenders]
            (others,) = self._source.columns(split_rows.ravel(), ["pose3d"])
            others = others.reshape(*lenders.shape, *others.shape[1:])
        return _Read(raw, group, others)

    def _raw(self, rows: np.ndarray) -> RawFrames:
        """Frames by their numbers (...) among those to train on."""
        split_rows = self._known.rows[rows]
        arrays = self._source.columns(split_rows.ravel(), list(ARRAYS))
        shaped: Any = (array.reshape(*rows.shape, *array.shape[1:]) for array in arrays)
        return RawFrames(*shaped)

    def _lay(self, items: list[_Read], device: jax.Device) -> Held:
        """Some iterations' frames of one device, on it, with an axis of one before."""
        read = jax.tree.map(lambda *arrays: np.concatenate(arrays), *items)
        room = self.most * self._batches * self._examples.shape[1]

        def laid(tree: Any, room: int = room) -> Any:
            return None if tree is None else _laid(_blocks(tree, device), room)

        up = None if self._up is None else jax.device_put(self._up[None], device)
        group, others = laid(read.group), laid(read.others, room * len(_GROUPS))
        if up is not None:
            return Held(laid(read.frames), group, up, others)
        return Held(_laid(data.seen_blocks(read.frames, device), room), group)


_GROUPS = augmentation.GROUPS


class _Told(NamedTuple):
    """Rows of the frames to train on that an iteration takes: (N, B), (N, B, G)."""

    rows: np.ndarray
    others: np.ndarray | None


class _Rows:
    """Which rows iterations see; threads may share it."""

    def __init__(self, config: TrainConfig, method: Method, count: int):
        """Tells nothing yet."""

        @jax.jit
        def tell(steps: jax.Array) -> tuple[jax.Array, jax.Array | None]:
            rows = epochs.rows(steps, count, config, method)
            if not config.augment.recombined:
                return rows, None
            return rows, epochs.others(steps, count, config, method)

        self._tell: Callable[[Any], Any] = tell
        self._lock, self._known = threading.Lock(), (-1, _Told(np.zeros(0), None))

    def __call__(self, step: int) -> _Told:
        """Of one iteration, from 0."""
        part, within = divmod(step, _STEPS)
        with self._lock:
            number, told = self._known
            if number != part:
                # Not on an accelerator, which would first train on.
                first = part * _STEPS
                steps = np.arange(first, first + _STEPS, dtype=np.int32)
                with jax.default_device(_host()):
                    told = _Told(*jax.device_get(self._tell(steps)))
                self._known = part, told
        return jax.tree.map(lambda array: array[within], told)


def _host() -> jax.Device | None:
    with contextlib.suppress(RuntimeError):  # JAX may use accelerators alone
        return jax.local_devices(backend="cpu")[0]
    return None


def _source(config: RunConfig, split: str) -> Source:
    where = config.data
    return Source(where.dataset, split, where.data_dir, where.manual_dir)


def _most(config: TrainConfig, batches: int) -> int:
    """How many iterations' frames may lie on the devices for a dispatch."""
    frame = sum(map(math.prod, ARRAYS.values()))
    if config.augment.recombined:
        frame += len(_GROUPS) * math.prod(ARRAYS["pose3d"])
    room = _ROOM // (4 * frame * batches * config.batch_size)
    return max(1, min(dispatch.MOST_PER_DISPATCH, room))


def _blocks(tree: _Tree, device: jax.Device) -> Iterator[_Tree]:
    """Arrays (n, ...) on a device, `BLOCK` rows at a time, the last filled up."""
    count = len(jax.tree.leaves(tree)[0])
    for start in range(0, count, BLOCK):
        rows = slice(start, start + BLOCK)
        block = jax.tree.map(lambda array, rows=rows: array[rows], tree)
        yield jax.device_put(batching.filled(block, BLOCK), device)


def _laid(blocks: Iterator[_Tree], room: int) -> _Tree:
    """Blocks one behind the other in arrays (1, room, ...) or a little longer."""
    size = -(-room // BLOCK) * BLOCK
    whole: Any = None
    for number, block in enumerate(blocks):
        if whole is None:
            whole = _empty(block, size)
        whole = _put(whole, block, np.int32(number * BLOCK))
    return whole


@functools.partial(jax.jit, static_argnames="size")
def _empty(block: _Tree, size: int) -> _Tree:
    return jax.tree.map(
        lambda array: jnp.zeros((1, size, *array.shape[1:]), array.dtype), block
    )


@functools.partial(jax.jit, donate_argnums=0)
def _put(whole: _Tree, block: _Tree, start: jax.Array) -> _Tree:
    def put(array: jax.Array, part: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(array, part[None], start, axis=1)

    return jax.tree.map(put, whole, block)
