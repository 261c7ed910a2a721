"""Evaluation over a test set: per-frame errors on the device, sums on the host.

    params, Batch (N, ...), targets (N, 17, 3) metres, actions (N,) -> EvaluationResult

Every batch has one shape (the last is padded), is drawn by one compiled program and
measured on the device by others, whose results are fetched one batch late so that the
device never waits. Hypotheses are not kept, and of most figures only sums. The noise of
a frame is keyed by its number in the set: results do not depend on the batch size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data, metrics
from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.flow import sampling
from jaxflow.maths import geometry, keys
from jaxflow.metrics.sums import EvaluationResult, Totals
from jaxflow.types import Batch, Params, PoseRecords

# Called as ``sampling.sample``: (params, pose2d, cond, key, *, num_hypotheses,
# temperature, clamp) -> (..., M, 17, 3).
Sampler = Callable[..., jax.Array]
# Called with the number of frames that have just been finished.
Progress = Callable[[int], Any]


class Drawn(NamedTuple):
    """What was drawn for a batch of frames: all that a measure may use.

    Attributes:
      hypotheses: (B, M, 17, 3) metres, hip at 0.
      mode: (B, 17, 3) metres, hip at 0: the z = 0 pose.
      target: (B, 17, 3) metres, hip at 0.
      keys: (B,) one typed key a frame, which the hypotheses were drawn with; fold
        something in before drawing more.
      log_density: (B, M) nats, see ``sampling.sample_with_log_density``; None where it
        was not asked for.
    """

    hypotheses: jax.Array
    mode: jax.Array
    target: jax.Array
    keys: jax.Array
    log_density: jax.Array | None


# Further figures of each frame, computed on the device: a hashable pure function whose
# result is a tree of arrays with the batch in front. Equal ones compile once.
Measure = Callable[[Drawn], Any]
# Called with the rows of a batch, their errors, and what the measure gave (or None).
Watch = Callable[[slice, metrics.ExampleErrors, Any], Any]


def evaluate_records(
    params: Params, records: PoseRecords, key: jax.Array, **options: Any
) -> EvaluationResult:
    """``evaluate`` on frames as they come from a data set; options as there."""
    return evaluate(
        params,
        data.to_batch(records),
        targets_of(records),
        records.action,
        key,
        **options,
    )


def targets_of(records: PoseRecords) -> np.ndarray:
    """(N, 17, 3) metres, camera frame, hip at 0: what hypotheses are compared with."""
    pose = records.pose3d / np.float32(1000)
    return pose - pose[:, :1]


def evaluate(
    params: Params,
    batch: Batch,
    targets: np.ndarray,
    actions: np.ndarray,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    batch_size: int = 64,
    temperature: float = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
    progress: Progress | None = None,
    sampler: Sampler = sampling.sample,
    measure: Measure | None = None,
    log_density: bool = False,
    watch: Watch | None = None,
) -> EvaluationResult:
    """Both protocols, PCK, CPS, spread and calibration, per action.

    Args:
      params: the flow's parameters.
      batch: the frames as the network sees them; ``pose3d`` is not used.
      targets: (N, 17, 3) metres, camera frame, hip at 0.
      actions: (N,) text.
      key: a typed key.
      num_hypotheses: M, at least 2.
      batch_size: frames a dispatch; memory grows with it, results do not change.
      temperature: scales the latents of the hypotheses.
      clamp: the soft clamp the parameters were trained with.
      progress: told how many frames have just been finished.
      sampler: what draws the hypotheses.
      measure: further figures of each frame, from the same hypotheses.
      log_density: gives the measure the hypotheses' log-densities, for the price of
        drawing them a second time; only for hypotheses of the flow itself.
      watch: given each batch's figures as they arrive.

    Raises:
      ValueError: no frames, lengths that differ, or M less than 2.
      FloatingPointError: hypotheses that are not finite; says of which frame.

    Source: paper section 4.3.
    """
    measures = (errors_of,) if measure is None else (errors_of, measure)
    totals: dict[str, Totals] = {}
    for rows, (errors, *further) in stream(
        params,
        batch,
        targets,
        key,
        measures,
        num_hypotheses=num_hypotheses,
        batch_size=batch_size,
        temperature=temperature,
        clamp=clamp,
        sampler=sampler,
        log_density=log_density,
    ):
        for action in np.unique(actions[rows]):
            chosen = actions[rows] == action
            part = Totals.of(jax.tree.map(lambda leaf, c=chosen: leaf[c], errors))
            name = str(action)
            totals[name] = totals[name] + part if name in totals else part
        if watch is not None:
            watch(rows, errors, further[0] if further else None)
        if progress is not None:
            progress(rows.stop - rows.start)
    return EvaluationResult(num_hypotheses, dict(sorted(totals.items())))


def errors_of(drawn: Drawn) -> metrics.ExampleErrors:
    """The measure that every evaluation begins with."""
    return metrics.of_example(drawn.hypotheses, drawn.mode, drawn.target)


def stream(
    params: Params,
    batch: Batch,
    targets: np.ndarray,
    key: jax.Array,
    measures: Sequence[Measure] = (errors_of,),
    *,
    num_hypotheses: int = 200,
    batch_size: int = 64,
    temperature: float = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
    sampler: Sampler = sampling.sample,
    log_density: bool = False,
) -> Iterator[tuple[slice, tuple[Any, ...]]]:
    """What some measures say of every frame, a batch at a time, in order.

    Each measure is a program of its own, so that what one gives does not depend, down
    to the last bit, on which others are asked. Arguments as of ``evaluate``.

    Yields:
      The rows, and what each measure gave for them as NumPy arrays.
    """
    keys.check_key(key)
    scale = jnp.float32(temperature)
    pose2d, cond = np.asarray(batch.pose2d), np.asarray(batch.cond)
    count = _check_sizes(pose2d, cond, targets, num_hypotheses, batch_size)
    waiting: tuple[slice, tuple[Any, ...]] | None = None
    for start in range(0, count, batch_size):
        rows = slice(start, min(start + batch_size, count))
        # The last batch repeats its last frame, so that one compiled shape serves all.
        examples = np.minimum(np.arange(start, start + batch_size), count - 1)
        own = keys.per_example(key, jnp.asarray(examples))
        inputs = params, pose2d[examples], cond[examples], own
        drawn = _draw(
            *inputs,
            targets[examples],
            scale,
            num_hypotheses=num_hypotheses,
            clamp=clamp,
            sampler=sampler,
        )
        if log_density:
            density = _log_density(
                *inputs, scale, num_hypotheses=num_hypotheses, clamp=clamp
            )
            drawn = drawn._replace(log_density=density)
        found = tuple(_apply(measure, drawn) for measure in measures)
        if waiting is not None:
            yield _fetch(*waiting)
        waiting = rows, found
    if waiting is not None:
        yield _fetch(*waiting)


@functools.partial(jax.jit, static_argnames=("num_hypotheses", "clamp", "sampler"))
def _draw(
    params: Params,
    pose2d: jax.Array,
    cond: jax.Array,
    own: jax.Array,
    target: jax.Array,
    temperature: jax.Array,
    *,
    num_hypotheses: int,
    clamp: SoftClamp,
    sampler: Sampler,
) -> Drawn:
    draw = functools.partial(sampler, params, pose2d, cond, own, clamp=clamp)
    mode = draw(num_hypotheses=1, temperature=0.0)[:, 0]
    hypotheses = draw(num_hypotheses=num_hypotheses, temperature=temperature)
    to_hip = geometry.relative_to_hip
    return Drawn(to_hip(hypotheses), to_hip(mode), to_hip(target), own, None)


@functools.partial(jax.jit, static_argnames=("num_hypotheses", "clamp"))
def _log_density(
    params: Params,
    pose2d: jax.Array,
    cond: jax.Array,
    own: jax.Array,
    temperature: jax.Array,
    *,
    num_hypotheses: int,
    clamp: SoftClamp,
) -> jax.Array:
    """Of the hypotheses that ``_draw`` draws with the same keys."""
    return sampling.sample_with_log_density(
        params,
        pose2d,
        cond,
        own,
        num_hypotheses=num_hypotheses,
        temperature=temperature,
        clamp=clamp,
    ).log_density


@functools.partial(jax.jit, static_argnames="measure")
def _apply(measure: Measure, drawn: Drawn) -> Any:
    return measure(drawn)


def _fetch(rows: slice, found: tuple[Any, ...]) -> tuple[slice, tuple[Any, ...]]:
    """To the host, without the padding; refuses what is not finite."""
    count = rows.stop - rows.start
    fetched = jax.tree.map(lambda leaf: np.asarray(leaf)[:count], found)
    finite = np.ones(count, bool)
    for leaf in jax.tree.leaves(fetched):
        finite &= np.isfinite(leaf).reshape(count, -1).all(axis=1)
    if not finite.all():
        raise FloatingPointError(
            f"hypotheses of frame {rows.start + int(np.argmin(finite))} of the set are "
            "not finite: the parameters or this frame's input are broken"
        )
    return rows, fetched


def _check_sizes(
    pose2d: np.ndarray,
    cond: np.ndarray,
    targets: np.ndarray,
    num_hypotheses: int,
    batch_size: int,
) -> int:
    """The number of frames."""
    if not len(pose2d) == len(cond) == len(targets):
        raise ValueError(
            "expected as many targets as inputs; got "
            f"{len(pose2d)} 2D poses, {len(cond)} conditions, {len(targets)} targets"
        )
    if len(targets) == 0:
        raise ValueError("expected at least one frame to evaluate; the set is empty")
    if num_hypotheses < 2 or batch_size < 1:
        raise ValueError(
            "expected at least 2 hypotheses and 1 frame a batch; got "
            f"{num_hypotheses} and {batch_size}"
        )
    return len(targets)


def mean_pose_error(train: PoseRecords, test: PoseRecords) -> float:
    """MPJPE of always answering the training set's mean pose, mm, over actions.

    Args:
      train: frames whose mean pose, hip at 0, is the answer.
      test: frames to compare with.

    Raises:
      ValueError: either has no frames.

    Source: the floor that any trained model must be below.
    """
    if not len(train) or not len(test):
        raise ValueError(
            "expected frames in both sets; got "
            f"{len(train)} for training and {len(test)} for testing"
        )
    mean = np.mean(targets_of(train), axis=0, dtype=np.float64)
    errors = 1000 * np.linalg.norm(targets_of(test) - mean, axis=-1).mean(axis=-1)
    actions = np.unique(test.action)
    return float(np.mean([errors[test.action == action].mean() for action in actions]))
