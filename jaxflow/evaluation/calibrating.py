"""Calibrates a checkpoint: held-out frames, the fit, and what is kept of it.

model, data set, `CalibrationConfig` -> `Curve`, and calibration.json in the
checkpoint's folder
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import tqdm

from jaxflow import data
from jaxflow.config import (
    MOST_HYPOTHESES,
    MOST_SEED,
    DataConfig,
    TrainConfig,
    at_least,
    at_most,
    option,
)
from jaxflow.evaluation import protocol, temperature
from jaxflow.evaluation.temperature import Curve
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.metrics import coverage
from jaxflow.runs.errors import UserError
from jaxflow.runs.run import Run, Stop
from jaxflow.types import Model, PoseRecords


@dataclasses.dataclass(frozen=True)
class CalibrationConfig:
    """What to fit the temperature on."""

    subjects: str = option(
        "",
        "subjects of the training split, comma-separated, to fit on; default: those "
        "that the checkpoint's run held out of training (--hold_out)",
    )
    frames: int = option(512, "frames of theirs, evenly spaced")
    num_hypotheses: int = option(200, "hypotheses drawn for each pose")
    seed: int = option(0, "of the hypotheses' noise")

    def __post_init__(self) -> None:
        """Refuses counts that fit nothing."""
        at_least(self, frames=1, num_hypotheses=2, seed=0)
        at_most(self, num_hypotheses=MOST_HYPOTHESES, seed=MOST_SEED)


class Calibrated(NamedTuple):
    """What came out.

    Attributes:
      curve: calibration and errors at every temperature tried.
      path: the document in the checkpoint's folder.
    """

    curve: Curve
    path: pathlib.Path

    @property
    def temperature(self) -> float:
        """The fitted one."""
        return float(self.curve.temperatures[self.curve.fitted])


def calibrate(
    model: Model,
    checkpoint_dir: str,
    source: DataConfig,
    settings: CalibrationConfig,
    warn: Callable[[str], Any] = print,
) -> Calibrated:
    """Fits the temperature on held-out subjects, behind a progress bar, and keeps it.

    The checkpoint's folder is this call's alone meanwhile. A signal stops it between
    two batches; nothing is kept then.

    Args:
      model: to calibrate.
      checkpoint_dir: of its checkpoint, or a run's workdir: its latest.
      source: the data set, of which the training split alone is read.
      settings: what to fit on.
      warn: told of subjects that the run was not told to hold out.

    Raises:
      ValueError: the checkpoint or the data are missing or damaged, no subject was held
        out and none is named, or one is unknown.
      FloatingPointError: hypotheses that are not finite.
      LockedError: another process calibrates the checkpoint; says which.
      OSError: the checkpoint's folder cannot be written to.
      KeyboardInterrupt: a signal has come.
    """
    folder = calibration_file.place(checkpoint_dir)
    subjects = _subjects(settings, checkpoint.load_config(folder), warn)
    with Run(folder, flag="--checkpoint") as run:
        stop = run.listen()
        records = _frames(source, subjects, settings.frames)
        curve = _fit(model, records, settings, stop)
        content = document(curve, source.dataset, subjects, len(records), settings)
        return Calibrated(curve, calibration_file.save(folder, content))


def _subjects(
    settings: CalibrationConfig, trained: TrainConfig, warn: Callable[[str], Any]
) -> tuple[str, ...]:
    named = tuple(name.strip() for name in settings.subjects.split(",") if name.strip())
    subjects = named or trained.held_out
    if not subjects:
        raise UserError(
            "this checkpoint's run held no subject out of training, and --subjects "
            "names none; train with --hold_out=SUBJECT, so that there are frames that "
            "the model has not learned from"
        )
    learned = [name for name in subjects if name not in trained.held_out]
    if learned:
        warn(
            f"warning: the run was not told to hold out {', '.join(learned)}; on "
            "frames that it has learned from the temperature comes out too low"
        )
    return subjects


def _frames(source: DataConfig, subjects: Sequence[str], count: int) -> PoseRecords:
    records = data.load_records(
        source.dataset, "train", source.data_dir or None, source.manual_dir or None
    )
    held_out = records.take(data.of_subjects(records, subjects))
    return data.evenly(protocol.counted(held_out), count)


def _fit(
    model: Model, records: PoseRecords, settings: CalibrationConfig, stop: Stop
) -> Curve:
    with tqdm.tqdm(
        total=2 * len(records), desc="calibrating", unit="pose", smoothing=0
    ) as bar:

        def done(poses: int) -> None:
            bar.update(poses)
            if stop.requested:
                raise KeyboardInterrupt("nothing is kept; the same command begins anew")

        return temperature.fit(
            model,
            data.to_batch(records),
            data.targets_of(records),
            jax.random.key(settings.seed),
            num_hypotheses=settings.num_hypotheses,
            progress=done,
        )


def document(
    curve: Curve,
    dataset: str,
    subjects: Sequence[str],
    frames: int,
    settings: CalibrationConfig,
) -> dict[str, Any]:
    """What is stored: the temperature, and how it was found."""
    plain, fitted = curve.at(1.0), curve.fitted
    return {
        "temperature": float(curve.temperatures[fitted]),
        "calibration_error": {
            "before": float(curve.ece[plain]),
            "after": float(curve.ece[fitted]),
        },
        "calibrated_best_mpjpe_mm": float(curve.best[fitted]),
        "dataset": dataset,
        "subjects": list(subjects),
        "frames": frames,
        "num_hypotheses": settings.num_hypotheses,
        "seed": settings.seed,
        "curve": {
            "temperature": curve.temperatures.tolist(),
            "calibration_error": curve.ece.tolist(),
            "best_mpjpe_mm": curve.best.tolist(),
            "mean_mpjpe_mm": curve.mean.tolist(),
        },
        "levels": list(coverage.CALIBRATION_LEVELS),
        "frequency": {
            "before": curve.frequency[plain].tolist(),
            "after": curve.frequency[fitted].tolist(),
        },
    }
