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
import json
import pathlib
import signal
import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow.config import DataConfig, RunConfig, TrainConfig
from jaxflow.flow import checkpoint
from jaxflow.runs import multihost, profiling, trees
from jaxflow.runs.checkpoint import check_tree
from jaxflow.runs.checkpointer import Checkpointer
from jaxflow.runs.progress import Progress, terms_text
from jaxflow.runs.run import Run
from jaxflow.training import dispatch, epochs, health, parallel, supply, validation
from jaxflow.training.affine_stage import stage_ahead
from jaxflow.training.method import Method, shown_params
from jaxflow.types import Params, PoseRecords


class Beginning(NamedTuple):
    """What a run begins with that does not begin from nothing.

    Attributes:
      name: where the parameters are from, as the user says it.
      params: nested dicts of host arrays, as ``shown_params`` gives them.
    """

    name: str
    params: Params

    def about(self) -> dict[str, Any]:
        """What checkpoints say of it: a run goes on only with the same parameters."""
        text = json.dumps(trees.checksums(self.params), sort_keys=True)
        return {"init_from": self.name, "init_from_crc32": zlib.crc32(text.encode())}


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      step: iterations done.
      total: iterations asked for; fewer are done where ``patience`` ended.
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
    method: Method,
    *,
    notes: Mapping[str, str] | None = None,
    beginning: Beginning | None = None,
) -> Outcome:
    """Trains, or goes on training, until all iterations are done or a signal comes.

    Args:
      config: the run. A workdir's run goes on only with the trajectory's own
        configuration, except that it may be made longer, and its devices other ones.
      workdir: made if need be; gets checkpoints/, metrics.jsonl, tensorboard/.
      method: what is trained: that of ``jaxflow.methods`` which the configuration
        names.
      notes: name -> text of further files, written once the workdir is this run's.
      beginning: parameters to begin with, of the configuration's architecture; they are
        validated first. Default fresh ones.

    Returns:
      How it ended. SIGTERM and SIGINT save and return early.

    Raises:
      UserError: the configuration, the data or a checkpoint is refused.
      NonFiniteError: names the terms and the step; the last good checkpoint stays.
      CheckpointError: a checkpoint could not be written.
      OSError: the workdir cannot be written to, or another run is under way there.
    """
    began = time.monotonic()
    with Run(workdir) as run:
        devices = parallel.choose(config.train, config.loop.devices)
        frames = supply.opened(config, method, devices)
        run.listen()
        opened = _Training(run, config, method, devices, frames, beginning)
        with contextlib.closing(opened) as training:
            # Not before: a run that is refused changes nothing of what is there, and
            # neither does one that has nothing to do.
            if training.window.step < training.total:
                for name, text in (notes or {}).items():
                    run.note(name, text)
            with multihost.failures_named():
                frames.place(devices, training.total)
                plan = training.iterate()
        step, total = training.window.step, training.total
    multihost.wait_for_all("the end")
    stopped_by = run.stop.signal
    if plan.stopping and stopped_by is None:  # it came to another process
        stopped_by = signal.SIGTERM
    return Outcome(step, total, stopped_by, time.monotonic() - began, plan.abandoned)


def total_iterations(config: TrainConfig, frames: int, method: Method) -> int:
    """``iterations`` if set, else what ``epochs`` passes over the frames give."""
    per_epoch = epochs.iterations_per_epoch(frames, config, method)
    return config.iterations or config.epochs * per_epoch


def checkpointer(
    folder: str | pathlib.Path,
    config: TrainConfig,
    method: Method,
    *,
    fingerprint: dict[str, int] | None = None,
    source: DataConfig | None = None,
    begun_with: dict[str, Any] | None = None,
    keep: int = 3,
    keep_best: bool = False,
) -> Checkpointer:
    """The checkpoints of a training run.

    Args:
      folder: the run's.
      config: of the run.
      method: that is trained.
      fingerprint: of the data the run trains on.
      source: where they come from.
      begun_with: see `Beginning.about`.
      keep: how many of the newest stay.
      keep_best: whether the one with the lowest figure stays, too.

    Raises:
      CheckpointError: the run there has another configuration or other data.
    """
    about = checkpoint.about_run(config, fingerprint, source, begun_with)
    target = jax.eval_shape(lambda: method.init(jax.random.key(0), config))
    return Checkpointer(
        folder,
        about,
        target,
        method.shown(target),
        check=lambda newest: checkpoint.check_same_run(newest, about),
        keep=keep,
        keep_best=keep_best,
    )


class _Training:
    """A run under way: what is dispatched, and what is done with what comes back."""

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        method: Method,
        devices: tuple[jax.Device, ...],
        frames: supply.Supply,
        beginning: Beginning | None,
    ):
        self._run, self._config, self._method = run, config, method
        self._beginning, self._frames = beginning, frames
        train = config.train
        self.total = total_iterations(train, frames.frames, method)
        self.devices = devices
        restored = run.resume(self._checkpoints)
        start = multihost.from_first(self._fresh() if restored is None else restored)
        self._step = int(start.step)
        self._state = parallel.replicate(start, self.devices)
        self.window = run.window(method.losses._fields, self._step)
        run.log_from(self._step)
        self._bar = Progress(
            self.total,
            self._step,
            method.batches(train) * train.batch_size,
            every=config.loop.heartbeat,
            quiet=not multihost.is_first(),
        )
        self._health = health.Health(self._bar.write)
        for text in run.checkpoints.set_aside if run.checkpoints else ():
            self._bar.write(f"warning: {text}")
        if self._step:
            self._bar.write(f"resuming from step {self._step} of {self.total}")
        if text := stage_ahead(train, self._step, self.total):
            self._bar.write(text)

    def _fresh(self) -> Any:
        """The state that the run begins with."""
        train, method, begun = self._config.train, self._method, self._beginning
        key = epochs.seeds(train.seed).init
        if begun is None:
            fresh = method.init(key, train)
            # The others are given the first process's.
            prepared = multihost.is_first()
            return method.prepare(fresh, self._frames.sample) if prepared else fresh
        target = jax.eval_shape(lambda: method.init(key, train))
        check_tree(begun.params, shown_params(method, target), begun.name)
        return method.init(key, train, begun.params)

    def _checkpoints(self) -> Checkpointer:
        return checkpointer(
            self._run.folder,
            self._config.train,
            self._method,
            fingerprint=self._frames.fingerprint(),
            source=self._config.data,
            begun_with=self._beginning.about() if self._beginning else None,
            keep=self._config.loop.keep,
            keep_best=self._config.loop.keep_best,
        )

    def close(self) -> None:
        """The bar's last state; reading ahead ends."""
        self._frames.close()
        self._bar.close()

    def iterate(self) -> dispatch.Plan:
        """Dispatches until done or stopped, at most one ahead of the losses."""
        frames, held_out = self._frames, self._frames.held_out
        most = frames.most
        # A longer run is the same program.
        program = dataclasses.replace(self._config.train, epochs=1, iterations=0)
        advance = parallel.make_run(
            program, self.devices, most, self._method, frames.part
        )
        advance = profiling.steady(advance, self._config.loop.profile)
        plan = dispatch.Plan(most, self.devices, self._run.stop)
        if self._beginning and not self._step:
            self._validate_beginning(held_out)
        pending: tuple[int, Any] | None = None
        over = self._plateau()
        while self._step < self.total and not plan.stopping and not over:
            count = min(plan.count(), self._next_boundary() - self._step)
            if not pending:
                self._bar.unpause()  # validating and saving are not training speed
            compiling = plan.fresh
            if compiling:
                self._bar.write("compiling, which may take minutes where it is new")
            number = parallel.replicate(np.int32(count), self.devices)
            seen = frames.take(self._step, count)
            sent = plan.send(advance, self._state, seen, number)
            if sent is None:  # stopped while compiling: nothing is new
                return plan
            self._state, history = sent
            if compiling:
                self._bar.unpause()  # nor is that
            if pending:
                self._arrived(plan, *pending)
            pending = count, history
            self._step += count
            validate, save = self._due()
            if validate or save:
                self._arrived(plan, *pending)
                pending = None
                figure = self._validate(held_out) if validate else None
                over = validate and self._plateau()
                if save or over:
                    self._run.save(self._state, figure)
                plan.restart()
        if pending:
            self._arrived(plan, *pending)
            self._run.save(self._state)
        return plan

    def _validate_beginning(self, held_out: PoseRecords | None) -> None:
        """Says what was there before; where the best is kept, it may be the best."""
        figure = self._validate(held_out)
        if self._config.loop.keep_best:
            self._run.save(self._state, figure)

    def _plateau(self) -> bool:
        """Whether the first process's log says that more training brings nothing."""
        patience = self._config.loop.patience
        if not patience:
            return False
        over = multihost.is_first() and validation.plateau(self._run.folder, patience)
        return bool(multihost.from_first(np.bool_(over)))

    def _due(self) -> tuple[bool, bool]:
        """Whether to validate and whether to save at this step."""
        loop, last = self._config.loop, self._step == self.total
        validate = loop.validate_every > 0 and self._step % loop.validate_every == 0
        save = self._step % loop.checkpoint_every == 0
        return validate or last, save or (loop.keep_best and validate) or last

    def _next_boundary(self) -> int:
        """The next step at which the host has something to do."""
        loop, step = self._config.loop, self._step
        intervals = (loop.log_every, loop.checkpoint_every, loop.validate_every)
        return min(self.total, *(step - step % n + n for n in intervals if n > 0))

    def _arrived(self, plan: dispatch.Plan, count: int, history: Any) -> None:
        """Fetches the losses of ``count`` iterations, and logs where a line is due."""
        window = self.window
        window.add(np.stack(jax.device_get(history), axis=-1)[:count])
        plan.arrived(count)
        self._bar.update(count, terms_text(window.step, window.last))
        if window.step % self._config.loop.log_every == 0 or window.step == self.total:
            count, means = window.iterations, window.means()
            memory = profiling.memory(parallel.own(self.devices))
            row = {"iterations": count, **means, **memory}
            self._run.log("train", window.step, row)
            self._health.losses(window.step, means)

    def _validate(self, records: PoseRecords | None) -> float | None:
        """Logs a validation, in the first process; its energy score."""
        if records is None or not multihost.is_first():
            return None
        params = jax.device_put(
            shown_params(self._method, self._state), parallel.own(self.devices)[0]
        )
        model = self._method.model(params, self._config.train)
        result = validation.validate(model, records, self._config)
        self._run.log("validation", self._step, result.values)
        self._health.spread(self._step, result.spread, result.heatmaps)
        best, z0 = result.values["mpjpe_best"], result.values["mpjpe_z0"]
        figure = result.values[validation.FIGURE]
        self._bar.write(
            f"step {self._step}: validation MPJPE best {best:.1f} mm, z0 {z0:.1f} mm, "
            f"energy score {figure:.1f} mm"
        )
        return figure
