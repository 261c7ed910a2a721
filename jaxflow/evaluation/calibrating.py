"""Calibrates a checkpoint: held-out frames, the fit, and what is kept of it.

checkpoint, data set, `CalibrationConfig` -> calibration.json and calibration.png in
the checkpoint's folder, and a text
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import tqdm

from jaxflow import data
from jaxflow.config import DataConfig, FlowConfig, TrainConfig, at_least, option
from jaxflow.evaluation import measuring, protocol, temperature
from jaxflow.evaluation.temperature import Curve
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.metrics import coverage
from jaxflow.runs import checkpoint as store
from jaxflow.training import validation
from jaxflow.types import Params, PoseRecords

_SHOWN = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)  # rows of the text's table


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


class Calibrated(NamedTuple):
    """What came out.

    Attributes:
      curve: calibration and errors at every temperature tried.
      path: the document in the checkpoint's folder.
      picture: the curves before and after; None where Matplotlib is not installed.
    """

    curve: Curve
    path: pathlib.Path
    picture: pathlib.Path | None

    @property
    def temperature(self) -> float:
        """The fitted one."""
        return float(self.curve.temperatures[self.curve.fitted])

    def describe(self) -> str:
        """A table of some temperatures, and where everything lies."""
        before = self.curve.ece[self.curve.at(1.0)]
        after = self.curve.ece[self.curve.fitted]
        ends = temperature.LOWEST, temperature.HIGHEST
        at_end = min(abs(self.temperature - end) for end in ends) < 0.1
        note = " (at the end of the range: this model is far from calibrated)"
        picture = self.picture or "none, for want of Matplotlib: jaxflow[report]"
        return (
            f"{_table(self.curve)}\n"
            f"temperature {self.temperature:.2f}: calibration error "
            f"{before:.3f} -> {after:.3f}{note if at_end else ''}\n"
            f"written: {self.path}\n"
            f"picture: {picture}\n"
            "use it:  --temperature=fitted"
        )


def calibrate(
    checkpoint_dir: str,
    source: DataConfig,
    settings: CalibrationConfig,
    warn: Callable[[str], Any] = print,
) -> Calibrated:
    """Fits the temperature on held-out subjects, behind a progress bar, and keeps it.

    Args:
      checkpoint_dir: of a checkpoint, or a run's workdir: its latest.
      source: the data set, of which the training split alone is read.
      settings: what to fit on.
      warn: told of subjects that the run was not told to hold out.

    Raises:
      ValueError: the checkpoint or the data are missing or damaged, no subject was held
        out and none is named, or one is unknown.
      FloatingPointError: hypotheses that are not finite.
    """
    folder = store.find(checkpoint_dir)
    trained = checkpoint.load_config(folder)
    subjects = _subjects(settings, trained, warn)
    records = _frames(source, subjects, settings.frames)
    curve = _fit(checkpoint.load_params(folder), records, trained.flow, settings)
    path = calibration_file.save(
        folder, document(curve, source.dataset, subjects, len(records), settings)
    )
    return Calibrated(curve, path, _draw(curve, folder / "calibration"))


def _subjects(
    settings: CalibrationConfig, trained: TrainConfig, warn: Callable[[str], Any]
) -> tuple[str, ...]:
    named = tuple(name.strip() for name in settings.subjects.split(",") if name.strip())
    subjects = named or trained.held_out
    if not subjects:
        raise ValueError(
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
    own = protocol.counted(records.take(data.of_subjects(records, subjects)))
    return validation.choose(own, count)


def _fit(
    params: Params, records: PoseRecords, flow: FlowConfig, settings: CalibrationConfig
) -> Curve:
    with tqdm.tqdm(
        total=2 * len(records), desc="calibrating", unit="pose", smoothing=0
    ) as bar:
        return temperature.fit(
            params,
            data.to_batch(records),
            measuring.targets_of(records),
            jax.random.key(settings.seed),
            num_hypotheses=settings.num_hypotheses,
            clamp=flow.clamp,
            progress=bar.update,
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


def _table(curve: Curve) -> str:
    """A line for some temperatures, the fitted one marked."""
    lines = ["temperature  calibration error  best mm  mean mm"]
    for i in sorted({curve.at(t) for t in _SHOWN} | {curve.fitted}):
        mark = "  <- fitted" if i == curve.fitted else ""
        lines.append(
            f"{curve.temperatures[i]:11.2f}  {curve.ece[i]:17.3f}  "
            f"{curve.best[i]:7.1f}  {curve.mean[i]:7.1f}{mark}"
        )
    return "\n".join(lines)


def _draw(curve: Curve, stem: pathlib.Path) -> pathlib.Path | None:
    try:
        from jaxflow.reporting.figures import style
        from jaxflow.reporting.figures import temperature as temperature_figure
    except ImportError:
        return None
    png, _ = style.save(temperature_figure.temperature(curve), stem)
    return pathlib.Path(png)
