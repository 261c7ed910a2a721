"""Which frames a test counts, and its whole evaluation.

    checkpoint, records of a split -> Evaluation: the strided test set and the ambiguous
    subset, each with every figure (paper section 4)

``evaluate`` prints it and ``report`` draws it: both call this, so both say the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import tqdm

from jaxflow import data, flow, tables
from jaxflow.config import DataConfig, FlowConfig, option
from jaxflow.skeleton import H36M_JOINTS
from jaxflow.summary import EvaluationResult
from jaxflow.training import checkpoint, evaluation
from jaxflow.types import Params, PoseRecords

LEGEND = """P1 MPJPE mm, P2 PA-MPJPE mm; PCK % of joints within 150 mm, best hypothesis;
CPS area of the correct poses score to 300 mm; ECE calibration error, 0 if calibrated.
"""


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
    """

    test: EvaluationResult
    ambiguous: EvaluationResult | None
    mean_pose_mpjpe: float | None
    untrained: EvaluationResult | None = None

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
        return found

    def describe(self) -> str:
        """The tables and how to read them, for the console."""
        text = "\n\n".join(map(tables.to_console, self.tables())) + "\n\n" + LEGEND
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
        return {
            "test": self.test.to_json(),
            "ambiguous": self.ambiguous.to_json() if self.ambiguous else None,
            "mean_training_pose_mpjpe_mm": self.mean_pose_mpjpe,
            "untrained": self.untrained.to_json() if self.untrained else None,
        }


@dataclasses.dataclass(frozen=True)
class TestConfig:
    """How to test; the defaults are the paper's (section 4.3)."""

    __test__ = False  # no test class, whatever its name says

    split: str = option("test", "part of the data set to test on")
    stride: int = option(16, "test on every so many frames of each action")
    num_hypotheses: int = option(200, "hypotheses drawn for each pose")
    seed: int = option(0, "of the hypotheses' noise")
    batch_size: int = option(64, "poses at a time; decides memory, not results")
    ambiguous: bool = option(
        True, "test the ambiguous frames (a fitted sigma above 5 px), all of them, too"
    )
    mean_pose: bool = option(
        True, "compare with always answering the training frames' mean pose"
    )
    untrained: bool = option(False, "compare with the same network before any training")

    def __post_init__(self) -> None:
        """Refuses counts that test nothing."""
        for name, least in (("stride", 1), ("num_hypotheses", 2), ("seed", 0),
                            ("batch_size", 1)):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} must be at least {least}, not {getattr(self, name)}"
                )


class Loaded(NamedTuple):
    """What a test works on.

    Attributes:
      params: the flow's parameters.
      flow: their architecture.
      records: all frames of the split.
      train: the training frames, or None where nothing compares with them.
    """

    params: Params
    flow: FlowConfig
    records: PoseRecords
    train: PoseRecords | None


def load(checkpoint_dir: str, source: DataConfig, test: TestConfig) -> Loaded:
    """Reads the checkpoint and the data, building the set first if need be.

    Raises:
      ValueError: either is missing, damaged or of another kind; says which and where.
    """

    def split(name: str) -> PoseRecords:
        return data.load_records(
            source.dataset, name, source.data_dir or None, source.manual_dir or None
        )

    params = checkpoint.load_params(checkpoint_dir)
    architecture = checkpoint.load_config(checkpoint_dir).flow
    train = split("train") if test.mean_pose else None
    return Loaded(params, architecture, split(test.split), train)


def evaluate(loaded: Loaded, test: TestConfig) -> Evaluation:
    """Both tests, with a progress bar of poses per second and the time left.

    Raises:
      ValueError: no frames to test on.
      FloatingPointError: hypotheses that are not finite.
    """
    chosen = data.every_nth_per_action(loaded.records, test.stride)
    key = jax.random.key(test.seed)
    result = run(loaded, chosen, jax.random.fold_in(key, 0), test, "test")
    ambiguous = None
    unsure = data.ambiguous(loaded.records)
    if test.ambiguous and unsure.any():
        frames = loaded.records.take(unsure)
        own = jax.random.fold_in(key, 1)
        ambiguous = run(loaded, frames, own, test, "ambiguous subset")
    baseline = None
    if loaded.train is not None:
        baseline = evaluation.mean_pose_error(loaded.train, chosen)
    untrained = None
    if test.untrained:
        fresh = loaded._replace(
            params=flow.init(jax.random.key(test.seed), loaded.flow)
        )
        untrained = run(fresh, chosen, jax.random.fold_in(key, 0), test, "untrained")
    return Evaluation(result, ambiguous, baseline, untrained)


def run(
    loaded: Loaded,
    records: PoseRecords,
    key: jax.Array,
    test: TestConfig,
    name: str,
    **options: Any,
) -> EvaluationResult:
    """One evaluation behind a progress bar called ``name``."""
    with tqdm.tqdm(total=len(records), desc=name, unit="pose", smoothing=0) as bar:
        return evaluation.evaluate_records(
            loaded.params, records, key, num_hypotheses=test.num_hypotheses,
            batch_size=test.batch_size, clamp=loaded.flow.clamp, progress=bar.update,
            **options,
        )  # fmt: skip
