"""Which frames a test counts, and its whole evaluation.

    checkpoint, records of a split -> Evaluation: the strided test set and the ambiguous
    subset, each with every figure (paper section 4)

``evaluate`` prints it and ``report`` draws it: both call this, so both say the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import tqdm

from jaxflow import data, tables
from jaxflow.config import SoftClamp
from jaxflow.skeleton import H36M_JOINTS
from jaxflow.summary import EvaluationResult
from jaxflow.training import evaluation
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
    """

    test: EvaluationResult
    ambiguous: EvaluationResult | None
    mean_pose_mpjpe: float | None

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
                f"{self.mean_pose_mpjpe:.1f} mm in P1."
            )
        return text

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts."""
        return {
            "test": self.test.to_json(),
            "ambiguous": self.ambiguous.to_json() if self.ambiguous else None,
            "mean_training_pose_mpjpe_mm": self.mean_pose_mpjpe,
        }


class Settings(NamedTuple):
    """How to test.

    Attributes:
      stride: every how many frames of an action count in the main test.
      num_hypotheses: M.
      batch_size: frames a dispatch.
      seed: of the noise.
      clamp: the soft clamp the parameters were trained with.
      ambiguous: whether to test the ambiguous subset, too.
    """

    stride: int = 16
    num_hypotheses: int = 200
    batch_size: int = 64
    seed: int = 0
    clamp: SoftClamp = SoftClamp()
    ambiguous: bool = True


def evaluate(
    params: Params,
    records: PoseRecords,
    settings: Settings,
    train: PoseRecords | None = None,
) -> Evaluation:
    """Both tests, with a progress bar of poses per second and the time left.

    Args:
      params: the flow's parameters.
      records: all frames of the split.
      settings: how to test.
      train: frames whose mean pose is the baseline.

    Raises:
      ValueError: no frames to test on.
      FloatingPointError: hypotheses that are not finite.
    """
    test = data.every_nth_per_action(records, settings.stride)
    key = jax.random.key(settings.seed)
    result = _with_progress(params, test, jax.random.fold_in(key, 0), settings, "test")
    ambiguous = None
    unsure = data.ambiguous(records)
    if settings.ambiguous and unsure.any():
        ambiguous = _with_progress(
            params, records.take(unsure), jax.random.fold_in(key, 1), settings,
            "ambiguous subset",
        )  # fmt: skip
    baseline = None if train is None else evaluation.mean_pose_error(train, test)
    return Evaluation(result, ambiguous, baseline)


def _with_progress(
    params: Params,
    records: PoseRecords,
    key: jax.Array,
    settings: Settings,
    name: str,
) -> EvaluationResult:
    with tqdm.tqdm(total=len(records), desc=name, unit="pose", smoothing=0) as bar:
        return evaluation.evaluate_records(
            params, records, key, num_hypotheses=settings.num_hypotheses,
            batch_size=settings.batch_size, clamp=settings.clamp, progress=bar.update,
        )  # fmt: skip
