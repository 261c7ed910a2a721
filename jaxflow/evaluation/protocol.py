"""Which frames a test counts, and its whole evaluation.

    checkpoint, records of a split -> Evaluation: the strided test set and the ambiguous
    subset, each with every figure (paper section 4)

``evaluate`` prints it and ``report`` draws it: both call this, so both say the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm

from jaxflow import data, flow, metrics
from jaxflow.config import DataConfig, FlowConfig, at_least, option
from jaxflow.evaluation import measuring, mpi_inf_3dhp
from jaxflow.evaluation.reductions import Reduced, ReductionResult, Reductions, Sums
from jaxflow.evaluation.setting_figures import LEGEND as SETTINGS_LEGEND
from jaxflow.evaluation.setting_figures import TARGETS, SettingsResult
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.metrics.errors import ExampleErrors
from jaxflow.metrics.sums import EvaluationResult
from jaxflow.reporting import tables
from jaxflow.skeleton import H36M_JOINTS
from jaxflow.types import Params, PoseRecords

LEGEND = """P1 MPJPE mm, P2 PA-MPJPE mm; PCK % of joints within 150 mm, best hypothesis;
CPS area of the correct poses score to 300 mm; ECE calibration error, 0 if calibrated.
"""


class Frames(NamedTuple):
    """The frames of a test, and what to choose from them by.

    Attributes:
      records: N frames.
      best: (N,) mm, MPJPE of the best hypothesis.
      spread: (N,) mm, the hypotheses' mean standard deviation over joints and axes.
    """

    records: PoseRecords
    best: np.ndarray
    spread: np.ndarray


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
      temperature: that the latents of the hypotheses were scaled with.
    """

    test: EvaluationResult
    ambiguous: EvaluationResult | None
    mean_pose_mpjpe: float | None
    untrained: EvaluationResult | None = None
    settings: SettingsResult | None = None
    reduced: ReductionResult | None = None
    frames: Frames | None = None
    temperature: float = 1.0

    def tables(self) -> list[tables.Table]:
        """Per action, the spread, and the ambiguous subset per action."""
        count = self.test.num_hypotheses
        frames = self.test.pooled.frames
        found = [
            tables.of_result(
                self.test, f"Test: {frames} frames, {count} hypotheses each"
            ),
            tables.spread(self.test.pooled, H36M_JOINTS),
        ]
        if self.ambiguous is not None:
            frames = self.ambiguous.pooled.frames
            title = f"Ambiguous subset: {frames} frames, {count} hypotheses each"
            found.append(tables.of_result(self.ambiguous, title))
        if self.settings is not None:
            found += self.settings.tables()
        if self.reduced is not None:
            found += self.reduced.tables()
        return found

    def describe(self, bold: bool = False) -> str:
        """The tables and how to read them, for the console; the best in bold or not."""
        shown = [tables.to_console(table, bold) for table in self.tables()]
        return "\n\n".join([*shown, self.remarks()])

    def remarks(self) -> str:
        """How to read the tables, and what they compare with."""
        text = f"{LEGEND}Hypotheses drawn at temperature {self.temperature:g}.\n"
        if self.settings is not None:
            text += SETTINGS_LEGEND
        if self.mean_pose_mpjpe is not None:
            text += (
                "Always answering the training set's mean pose gives "
                f"{self.mean_pose_mpjpe:.1f} mm in P1.\n"
            )
        if self.untrained is not None:
            best = self.untrained.average.to_json()["mpjpe_mm"]["best"]
            text += f"The same network untrained has {best:.1f} mm in P1 best.\n"
        return text

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts."""
        optional = {
            "ambiguous": self.ambiguous,
            "untrained": self.untrained,
            "settings": self.settings,
            "reduced": self.reduced,
        }
        return {
            "test": self.test.to_json(),
            "temperature": self.temperature,
            "mean_training_pose_mpjpe_mm": self.mean_pose_mpjpe,
            **{name: one.to_json() if one else None for name, one in optional.items()},
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
        "scale of the latents: a number, or fitted for the one that jaxflow.calibrate "
        "has stored in the checkpoint",
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
    target: str = option(
        "universal",
        "what MPI-INF-3DHP's settings are tested against: universal (the skeleton "
        "scaled to Human3.6M's size) or camera",
    )

    def __post_init__(self) -> None:
        """Refuses counts that test nothing."""
        at_least(self, stride=0, num_hypotheses=2, seed=0, batch_size=1)
        calibration_file.check(self.temperature)
        if self.target not in TARGETS:
            raise ValueError(
                f"target must be one of {', '.join(TARGETS)}, not {self.target!r}"
            )


class Loaded(NamedTuple):
    """What a test works on.

    Attributes:
      params: the flow's parameters.
      flow: their architecture.
      records: all frames of the split.
      train: the training frames, or None where nothing compares with them or the data
        set has none.
      stride: the data set's own, for a test that names none.
      temperature: to draw hypotheses at.
    """

    params: Params
    flow: FlowConfig
    records: PoseRecords
    train: PoseRecords | None
    stride: int = 16
    temperature: float = 1.0


def load(checkpoint_dir: str, source: DataConfig, test: EvaluationConfig) -> Loaded:
    """Reads the checkpoint and the data, building the set first if need be.

    Raises:
      ValueError: either is missing, damaged or of another kind; says which and where.
    """

    def split(name: str) -> PoseRecords:
        return data.load_records(
            source.dataset, name, source.data_dir or None, source.manual_dir or None
        )

    temperature = calibration_file.resolve(checkpoint_dir, test.temperature)
    params = checkpoint.load_params(checkpoint_dir)
    architecture = checkpoint.load_config(checkpoint_dir).flow
    records = split(test.split)
    known = data.splits(source.dataset, source.data_dir or None)
    train = split("train") if test.mean_pose and "train" in known else None
    stride = data.protocol_stride(source.dataset)
    return Loaded(params, architecture, records, train, stride, temperature)


def resolved(loaded: Loaded, test: EvaluationConfig) -> EvaluationConfig:
    """The test with this data set's stride and this checkpoint's temperature."""
    return dataclasses.replace(
        test, stride=test.stride or loaded.stride, temperature=f"{loaded.temperature:g}"
    )


def counted(records: PoseRecords) -> PoseRecords:
    """The frames that a test may count: all, but those marked as not valid."""
    if "valid" in records.extra:
        return mpi_inf_3dhp.valid_frames(records)
    return records


def key_of(test: EvaluationConfig) -> jax.Array:
    """Of the strided test set's hypotheses; frame i of it folds in its number i."""
    return jax.random.fold_in(jax.random.key(test.seed), 0)


def evaluate(loaded: Loaded, test: EvaluationConfig) -> Evaluation:
    """All that was asked for, with a progress bar of poses per second and time left.

    Raises:
      ValueError: no frames to test on.
      FloatingPointError: hypotheses that are not finite.
    """
    test = resolved(loaded, test)
    frames = counted(loaded.records)
    chosen = data.every_nth_per_action(frames, test.stride)
    key = jax.random.key(test.seed)
    result, reduced, tested = _test(loaded, chosen, key_of(test), test)
    ambiguous = untrained = None
    unsure = data.ambiguous(frames)
    if test.ambiguous and unsure.any():
        own = jax.random.fold_in(key, 1)
        ambiguous = run(loaded, frames.take(unsure), own, test, "ambiguous subset")
    baseline = None
    if loaded.train is not None:
        baseline = measuring.mean_pose_error(loaded.train, chosen)
    if test.untrained:
        fresh = loaded._replace(
            params=flow.init(jax.random.key(test.seed), loaded.flow), temperature=1.0
        )
        untrained = run(fresh, chosen, key_of(test), test, "untrained")
    settings = settings_of(loaded, test)
    return Evaluation(
        result,
        ambiguous,
        baseline,
        untrained,
        settings,
        reduced,
        tested,
        loaded.temperature,
    )


def _test(
    loaded: Loaded, chosen: PoseRecords, key: jax.Array, test: EvaluationConfig
) -> tuple[EvaluationResult, ReductionResult | None, Frames]:
    """The test itself; what each frame was like is kept in two numbers."""
    best = np.zeros(len(chosen), np.float32)
    spread = np.zeros(len(chosen), np.float32)
    reductions = Reductions.of(test.num_hypotheses)
    sums = Sums(chosen.action)

    def watch(rows: slice, errors: ExampleErrors, reduced: Reduced | None) -> None:
        best[rows] = errors.mpjpe[:, metrics.ERROR_NAMES.index("best")]
        spread[rows] = np.mean(errors.spread, axis=(1, 2))
        if reduced is not None:
            sums.watch(rows, errors, reduced)

    result = run(
        loaded,
        chosen,
        key,
        test,
        "test",
        watch=watch,
        log_density=test.reductions,
        measure=reductions if test.reductions else None,
    )
    reduced = sums.result(reductions) if test.reductions else None
    return result, reduced, Frames(chosen, best, spread)


def settings_of(loaded: Loaded, test: EvaluationConfig) -> SettingsResult | None:
    """The protocol of a data set with settings; None for another."""
    if "setting" not in loaded.records.extra:
        return None
    return mpi_inf_3dhp.evaluate_settings(
        loaded.params,
        loaded.flow,
        loaded.records,
        jax.random.fold_in(jax.random.key(test.seed), 4),
        num_hypotheses=test.num_hypotheses,
        batch_size=test.batch_size,
        temperature=loaded.temperature,
        target=test.target,
    )


def run(
    loaded: Loaded,
    records: PoseRecords,
    key: jax.Array,
    test: EvaluationConfig,
    name: str,
    **options: Any,
) -> EvaluationResult:
    """One evaluation behind a progress bar called ``name``."""
    with tqdm.tqdm(total=len(records), desc=name, unit="pose", smoothing=0) as bar:
        return measuring.evaluate_records(
            loaded.params,
            records,
            key,
            num_hypotheses=test.num_hypotheses,
            batch_size=test.batch_size,
            temperature=loaded.temperature,
            clamp=loaded.flow.clamp,
            progress=bar.update,
            **options,
        )
