"""Hypotheses of any rows of a set, over several devices, written as they come.

    `SetToSample`, `SampleConfig`, numbers of shards -> those shards of `set_files`

A device always works on whole tiles (`batching`), so that on a CPU the hypotheses are
the same bits for any number of devices, shards and batches.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow import data
from jaxflow.config import MOST_HYPOTHESES, MOST_SEED, at_least, at_most, option
from jaxflow.evaluation import protocol
from jaxflow.evaluation.protocol import EvaluationConfig
from jaxflow.flow import calibration_file
from jaxflow.maths import batching, keys
from jaxflow.prediction import set_files
from jaxflow.prediction.set_files import Columns
from jaxflow.runs.errors import UserError
from jaxflow.training import parallel
from jaxflow.types import Model, PoseRecords

_DTYPES = ("float32", "float16")
NAMES = ("subject", "action", "subaction", "camera", "frame")


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """What is sampled and how it is stored: all that decides the files' content."""

    split: str = option("test", "part of the data set to sample")
    stride: int = option(
        1,
        "sample every so many frames of each action; 0 stands for the data set's own "
        "number, which its test counts (16 for Human3.6M's frames)",
    )
    num_hypotheses: int = option(200, "hypotheses drawn for each pose")
    temperature: str = option(
        "1",
        "scale of the latents: a number (0: the z = 0 pose); fitted, the one "
        "that jaxflow.calibrate has stored in the checkpoint; or auto, that where "
        "there is one, else 1",
    )
    seed: int = option(0, "of the hypotheses' noise")
    log_density: bool = option(
        False, "store each hypothesis's log-density, too, for twice the time"
    )
    dtype: str = option(
        "float32",
        "of the stored hypotheses; float16 halves them and rounds by 0.5 mm at most "
        "within 2 m of the hip",
    )
    format: str = option("npz", "of the shards: npz or array_record")
    shard_size: int = option(1024, "frames in a file")

    def __post_init__(self) -> None:
        """Refuses what samples nothing."""
        at_least(self, stride=0, num_hypotheses=1, seed=0, shard_size=1)
        at_most(self, num_hypotheses=MOST_HYPOTHESES, seed=MOST_SEED)
        calibration_file.check(self.temperature)
        for name, known in (("dtype", _DTYPES), ("format", set_files.FORMATS)):
            if getattr(self, name) not in known:
                raise UserError(
                    f"{name} must be {' or '.join(known)}, not {getattr(self, name)!r}"
                )


class SetToSample(NamedTuple):
    """What is sampled, and by what.

    Attributes:
      model: what draws the hypotheses.
      step: the checkpoint's.
      records: the frames; ``extra["row"]`` is where they lie in the split.
      temperature: scales the latents.
    """

    model: Model
    step: str
    records: PoseRecords
    temperature: float = 1.0


def sample_shards(
    source: SetToSample,
    config: SampleConfig,
    shards: set_files.Shards,
    numbers: Sequence[int],
    *,
    devices: tuple[jax.Device, ...],
    batch_size: int = 64,
    progress: Callable[[int], Any] = lambda frames: None,
) -> None:
    """Samples some shards and writes each when it is complete.

    Args:
      source: from `load`.
      config: as it was described to ``shards``.
      shards: where to write.
      numbers: of the shards to write.
      devices: of this process; each takes an equal part of every batch.
      batch_size: frames on a device at a time, made whole tiles; decides speed and
        memory, not results.
      progress: told how many frames have just been sampled.

    Raises:
      FloatingPointError: hypotheses that are not finite; says of which frame.
      OSError: a shard could not be written; those before it are there.
    """
    counts = [len(shards.rows(number)) for number in numbers]
    rows = np.concatenate([np.zeros(0, int), *map(shards.rows, numbers)])
    batches = _batches(source, config, rows, devices, batch_size, progress)
    # Writing goes on beside sampling, one shard at a time.
    with concurrent.futures.ThreadPoolExecutor(1) as writer:
        writing: concurrent.futures.Future | None = None
        parts = zip(numbers, _regroup(batches, counts), strict=True)
        for number, drawn in parts:
            if writing is not None:
                writing.result()
            columns = _names(source.records, shards.rows(number)) | drawn
            writing = writer.submit(shards.write, number, columns)
        if writing is not None:
            writing.result()


def _names(records: PoseRecords, rows: np.ndarray) -> Columns:
    """Which frames they are."""
    columns = {name: getattr(records, name)[rows] for name in NAMES}
    return {"example": rows, "row": records.extra["row"][rows], **columns}


def _batches(
    source: SetToSample,
    config: SampleConfig,
    rows: np.ndarray,
    devices: tuple[jax.Device, ...],
    batch_size: int,
    progress: Callable[[int], Any],
) -> Iterator[Columns]:
    """Hypotheses of the rows, in order, fetched while the next ones are computed."""
    if not len(rows):
        return
    tile = batching.poses_per_tile(config.num_hypotheses)
    size = len(devices) * -(-batch_size // tile) * tile
    batch = data.to_batch(source.records)
    pose2d, cond = np.asarray(batch.pose2d), np.asarray(batch.cond)
    draw = _drawer(devices, config.num_hypotheses, config.dtype, config.log_density)
    key = protocol.key_of(EvaluationConfig(seed=config.seed))
    shared = parallel.replicate(
        (source.model, key, np.float32(source.temperature)), devices
    )

    def started() -> Iterator[tuple[np.ndarray, Callable[[], Columns]]]:
        for block, padded in batching.blocks(len(rows), size):
            examples = rows[padded].astype(np.int32)
            yield (
                rows[block],
                draw(shared, (pose2d[examples], cond[examples], examples)),
            )

    for numbers, wait in batching.one_late(started()):
        drawn = {name: column[: len(numbers)] for name, column in wait().items()}
        _check_finite(drawn, source.records, numbers)
        progress(len(numbers))
        yield drawn


@functools.lru_cache(maxsize=8)
def _drawer(
    devices: tuple[jax.Device, ...], num_hypotheses: int, dtype: str, log_density: bool
) -> Callable[[Any, Any], Callable[[], Columns]]:
    """`_draw` over the devices, compiled once."""
    draw = functools.partial(
        _draw, num_hypotheses=num_hypotheses, dtype=dtype, log_density=log_density
    )
    return parallel.make_map(draw, devices)


def _draw(
    shared: tuple[Any, jax.Array, jax.Array],
    rows: tuple[jax.Array, jax.Array, jax.Array],
    *,
    num_hypotheses: int,
    dtype: str,
    log_density: bool,
) -> dict[str, jax.Array]:
    """One device's part of a batch."""
    model, key, temperature = shared
    pose2d, cond, examples = rows
    draw = model.sample_with_log_density if log_density else model.sample
    drawn: Any = draw(
        pose2d,
        cond,
        keys.per_example(key, examples),
        num_hypotheses=num_hypotheses,
        temperature=temperature,
    )
    if not log_density:
        return {"hypotheses": drawn.astype(dtype)}
    return {"hypotheses": drawn.poses.astype(dtype), "log_density": drawn.log_density}


def _check_finite(drawn: Columns, records: PoseRecords, rows: np.ndarray) -> None:
    for name, column in drawn.items():
        finite = np.isfinite(column).reshape(len(column), -1).all(axis=1)
        if not finite.all():
            row = int(rows[np.argmin(finite)])
            raise FloatingPointError(
                f"{name} of {data.describe(records, row)} not finite: the parameters "
                "or this frame's input are broken"
            )


def _regroup(batches: Iterator[Columns], counts: Sequence[int]) -> Iterator[Columns]:
    """The same rows in groups of the given lengths; every number is copied once."""
    held: Columns = {}
    for count in counts:
        pieces: list[Columns] = []
        while count:
            if not held or not len(held["hypotheses"]):
                held = next(batches)
            taken = {name: column[:count] for name, column in held.items()}
            held = {name: column[count:] for name, column in held.items()}
            pieces.append(taken)
            count -= len(taken["hypotheses"])
        yield {
            name: np.concatenate([piece[name] for piece in pieces])
            for name in pieces[0]
        }
