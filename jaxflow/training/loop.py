"""Trains: dispatches iterations, watches the losses, logs, validates, saves.

    RunConfig, workdir -> a trained model in workdir/checkpoints

The device is always one dispatch ahead of the host: losses are fetched while the next
iterations run. A run that is stopped at any moment goes on with the same call, and ends
with the parameters it would have had. Of several processes (see `multihost`) each makes
the same calls; the first alone validates, logs and saves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import signal
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxflow import data
from jaxflow.config import RunConfig, TrainConfig
from jaxflow.runs import multihost, profiling, writer
from jaxflow.runs.errors import NonFiniteError
from jaxflow.runs.progress import Progress, terms_text
from jaxflow.runs.run import Run, Stop
from jaxflow.training import dispatch, frames, health, parallel, state, validation
from jaxflow.training.checkpointer import Checkpointer
from jaxflow.training.state import TrainState
from jaxflow.training.step import Losses
from jaxflow.types import Batch, PoseRecords


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      step: iterations done.
      total: iterations asked for.
      stopped_by: the signal that stopped it early, or None.
      seconds: spent in this call, setting up included.
      abandoned: a signal came during compilation, which goes on in a thread that
        nothing stops: leave the process by ``os._exit``.
    """

    step: int
    total: int
    stopped_by: signal.Signals | None
    seconds: float
    abandoned: bool = False


def train_and_evaluate(
    config: RunConfig,
    workdir: str | pathlib.Path,
    *,
    notes: Mapping[str, str] | None = None,
) -> Outcome:
    """Trains, or goes on training, until all iterations are done or a signal comes.

    Args:
      config: the run. A workdir's run goes on only with the trajectory's own
        configuration, except that it may be made longer, and its devices other ones.
      workdir: made if need be; gets checkpoints/, metrics.jsonl, tensorboard/.
      notes: name -> text of further files, written once the workdir is this run's.

    Returns:
      How it ended. SIGTERM and SIGINT save and return early.

    Raises:
      ValueError: the configuration, the data or a checkpoint is refused.
      NonFiniteError: names the terms and the step; the last good checkpoint stays.
      CheckpointError: a checkpoint could not be written.
      OSError: the workdir cannot be written to, or another run is under way there.
    """
    began = time.monotonic()
    workdir = pathlib.Path(workdir).absolute()
    with contextlib.ExitStack() as stack:
        job = stack.enter_context(Run(workdir))
        for name, text in (notes or {}).items():
            job.note(name, text)
        records, held_out = frames.load(config)
        stop = job.listen()
        run = stack.enter_context(contextlib.closing(_Run(workdir, config, records)))
        with multihost.failures_named():
            poses = parallel.replicate(data.to_batch(records), run.devices)
            del records  # the devices have what training needs
            plan = _iterate(run, poses, held_out, stop)
    multihost.wait_for_all("the end")
    stopped_by = stop.signal
    if plan.stopping and stopped_by is None:  # it came to another process
        stopped_by = signal.SIGTERM
    seconds = time.monotonic() - began
    return Outcome(run.step, run.total, stopped_by, seconds, plan.abandoned)


def total_iterations(config: TrainConfig, frames: int) -> int:
    """``iterations`` if set, else what ``epochs`` passes over the frames give."""
    per_epoch = parallel.iterations_per_epoch(frames, config)
    return config.iterations or config.epochs * per_epoch


class _Run:
    """The parts of a run under way; checkpointer and writer in the first process."""

    def __init__(self, workdir: pathlib.Path, config: RunConfig, records: PoseRecords):
        self.config = config
        self.total = total_iterations(config.train, len(records))
        self.per_epoch = parallel.iterations_per_epoch(len(records), config.train)
        self.devices = parallel.choose(config.train, config.loop.devices)
        self.checkpointer: Checkpointer | None = None
        self.writer: writer.Writer | None = None
        restored = multihost.first_does(lambda: self._open(workdir, records))
        if restored is None:
            restored = state.init(parallel.seeds(config.train.seed).init, config.train)
        start = multihost.from_first(restored)
        self.step = int(start.step)
        self.state = parallel.replicate(start, self.devices)
        first = multihost.is_first()
        if first:
            self.writer = writer.Writer(workdir, self.step)
        self.bar = Progress(
            self.total,
            self.step,
            config.train.frames_per_iteration,
            every=config.loop.heartbeat,
            quiet=not first,
        )
        self.health = health.Health(self.bar.write)
        if self.checkpointer:
            for text in self.checkpointer.set_aside:
                self.bar.write(f"warning: {text}")
        if self.step:
            self.bar.write(f"resuming from step {self.step} of {self.total}")

    def _open(self, workdir: pathlib.Path, records: PoseRecords) -> TrainState | None:
        self.checkpointer = Checkpointer(
            workdir,
            self.config.train,
            keep=self.config.loop.keep,
            keep_best=self.config.loop.keep_best,
            fingerprint=frames.fingerprint(records),
        )
        return self.checkpointer.restore()

    def log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Writes a line, with the memory's high-water marks."""
        if self.writer:
            memory = health.memory(parallel.own(self.devices))
            self.writer.write(kind, step, {**values, **memory})

    def save(self, figure: float | None = None) -> None:
        """Saves the present state, unless it is already.

        Args:
          figure: the validation's, by which the best checkpoint is known.

        Raises:
          NonFiniteError: it is not worth keeping.
        """
        host = jax.device_get(self.state)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host)):
            raise NonFiniteError(
                f"the parameters are not finite after iteration {self.step}; training "
                f"stopped, {self.last_good()}"
            )
        if self.checkpointer:
            self.checkpointer.save(host, figure)

    def last_good(self) -> str:
        """What a run that broke down leaves behind."""
        if not self.checkpointer:
            return "process 0 says which checkpoint is kept"
        step = self.checkpointer.latest_step()
        return (
            "no checkpoint is kept"
            if step is None
            else (f"the checkpoint of step {step} is kept")
        )

    def close(self) -> None:
        """Flushes everything; a save under way is waited for."""
        self.bar.close()
        if self.writer:
            self.writer.close()
        if self.checkpointer:
            self.checkpointer.close()


def _iterate(
    run: _Run, poses: Batch, held_out: PoseRecords | None, stop: Stop
) -> dispatch.Plan:
    """Dispatches until done or stopped, at most one dispatch ahead of the losses."""
    config = run.config
    most = min(dispatch.MOST_PER_DISPATCH, run.per_epoch)
    # A longer run is the same program.
    program = dataclasses.replace(config.train, epochs=1, iterations=0)
    advance = parallel.make_run(program, run.devices, most)
    advance = profiling.steady(advance, config.loop.profile)
    window = _Window(run)
    plan = dispatch.Plan(most, run.devices, stop)
    pending: tuple[int, Losses] | None = None
    while run.step < run.total and not plan.stopping:
        boundary = _next_boundary(run.step, config, run.total)
        count = min(plan.count(), boundary - run.step)
        if not pending:
            run.bar.unpause()  # validating and saving are not training speed
        compiling = plan.fresh
        number = parallel.replicate(np.int32(count), run.devices)
        sent = plan.send(advance, run.state, poses, number)
        if sent is None:  # stopped while compiling: nothing is new
            return plan
        run.state, history = sent
        if compiling:
            run.bar.unpause()  # nor is that
        if pending:
            window.add(*pending)
            plan.arrived(pending[0])
        pending = count, history
        run.step += count
        validate, save = _due(run)
        if validate or save:
            window.add(*pending)
            plan.arrived(pending[0])
            pending = None
            figure = _validate(run, held_out) if validate else None
            if save:
                run.save(figure)
            plan.restart()
    if pending:
        window.add(*pending)
        run.save()
    return plan


def _due(run: _Run) -> tuple[bool, bool]:
    """Whether to validate and whether to save at this step."""
    loop, last = run.config.loop, run.step == run.total
    validate = loop.validate_every > 0 and run.step % loop.validate_every == 0
    save = run.step % loop.checkpoint_every == 0 or (loop.keep_best and validate)
    return validate or last, save or last


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
        self._run.bar.update(count, terms_text(self._step, values))
        every, last = self._run.config.loop.log_every, self._run.total
        if self._step % every == 0 or self._step == last:
            self._log()

    def _log(self) -> None:
        """Writes the means since the last line."""
        means = np.mean(np.asarray(self._rows, np.float64), axis=0)
        values = dict(zip(Losses._fields, means.tolist(), strict=True))
        self._run.log("train", self._step, values)
        self._run.health.losses(self._step, values)
        self._rows.clear()


def _validate(run: _Run, records: PoseRecords | None) -> float | None:
    """Logs a validation, in the first process; the MPJPE of the best hypothesis."""
    if records is None or not run.writer:
        return None
    params = jax.device_put(run.state.sampling_params, parallel.own(run.devices)[0])
    found = validation.validate(params, records, run.config)
    run.writer.write("validation", run.step, found.values)
    run.health.spread(run.step, found.spread, found.heatmaps)
    best = found.values["mpjpe_best"]
    run.bar.write(
        f"step {run.step}: validation MPJPE best {best:.1f} mm, "
        f"z0 {found.values['mpjpe_z0']:.1f} mm"
    )
    return best
