r"""The benchmark on real motion capture beside the released code's figures.

Train and evaluate two seeds, then give both evaluations:

    for seed in 0 1; do
      python -m jaxflow.train --flagfile=launch/flags/benchmark.flags --seed=$seed \
        --manual_dir=FOLDER --data_dir=runs/data --workdir=runs/benchmark$seed
      python -m jaxflow.evaluate --checkpoint=runs/benchmark$seed \
        --dataset=human36m_lift --data_dir=runs/data --out=runs/benchmark$seed.json
    done
    python benchmarks/motion_capture.py runs/benchmark0.json runs/benchmark1.json

Prints a Markdown table, and fails where an error is more than 3 % above the released
code's or a spread more than 15 % away from it.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """One figure: where it is in the evaluation, and the released PyTorch code's value.

    ``sign`` is 1 where less is better, -1 where more is, 0 for a spread.
    """

    name: str
    path: str
    released: float
    sign: int
    factor: float = 1.0


# The released code on the same data at the same setting (batch 64, 50 hypotheses, 2,000
# iterations), mean of two seeds; errors averaged over actions, mm.
_ACTIONS = "test/average_over_actions"
_POOLED = "test/pooled_over_frames"
_UNSURE = "ambiguous/average_over_actions"
ROWS = (
    Row("MPJPE z0", f"{_ACTIONS}/mpjpe_mm/z0", 93.5, 1),
    Row("MPJPE best", f"{_ACTIONS}/mpjpe_mm/best", 67.5, 1),
    Row("MPJPE mean", f"{_ACTIONS}/mpjpe_mm/mean", 116.9, 1),
    Row("MPJPE worst", f"{_ACTIONS}/mpjpe_mm/worst", 196.5, 1),
    Row("PA-MPJPE z0", f"{_ACTIONS}/pa_mpjpe_mm/z0", 75.1, 1),
    Row("PA-MPJPE best", f"{_ACTIONS}/pa_mpjpe_mm/best", 53.3, 1),
    Row("PCK, pooled", f"{_POOLED}/pck150_share", 94.0, -1, 100),
    Row("CPS, pooled", f"{_POOLED}/cps", 193.0, -1),
    Row("calibration error, pooled", f"{_POOLED}/calibration_error", 0.14, 1),
    Row("spread x", f"{_POOLED}/spread_mean_mm/x", 22.7, 0),
    Row("spread y", f"{_POOLED}/spread_mean_mm/y", 23.0, 0),
    Row("spread z", f"{_POOLED}/spread_mean_mm/z", 68.7, 0),
    Row("ambiguous MPJPE best", f"{_UNSURE}/mpjpe_mm/best", 72.6, 1),
    Row("ambiguous PA-MPJPE best", f"{_UNSURE}/pa_mpjpe_mm/best", 58.0, 1),
    Row("ambiguous PCK", f"{_UNSURE}/pck150_share", 92.9, -1, 100),
    Row("ambiguous CPS", f"{_UNSURE}/cps", 175.6, -1),
)
TOLERANCE, SPREAD_TOLERANCE = 0.03, 0.15


def value(evaluation: dict[str, Any], row: Row) -> float:
    """The figure that a row names."""
    node: Any = evaluation
    for part in row.path.split("/"):
        node = node[part]
    return float(node) * row.factor


def holds(ours: float, row: Row) -> bool:
    """Whether ours is close enough to the released code's, or better."""
    relative = ours / row.released - 1
    if row.sign == 0:
        return abs(relative) <= SPREAD_TOLERANCE
    return row.sign * relative <= TOLERANCE


def main(paths: list[str]) -> int:
    """Prints the table; 1 if a row does not hold."""
    if not paths:
        print(__doc__)
        return 2
    evaluations = [json.loads(pathlib.Path(path).read_text()) for path in paths]
    seeds = " | ".join(f"seed {i}" for i in range(len(paths)))
    print(f"| | released code | ours, mean | {seeds} | holds |")
    print("|" + "---|" * (4 + len(paths)))
    good = True
    for row in ROWS:
        values = [value(evaluation, row) for evaluation in evaluations]
        mean = float(np.mean(values))
        good &= holds(mean, row)
        digits = 3 if row.released < 1 else 1
        cells = [f"{number:.{digits}f}" for number in (mean, *values)]
        verdict = "yes" if holds(mean, row) else "NO"
        print(f"| {row.name} | {row.released} | {' | '.join(cells)} | {verdict} |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
