"""Tables of how uncertain hypotheses are, and of how their width follows the detector.

In: results of ``evaluation``, which hold numbers. Out: ``Table``s by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxflow.evaluation.comparison import Comparison, Member
from jaxflow.evaluation.response import Response
from jaxflow.evaluation.uncertainty import Bin, Uncertainty
from jaxflow.metrics import response as regions
from jaxflow.reporting.tables import Cell, Number, Row, Table, count, numbers
from jaxflow.skeleton import H36M_JOINTS

_REGION = regions.REGIONS.index(0.9)
_FEW = 30  # joints: a bin with fewer says too little


def of_uncertainty(result: Uncertainty) -> list[Table]:
    """Proper scores and calibration per joint, by fitted sigma and person by person."""
    return [by_joint(result), by_sigma(result.bins), by_person(result)]


def by_joint(result: Uncertainty) -> Table:
    """Energy score and calibration error, a row a joint."""
    rows = [
        Row((joint, Number(float(score)), Number(float(error), 3)))
        for joint, score, error in zip(
            H36M_JOINTS[1:], result.joint_energy, result.joint_ece, strict=True
        )
    ]
    worst = float(np.max(result.joint_ece))
    last = "All: mean, worst", Number(result.energy), Number(worst, 3)
    rows.append(Row(last, closing=True))
    x, y, z = result.crps
    return Table(
        "uncertainty-per-joint",
        "Proper scores and calibration per joint",
        ("Joint", "energy score", "ECE"),
        tuple(rows),
        note=f"Energy score in mm, less is better; of whole poses "
        f"{result.pose_energy:.1f} mm. CRPS {x:.1f}, {y:.1f}, {z:.1f} mm along x, y, "
        f"z; ECE there {', '.join(f'{error:.3f}' for error in result.axis_ece)}. "
        f"{_band(result)} A bone's length deviates by "
        f"{result.bone_spread:.1f} mm within a frame's hypotheses; left and right "
        f"differ by {result.asymmetry:.1f} mm.",
    )


def _band(result: Uncertainty) -> str:
    low, high = result.ece_band
    if np.isnan(low):
        takes = f"{result.takes} take{'s' * (result.takes > 1)}"
        return f"Of {takes} there is no band of the ECE."
    return (
        f"The ECE of all frames lies within {low:.3f} to {high:.3f} in 90 % of draws "
        f"of the {result.takes} takes."
    )


def by_sigma(bins: Sequence[Bin]) -> Table:
    """Calibration and consistency with the picture, a row a range of fitted sigmas."""
    rows = [
        Row(
            (
                f"up to {interval.most:g}" if np.isfinite(interval.most) else "above",
                count(interval.joints),
                _or_dash(interval.ece, 3),
                _or_dash(100 * interval.inside),
                _or_dash(100 * interval.truth_inside),
            )
        )
        for interval in bins
    ]
    return Table(
        "uncertainty-by-sigma",
        "By how unsure the detector was",
        ("Sigma px", "joints", "ECE", "in ellipse", "truth"),
        tuple(rows),
        note="By the larger fitted sigma, heatmap px. In ellipse: % of the hypotheses "
        "whose joint's picture lies in the detection's 95 % ellipse, which holds the "
        "detector's own 2 px, too; truth: % of the true joints.",
    )


def by_person(result: Uncertainty) -> Table:
    """Calibration, a row a person."""
    rows = [
        Row((who.name, count(who.frames), Number(who.ece, 3), Number(who.lean, 3)))
        for who in result.people
    ]
    frames = sum(who.frames for who in result.people)
    lean = float(np.mean([who.lean for who in result.people]))
    mean = "Mean", count(frames), Number(result.person_ece, 3), Number(lean, 3)
    rows.append(Row(mean, closing=True))
    return Table(
        "uncertainty-per-person",
        "Person by person",
        ("Person", "frames", "ECE", "leans"),
        tuple(rows),
        note="Leans: how much more often than it should the truth lies within the "
        "hypotheses' regions, mean over levels; below 0 they are surer of this person "
        f"than they are right. What leans both ways cancels in the ECE of all frames "
        f"({result.ece:.3f}).",
    )


def _or_dash(value: float, digits: int = 1) -> Cell:
    return "-" if np.isnan(value) else Number(float(value), digits)


def of_response(result: Response) -> list[Table]:
    """Coverage of the 90 % region and the spread, a row a joint."""
    return [coverage(result), spread(result)]


def coverage(result: Response) -> Table:
    """How often the 90 % region holds the truth, by the sigma of one joint."""
    columns, settings = ["Joint"], result.of()
    columns += [f"{result.settings[i].sigma:g} px" for i in settings]
    long = [i for i, setting in enumerate(result.settings) if setting.aspect > 1]
    columns += [f"long {result.settings[i].sigma:g}" for i in long]
    shares = 100 * result.coverage[:, settings + long, _REGION]
    return Table(
        "response-coverage",
        "As uncertain as the detector: coverage of the 90 % region, %",
        tuple(columns),
        _joint_rows(result, shares),
        note=f"Of {result.frames} frames in which all joints are surely seen, one "
        "joint at a time is given an error of so many heatmap px, which its Gaussian "
        "tells of; long: along one axis, a third of it across. Calibrated hypotheses "
        "hold the truth in 90 % at every sigma.",
    )


def spread(result: Response) -> Table:
    """The hypotheses' deviation across the picture, by the sigma of one joint."""
    moved, kept = result.of(), result.of(moved=False)
    columns = ["Joint", *(f"{result.settings[i].sigma:g} px" for i in moved)]
    columns += [f"kept {result.settings[i].sigma:g}" for i in kept]
    across = np.mean(result.spread[:, moved + kept, :2], axis=-1)
    pixel = f" A heatmap px is {result.pixel:.0f} mm there."
    return Table(
        "response-spread",
        "As uncertain as the detector: spread across the picture, mm",
        tuple(columns),
        _joint_rows(result, across),
        note="Standard deviation of the joint over the hypotheses, mean of x and y; "
        "kept: its place stays, only its Gaussian widens."
        + (pixel if np.isfinite(result.pixel) else "")
        + " What the rest of the body says of a joint may be narrower than the "
        "detector: coverage judges.",
    )


def _joint_rows(result: Response, values: np.ndarray) -> tuple[Row, ...]:
    named = zip(result.joints, values, strict=True)
    rows = [Row((joint, *numbers(cells, 0))) for joint, cells in named]
    mean = numbers(np.mean(values, axis=0), 0)
    return (*rows, Row(("Mean", *mean), closing=True))


def compared(comparison: Comparison) -> Table:
    """A row a model: proper scores, people, the worst bin, and the response."""
    rows = []
    for member in comparison.members:
        cells = np.asarray([_figures(member, i) for i in range(len(member.test))])
        mean = np.mean(cells, axis=0)
        errors = (_or_dash(value, 3) for value in mean[5:7])
        last = (_or_dash(value, 0) for value in mean[7:])
        shown = (*numbers(mean[:5]), *errors, *last)
        rows.append(Row((member.entry.name, *shown)))
    low, high = regions.SIGMAS[0], regions.SIGMAS[-1]
    return Table(
        "uncertainty-compared",
        "Uncertainty of the models compared",
        (
            "Model",
            "ES joint",
            "ES pose",
            *(f"CRPS {axis}" for axis in "xyz"),
            "ECE person",
            "worst ECE",
            f"cover {low:g}",
            f"cover {high:g}",
            "cover least",
        ),
        tuple(rows),
        better=(0, -1, -1, -1, -1, -1, -1, -1, 0, 0, 1),
        note="mm, less is better; ECE person: of each person, mean; worst ECE: of the "
        f"ranges of fitted sigma with at least {_FEW} joints; cover: % of frames whose "
        "90 % region holds the truth where one joint's sigma is made so many px, mean "
        "of the joints, and the least of all joints and sigmas. Means over seeds.",
    )


def _figures(member: Member, seed: int) -> list[float]:
    uncertainty, answer = member.uncertainty[seed], member.response[seed]
    errors = [interval.ece for interval in uncertainty.bins if interval.joints >= _FEW]
    covered = [np.nan] * 3
    if answer is not None:
        shares = 100 * answer.coverage[:, answer.of(), _REGION]
        covered = [shares[:, 0].mean(), shares[:, -1].mean(), shares.min()]
    worst = max(errors, default=np.nan)
    return [
        uncertainty.energy,
        uncertainty.pose_energy,
        *uncertainty.crps,
        uncertainty.person_ece,
        worst,
        *covered,
    ]
