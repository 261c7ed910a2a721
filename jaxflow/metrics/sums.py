"""Sums of per-frame figures, and the means that follow from them.

    names (N,), any tree of arrays (N, ...) -> {name: Total}, which add up

Totals add up over batches, actions and machines in float64; `Means` are in mm and
shares. Nothing grows with the number of frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxflow.metrics import errors as metrics
from jaxflow.metrics.coverage import CALIBRATION_LEVELS
from jaxflow.skeleton import H36M_JOINTS

Tree = TypeVar("Tree")


class Total(NamedTuple):
    """Sums over some frames.

    Attributes:
      frames: how many.
      sums: a tree of float64 arrays.
    """

    frames: int
    sums: Any


def add(*trees: Tree) -> Tree:
    """The sum of trees of arrays or numbers, such as ``Total``; at least one."""
    first, *rest = trees
    for tree in rest:
        first = jax.tree.map(lambda total, other: total + other, first, tree)
    return first


def grouped(names: np.ndarray, tree: Any) -> dict[str, Total]:
    """Sums by name over the leading axis.

    Args:
      names: (N,) text: what each frame belongs to.
      tree: of arrays (N, ...).

    Returns:
      A total for each name, in the order in which they first come.
    """
    totals = {}
    for name in dict.fromkeys(map(str, names)):
        rows = names == name
        sums = jax.tree.map(
            lambda leaf, rows=rows: np.sum(np.asarray(leaf[rows], np.float64), axis=0),
            tree,
        )
        totals[name] = Total(int(rows.sum()), sums)
    return totals


def add_by_name(totals: dict[str, Total], further: dict[str, Total]) -> None:
    """Adds further totals to those there are; a new name comes last."""
    for name, total in further.items():
        totals[name] = add(totals[name], total) if name in totals else total


class Sums(NamedTuple):
    """What an evaluation sums: of a batch (N, ...) each frame's, of a total the sums.

    As ``metrics.ExampleErrors``, but for ``cps_curve`` (300,), which counts the frames
    that are correct at each threshold.
    """

    mpjpe: Any
    pa_mpjpe: Any
    pck: Any
    cps_curve: Any
    spread: Any
    hits: Any
    best_of: Any

    @classmethod
    def of(cls, errors: metrics.ExampleErrors) -> Sums:
        """Each frame's, of a batch's errors as NumPy."""
        radius = np.asarray(errors.cps_radius)[:, None]
        columns = errors._asdict()
        del columns["cps_radius"]
        return cls(cps_curve=radius <= np.asarray(metrics.CPS_THRESHOLDS), **columns)


@dataclasses.dataclass(frozen=True)
class Means:
    """Means over frames, or over actions.

    Attributes:
      frames: how many frames they rest on.
      mpjpe: (5,) mm in the order of ``metrics.ERROR_NAMES``, protocol 1.
      pa_mpjpe: (5,) mm, protocol 2.
      pck: share of joints within 150 mm, best hypothesis.
      cps: correct poses score, at most 299.
      ece: expected calibration error.
      cps_curve: (300,) shares of frames correct at 1, ..., 300 mm.
      calibration: (21,) frequency of hits of the median joint, per level.
      spread: (17, 3) mm, standard deviation over the hypotheses.
      best_of: (K,) mm, MPJPE of the best of m for each m of ``metrics.sample_counts``.
    """

    frames: int
    mpjpe: np.ndarray
    pa_mpjpe: np.ndarray
    pck: float
    cps: float
    ece: float
    cps_curve: np.ndarray
    calibration: np.ndarray
    spread: np.ndarray
    best_of: np.ndarray

    @classmethod
    def of(cls, total: Total) -> Means:
        """Means over frames, of a total of ``Sums``.

        Raises:
          ValueError: there are no frames.
        """
        if total.frames == 0:
            raise ValueError("expected at least one frame to take the mean of")
        means = Sums(*(leaf / total.frames for leaf in total.sums))
        frequency = np.median(means.hits, axis=-1)
        return cls(
            frames=total.frames,
            mpjpe=means.mpjpe,
            pa_mpjpe=means.pa_mpjpe,
            pck=float(means.pck),
            cps=float(metrics.area_under_cps_curve(means.cps_curve)),
            ece=float(np.mean(np.abs(frequency - np.asarray(CALIBRATION_LEVELS)))),
            cps_curve=means.cps_curve,
            calibration=frequency,
            spread=means.spread,
            best_of=means.best_of,
        )

    @property
    def spread_per_axis(self) -> np.ndarray:
        """(3,) mm, the mean over all 17 joints of the spread along x, y, z."""
        return np.mean(self.spread, axis=0)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists; every name that has a unit ends in it."""
        return {
            "frames": self.frames,
            "mpjpe_mm": _named(self.mpjpe),
            "pa_mpjpe_mm": _named(self.pa_mpjpe),
            "pck150_share": self.pck,
            "cps": self.cps,
            "calibration_error": self.ece,
            "spread_mean_mm": dict(
                zip("xyz", map(float, self.spread_per_axis), strict=True)
            ),
        }

    def curves_to_json(self) -> dict[str, Any]:
        """The curves and the spread per joint and axis."""
        return {
            "cps_curve": {
                "threshold_mm": list(metrics.CPS_THRESHOLDS),
                "share": self.cps_curve.tolist(),
            },
            "calibration_curve": {
                "level": list(CALIBRATION_LEVELS),
                "frequency": self.calibration.tolist(),
            },
            "spread_mm": {
                "joints": list(H36M_JOINTS),
                **{axis: self.spread[:, i].tolist() for i, axis in enumerate("xyz")},
            },
        }


def _named(five: Sequence[float] | np.ndarray) -> dict[str, float]:
    return dict(zip(metrics.ERROR_NAMES, map(float, five), strict=True))


def average(figures: Iterable[Means]) -> Means:
    """The plain mean of several actions' figures; ``frames`` is their sum.

    Raises:
      ValueError: there are none.
    """
    actions = list(figures)
    if not actions:
        raise ValueError("expected at least one action to average over")

    def mean(name: str) -> Any:
        return np.mean([getattr(action, name) for action in actions], axis=0)

    names = [field.name for field in dataclasses.fields(Means)]
    means = {name: mean(name) for name in names if name != "frames"}
    return Means(frames=sum(action.frames for action in actions), **means)


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found, per action.

    Attributes:
      num_hypotheses: M.
      totals: of ``Sums``, per action that has frames, by name, sorted.
    """

    num_hypotheses: int
    totals: dict[str, Total]

    @property
    def per_action(self) -> dict[str, Means]:
        """Means over each action's frames."""
        return {action: Means.of(total) for action, total in self.totals.items()}

    @property
    def average(self) -> Means:
        """Means over actions: what the paper's tables give."""
        return average(self.per_action.values())

    @property
    def pooled(self) -> Means:
        """Means over all frames, whatever their action."""
        return Means.of(add(*self.totals.values()))

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain numbers, lists and dicts."""
        pooled = self.pooled
        return {
            "frames": pooled.frames,
            "num_hypotheses": self.num_hypotheses,
            "average_over_actions": self.average.to_json(),
            "pooled_over_frames": {
                **pooled.to_json(),
                **pooled.curves_to_json(),
                "best_of": {
                    "hypotheses": list(metrics.sample_counts(self.num_hypotheses)),
                    "mpjpe_mm": pooled.best_of.tolist(),
                },
            },
            "actions": {name: m.to_json() for name, m in self.per_action.items()},
        }
