"""Tables for a choice between models: what they cost, and how sure a difference is.

In: a ``Comparison``. Out: ``Table``s.
"""

from __future__ import annotations

import numpy as np

from jaxflow.evaluation.comparison import Comparison, Member
from jaxflow.evaluation.paired import LEAST_TAKES, Difference
from jaxflow.reporting.tables import Cell, Number, Row, Table

# Of `paired.Differences`: what they are called, and their digits.
_PAIRED = {
    "z0": ("P1 z0", 1),
    "best": ("P1 best", 1),
    "mean": ("P1 mean", 1),
    "aligned": ("P2 best", 1),
    "energy": ("energy score", 1),
    "ece": ("ECE", 3),
}


def cost(comparison: Comparison) -> Table | None:
    """Parameters and operations, a row a model; None where they were not counted."""
    rows = [
        Row((member.entry.name, *_costs(member)))
        for member in comparison.members
        if member.cost
    ]
    if not rows:
        return None
    return Table(
        "cost",
        "What the models cost",
        (
            "Model",
            "million parameters",
            "MFLOP pose",
            "MFLOP hypothesis",
            "TFLOP training",
        ),
        tuple(rows),
        better=(0, -1, -1, -1, 0),
        note="Floating-point operations of matrix products: once a pose, for each of "
        "its hypotheses besides, and of the whole training (the first seed's; - where "
        "it is not known).",
    )


def _costs(member: Member) -> tuple[Cell, ...]:
    assert member.cost is not None
    trained = member.trained[0] if member.trained else None
    return (
        Number(member.cost.parameters / 1e6, 2),
        Number(member.cost.pose / 1e6, 2),
        Number(member.cost.hypothesis / 1e6, 3),
        "-" if trained is None else Number(trained / 1e12, 3),
    )


def paired(comparison: Comparison) -> Table | None:
    """Each model beside the one with the least energy score; None for a single one."""
    found = comparison.paired()
    if found is None:
        return None
    leader, differences = found
    count = next(iter(differences.values())).best.takes
    takes = f"{count} takes" if count > 1 else "take"
    rows = [
        Row((name, title, *_cells(getattr(figures, field), digits)))
        for name, figures in differences.items()
        for field, (title, digits) in _PAIRED.items()
    ]
    return Table(
        "paired",
        f"How sure it is that {leader} is better",
        ("Model", "figure", "less by", "90 %", "worse %"),
        tuple(rows),
        better=(0,) * 5,
        note=f"mm, and of ECE, that the first seed of {leader}, which has the least "
        "energy score of poses, lies below each model's on the same frames with the "
        f"same noise; what 90 % of draws of the {takes} say; and the share of draws in "
        f"which the model is worse (- of fewer than {LEAST_TAKES} takes). Over frames.",
    )


def _cells(difference: Difference, digits: int) -> tuple[Cell, ...]:
    """The sign turned, so that more says more for the leader."""
    found = Number(-difference.mean, digits)
    if np.isnan(difference.low):
        return found, "-", "-"
    low, high = -difference.high, -difference.low
    share = Number(100 * difference.better, 0)
    return found, f"{low:.{digits}f} to {high:.{digits}f}", share
