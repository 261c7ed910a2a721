"""The conditional flow in all its forms: model, sampler, density, file.

    forward:  pose3d (..., 48), cond (..., 78) -> z (..., 16), pose2d (..., 32), log_det
    inverse:  z (..., 16), pose2d (..., 32), cond (..., 78) -> pose3d (..., 48), log_det

`model` is the flow itself, `sampling` draws from it, `density` tells how likely a pose
is.
"""

from jaxflow.flow.density import log_prob
from jaxflow.flow.model import (
    encode,
    forward,
    init,
    inverse,
    permutations,
    separate,
    size,
    trainable,
)

__all__ = [
    "encode",
    "forward",
    "init",
    "inverse",
    "log_prob",
    "permutations",
    "separate",
    "size",
    "trainable",
]
