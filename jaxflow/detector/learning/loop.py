"""A detector's training run: order, batches, logs, checkpoints.

    Labels, HRNetConfig, LearningConfig, folder -> a trained detector in the folder

The folder gets checkpoints/, metrics.jsonl and tensorboard/. Nothing of a run's
randomness is stored: order and changes follow from the seed and the step, so a run that
was stopped goes on as if it had not been. While a step runs on the device, the next
batch is read by a few threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm

from jaxflow import config as config_lib
from jaxflow.detector.learning import examples
from jaxflow.detector.learning import step as learning
from jaxflow.detector.learning.examples import Example
from jaxflow.detector.learning.labels import Labels
from jaxflow.detector.learning.step import LearningConfig, LearningState, Measures
from jaxflow.detector.network import checkpoint, hrnet
from jaxflow.detector.network.hrnet import HRNetConfig
from jaxflow.runs import checkpoint as store
from jaxflow.runs import writer
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.runs.errors import NonFiniteError
from jaxflow.runs.run import Run
from jaxflow.types import Params

_SETTLING = 8  # batches
# What a run from before these settings existed did.
_BEFORE = {"warmup": 0}


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      step: steps done.
      stopped_by: the signal that stopped it early, or None.
      seconds: spent in this call.
    """

    step: int
    stopped_by: signal.Signals | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class Pace:
    """How a run is watched and saved; without influence on its result."""

    log_every: int = config_lib.option(20, "steps between log lines")
    save_every: int = config_lib.option(500, "steps between checkpoints")
    keep: int = config_lib.option(3, "newest checkpoints kept")

    def __post_init__(self) -> None:
        """Refuses intervals that never come."""
        config_lib.at_least(self, log_every=1, save_every=1, keep=1)


def train(
    labels: Labels,
    network: HRNetConfig,
    config: LearningConfig,
    out: str | pathlib.Path,
    *,
    initial: Params | None = None,
    pace: Pace = Pace(),
) -> Outcome:
    """Trains, or goes on training, until all steps are done or a signal comes.

    Args:
      labels: what to learn from.
      network: the sizes of the network; 16 joints.
      config: the run. A folder's run goes on only with its own configuration, network
        and annotations, except that it may be made longer.
      out: folder, made if need be.
      initial: variables to start from; default fresh ones.
      pace: of logs and checkpoints.

    Returns:
      How it ended. SIGTERM and SIGINT save and return early.

    Raises:
      CheckpointError: the folder has another run, or cannot be written.
      NonFiniteError: names the step; the last checkpoint stays.
      PictureError: a picture cannot be read; names it.
    """
    began = time.monotonic()
    out = pathlib.Path(out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    about = _about(config, labels)
    state = _restored(out, network, about)
    if state is None:
        fresh = initial or hrnet.init(jax.random.key(config.seed), network)
        state = learning.start(fresh)
    with (
        Run(out, flag="--out") as run,
        contextlib.closing(_Log(out, config, int(state.step), pace)) as log,
        contextlib.closing(batches(labels, config, int(state.step))) as source,
    ):
        run.listen()
        for batch in source:
            rate = np.float32(config.rate(log.step))
            state, measures = learning.step(state, batch, rate, network)
            log.add(measures)
            last = log.step == config.steps
            if last or run.stop.requested or log.step % pace.save_every == 0:
                log.flush()
                if last:
                    state = _settled(state, labels, config, network)
                _save(out, state, network, about, pace)
            if run.stop.requested:
                break
    return Outcome(log.step, run.stop.signal, time.monotonic() - began)


def batches(labels: Labels, config: LearningConfig, step: int) -> Generator[Example]:
    """The run's batches from ``step`` on, each read while the one before is used."""
    with ThreadPoolExecutor(min(config.batch_size, os.cpu_count() or 1)) as pool:
        ahead = _submit(pool, labels, config, step)
        for due in range(step, config.steps):
            made = [example.result() for example in ahead]
            if due + 1 < config.steps:
                ahead = _submit(pool, labels, config, due + 1)
            yield Example(*(np.stack(field) for field in zip(*made, strict=True)))


def _settled(
    state: LearningState, labels: Labels, config: LearningConfig, network: HRNetConfig
) -> LearningState:
    """The state with the statistics that its final weights have.

    Running statistics follow the weights at a distance, too great a one after a short
    run. These are over a few further batches of the run's own order (Wu and Johnson
    2021), so that they depend on the weights alone, and not on how a run was cut.
    """
    end = int(state.step)
    longer = dataclasses.replace(config, steps=end + _SETTLING)
    with contextlib.closing(batches(labels, longer, end)) as source:
        parts = [
            jax.device_get(learning.statistics(state.variables, batch.crop, network))
            for batch in source
        ]
    variables = {**state.variables, "batch_stats": learning.pooled(parts)}
    return state._replace(variables=variables)


def _submit(
    pool: ThreadPoolExecutor, labels: Labels, config: LearningConfig, step: int
) -> list[Future[Example]]:
    """Has the batch of a step read: the epochs' permutations, one after the other."""
    count, submitted = len(labels.picture), []
    for slot in range(config.batch_size):
        epoch, place = divmod(step * config.batch_size + slot, count)
        order = np.random.default_rng((config.seed, epoch)).permutation(count)
        change = examples.draw_change(
            (config.seed, step, slot), config.rotation, config.scaling, config.mirror
        )
        submitted.append(
            pool.submit(
                examples.make, labels, int(order[place]), change, config.crop_size
            )
        )
    return submitted


class _Log:
    """The bar and metrics.jsonl; refuses numbers that are not finite."""

    def __init__(
        self, out: pathlib.Path, config: LearningConfig, step: int, pace: Pace
    ):
        self.step = step
        self._every = pace.log_every
        self._waiting: list[Measures] = []
        self._writer = writer.Writer(out, step)
        # Where the output is no terminal it redraws seldom, to keep log files short.
        self._bar = tqdm.tqdm(
            total=config.steps,
            initial=step,
            desc="training",
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 15,
            dynamic_ncols=True,
        )
        if step:
            self._bar.write(f"resuming from step {step} of {config.steps}")

    def add(self, measures: Measures) -> None:
        """Counts a step; looks at what it gave when a line is due."""
        self.step += 1
        self._waiting.append(measures)
        if self.step % self._every == 0:
            self.flush()

    def flush(self) -> None:
        """Writes the means since the last line.

        Raises:
          NonFiniteError: a loss is not finite.
        """
        if not self._waiting:
            return
        rows = np.asarray(jax.device_get(self._waiting), np.float64)
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=-1))
        if broken.size:
            raise NonFiniteError(
                f"the loss of step {self.step - len(rows) + 1 + broken[0]} is not "
                "finite; training stopped, the last checkpoint is kept"
            )
        means = dict(zip(Measures._fields, rows.mean(0).tolist(), strict=True))
        self._writer.write("train", self.step, means)
        text = " ".join(f"{name} {value:.3g}" for name, value in means.items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(len(rows))
        self._waiting.clear()

    def close(self) -> None:
        """Flushes the files."""
        self._bar.close()
        self._writer.close()


def _about(config: LearningConfig, labels: Labels) -> dict[str, Any]:
    return {"learning": config_lib.to_dict(config), "data": labels.fingerprint()}


def _restored(
    out: pathlib.Path, network: HRNetConfig, about: dict[str, Any]
) -> LearningState | None:
    """The newest state of the run in the folder; None where there is none.

    Raises:
      CheckpointError: it is another run's, or damaged.
    """
    try:
        folder = store.find(out)
    except CheckpointError:
        return None
    ours = {checkpoint.KIND: config_lib.to_dict(network), **about}
    stored = store.read_about(folder)
    theirs = {checkpoint.KIND: config_lib.to_dict(checkpoint.read_config(folder))}
    theirs |= {name: stored.get(name, {}) for name in about}
    theirs["learning"] = _BEFORE | theirs["learning"]
    lines = config_lib.differences(ours, theirs, skip=("steps",))
    if lines:
        listed = "\n  ".join(lines)
        raise CheckpointError(
            f"{folder} belongs to another run:\n  {listed}\n"
            "take that run's flags and annotations, or another --out"
        )
    target = jax.eval_shape(learning.start, hrnet.shapes(network))
    rest = store.restore_tree(folder / "training", _without_variables(target))
    variables = store.restore_tree(folder / "params", target.variables)
    # On the host, as a restored array's device is fixed, which is another program.
    return jax.device_get(LearningState(variables=variables, **rest))


def _save(
    out: pathlib.Path,
    state: LearningState,
    network: HRNetConfig,
    about: dict[str, Any],
    pace: Pace,
) -> None:
    """Saves the state unless it is already.

    Raises:
      NonFiniteError: it is not worth keeping.
      CheckpointError: it cannot be written.
    """
    host = jax.device_get(state)
    if (out / store.FOLDER / str(host.step)).exists():
        return
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host)):
        raise NonFiniteError(
            f"the weights are not finite after step {host.step}; training stopped, the "
            "last checkpoint is kept"
        )
    checkpoint.save(
        out,
        host.variables,
        network,
        step=int(host.step),
        training=_without_variables(host),
        about=about,
        keep=pace.keep,
    )


def _without_variables(state: LearningState) -> dict[str, Any]:
    return {"step": state.step, "optimizer": state.optimizer}
