"""Sums of per-frame errors, and the figures that follow from them.

In: ``metrics.ExampleErrors`` of batches of frames, as NumPy. Out: ``Totals`` that add
up over batches, actions and machines in float64, and ``Figures`` with means in mm and
shares. Nothing grows with the number of frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxflow.metrics import errors as metrics
from jaxflow.metrics import sample_size
from jaxflow.metrics.coverage import CALIBRATION_LEVELS
from jaxflow.skeleton import H36M_JOINTS


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums over ``frames`` frames of what ``metrics.ExampleErrors`` holds for each.

    ``cps_curve`` (300,) counts the frames that are correct at each threshold.
    """

    frames: int
    mpjpe: np.ndarray
    pa_mpjpe: np.ndarray
    pck: np.ndarray
    cps_curve: np.ndarray
    spread: np.ndarray
    hits: np.ndarray
    best_of: np.ndarray

    @classmethod
    def of(cls, errors: metrics.ExampleErrors) -> Totals:
        """The sums over the leading axis of a batch's errors."""
        radius = np.asarray(errors.cps_radius)[:, None]
        within = radius <= np.asarray(metrics.CPS_THRESHOLDS)
        return cls(
            frames=len(radius),
            mpjpe=_sum(errors.mpjpe),
            pa_mpjpe=_sum(errors.pa_mpjpe),
            pck=_sum(errors.pck),
            cps_curve=_sum(within),
            spread=_sum(errors.spread),
            hits=_sum(errors.hits),
            best_of=_sum(errors.best_of),
        )

    def __add__(self, other: Totals) -> Totals:
        """The sums over both sets of frames."""
        names = [field.name for field in dataclasses.fields(self)]
        return Totals(**{n: getattr(self, n) + getattr(other, n) for n in names})


def _sum(values: Any) -> np.ndarray:
    return np.sum(np.asarray(values, np.float64), axis=0)


@dataclasses.dataclass(frozen=True)
class Figures:
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
      best_of: (K,) mm, MPJPE of the best of m for each m of ``sample_size.counts``.
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
    def of(cls, totals: Totals) -> Figures:
        """Means over frames.

        Raises:
          ValueError: there are no frames.
        """
        if totals.frames == 0:
            raise ValueError("expected at least one frame to take the mean of")
        frequency = np.median(totals.hits / totals.frames, axis=-1)
        curve = totals.cps_curve / totals.frames
        return cls(
            frames=totals.frames,
            mpjpe=totals.mpjpe / totals.frames,
            pa_mpjpe=totals.pa_mpjpe / totals.frames,
            pck=float(totals.pck / totals.frames),
            cps=float(metrics.area_under_cps_curve(curve)),
            ece=float(np.mean(np.abs(frequency - np.asarray(CALIBRATION_LEVELS)))),
            cps_curve=curve,
            calibration=frequency,
            spread=totals.spread / totals.frames,
            best_of=totals.best_of / totals.frames,
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


def average(figures: Iterable[Figures]) -> Figures:
    """The plain mean of several actions' figures; ``frames`` is their sum.

    Raises:
      ValueError: there are none.
    """
    chosen = list(figures)
    if not chosen:
        raise ValueError("expected at least one action to average over")

    def mean(name: str) -> Any:
        return np.mean([getattr(one, name) for one in chosen], axis=0)

    names = [field.name for field in dataclasses.fields(Figures)]
    means = {name: mean(name) for name in names if name != "frames"}
    return Figures(frames=sum(one.frames for one in chosen), **means)


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found, per action.

    Attributes:
      num_hypotheses: M.
      totals: sums per action that has frames, by name, sorted.
    """

    num_hypotheses: int
    totals: dict[str, Totals]

    @property
    def per_action(self) -> dict[str, Figures]:
        """Means over each action's frames."""
        return {action: Figures.of(totals) for action, totals in self.totals.items()}

    @property
    def average(self) -> Figures:
        """Means over actions: what the paper's tables give."""
        return average(self.per_action.values())

    @property
    def pooled(self) -> Figures:
        """Means over all frames, whatever their action."""
        first, *rest = self.totals.values()
        return Figures.of(sum(rest, start=first))

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
                    "hypotheses": list(sample_size.counts(self.num_hypotheses)),
                    "mpjpe_mm": pooled.best_of.tolist(),
                },
            },
            "actions": {name: one.to_json() for name, one in self.per_action.items()},
        }
