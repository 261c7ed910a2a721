"""Trains: dispatches iterations, watches the losses, logs, validates, saves.

    RunConfig, workdir -> a trained model in workdir/checkpoints

The device is always one dispatch ahead of the host: losses are fetched while the next
iterations run. A run that is stopped at any moment goes on with the same call, and ends
with the parameters it would have had.
"""

from __future__ import annotations

import contextlib
import pathlib
import signal
import time
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data
from jaxflow.config import RunConfig, TrainConfig
from jaxflow.training import evaluation, interrupts, parallel, state, writer
from jaxflow.training.checkpointer import Checkpointer
from jaxflow.training.step import Losses
from jaxflow.types import Params, PoseRecords

# Iterations are dispatched so many at a time that a call takes about this long: short
# enough to stop quickly, long enough that the dispatch costs nothing.
SECONDS_PER_DISPATCH = 1.0
MOST_PER_DISPATCH = 100


class NonFiniteError(FloatingPointError):
    """A loss term or a parameter is no longer a number; training cannot go on."""


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      step: iterations done.
      total: iterations asked for.
      stopped_by: the signal that stopped it early, or None.
      seconds: spent in this call, setting up included.
    """

    step: int
    total: int
    stopped_by: signal.Signals | None
    seconds: float


def train_and_evaluate(config: RunConfig, workdir: str | pathlib.Path) -> Outcome:
    """Trains, or goes on training, until all iterations are done or a signal comes.

    Args:
      config: the run. A workdir's run goes on only with the trajectory's own
        configuration, except that it may be made longer.
      workdir: made if need be; gets checkpoints/, metrics.jsonl, tensorboard/.

    Returns:
      How it ended. SIGTERM and SIGINT save and return early.

    Raises:
      ValueError: the configuration, the data or a checkpoint is refused.
      NonFiniteError: names the terms and the step; the last good checkpoint stays.
      CheckpointError: a checkpoint could not be written.
    """
    began = time.monotonic()
    workdir = pathlib.Path(workdir).absolute()
    workdir.mkdir(parents=True, exist_ok=True)
    records = load(config, "train")
    held_out = _validation_records(config)
    with (
        interrupts.caught() as stop,
        contextlib.closing(_Run(workdir, config, records)) as run,
    ):
        _iterate(run, records, held_out, stop)
    return Outcome(run.step, run.total, stop.signal, time.monotonic() - began)


def total_iterations(config: TrainConfig, frames: int) -> int:
    """``iterations`` if set, else what ``epochs`` passes over the frames give."""
    per_epoch = parallel.iterations_per_epoch(frames, config)
    return config.iterations or config.epochs * per_epoch


def load(config: RunConfig, split: str) -> PoseRecords:
    """The split's frames, built first if need be."""
    where = config.data
    return data.load_records(
        where.dataset, split, where.data_dir or None, where.manual_dir or None
    )


class _Run:
    """The parts of a run under way."""

    def __init__(self, workdir: pathlib.Path, config: RunConfig, records: PoseRecords):
        self.config = config
        self.total = total_iterations(config.train, len(records))
        self.per_epoch = parallel.iterations_per_epoch(len(records), config.train)
        self.devices = _devices(config)
        self.checkpointer = Checkpointer(
            workdir,
            config.train,
            keep=config.loop.keep,
            fingerprint=_fingerprint(records),
        )
        restored = self.checkpointer.restore()
        start = restored or state.init(
            parallel.seeds(config.train.seed).init, config.train
        )
        self.step = int(start.step)
        self.state = parallel.replicate(start, self.devices)
        self.writer = writer.Writer(workdir, self.step)
        poses = config.train.frames_per_iteration
        self.bar = writer.progress_bar(self.total, self.step, poses)
        if self.step:
            self.bar.write(f"resuming from step {self.step} of {self.total}")

    def save(self) -> None:
        """Saves the present state, unless it is already.

        Raises:
          NonFiniteError: it is not worth keeping.
        """
        host = jax.device_get(self.state)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host)):
            raise NonFiniteError(
                f"the parameters are not finite after iteration {self.step}; training "
                f"stopped, {self.last_good()}"
            )
        self.checkpointer.save(host)

    def last_good(self) -> str:
        """What a run that broke down leaves behind."""
        step = self.checkpointer.latest_step()
        return (
            "no checkpoint is kept"
            if step is None
            else (f"the checkpoint of step {step} is kept")
        )

    def close(self) -> None:
        """Flushes everything; a save under way is waited for."""
        self.bar.close()
        self.writer.close()
        self.checkpointer.close()


def _iterate(
    run: _Run, records: PoseRecords, held_out: PoseRecords | None, stop: interrupts.Stop
) -> None:
    """Dispatches until done or stopped, at most one dispatch ahead of the losses."""
    config = run.config
    most = min(MOST_PER_DISPATCH, run.per_epoch)
    poses = parallel.replicate(data.to_batch(records), run.devices)
    advance = parallel.make_run(config.train, run.devices, most)
    window = _Window(run)
    pace = _Pace(most)
    pending: tuple[int, Losses] | None = None
    while run.step < run.total and not stop.requested:
        boundary = _next_boundary(run.step, config, run.total)
        count = min(pace.count(), boundary - run.step)
        run.state, history = advance(run.state, poses, jnp.int32(count))
        if not pending:
            run.bar.unpause()  # compiling and boundaries are not training speed
        if pending:
            window.add(*pending)
            pace.finished(pending[0])
        pending = count, history
        run.step += count
        validate, save = _due(run)
        if validate or save:
            window.add(*pending)
            pending = None
            if validate and held_out is not None:
                _validate(run, held_out)
            if save:
                run.save()
            pace.restart()
    if pending:
        window.add(*pending)
        run.save()


def _due(run: _Run) -> tuple[bool, bool]:
    """Whether to validate and whether to save at this step."""
    loop, last = run.config.loop, run.step == run.total
    validate = loop.validate_every > 0 and run.step % loop.validate_every == 0
    return validate or last, run.step % loop.checkpoint_every == 0 or last


def _next_boundary(step: int, config: RunConfig, total: int) -> int:
    """The next step at which the host has something to do."""
    loop = config.loop
    intervals = (loop.log_every, loop.checkpoint_every, loop.validate_every)
    return min(
        total, *(step - step % every + every for every in intervals if every > 0)
    )


class _Window:
    """Losses since the last log line; refuses numbers that are not finite."""

    def __init__(self, run: _Run):
        self._run = run
        self._step = run.step
        self._rows: list[np.ndarray] = []

    def add(self, count: int, history: Losses) -> None:
        """Fetches the losses of ``count`` iterations."""
        rows = np.stack(jax.device_get(history), axis=-1)[:count]
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=-1))
        if broken.size:
            first = broken[0]
            terms = np.asarray(Losses._fields)[~np.isfinite(rows[first])]
            raise NonFiniteError(
                f"loss {', '.join(terms)} of iteration {self._step + first + 1} is not "
                f"finite; training stopped, {self._run.last_good()}"
            )
        self._rows.extend(rows)
        self._step += count
        values = dict(zip(Losses._fields, rows[-1].tolist(), strict=True))
        self._run.bar.set_postfix_str(
            writer.terms_text(self._step, values), refresh=False
        )
        self._run.bar.update(count * self._run.config.train.frames_per_iteration)
        every, last = self._run.config.loop.log_every, self._run.total
        if self._step % every == 0 or self._step == last:
            self._log()

    def _log(self) -> None:
        """Writes the means since the last line."""
        means = np.mean(np.asarray(self._rows, np.float64), axis=0)
        values = dict(zip(Losses._fields, means.tolist(), strict=True))
        self._run.writer.write("train", self._step, values)
        self._rows.clear()


class _Pace:
    """How many iterations make a dispatch of the wanted length."""

    def __init__(self, most: int):
        self._most = most
        self._count = 1
        self._since: float | None = None

    def count(self) -> int:
        return self._count

    def restart(self) -> None:
        """The device has been idle or busy with something else."""
        self._since = None

    def finished(self, count: int) -> None:
        """A dispatch's losses have arrived; the next one is running since then."""
        now = time.monotonic()
        if self._since is not None:
            each = max((now - self._since) / count, 1e-6)
            wanted = int(SECONDS_PER_DISPATCH / each)
            self._count = int(np.clip(wanted, 1, self._most))
        self._since = now


def _fingerprint(records: PoseRecords) -> dict[str, int]:
    """Tells data sets apart: a run must not go on with other data."""
    arrays = (records.pose3d, records.pose2d, records.gaussfit)
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return {"frames": len(records), "crc32": checksum}


def _validation_records(config: RunConfig) -> PoseRecords | None:
    """Evenly spaced test frames, or None where no validation is wanted."""
    if not config.loop.validate_every:
        return None
    records = load(config, "test")
    wanted = min(config.loop.validation_frames, len(records))
    return records.take(np.linspace(0, len(records) - 1, wanted).astype(int))


def _validate(run: _Run, records: PoseRecords) -> None:
    """Logs pooled figures of the validation frames; the same noise every time."""
    params: Params = jax.device_put(run.state.flow, run.devices[0])
    result = evaluation.evaluate_records(
        params,
        records,
        jax.random.key(0),
        num_hypotheses=run.config.loop.validation_hypotheses,
        clamp=run.config.train.flow.clamp,
    )
    pooled = result.pooled.to_json()
    values = {
        **{f"mpjpe_{name}": value for name, value in pooled["mpjpe_mm"].items()},
        **{f"pa_mpjpe_{name}": value for name, value in pooled["pa_mpjpe_mm"].items()},
        "pck": pooled["pck150_share"],
        "cps": pooled["cps"],
        "ece": pooled["calibration_error"],
    }
    run.writer.write("validation", run.step, values)
    run.bar.write(
        f"step {run.step}: validation MPJPE best {values['mpjpe_best']:.1f} mm, "
        f"z0 {values['mpjpe_z0']:.1f} mm"
    )


def _devices(config: RunConfig) -> tuple[jax.Device, ...]:
    """The devices asked for.

    Raises:
      ValueError: there are not so many, or the batch does not divide over them.
    """
    available = jax.local_devices()
    wanted = config.loop.devices or len(available)
    if wanted > len(available):
        raise ValueError(
            f"devices = {wanted}, but this machine has {len(available)}: {available}"
        )
    parallel.check_divides(config.train, wanted)
    return tuple(available[:wanted])
