"""Which frames a test counts, and its whole evaluation.

    model, records of a split -> Evaluation: the strided test set and the ambiguous
    subset, each with every figure (paper section 4)

``evaluate`` prints it and ``report`` draws it: both call this, so both say the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import tqdm

from jaxflow import data
from jaxflow.config import (
    MOST_HYPOTHESES,
    MOST_SEED,
    DataConfig,
    at_least,
    at_most,
    option,
)
from jaxflow.evaluation import measuring, mpi_inf_3dhp, response, uncertainty
from jaxflow.evaluation.calibrated import Applied, calibrated
from jaxflow.evaluation.frames import Frames
from jaxflow.evaluation.measuring import Draw
from jaxflow.evaluation.mpi_inf_3dhp import TARGETS, SettingsResult
from jaxflow.evaluation.reductions import ReductionResult, Reductions
from jaxflow.evaluation.response import Response
from jaxflow.evaluation.uncertainty import Uncertainty
from jaxflow.flow import calibration_file
from jaxflow.metrics import sums
from jaxflow.metrics.errors import ExampleErrors
from jaxflow.metrics.sums import EvaluationResult, Total
from jaxflow.runs.errors import UserError
from jaxflow.types import DensityModel, Model, PoseRecords


class Evaluation(NamedTuple):
    """What a test found.

    Attributes:
      test: every ``stride``-th frame of each action.
      ambiguous: all frames with a wide heatmap, without stride; None where not asked
        for or where there are none.
      mean_pose_mpjpe: mm, error of the training set's mean pose on the same test
        frames; None where not asked for.
      untrained: the same test of the same network before any training; None where not
        asked for.
      settings: figures per setting, for a data set that has settings (MPI-INF-3DHP).
      reduced: the test's hypotheses reduced to few and to one; None where not asked
        for.
      frames: those of the test.
      uncertainty: of the test's hypotheses, beyond the calibration error.
      response: to a detection made less sure; None where not asked for or where all
        frames have an unsure detection.
      temperature: that the latents of the hypotheses were scaled with.
      applied: what else of a calibration they were drawn with.
    """

    test: EvaluationResult
    ambiguous: EvaluationResult | None
    mean_pose_mpjpe: float | None
    untrained: EvaluationResult | None = None
    settings: SettingsResult | None = None
    reduced: ReductionResult | None = None
    frames: Frames | None = None
    uncertainty: Uncertainty | None = None
    response: Response | None = None
    temperature: float = 1.0
    applied: Applied = Applied()

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts."""
        optional = {
            "ambiguous": self.ambiguous,
            "untrained": self.untrained,
            "settings": self.settings,
            "reduced": self.reduced,
            "uncertainty": self.uncertainty,
            "response": self.response,
        }
        return {
            "test": self.test.to_json(),
            "temperature": self.temperature,
            "temperature_spread": self.applied.spread,
            "limbs_kept": self.applied.limbs_kept,
            "widths": self.applied.widths,
            "mean_training_pose_mpjpe_mm": self.mean_pose_mpjpe,
            **{
                name: result.to_json() if result else None
                for name, result in optional.items()
            },
        }


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How to test; the defaults are the paper's (section 4.3)."""

    split: str = option("test", "part of the data set to test on")
    stride: int = option(
        0,
        "test on every so many frames of each action; 0 stands for the data set's own "
        "number (16 for Human3.6M's frames)",
    )
    num_hypotheses: int = option(200, "hypotheses drawn for each pose")
    temperature: str = option(
        "1",
        "scale of the latents: a number; fitted, the one that jaxflow.calibrate has "
        "stored in the checkpoint, with what else it fitted; or auto, these where they "
        "are, else 1",
    )
    seed: int = option(0, "of the hypotheses' noise")
    batch_size: int = option(64, "poses at a time; decides memory, not results")
    ambiguous: bool = option(
        True, "test the ambiguous frames (a fitted sigma above 5 px), all of them, too"
    )
    mean_pose: bool = option(
        True, "compare with always answering the training frames' mean pose"
    )
    untrained: bool = option(False, "compare with the same network before any training")
    reductions: bool = option(
        False,
        "reduce the hypotheses to few (drawn, or K-means centres) and to one pose, too",
    )
    response_frames: int = option(
        32,
        "sure frames of the test in which one joint at a time is made less sure, to "
        "see whether the hypotheses follow; 0: none",
        before=0,
    )
    target: str = option(
        "universal",
        "what MPI-INF-3DHP's settings are tested against: universal (the skeleton "
        "scaled to Human3.6M's size) or camera",
    )

    def __post_init__(self) -> None:
        """Refuses counts that test nothing."""
        at_least(self, stride=0, num_hypotheses=2, seed=0, batch_size=1)
        at_most(self, num_hypotheses=MOST_HYPOTHESES, seed=MOST_SEED)
        at_least(self, response_frames=0)
        calibration_file.check(self.temperature)
        if self.target not in TARGETS:
            raise UserError(
                f"target must be one of {', '.join(TARGETS)}, not {self.target!r}"
            )


class Loaded(NamedTuple):
    """What a test works on.

    Attributes:
      model: what draws the hypotheses.
      records: all frames of the split.
      train: the training frames, or None where nothing compares with them or the data
        set has none.
      test: how to test, with the data set's stride; its temperature as it was asked.
      temperature: to draw hypotheses at.
    """

    model: Model
    records: PoseRecords
    train: PoseRecords | None
    test: EvaluationConfig
    temperature: float = 1.0

    @property
    def draw(self) -> Draw:
        """How the test draws hypotheses."""
        many, size = self.test.num_hypotheses, self.test.batch_size
        return Draw(many, self.temperature, size)

    @property
    def key(self) -> jax.Array:
        """Of all noise of the test."""
        return jax.random.key(self.test.seed)

    def of(self, model: Model, temperature: float) -> Loaded:
        """The same test of another model."""
        return self._replace(model=model, temperature=temperature)


def load(
    model: Model, checkpoint_dir: str, source: DataConfig, test: EvaluationConfig
) -> Loaded:
    """Reads the data, building the set first if need be.

    Args:
      model: to test.
      checkpoint_dir: where it is from, and what was fitted for it.
      source: the data set.
      test: how to test.

    Raises:
      ValueError: a temperature or data that are missing, damaged or of another kind;
        says which and where.
    """

    def split(name: str) -> PoseRecords:
        return data.load_records(
            source.dataset, name, source.data_dir or None, source.manual_dir or None
        )

    model, temperature = calibrated(model, checkpoint_dir, test.temperature)
    records = split(test.split)
    known = data.splits(source.dataset, source.data_dir or None)
    train = split("train") if test.mean_pose and "train" in known else None
    stride = test.stride or data.protocol_stride(source.dataset)
    test = dataclasses.replace(test, stride=stride)
    return Loaded(model, records, train, test, temperature)


def counted(records: PoseRecords) -> PoseRecords:
    """The frames that a test may count: all, but those marked as not valid."""
    if "valid" in records.extra:
        return mpi_inf_3dhp.valid_frames(records)
    return records


def key_of(test: EvaluationConfig) -> jax.Array:
    """Of the strided test set's hypotheses; frame i of it folds in its number i."""
    return jax.random.fold_in(jax.random.key(test.seed), 0)


def evaluate(loaded: Loaded) -> Evaluation:
    """All that was asked for, with a progress bar of poses per second and time left.

    Raises:
      ValueError: no frames to test on.
      FloatingPointError: hypotheses that are not finite.
    """
    test = loaded.test
    frames = counted(loaded.records)
    tested = data.every_nth_per_action(frames, test.stride)
    result, reduced, seen, uncertain = _test(loaded, tested)
    ambiguous = untrained = baseline = None
    unsure = data.ambiguous(frames)
    if test.ambiguous and unsure.any():
        key = jax.random.fold_in(loaded.key, 1)
        ambiguous = run(loaded, frames.take(unsure), key, "ambiguous subset")
    if loaded.train is not None:
        baseline = measuring.mean_pose_error(loaded.train, tested)
    if test.untrained:
        fresh = loaded.of(loaded.model.fresh(loaded.key), temperature=1.0)
        untrained = run(fresh, tested, key_of(test), "untrained")
    settings = settings_of(loaded)
    return Evaluation(
        result,
        ambiguous,
        baseline,
        untrained,
        settings,
        reduced,
        seen,
        uncertain,
        response_of(loaded, tested),
        loaded.temperature,
        Applied.to(loaded.model),
    )


def _test(
    loaded: Loaded, records: PoseRecords
) -> tuple[EvaluationResult, ReductionResult | None, Frames, Uncertainty]:
    """The test itself; what each frame was like is kept in a few numbers."""
    seen = Frames.of(records)
    totals: dict[str, Total] = {}
    reductions, density = None, isinstance(loaded.model, DensityModel)
    if loaded.test.reductions:
        reductions = Reductions.of(loaded.test.num_hypotheses, density)
    uncertain = uncertainty.Sums(records)

    def watch(rows: slice, errors: ExampleErrors, measured: tuple[Any, ...]) -> None:
        seen.add(rows, errors, measured[0].scores.pose)
        uncertain.add(rows, errors.hits, measured[0])
        for reduced in measured[1:]:
            sums.add_by_name(totals, sums.grouped(records.action[rows], reduced))

    result = run(
        loaded,
        records,
        key_of(loaded.test),
        "test",
        watch=watch,
        log_density=loaded.test.reductions and density,
        measures=(uncertainty.measure, *([reductions] if reductions else [])),
    )
    reduced = ReductionResult.of(reductions, totals) if reductions else None
    return result, reduced, seen, uncertain.result()


def response_of(loaded: Loaded, records: PoseRecords) -> Response | None:
    """The response to a detection made less sure; None without sure frames."""
    sure = response.sure(records, loaded.test.response_frames)
    if not len(sure):
        return None
    key = jax.random.fold_in(loaded.key, 5)
    cells = len(response.JOINTS) * len(response.SETTINGS)
    with tqdm.tqdm(
        total=len(sure) * cells, desc="response", unit="pose", smoothing=0
    ) as bar:
        return response.measure(
            loaded.model, sure, key, loaded.draw, progress=bar.update
        )


def settings_of(loaded: Loaded) -> SettingsResult | None:
    """The protocol of a data set with settings; None for another."""
    if "setting" not in loaded.records.extra:
        return None
    key = jax.random.fold_in(loaded.key, 4)
    return mpi_inf_3dhp.evaluate_settings(
        loaded.model, loaded.records, key, loaded.draw, loaded.test.target
    )


def run(
    loaded: Loaded, records: PoseRecords, key: jax.Array, name: str, **options: Any
) -> EvaluationResult:
    """One evaluation behind a progress bar called ``name``."""
    with tqdm.tqdm(total=len(records), desc=name, unit="pose", smoothing=0) as bar:
        return measuring.measure_records(
            loaded.model, records, key, draw=loaded.draw, progress=bar.update, **options
        )
