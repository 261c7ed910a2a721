"""The protocol of MPI-INF-3DHP: PCK, AUC and MPJPE per setting (paper section 4.4).

    model, PoseRecords with ``setting``, ``valid``, ``pose3d_universal``
      -> SettingsResult: figures of each setting and of all frames, best of M and z = 0

Poses have their pelvis at 0 and are not aligned. A joint counts where its error is
strictly below the threshold. The best of M is, for each frame and each figure by
itself, that of the hypothesis in which the figure is best. Joints are counted in
whole numbers and summed over frames: a setting's figure is the mean over its frames,
All that over all frames, whatever their video.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from jaxflow import data, metrics
from jaxflow.evaluation import measuring
from jaxflow.evaluation.measuring import Draw
from jaxflow.metrics import sums
from jaxflow.metrics.sums import Total
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import PCK_JOINTS
from jaxflow.types import Model, PoseRecords

AUC_THRESHOLDS = tuple(float(mm) for mm in range(0, 151, 5))
PICKS = ("best", "z0")  # the order of every pair of figures
ALL = "All"
# What poses are compared with -> the annotation's name in the data set.
TARGETS = {"universal": "univ_annot3", "camera": "annot3"}


class SettingErrors(NamedTuple):
    """What is counted of each frame, the best of M and the z = 0 pose.

    Attributes:
      mpjpe: (B, 2) mm.
      near: (B, 2) how many of the 14 joints lie strictly within 150 mm.
      near_any: (B, 2) the same, summed over the 31 thresholds.
    """

    mpjpe: Any
    near: Any
    near_any: Any


class SettingFigures(NamedTuple):
    """Means over frames, each for the best of M and for the z = 0 pose.

    Attributes:
      frames: how many frames they rest on.
      pck: (2,) share of the 14 joints strictly within 150 mm.
      auc: (2,) mean of that share over the 31 thresholds.
      mpjpe: (2,) mm.
    """

    frames: int
    pck: np.ndarray
    auc: np.ndarray
    mpjpe: np.ndarray

    @classmethod
    def of(cls, total: Total) -> SettingFigures:
        """Means over the frames of a total of ``SettingErrors``."""
        joints = total.frames * len(PCK_JOINTS)
        return cls(
            frames=total.frames,
            pck=total.sums.near / joints,
            auc=total.sums.near_any / (joints * len(AUC_THRESHOLDS)),
            mpjpe=total.sums.mpjpe / total.frames,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""

        def named(pair: np.ndarray) -> dict[str, float]:
            return dict(zip(PICKS, map(float, pair), strict=True))

        return {
            "frames": self.frames,
            "pck150_share": named(self.pck),
            "auc_share": named(self.auc),
            "mpjpe_mm": named(self.mpjpe),
        }


@dataclasses.dataclass(frozen=True)
class SettingsResult:
    """What the protocol found.

    Attributes:
      num_hypotheses: M.
      target: "universal" or "camera".
      not_valid: how many frames of the records were not counted.
      totals: of ``SettingErrors``, per setting that has valid frames, in the records'
        order.
      annotated_2d: whether the 2D joints were the annotated ones, none detected.
    """

    num_hypotheses: int
    target: str
    not_valid: int
    totals: dict[str, Total]
    annotated_2d: bool = False

    @property
    def figures(self) -> dict[str, SettingFigures]:
        """Of each setting, and of all frames under the name All."""
        totals = {**self.totals, ALL: sums.add(*self.totals.values())}
        return {name: SettingFigures.of(total) for name, total in totals.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and dicts."""
        figures = self.figures
        return {
            "protocol": "MPI-INF-3DHP",
            "target": TARGETS[self.target],
            "num_hypotheses": self.num_hypotheses,
            "annotated_2d": self.annotated_2d,
            "frames_not_valid": self.not_valid,
            "settings": {name: figures[name].to_json() for name in self.totals},
            "all_frames": figures[ALL].to_json(),
        }


def evaluate_settings(
    model: Model,
    records: PoseRecords,
    key: jax.Array,
    draw: Draw,
    target: str = "universal",
) -> SettingsResult:
    """The protocol on the valid frames, with a progress bar.

    Args:
      model: what draws the hypotheses.
      records: N frames of ``mpi_inf_3dhp_lift``.
      key: a typed key; a frame's noise follows from its number among the valid ones.
      draw: how many hypotheses, and how.
      target: "universal", the skeleton scaled to Human3.6M's size, or "camera".

    Raises:
      UserError: records of another data set, no valid frame, or an unknown target.
      FloatingPointError: hypotheses that are not finite.

    Source: paper section 4.4.
    """
    if target not in TARGETS:
        raise UserError(f"expected a target of {', '.join(TARGETS)}; got {target!r}")
    counted = valid_frames(records)
    batch, targets = data.to_batch(counted), targets_of(counted, target)
    settings = counted.extra["setting"]
    totals: dict[str, Total] = {}
    with tqdm.tqdm(
        total=len(counted), desc="settings", unit="pose", smoothing=0
    ) as bar:
        parts = measuring.stream(model, batch, targets, key, (measure,), draw)
        for rows, (errors,) in parts:
            sums.add_by_name(totals, sums.grouped(settings[rows], errors))
            bar.update(rows.stop - rows.start)
    return SettingsResult(
        draw.num_hypotheses,
        target,
        len(records) - len(counted),
        totals,
        # No heatmap is a Gaussian without any error; the annotated joints' are.
        annotated_2d=bool(np.all(counted.gaussfit[..., -1] == 0)),
    )


def valid_frames(records: PoseRecords) -> PoseRecords:
    """The frames that count.

    Raises:
      UserError: records of another data set, or none of them is valid.
    """
    needed = ("setting", "valid", "pose3d_universal")
    if missing := [name for name in needed if name not in records.extra]:
        raise UserError(
            f"expected records of mpi_inf_3dhp_lift; these have no {', '.join(missing)}"
        )
    valid = records.extra["valid"].astype(bool)
    if not valid.any():
        raise UserError(f"expected a valid frame; none of {len(records)} is")
    return records.take(valid)


def targets_of(records: PoseRecords, target: str) -> np.ndarray:
    """(N, 17, 3) metres, camera frame, pelvis at 0; ``target`` names the skeleton."""
    if target == "universal":
        records = dataclasses.replace(records, pose3d=records.extra["pose3d_universal"])
    return data.targets_of(records)


def measure(drawn: measuring.Drawn) -> SettingErrors:
    """The errors of a batch's hypotheses; see ``measuring.Measure``.

    Source: paper section 4.1 (PCK under 150 mm); AUC as the data set's own evaluation.
    """
    poses = jnp.concatenate([drawn.mode[:, None], drawn.hypotheses], axis=1)
    errors = metrics.joint_errors(poses, drawn.target)
    counted = errors[..., jnp.asarray(PCK_JOINTS)]

    def near(threshold: float) -> jax.Array:
        return jnp.sum(counted < threshold, axis=-1, dtype=jnp.int32)

    def picked(figures: jax.Array, best: jax.Array) -> jax.Array:
        return jnp.stack([best, figures[:, 0]], axis=-1)

    mpjpe, within = jnp.mean(errors, axis=-1), near(metrics.PCK_THRESHOLD)
    summed = sum((near(mm) for mm in AUC_THRESHOLDS), start=jnp.zeros_like(within))
    return SettingErrors(
        mpjpe=picked(mpjpe, jnp.min(mpjpe[:, 1:], axis=1)),
        near=picked(within, jnp.max(within[:, 1:], axis=1)),
        near_any=picked(summed, jnp.max(summed[:, 1:], axis=1)),
    )
