"""Hypotheses of every frame of a split, over all local devices, written as they come.

    checkpoint, data set, `SampleConfig` -> shards of `sample_files`

The hypotheses are those of `jaxflow.sample` of all chosen frames with the key
`protocol.key_of` gives, which `evaluate` with the same seed and stride measures: frame
i of them uses ``fold_in(key, i)``, wherever and with whichever others it is sampled. On
a CPU they are the same bits for any number of devices, shards and batches, since a
device always works on whole tiles (`batching`); on accelerators, within rounding.

Memory holds the network's inputs (0.6 kB a frame), two batches and two shards.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow import config as config_lib
from jaxflow import data, methods, skeleton
from jaxflow.config import DataConfig, at_least, option
from jaxflow.evaluation import protocol
from jaxflow.evaluation.protocol import EvaluationConfig
from jaxflow.flow import calibration_file
from jaxflow.maths import batching, keys
from jaxflow.prediction import set_files
from jaxflow.prediction.set_files import Columns
from jaxflow.runs import checkpoint, trees
from jaxflow.training import parallel
from jaxflow.types import Model, PoseRecords

_DTYPES = ("float32", "float16")
_NAMES = ("subject", "action", "subaction", "camera", "frame")


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
        "scale of the latents: a number (0: the most likely pose), or fitted for the "
        "one that jaxflow.calibrate has stored in the checkpoint",
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
        calibration_file.check(self.temperature)
        for name, known in (("dtype", _DTYPES), ("format", set_files.FORMATS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be {' or '.join(known)}, not {getattr(self, name)!r}"
                )


class Source(NamedTuple):
    """What is sampled from.

    Attributes:
      model: what draws them.
      step: the checkpoint's.
      records: the chosen frames; ``extra["row"]`` is where they lie in the split.
      temperature: scales the latents.
    """

    model: Model
    step: str
    records: PoseRecords
    temperature: float = 1.0


def load(checkpoint_dir: str, where: DataConfig, config: SampleConfig) -> Source:
    """Reads checkpoint and frames; the frames are those that `evaluate` would count.

    Raises:
      ValueError: either is missing, damaged or of another kind; says which and where.
    """
    test = EvaluationConfig(
        split=config.split, mean_pose=False, temperature=config.temperature
    )
    found = protocol.load(checkpoint_dir, where, test)
    records = found.records
    row = {"row": np.arange(len(records), dtype=np.int32)}
    records = dataclasses.replace(records, extra=records.extra | row)
    chosen = data.every_nth_per_action(
        protocol.counted(records), config.stride or found.stride
    )
    step = checkpoint.find(checkpoint_dir).name
    return Source(methods.load(checkpoint_dir), step, chosen, found.temperature)


def describe(source: Source, where: DataConfig, config: SampleConfig) -> dict[str, Any]:
    """The manifest: whatever decides the hypotheses, and how to read them."""
    records = source.records
    columns = {
        "example": np.dtype("<i4"),
        "row": np.dtype("<i4"),
        **{name: getattr(records, name).dtype for name in _NAMES},
        "hypotheses": np.dtype((config.dtype, (config.num_hypotheses, 17, 3))),
    }
    if config.log_density:
        columns["log_density"] = np.dtype(("<f4", (config.num_hypotheses,)))
    sums = json.dumps(trees.checksums(source.model.parameters()), sort_keys=True)
    return {
        "content": "3D human pose hypotheses sampled by jaxflow",
        "units": "metres; log_density in nats",
        "axes": "camera frame: x right, y down, z away; hip at the origin",
        "joints": list(skeleton.H36M_JOINTS),
        "key": "fold_in(fold_in(jax.random.key(seed), 0), example)",
        "settings": {
            "dataset": where.dataset,
            **config_lib.to_dict(config),
            "temperature": source.temperature,
        },
        "checkpoint": {
            "step": source.step,
            "crc32": zlib.crc32(sums.encode()),
            source.model.method: config_lib.to_dict(source.model.config),
        },
        "data_crc32": _checksum(records.pose2d, records.gaussfit),
        "frames": len(records),
        "columns": set_files.describe_columns(columns),
    }


def _checksum(*arrays: np.ndarray) -> int:
    """CRC-32 of all that the network sees."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return found


def sample_shards(
    source: Source,
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
    columns = {name: getattr(records, name)[rows] for name in _NAMES}
    return {"example": rows, "row": records.extra["row"][rows], **columns}


def _batches(
    source: Source,
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
    inputs = data.to_batch(source.records)
    pose2d, cond = np.asarray(inputs.pose2d), np.asarray(inputs.cond)
    draw = _drawer(devices, config.num_hypotheses, config.dtype, config.log_density)
    key = protocol.key_of(EvaluationConfig(seed=config.seed))
    shared = parallel.replicate(
        (source.model, key, np.float32(source.temperature)), devices
    )

    def finish(own: np.ndarray, wait: Callable[[], Columns]) -> Columns:
        drawn = {name: column[: len(own)] for name, column in wait().items()}
        _check_finite(drawn, source.records, own)
        progress(len(own))
        return drawn

    waiting: tuple[np.ndarray, Callable[[], Columns]] | None = None
    for start in range(0, len(rows), size):
        own = rows[start : start + size]
        # The last batch repeats its last row, so that one compiled shape serves all.
        padded = np.pad(own, (0, size - len(own)), mode="edge").astype(np.int32)
        wait = draw(shared, (pose2d[padded], cond[padded], padded))
        if waiting is not None:
            yield finish(*waiting)
        waiting = own, wait
    if waiting is not None:
        yield finish(*waiting)


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
