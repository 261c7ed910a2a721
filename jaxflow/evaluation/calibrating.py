"""Calibrates a checkpoint: held-out frames, the fits, and what is kept of them.

model, data set, `CalibrationConfig` -> `Curve`, `Widths`, and calibration.json in the
checkpoint's folder
"""

from __future__ import annotations

import dataclasses
import functools
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
    finite,
    option,
)
from jaxflow.evaluation import calibrated, protocol, temperature, tempered, widths
from jaxflow.evaluation.measuring import Draw
from jaxflow.evaluation.temperature import Curve
from jaxflow.evaluation.widths import Widths
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.metrics import coverage
from jaxflow.runs.errors import UserError
from jaxflow.runs.run import Run, Stop
from jaxflow.types import Model, PoseRecords


@dataclasses.dataclass(frozen=True)
class CalibrationConfig:
    """What to fit, and on which frames."""

    subjects: str = option(
        "",
        "subjects of the training split, comma-separated, to fit on; default: those "
        "that the checkpoint's run held out of training (--hold_out)",
    )
    frames: int = option(512, "frames of theirs, evenly spaced")
    num_hypotheses: int = option(200, "hypotheses drawn for each pose")
    seed: int = option(0, "of the hypotheses' noise")
    tails: bool = option(
        True,
        "fit how much hypotheses' own temperatures differ about the fitted one, too: "
        "heavier tails, as errors of people have who were not trained on",
    )
    limbs: float = option(
        1.0,
        "share to keep of how much the proportions of limbs differ between a frame's "
        "hypotheses, since people have one skeleton; 1 leaves limbs as they are drawn",
    )
    widths: bool = option(
        True,
        "after the temperature fit, for each joint, how much wider hypotheses must be "
        "where the detector is unsure of it",
    )

    def __post_init__(self) -> None:
        """Refuses counts that fit nothing."""
        at_least(self, frames=1, num_hypotheses=2, seed=0)
        finite(self, "limbs")
        at_most(self, num_hypotheses=MOST_HYPOTHESES, seed=MOST_SEED, limbs=1)


class Calibrated(NamedTuple):
    """What came out.

    Attributes:
      curve: calibration and errors at every temperature tried, of what is drawn with
        the spread and limbs held.
      plain: the same of the model as it is: ``curve`` itself where that is all.
      widths: how much wider unsure joints are drawn; None where that was not asked for.
      spread: how much the hypotheses' temperatures differ, see `tempered`; None where
        that was not asked for.
      limbs_kept: share of limbs' deviations that stays, as it was asked for.
      path: the document in the checkpoint's folder.
    """

    curve: Curve
    plain: Curve
    widths: Widths | None
    spread: float | None
    limbs_kept: float
    path: pathlib.Path

    @property
    def temperature(self) -> float:
        """The fitted one."""
        return _fitted(self.curve)


def calibrate(
    model: Model,
    checkpoint_dir: str,
    source: DataConfig,
    settings: CalibrationConfig,
    warn: Callable[[str], Any] = print,
) -> Calibrated:
    """Fits on held-out subjects, behind a progress bar, and keeps what came out.

    The checkpoint's folder is this call's alone meanwhile. A signal stops it between
    two batches; nothing is kept then.

    Args:
      model: to calibrate.
      checkpoint_dir: of its checkpoint, or a run's workdir, as `checkpoint.find` takes
        it.
      source: the data set, of which the training split alone is read.
      settings: what to fit on.
      warn: told of subjects that the run was not told to hold out, of a temperature
        at the end of those tried, and of widths that too few frames tell of.

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
        fits = _fit(model, records, settings, stop, folder / calibration_file.NAME)
        if fits.curve.cut_off:
            warn(
                f"warning: the best temperature tried, {fits.temperature:g}, is the "
                f"last one, with a calibration error of {min(fits.curve.ece):.3f}: the "
                "model is much surer, or less sure, than any temperature can mend"
            )
        if fits.widths is not None and fits.widths.unknown:
            warn(_few(fits.widths, len(records)))
        content = document(fits, source.dataset, subjects, len(records), settings)
        calibration_file.save(folder, content)
        return fits


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


def _few(fitted: Widths, frames: int) -> str:
    return (
        f"warning: {fitted.unknown} of {fitted.factors[:, 1:].size} widths stay at 1, "
        f"since fewer than {widths.LEAST_FRAMES:g} of the {frames} frames tell of "
        "each; raise --frames, or hold out more people"
    )


def _frames(source: DataConfig, subjects: Sequence[str], count: int) -> PoseRecords:
    records = data.load_records(
        source.dataset, "train", source.data_dir or None, source.manual_dir or None
    )
    held_out = records.take(data.of_subjects(records.subject, subjects))
    return data.evenly(protocol.counted(held_out), count)


def _fit(
    model: Model,
    records: PoseRecords,
    settings: CalibrationConfig,
    stop: Stop,
    path: pathlib.Path,
) -> Calibrated:
    held = settings.limbs < 1
    rounds = (1 + held) * temperature.TRIED + settings.widths * len(widths.JOINTS)
    rounds += settings.tails * (temperature.TRIED + len(tempered.SPREADS))
    around = functools.partial(calibrated.around, model, limbs_kept=settings.limbs)
    with tqdm.tqdm(
        total=rounds * len(records), desc="calibrating", unit="pose", smoothing=0
    ) as bar:

        def done(poses: int) -> None:
            bar.update(poses)
            if stop.requested:
                raise KeyboardInterrupt("nothing is kept; the same command begins anew")

        key = jax.random.key(settings.seed)
        frames = data.to_batch(records), data.targets_of(records)
        asked: Any = {"num_hypotheses": settings.num_hypotheses, "progress": done}
        curve = plain = temperature.fit(model, *frames, key, **asked)
        spread = wider = None
        if held:
            curve = temperature.fit(around(), *frames, key, **asked)
        if settings.tails:
            spread = tempered.fit(around, *frames, key, _fitted(curve), **asked)
        if spread:
            curve = temperature.fit(around(spread), *frames, key, **asked)
        elif settings.tails:
            bar.total -= temperature.TRIED * len(records)
        if settings.widths:
            draw = Draw(settings.num_hypotheses, _fitted(curve))
            key = jax.random.fold_in(key, len(records))  # no frame's
            wider = widths.fit(around(spread or 0), records, key, draw, done)
        return Calibrated(curve, plain, wider, spread, settings.limbs, path)


def _fitted(curve: Curve) -> float:
    return round(float(curve.temperatures[curve.fitted]), 6)


def document(
    fits: Calibrated,
    dataset: str,
    subjects: Sequence[str],
    frames: int,
    settings: CalibrationConfig,
) -> dict[str, Any]:
    """What is stored: the temperature, and how it was found."""
    curve, plain = fits.curve, fits.plain
    before, after = plain.at(1.0), curve.fitted
    content: dict[str, Any] = {
        "temperature": _fitted(curve),
        "calibration_error": {
            "before": float(plain.ece[before]),
            "after": float(curve.ece[after]),
        },
        "calibrated_best_mpjpe_mm": float(curve.best[after]),
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
            "before": plain.frequency[before].tolist(),
            "after": curve.frequency[after].tolist(),
        },
    }
    if fits.spread is not None:
        content["temperature_spread"] = fits.spread
    if fits.limbs_kept < 1:
        content["limbs_kept"] = fits.limbs_kept
    if curve is not plain:
        content[calibration_file.ALONE] = _fitted(plain)
    if fits.widths is not None:
        content["widths"] = fits.widths.to_json()
    return content
