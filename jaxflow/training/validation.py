"""Validation while training: a few test frames, the same noise every time.

In: a model, frames. Out: figures for the log, and how widely hypotheses spread.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import jax
import numpy as np

from jaxflow import data, metrics
from jaxflow.config import RunConfig
from jaxflow.evaluation import measuring
from jaxflow.runs import writer
from jaxflow.training import health
from jaxflow.types import Model, PoseRecords

# Chooses the best checkpoint, and tells the plateau: mm, of whole poses. Hypotheses
# that grow too sure, or merely wide, have a worse one, while the best of many gains.
FIGURE = "energy_score"


class Validation(NamedTuple):
    """What came out.

    Attributes:
      values: the pooled figures, as they are logged: mm, shares.
      spread: (3,) mm, the hypotheses' standard deviation along x, y, z, mean over the
        joints but the hip, which is the origin.
      heatmaps: (2,) mm, what the heatmaps ask for along x and y.
    """

    values: dict[str, float]
    spread: np.ndarray
    heatmaps: np.ndarray


def validate(model: Model, records: PoseRecords, config: RunConfig) -> Validation:
    """Figures of the frames with this model."""
    batch = data.to_batch(records)
    energy: list[np.ndarray] = []
    result = measuring.measure(
        model,
        batch,
        data.targets_of(records),
        records.action,
        jax.random.key(0),
        measuring.Draw(config.loop.validation_hypotheses),
        measures=(_energy,),
        watch=lambda rows, errors, measured: energy.append(measured[0]),
    )
    pooled = result.pooled.to_json()
    values = {
        FIGURE: float(np.mean(np.concatenate(energy))),
        **{f"mpjpe_{name}": value for name, value in pooled["mpjpe_mm"].items()},
        **{f"pa_mpjpe_{name}": value for name, value in pooled["pa_mpjpe_mm"].items()},
        "pck": pooled["pck150_share"],
        "cps": pooled["cps"],
        "ece": pooled["calibration_error"],
    }
    return Validation(
        values,
        result.pooled.spread[1:].mean(axis=0),
        health.heatmap_spread(np.asarray(batch.cond)),
    )


def _energy(drawn: measuring.Drawn) -> jax.Array:
    """(B,) mm, of whole poses."""
    return metrics.scores(drawn.hypotheses, drawn.target).pose


def plateau(workdir: pathlib.Path, patience: int) -> bool:
    """Whether a run's last ``patience`` validations brought nothing better.

    By the energy score, as the best checkpoint is chosen; validations of before it was
    logged do not count, and those of one step count once.
    """
    if not (workdir / writer.FILE).exists():
        return False
    lines = [line for line in writer.read(workdir) if line["kind"] == "validation"]
    figures = [*{x["step"]: x[FIGURE] for x in lines if FIGURE in x}.values()]
    before, last = figures[:-patience], figures[-patience:]
    return bool(before) and min(last) >= min(before)
