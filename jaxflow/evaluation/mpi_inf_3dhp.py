"""The protocol of MPI-INF-3DHP: PCK, AUC and MPJPE per setting (paper section 4.4).

    params, PoseRecords with ``setting``, ``valid``, ``pose3d_universal``
      -> SettingsResult: figures of each setting and of all frames, best of M and z = 0

Poses have their pelvis at 0 and are not aligned. A joint counts where its error is
strictly below the threshold. The best of M is, for each frame and each figure by
itself, that of the hypothesis in which the figure is best.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from jaxflow import data, metrics
from jaxflow.config import FlowConfig
from jaxflow.evaluation import measuring
from jaxflow.evaluation.setting_figures import (
    AUC_THRESHOLDS,
    TARGETS,
    SettingErrors,
    SettingsResult,
    SettingTotals,
)
from jaxflow.flow import sampling
from jaxflow.skeleton import PCK_JOINTS
from jaxflow.types import Params, PoseRecords


def evaluate_settings(
    params: Params,
    flow_config: FlowConfig,
    records: PoseRecords,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    batch_size: int = 64,
    temperature: float = 1.0,
    target: str = "universal",
    sampler: measuring.Sampler = sampling.sample,
) -> SettingsResult:
    """The protocol on the valid frames, with a progress bar.

    Args:
      params: the flow's parameters.
      flow_config: their architecture.
      records: N frames of ``mpi_inf_3dhp_lift``.
      key: a typed key; a frame's noise follows from its number among the valid ones.
      num_hypotheses: M, at least 2.
      batch_size: frames a dispatch; memory grows with it, results do not change.
      temperature: scales the latents of the hypotheses.
      target: "universal", the skeleton scaled to Human3.6M's size, or "camera".
      sampler: what draws the hypotheses.

    Raises:
      ValueError: records of another data set, no valid frame, an unknown target, or M
        less than 2.
      FloatingPointError: hypotheses that are not finite.

    Source: paper section 4.4.
    """
    if target not in TARGETS:
        raise ValueError(f"expected a target of {', '.join(TARGETS)}; got {target!r}")
    counted = valid_frames(records)
    targets = targets_of(counted, target)
    settings = counted.extra["setting"]
    totals: dict[str, SettingTotals] = {}
    with tqdm.tqdm(
        total=len(counted), desc="settings", unit="pose", smoothing=0
    ) as bar:
        for rows, (errors,) in measuring.stream(
            params,
            data.to_batch(counted),
            targets,
            key,
            (measure,),
            num_hypotheses=num_hypotheses,
            batch_size=batch_size,
            temperature=temperature,
            clamp=flow_config.clamp,
            sampler=sampler,
        ):
            for name in dict.fromkeys(map(str, settings[rows])):
                chosen = settings[rows] == name
                part = SettingTotals.of(SettingErrors(*(e[chosen] for e in errors)))
                totals[name] = totals[name] + part if name in totals else part
            bar.update(rows.stop - rows.start)
    return SettingsResult(
        num_hypotheses,
        target,
        len(records) - len(counted),
        totals,
        # No heatmap is a Gaussian without any error; the annotated joints' are.
        annotated_2d=bool(np.all(counted.gaussfit[..., -1] == 0)),
    )


def valid_frames(records: PoseRecords) -> PoseRecords:
    """The frames that count.

    Raises:
      ValueError: records of another data set, or none of them is valid.
    """
    needed = ("setting", "valid", "pose3d_universal")
    if missing := [name for name in needed if name not in records.extra]:
        raise ValueError(
            f"expected records of mpi_inf_3dhp_lift; these have no {', '.join(missing)}"
        )
    valid = records.extra["valid"].astype(bool)
    if not valid.any():
        raise ValueError(f"expected a valid frame; none of {len(records)} is")
    return records.take(valid)


def targets_of(records: PoseRecords, target: str) -> np.ndarray:
    """(N, 17, 3) metres, camera frame, pelvis at 0; ``target`` names the skeleton."""
    if target == "universal":
        records = dataclasses.replace(records, pose3d=records.extra["pose3d_universal"])
    return measuring.targets_of(records)


def measure(drawn: measuring.Drawn) -> SettingErrors:
    """The errors of a batch's hypotheses; see ``evaluation.Measure``.

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
