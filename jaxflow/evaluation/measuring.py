"""Evaluation over a test set: per-frame errors on the device, sums on the host.

    model, Batch (N, ...), targets (N, 17, 3) metres, actions (N,) -> EvaluationResult

Every batch has one shape (the last is padded), is drawn by one compiled program and
measured on the device by others, whose results are fetched one batch late so that the
device never waits. Hypotheses are not kept, and of most figures only sums. The noise of
a frame is keyed by its number in the set: results do not depend on the batch size.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data, metrics
from jaxflow.maths import batching, geometry, keys
from jaxflow.metrics import sums
from jaxflow.metrics.sums import EvaluationResult, Total
from jaxflow.runs.errors import UserError
from jaxflow.types import Batch, DensityModel, Model, PoseRecords, RawFrames


@dataclasses.dataclass(frozen=True)
class Draw:
    """How hypotheses are drawn.

    Attributes:
      num_hypotheses: M, at least 2.
      temperature: scales the latents of the hypotheses.
      batch_size: frames a dispatch; memory grows with it, results do not change.
    """

    num_hypotheses: int = 200
    temperature: float = 1.0
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Refuses what measures nothing."""
        if self.num_hypotheses < 2 or self.batch_size < 1:
            raise UserError(
                "expected at least 2 hypotheses and 1 frame a batch; got "
                f"{self.num_hypotheses} and {self.batch_size}"
            )


class Drawn(NamedTuple):
    """What was drawn for a batch of frames: all that a measure may use.

    Attributes:
      hypotheses: (B, M, 17, 3) metres, hip at 0.
      mode: (B, 17, 3) metres, hip at 0: the z = 0 pose.
      target: (B, 17, 3) metres, hip at 0.
      keys: (B,) one typed key a frame, which the hypotheses were drawn with; fold
        something in before drawing more.
      log_density: (B, M) nats, see ``types.Sampled``; None where it was not asked for.
      raw: (B, ...) the frames as the data set has them; None where they were not given.
    """

    hypotheses: jax.Array
    mode: jax.Array
    target: jax.Array
    keys: jax.Array
    log_density: jax.Array | None = None
    raw: RawFrames | None = None


# Further figures of each frame, computed on the device: a hashable pure function whose
# result is a tree of arrays with the batch in front. Equal ones compile once; so does a
# `jax.tree_util.Partial`, whatever numbers it holds.
Measure = Callable[[Drawn], Any]
# Called with the rows of a batch, their errors, and what each measure gave.
Watch = Callable[[slice, metrics.ExampleErrors, tuple[Any, ...]], Any]


def measure_records(
    model: Model, records: PoseRecords, key: jax.Array, **options: Any
) -> EvaluationResult:
    """``measure`` on frames as they come from a data set; options as there."""
    batch, targets = data.to_batch(records), data.targets_of(records)
    raw = data.to_raw(records)
    return measure(model, batch, targets, records.action, key, raw=raw, **options)


def measure(
    model: Model,
    batch: Batch,
    targets: np.ndarray,
    actions: np.ndarray,
    key: jax.Array,
    draw: Draw = Draw(),
    *,
    progress: Callable[[int], Any] = lambda frames: None,
    measures: Sequence[Measure] = (),
    log_density: bool = False,
    raw: RawFrames | None = None,
    watch: Watch = lambda rows, errors, measured: None,
) -> EvaluationResult:
    """Both protocols, PCK, CPS, spread and calibration, per action.

    Args:
      model: what draws the hypotheses.
      batch: the frames as the network sees them; ``pose3d`` is not used.
      targets: (N, 17, 3) metres, camera frame, hip at 0.
      actions: (N,) text.
      key: a typed key.
      draw: how many hypotheses, and how.
      progress: told how many frames have just been finished.
      measures: further figures of each frame, from the same hypotheses.
      log_density: gives the measures the hypotheses' log-densities, for the price of
        drawing them a second time; only of a `DensityModel`.
      raw: gives the measures the frames as the data set has them.
      watch: given each batch's figures as they arrive.

    Raises:
      UserError: densities of a model without.
      FloatingPointError: hypotheses that are not finite; says of which frame.

    Source: paper section 4.3.
    """
    totals: dict[str, Total] = {}
    every = errors_of, *measures
    for rows, (errors, *further) in stream(
        model, batch, targets, key, every, draw, log_density=log_density, raw=raw
    ):
        part = sums.grouped(actions[rows], sums.Sums.of(errors))
        sums.add_by_name(totals, part)
        watch(rows, errors, tuple(further))
        progress(rows.stop - rows.start)
    return EvaluationResult(draw.num_hypotheses, dict(sorted(totals.items())))


def errors_of(drawn: Drawn) -> metrics.ExampleErrors:
    """The measure that every evaluation begins with."""
    return metrics.of_example(drawn.hypotheses, drawn.mode, drawn.target)


def stream(
    model: Model,
    batch: Batch,
    targets: np.ndarray,
    key: jax.Array,
    measures: Sequence[Measure] = (errors_of,),
    draw: Draw = Draw(),
    *,
    log_density: bool = False,
    raw: RawFrames | None = None,
) -> Iterator[tuple[slice, tuple[Any, ...]]]:
    """What some measures say of every frame, a batch at a time, in order.

    Each measure is a program of its own, so that what one gives does not depend, down
    to the last bit, on which others are asked. Arguments as of ``measure``.

    Yields:
      The rows, and what each measure gave for them as NumPy arrays.
    """
    keys.check_key(key)
    if log_density and not isinstance(model, DensityModel):
        raise UserError(f"the method {model.method} knows no log-density of poses")
    inputs = np.asarray(batch.pose2d), np.asarray(batch.cond), targets

    def started() -> Iterator[tuple[slice, tuple[Any, ...]]]:
        for rows, examples in batching.blocks(len(targets), draw.batch_size):
            frame_keys = keys.per_example(key, jnp.asarray(examples))
            block = (*(array[examples] for array in inputs), frame_keys)
            scale, many = jnp.float32(draw.temperature), draw.num_hypotheses
            drawn = _draw(model, *block, scale, num_hypotheses=many)
            if log_density:
                density = _log_density(model, *block, scale, num_hypotheses=many)
                drawn = drawn._replace(log_density=density)
            if raw is not None:
                drawn = drawn._replace(raw=RawFrames(*(a[examples] for a in raw)))
            yield rows, tuple(_apply(measure, drawn) for measure in measures)

    for rows, measured in batching.one_late(started()):
        yield _fetch(rows, measured)


@functools.partial(jax.jit, static_argnames="num_hypotheses")
def _draw(
    model: Model,
    pose2d: jax.Array,
    cond: jax.Array,
    target: jax.Array,
    frame_keys: jax.Array,
    temperature: jax.Array,
    *,
    num_hypotheses: int,
) -> Drawn:
    draw = functools.partial(model.sample, pose2d, cond, frame_keys)
    mode = draw(num_hypotheses=1, temperature=0.0)[:, 0]
    hypotheses = draw(num_hypotheses=num_hypotheses, temperature=temperature)
    to_hip = geometry.relative_to_hip
    return Drawn(to_hip(hypotheses), to_hip(mode), to_hip(target), frame_keys)


@functools.partial(jax.jit, static_argnames="num_hypotheses")
def _log_density(
    model: DensityModel,
    pose2d: jax.Array,
    cond: jax.Array,
    target: jax.Array,
    frame_keys: jax.Array,
    temperature: jax.Array,
    *,
    num_hypotheses: int,
) -> jax.Array:
    """Of the hypotheses that ``_draw`` draws with the same keys."""
    del target
    return model.sample_with_log_density(
        pose2d, cond, frame_keys, num_hypotheses=num_hypotheses, temperature=temperature
    ).log_density


def _apply(measure: Measure, drawn: Drawn) -> Any:
    held = isinstance(measure, jax.tree_util.Partial)
    return _call(measure if held else jax.tree_util.Partial(measure), drawn)


@jax.jit
def _call(measure: jax.tree_util.Partial, drawn: Drawn) -> Any:
    return measure(drawn)


def _fetch(rows: slice, measured: tuple[Any, ...]) -> tuple[slice, tuple[Any, ...]]:
    """To the host, without the padding; refuses what is not finite."""
    count = rows.stop - rows.start
    fetched = jax.tree.map(lambda leaf: np.asarray(leaf)[:count], measured)
    finite = np.ones(count, bool)
    for leaf in jax.tree.leaves(fetched):
        finite &= np.isfinite(leaf).reshape(count, -1).all(axis=1)
    if not finite.all():
        raise FloatingPointError(
            f"hypotheses of frame {rows.start + int(np.argmin(finite))} of the set are "
            "not finite: the parameters or this frame's input are broken"
        )
    return rows, fetched


def mean_pose_error(train: PoseRecords, test: PoseRecords) -> float:
    """MPJPE of always answering the training set's mean pose, mm, over actions.

    Args:
      train: frames whose mean pose, hip at 0, is the answer.
      test: frames to compare with.

    Raises:
      UserError: either has no frames.

    Source: the floor that any trained model must be below.
    """
    if not len(train) or not len(test):
        raise UserError(
            "expected frames in both sets; got "
            f"{len(train)} for training and {len(test)} for testing"
        )
    mean = np.mean(data.targets_of(train), axis=0, dtype=np.float64)
    errors = 1000 * np.linalg.norm(data.targets_of(test) - mean, axis=-1).mean(axis=-1)
    actions = np.unique(test.action)
    return float(np.mean([errors[test.action == action].mean() for action in actions]))
