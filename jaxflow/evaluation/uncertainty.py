"""Are hypotheses as uncertain as they should be? Scores, and calibration by sigma.

    model, records -> Uncertainty: proper scores, calibration per joint, axis, person
    and fitted sigma, its band over takes, consistency with the picture, bone lengths

The calibration error of all frames says little of unsure joints, which are few, and
less of one person: a model that is too sure of one and not sure enough of the next has
none. Here frames are summed by take, whose frames are alike, whatever camera saw them:
the bands come from drawing takes, not frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow import metrics
from jaxflow.evaluation.measuring import Drawn
from jaxflow.evaluation.paired import LEAST_TAKES
from jaxflow.metrics import consistency, sums
from jaxflow.metrics.coverage import CALIBRATION_LEVELS
from jaxflow.metrics.sums import Total
from jaxflow.skeleton import H36M_JOINTS, HIP, MPII_TO_H36M
from jaxflow.types import PoseRecords

# Edges in heatmap pixels of the larger fitted sigma; a sure joint's is about 2.
SIGMA_EDGES = (0.0, 2.1, 2.6, 4.0, 6.0, 10.0, np.inf)
_DRAWS, _BAND = 500, (0.05, 0.95)
# The joints that have both a detection and hypotheses relative to the hip: as numbers
# of MPII-16 and of H36M-17 without its hip.
_DETECTED = [i for i, joint in enumerate(MPII_TO_H36M) if joint != HIP]
_DRAWN = [MPII_TO_H36M[i] - 1 for i in _DETECTED]


class Measured(NamedTuple):
    """Of each frame of a batch.

    Attributes:
      scores: proper scores, mm.
      axis_hits: (..., 21, 16, 3) per level, joint and axis: the coordinate lies within
        that quantile of its hypotheses' distances from their median.
      consistency: with the picture, and of the bones.
    """

    scores: metrics.Scores
    axis_hits: Any
    consistency: consistency.Consistency


def measure(drawn: Drawn) -> Measured:
    """The measure, for ``measuring.measure``, which must know the raw frames."""
    assert drawn.raw is not None
    return Measured(
        metrics.scores(drawn.hypotheses, drawn.target),
        metrics.axis_hits(drawn.hypotheses, drawn.target),
        consistency.of_example(drawn.hypotheses, drawn.raw),
    )


class Summed(NamedTuple):
    """Sums over frames; of the bins, over the joints of which frames fall in them.

    Attributes:
      measured: as `Measured`.
      hits: (21, 16) as ``metrics.ExampleErrors``.
      joints: (bins,) how many joints.
      bin_hits: (bins, 21).
      pictured: (bins,) how many of them are known to lie somewhere in the picture.
      inside: (bins,) sum of the shares of hypotheses within the 95 % ellipse.
      truth_inside: (bins,).
    """

    measured: Any
    hits: Any
    joints: Any
    bin_hits: Any
    pictured: Any
    inside: Any
    truth_inside: Any


class Sums:
    """Adds up what an evaluation measures, a total a take."""

    def __init__(self, records: PoseRecords):
        """Of these frames."""
        self._totals: dict[str, Total] = {}
        self._names = records.takes()
        self._subjects = dict(zip(self._names, map(str, records.subject), strict=True))
        sigma = np.abs(records.gaussfit[..., [3, 5]]).max(axis=-1)[:, _DETECTED]
        self._bins = np.digitize(sigma, SIGMA_EDGES[1:-1])

    def add(self, rows: slice, hits: Any, measured: Measured) -> None:
        """A batch's figures: hits (B, 21, 16), and what `measure` gave."""
        bins = len(SIGMA_EDGES) - 1
        # (B, 15, bins): which joint is in which bin.
        in_bin = np.eye(bins)[self._bins[rows]]

        def binned(values: Any) -> np.ndarray:
            return np.einsum("bjk,bj...->bk...", in_bin, values)

        picture = measured.consistency
        tree = Summed(
            measured=measured,
            hits=hits,
            joints=in_bin.sum(axis=1),
            bin_hits=binned(np.swapaxes(hits[..., _DRAWN], 1, 2)),
            pictured=binned(picture.pictured[:, _DETECTED]),
            inside=binned(picture.inside[:, _DETECTED]),
            truth_inside=binned(picture.truth_inside[:, _DETECTED]),
        )
        sums.add_by_name(self._totals, sums.grouped(self._names[rows], tree))

    def result(self) -> Uncertainty:
        """What was found.

        Raises:
          ValueError: no frame was added.
        """
        subjects = [self._subjects[take] for take in self._totals]
        return Uncertainty.of(list(self._totals.values()), subjects)


class Bin(NamedTuple):
    """Joints of one range of fitted sigmas.

    Attributes:
      least: heatmap pixels.
      most: heatmap pixels, not included; infinite for the last one.
      joints: how many, over all frames.
      ece: calibration error of them together; NaN without joints, as the rest.
      inside: share of hypotheses within the detection's 95 % ellipse; NaN, as the
        next, where poses have no distance and so no picture.
      truth_inside: share of the true joints.
    """

    least: float
    most: float
    joints: int
    ece: float
    inside: float
    truth_inside: float


class Person(NamedTuple):
    """How sure hypotheses are of somebody.

    Attributes:
      name: the subject's.
      frames: how many.
      ece: calibration error of the median joint.
      lean: mean of frequency less level: below 0 they are surer than they are right.
    """

    name: str
    frames: int
    ece: float
    lean: float


class Uncertainty(NamedTuple):
    """What an evaluation finds of the hypotheses' uncertainty; means over frames.

    Attributes:
      takes: that the band rests on.
      energy: mm, energy score of a joint, mean over the 16.
      joint_energy: (16,) mm, of each.
      pose_energy: mm, of the whole pose.
      crps: (3,) mm, of a joint's x, y and z.
      joint_ece: (16,) calibration error of each joint.
      axis_ece: (3,) of the median joint along each axis.
      ece: calibration error of the median joint.
      ece_draws: (draws,) the same of takes drawn anew, the same takes for every model;
        NaN, as the next two, of fewer than ``paired.LEAST_TAKES``.
      ece_band: what 90 % of draws lie between.
      curve_band: (2, 21) the same of the frequency at each level.
      bins: by fitted sigma.
      people: one by one, by name.
      bone_spread: mm, standard deviation of a bone's length over a frame's hypotheses.
      asymmetry: mm, mean difference of left and right bones.
    """

    takes: int
    energy: float
    joint_energy: np.ndarray
    pose_energy: float
    crps: np.ndarray
    joint_ece: np.ndarray
    axis_ece: np.ndarray
    ece: float
    ece_draws: np.ndarray
    ece_band: tuple[float, float]
    curve_band: np.ndarray
    bins: tuple[Bin, ...]
    people: tuple[Person, ...]
    bone_spread: float
    asymmetry: float

    @classmethod
    def of(cls, totals: list[Total], subjects: Sequence[str]) -> Uncertainty:
        """From a total a take, and who is in it."""
        if not totals:
            raise ValueError("expected at least one frame; got none")
        total = sums.add(*totals)
        means = jax.tree.map(lambda leaf: leaf / total.frames, total.sums)
        scores, picture = means.measured.scores, means.measured.consistency
        curves = _draw_curves(totals)
        ece, drawn = _error(np.median(means.hits, axis=1)), _error(curves)
        return cls(
            takes=len(totals),
            energy=float(np.mean(scores.joint)),
            joint_energy=scores.joint,
            pose_energy=float(scores.pose),
            crps=np.mean(scores.crps, axis=0),
            joint_ece=_error(means.hits.T),
            axis_ece=_error(np.median(means.measured.axis_hits, axis=1).T),
            ece=float(ece),
            ece_draws=drawn,
            ece_band=_error_band(ece, drawn),
            curve_band=np.quantile(curves, _BAND, axis=0),
            bins=_bins(total.sums),
            people=_people(totals, subjects),
            bone_spread=float(np.mean(picture.bone)),
            asymmetry=float(picture.asymmetry),
        )

    @property
    def person_ece(self) -> float:
        """Calibration error of a person, mean over people."""
        return float(np.mean([person.ece for person in self.people]))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; every name that has a unit ends in it."""
        joints = H36M_JOINTS[1:]
        return {
            "takes": self.takes,
            "energy_score_mm": self.energy,
            "energy_score_of_joints_mm": _named(joints, self.joint_energy),
            "energy_score_of_poses_mm": self.pose_energy,
            "crps_mm": _named("xyz", self.crps),
            "calibration_error_of_joints": _named(joints, self.joint_ece),
            "calibration_error_of_axes": _named("xyz", self.axis_ece),
            "calibration_error_band": _known(self.ece_band),
            "calibration_curve_band": _known(self.curve_band),
            "by_fitted_sigma": [
                {
                    "least_px": interval.least,
                    "most_px": None if np.isinf(interval.most) else interval.most,
                    "joints": interval.joints,
                    "calibration_error": _known(interval.ece),
                    "inside_95_ellipse_share": _known(interval.inside),
                    "truth_inside_share": _known(interval.truth_inside),
                }
                for interval in self.bins
            ],
            "people": [
                {
                    "subject": person.name,
                    "frames": person.frames,
                    "calibration_error": person.ece,
                    "frequency_less_level": person.lean,
                }
                for person in self.people
            ],
            "bone_spread_mm": self.bone_spread,
            "bone_asymmetry_mm": self.asymmetry,
        }


def _named(names: Any, values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))


def _known(value: Any) -> Any:
    """As plain values, if there is one."""
    return np.asarray(value).tolist() if np.isfinite(value).all() else None


def _error(frequency: np.ndarray) -> np.ndarray:
    """(..., 21) to the calibration error (...)."""
    return np.mean(np.abs(frequency - np.asarray(CALIBRATION_LEVELS)), axis=-1)


def _bins(total: Summed) -> tuple[Bin, ...]:
    bins = []
    for i, (least, most) in enumerate(itertools.pairwise(SIGMA_EDGES)):
        joints = int(total.joints[i])
        shares = [np.nan] * 3
        if joints:
            error = _error(total.bin_hits[i] / joints)
            pictured = total.pictured[i] or np.nan
            inside, truth = total.inside[i] / pictured, total.truth_inside[i] / pictured
            shares = [float(error), float(inside), float(truth)]
        bins.append(Bin(least, most, joints, *shares))
    return tuple(bins)


def _people(totals: list[Total], subjects: Sequence[str]) -> tuple[Person, ...]:
    people = []
    for name in sorted(set(subjects)):
        pairs = zip(totals, subjects, strict=True)
        theirs = sums.add(*(total for total, subject in pairs if subject == name))
        curve = np.median(theirs.sums.hits / theirs.frames, axis=1)
        lean = np.mean(curve - np.asarray(CALIBRATION_LEVELS))
        person = Person(name, int(theirs.frames), float(_error(curve)), float(lean))
        people.append(person)
    return tuple(people)


def _error_band(found: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """The error's band, from what was found and what draws (draws,) of takes gave.

    Chance alone moves a curve off the diagonal, so an error found is larger than the
    true one, and those of draws from the frames as much larger again: twice their mean
    difference is taken off.
    """
    low, high = np.quantile(drawn, _BAND) - 2 * (np.mean(drawn) - found)
    return max(float(low), 0.0), float(high)


def _draw_curves(totals: list[Total]) -> np.ndarray:
    """(draws, 21) the median joint's frequencies of takes drawn anew.

    NaN where the takes are too few to draw from.
    """
    rng = np.random.default_rng(0)
    frames = np.asarray([total.frames for total in totals], float)
    hits = np.stack([total.sums.hits for total in totals])
    count = len(totals)
    if count < LEAST_TAKES:
        return np.full((_DRAWS, len(CALIBRATION_LEVELS)), np.nan)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    drawn = np.einsum("dr,rlj->dlj", weights, hits) / (weights @ frames)[:, None, None]
    return np.median(drawn, axis=-1)
