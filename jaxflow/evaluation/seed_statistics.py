"""Figures over a model's seeds: mean and standard deviation.

    evaluations of one model trained with several seeds -> a number a column

Errors, PCK and CPS are averaged over actions first, as the paper's tables are; the
calibration error is of all frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxflow.metrics.errors import ERROR_NAMES
from jaxflow.metrics.sums import EvaluationResult


class Column(NamedTuple):
    """One figure of an evaluation.

    Attributes:
      name: of at most two words; in a table the first stands above the second.
      value: of an evaluation.
      better: -1 where less is better, 1 where more is.
      digits: behind the point.
    """

    name: str
    value: Callable[[EvaluationResult], float]
    better: int = -1
    digits: int = 1


def _mpjpe(which: int) -> Callable[[EvaluationResult], float]:
    return lambda result: float(result.average.mpjpe[which])


def _pa_mpjpe(which: int) -> Callable[[EvaluationResult], float]:
    return lambda result: float(result.average.pa_mpjpe[which])


_BEST, _WORST = ERROR_NAMES.index("best"), ERROR_NAMES.index("worst")
PCK = Column("PCK", lambda result: 100 * result.average.pck, better=1)
CPS = Column("CPS", lambda result: result.average.cps, better=1)
ECE = Column("ECE", lambda result: result.pooled.ece, digits=3)
BEST = Column("P1 best", _mpjpe(_BEST))
# The strided test set's: every summary of protocol 1, the best of protocol 2.
TEST_COLUMNS = (
    *(Column(f"P1 {name}", _mpjpe(i)) for i, name in enumerate(ERROR_NAMES)),
    Column("P2 best", _pa_mpjpe(_BEST)),
    PCK,
    CPS,
    ECE,
)
# The paper's Table 4, then what its text adds (the worst hypothesis) and calibration.
ABLATION_COLUMNS = (
    Column("MPJPE", _mpjpe(_BEST)),
    Column("PA-MPJPE", _pa_mpjpe(_BEST)),
    PCK,
    CPS,
    ECE,
    Column("PA-MPJPE worst", _pa_mpjpe(_WORST)),
)


def values(results: Sequence[EvaluationResult], column: Column) -> list[float]:
    """The figure of every seed."""
    return [column.value(result) for result in results]


def mean(results: Sequence[EvaluationResult], column: Column) -> float:
    """The figure's mean over seeds."""
    return float(np.mean(values(results, column)))


def deviation(numbers: Sequence[float]) -> float | None:
    """The sample standard deviation (divisor n - 1); None for a single number."""
    return float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None


def to_json(
    results: Sequence[EvaluationResult], columns: Sequence[Column]
) -> dict[str, Any]:
    """Mean, standard deviation (null for one seed) and every seed's value, by name."""
    return {
        column.name: {
            "mean": mean(results, column),
            "standard_deviation": deviation(values(results, column)),
            "seeds": values(results, column),
        }
        for column in columns
        if results
    }
