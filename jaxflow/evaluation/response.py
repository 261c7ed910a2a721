"""The hypotheses' width as a detection is made less sure: coverage and spread.

    model, sure frames -> Response: per joint and sigma, how often the 50, 90 and 95 %
    regions hold the truth, and how wide the hypotheses are

"As uncertain as the detector was" as a figure. A calibrated sampler holds the truth in
90 % of the frames at every sigma.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import data
from jaxflow.evaluation import measuring
from jaxflow.evaluation.measuring import Draw, Drawn
from jaxflow.maths import geometry
from jaxflow.metrics import response
from jaxflow.metrics.response import JOINTS as JOINTS
from jaxflow.skeleton import CROP_PER_HEATMAP, MPII_JOINTS
from jaxflow.types import Model, PoseRecords

_SURE = 2.6  # heatmap pixels: all fitted sigmas of a frame that counts are below
_DRAW = Draw()
_ASPECT, _ANGLE = 3.0, math.pi / 4  # of the elongated Gaussians


class Setting(NamedTuple):
    """How a joint is made unsure.

    Attributes:
      sigma: heatmap pixels, along the longer axis.
      aspect: the longer axis over the shorter one.
      moved: the detection errs as it says; else only what it says is changed.
    """

    sigma: float
    aspect: float = 1.0
    moved: bool = True

    @property
    def shape(self) -> str:
        """For tables and documents."""
        return "round" if self.aspect == 1 else "elongated"


SETTINGS = (
    *(Setting(sigma) for sigma in response.SIGMAS),
    *(Setting(sigma, _ASPECT) for sigma in (4.0, 6.0, 10.0)),
    *(Setting(sigma, moved=False) for sigma in (response.SIGMAS[0], 10.0)),
)


class Response(NamedTuple):
    """What was found.

    Attributes:
      frames: so many count in each cell.
      settings: how joints were made unsure.
      joints: of `skeleton.MPII_JOINTS`.
      coverage: (joints, settings, 3) share of the frames whose region of each of
        `response.REGIONS` holds the truth; says nothing where the mean is kept.
      spread: (joints, settings, 3) mm, mean standard deviation along x, y, z.
      pixel: mm that a heatmap pixel stands for in these frames, mean; NaN where poses
        do not say how far away they are.
    """

    frames: int
    settings: tuple[Setting, ...]
    joints: tuple[str, ...]
    coverage: np.ndarray
    spread: np.ndarray
    pixel: float

    def of(self, aspect: float = 1.0, moved: bool = True) -> list[int]:
        """The settings of one kind, by rising sigma."""
        kind = [
            i
            for i, setting in enumerate(self.settings)
            if setting.aspect == aspect and setting.moved == moved
        ]
        return sorted(kind, key=lambda i: self.settings[i].sigma)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; every name that has a unit ends in it."""
        return {
            "frames": self.frames,
            "mm_per_heatmap_px": self.pixel if np.isfinite(self.pixel) else None,
            "regions": list(response.REGIONS),
            "cells": [
                {
                    "joint": joint,
                    "sigma_px": setting.sigma,
                    "shape": setting.shape,
                    "mean_moved": setting.moved,
                    "coverage_share": self.coverage[j, i].tolist(),
                    "spread_mm": self.spread[j, i].tolist(),
                }
                for j, joint in enumerate(self.joints)
                for i, setting in enumerate(self.settings)
            ],
        }


def _of_joint(number: jax.Array, drawn: Drawn) -> response.Response:
    return response.of_example(drawn.hypotheses, drawn.target, number)


def sure(records: PoseRecords, most: int) -> PoseRecords:
    """At most so many frames, evenly spaced, whose fitted sigmas are all small."""
    sigma = np.abs(records.gaussfit[..., [3, 5]]).max(axis=(1, 2))
    return data.evenly(records.take(np.flatnonzero(sigma < _SURE)), most)


def measure(
    model: Model,
    records: PoseRecords,
    key: jax.Array,
    draw: Draw = _DRAW,
    *,
    joints: tuple[str, ...] = JOINTS,
    settings: tuple[Setting, ...] = SETTINGS,
    progress: Callable[[int], Any] = lambda frames: None,
) -> Response:
    """One joint at a time less surely seen, in every frame and setting.

    Args:
      model: what draws the hypotheses.
      records: N frames, from `sure`.
      key: a typed key, of the detections' errors and the hypotheses' noise.
      draw: how many hypotheses, and how.
      joints: of `skeleton.MPII_JOINTS`, each with a counterpart in H36M-17.
      settings: how to make them unsure.
      progress: told how many frames have just been finished; in all there are
        N * len(joints) * len(settings).

    Raises:
      ValueError: no frames.
    """
    count = len(records)
    every = records.take(np.tile(np.arange(count), len(settings)))
    targets = data.targets_of(every)
    shape = (len(joints), len(settings), 3)
    coverage, spread = np.zeros(shape), np.zeros(shape)
    for j, joint in enumerate(joints):
        error_key, draw_key = jax.random.split(jax.random.fold_in(key, j))
        number = np.int32(MPII_JOINTS.index(joint))
        changed = _made_unsure(every, number, settings, error_key)
        batch = data.to_batch(changed)
        of_joint = jax.tree_util.Partial(_of_joint, number)
        held = np.zeros((len(every), 3))
        wide = np.zeros((len(every), 3))
        for rows, (measured,) in measuring.stream(
            model, batch, targets, draw_key, [of_joint], draw
        ):
            held[rows], wide[rows] = measured
            progress(rows.stop - rows.start)
        coverage[j] = held.reshape(len(settings), count, 3).mean(axis=1)
        spread[j] = wide.reshape(len(settings), count, 3).mean(axis=1)
    return Response(count, settings, joints, coverage, spread, _pixel(records))


def _made_unsure(
    records: PoseRecords, joint: np.int32, settings: tuple[Setting, ...], key: jax.Array
) -> PoseRecords:
    """The frames, which are there once a setting, with the joint less surely seen.

    Each setting has its own errors.
    """
    count = len(records) // len(settings)
    pose2d, gaussfit = np.copy(records.pose2d), np.copy(records.gaussfit)
    for i, setting in enumerate(settings):
        rows = slice(i * count, (i + 1) * count)
        pose2d[rows], gaussfit[rows] = response.make_unsure(
            jnp.asarray(pose2d[rows]),
            jnp.asarray(gaussfit[rows]),
            joint,
            response.covariance(setting.sigma, setting.aspect, _ANGLE),
            jax.random.normal(jax.random.fold_in(key, i), (count, 2)),
            moved=setting.moved,
        )
    return dataclasses.replace(records, pose2d=pose2d, gaussfit=gaussfit)


def _pixel(records: PoseRecords) -> float:
    """Millimetres at the hip's depth that a heatmap pixel stands for, mean."""
    slopes = geometry.seen_slopes(jnp.asarray(records.pose3d))
    scale, _ = geometry.fit_picture(slopes, jnp.asarray(records.pose2d))
    depth = records.pose3d[:, 0, 2]
    return float(np.mean(CROP_PER_HEATMAP * depth / np.asarray(scale)[:, 0, 0]))
