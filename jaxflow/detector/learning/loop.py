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
import functools
import os
import pathlib
import signal
import time
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from jaxflow import config as config_lib
from jaxflow.detector.learning import examples
from jaxflow.detector.learning import step as learning
from jaxflow.detector.learning.examples import Example
from jaxflow.detector.learning.labels import Labels
from jaxflow.detector.learning.step import LearningConfig, LearningState, Measures
from jaxflow.detector.network import checkpoint, hrnet
from jaxflow.detector.network.hrnet import HRNetConfig
from jaxflow.runs import checkpoint as store
from jaxflow.runs import plain_config
from jaxflow.runs.checkpointer import Checkpointer
from jaxflow.runs.progress import Progress, terms_text
from jaxflow.runs.run import Run
from jaxflow.types import Params

_SETTLING = 8  # batches
# What a run from before these settings existed did.
_BEFORE = {"warmup": 0}


class Ending(NamedTuple):
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
class Logging:
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
    pace: Logging = Logging(),
    notes: Mapping[str, str] | None = None,
) -> Ending:
    """Trains, or goes on training, until all steps are done or a signal comes.

    Args:
      labels: what to learn from.
      network: the sizes of the network; 16 joints.
      config: the run. A folder's run goes on only with its own configuration, network
        and annotations, except that it may be made longer.
      out: folder, made if need be.
      initial: variables to start from; default fresh ones.
      pace: of logs and checkpoints.
      notes: name -> text of further files, written once the folder is this run's.

    Returns:
      How it ended. SIGTERM and SIGINT save and return early.

    Raises:
      CheckpointError: the folder has another run, or cannot be written.
      NonFiniteError: names the step; the last checkpoint stays.
      PictureError: a picture cannot be read; names it.
    """
    began = time.monotonic()
    with Run(out, flag="--out") as run:
        restored = run.resume(lambda: _checkpoints(run, labels, network, config, pace))
        # Not before: a run that is refused changes nothing of what is there.
        for name, text in (notes or {}).items():
            run.note(name, text)
        if restored is None:
            fresh = initial or hrnet.init(jax.random.key(config.seed), network)
            state = learning.start(fresh)
        else:  # on the host: a restored array's device is fixed, another program
            state = jax.device_get(restored)
        run.listen()
        log = _Log(run, config, int(state.step), pace)
        with (
            contextlib.closing(log),
            contextlib.closing(batches(labels, config, int(state.step))) as source,
        ):
            for batch in source:
                rate = np.float32(config.rate(log.step))
                state, measures = learning.step(state, batch, rate, network)
                log.add(measures)
                last = log.step == config.steps
                if last or run.stop.requested or log.step % pace.save_every == 0:
                    log.flush()
                    if last:
                        state = _settled(state, labels, config, network)
                    run.save(state)
                if run.stop.requested:
                    break
    return Ending(log.step, run.stop.signal, time.monotonic() - began)


def _checkpoints(
    run: Run,
    labels: Labels,
    network: HRNetConfig,
    config: LearningConfig,
    pace: Logging,
) -> Checkpointer:
    """Of the run in the folder.

    Raises:
      CheckpointError: it is another run's.
    """
    about = checkpoint.about(network)
    about |= {"learning": plain_config.to_dict(config), "data": labels.fingerprint()}

    def check(newest: pathlib.Path) -> None:
        stored = store.read_about(newest)
        store.check_same(
            about,
            {
                **checkpoint.about(checkpoint.read_config(newest)),
                "learning": _BEFORE | stored.get("learning", {}),
                "data": stored.get("data", {}),
            },
            str(newest),
            advice="take that run's flags and annotations, or another --out",
            longer=("steps",),
        )

    target = jax.eval_shape(learning.start, hrnet.shapes(network))
    return Checkpointer(
        run.folder, about, target, "variables", check=check, keep=pace.keep
    )


def batches(labels: Labels, config: LearningConfig, step: int) -> Generator[Example]:
    """The run's batches from ``step`` on, each read while the one before is used."""
    with ThreadPoolExecutor(min(config.batch_size, os.cpu_count() or 1)) as pool:
        ahead = _submit(pool, labels, config, step)
        for due in range(step, config.steps):
            batch = [example.result() for example in ahead]
            if due + 1 < config.steps:
                ahead = _submit(pool, labels, config, due + 1)
            yield Example(*(np.stack(field) for field in zip(*batch, strict=True)))


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
        order = _order(config.seed, epoch, count)
        change = examples.draw_change(
            (config.seed, step, slot), config.rotation, config.scaling, config.mirror
        )
        submitted.append(
            pool.submit(
                examples.make, labels, int(order[place]), change, config.crop_size
            )
        )
    return submitted


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """An epoch's permutation (count,); a batch may reach into the next one's."""
    return np.random.default_rng((seed, epoch)).permutation(count)


class _Log:
    """The bar and metrics.jsonl; refuses numbers that are not finite."""

    def __init__(self, run: Run, config: LearningConfig, step: int, pace: Logging):
        self.step = step
        self._run, self._every = run, pace.log_every
        self._waiting: list[Measures] = []
        run.log_from(step)
        self._window = run.window(Measures._fields, step)
        self._bar = Progress(config.steps, step, config.batch_size, unit="persons")
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
        self._waiting.clear()
        self._window.add(rows)
        count, means = self._window.iterations, self._window.means()
        self._run.log("train", self.step, {"iterations": count, **means})
        self._bar.update(len(rows), terms_text(self.step, means))

    def close(self) -> None:
        """Shows the last state."""
        self._bar.close()
