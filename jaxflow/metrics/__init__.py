"""How good and how sure hypotheses are.

Figures of a frame on the device (`errors`, `coverage`, `scores`, `response`,
`consistency`, `selection`), sums of them on the host (`sums`). In: metres,
hips at the origin; out: millimetres or shares.
"""

from jaxflow.metrics.coverage import (
    CALIBRATION_LEVELS,
    axis_hits,
    calibration,
    calibration_hits,
)
from jaxflow.metrics.errors import (
    CPS_THRESHOLDS,
    ERROR_NAMES,
    PCK_THRESHOLD,
    ExampleErrors,
    aligned_joint_errors,
    area_under_cps_curve,
    cps,
    cps_curve,
    joint_errors,
    mpjpe,
    of_example,
    pa_mpjpe,
    pck,
    spread,
)
from jaxflow.metrics.scores import Scores, scores

__all__ = [
    "CALIBRATION_LEVELS",
    "CPS_THRESHOLDS",
    "ERROR_NAMES",
    "PCK_THRESHOLD",
    "ExampleErrors",
    "Scores",
    "aligned_joint_errors",
    "area_under_cps_curve",
    "axis_hits",
    "calibration",
    "calibration_hits",
    "cps",
    "cps_curve",
    "joint_errors",
    "mpjpe",
    "of_example",
    "pa_mpjpe",
    "pck",
    "scores",
    "spread",
]
