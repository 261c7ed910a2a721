"""Hyper-parameters as frozen, hashable dataclasses: static arguments of jit.

Each field carries its own help text, from which the commands make their flags, so a
parameter is described once. Defaults are the released code's values, from which the
published tables come; where the paper differs, the help gives the paper's value.
"""

from jaxflow.config.architecture import (
    EXACT_CLAMP,
    RELEASED_CLAMP,
    FlowConfig,
    NetConfig,
    SoftClamp,
)
from jaxflow.config.options import (
    MOST_HYPOTHESES,
    MOST_SEED,
    at_least,
    at_most,
    finite,
    option,
)
from jaxflow.config.running import DataConfig, LoopConfig, RunConfig
from jaxflow.config.training import (
    AugmentConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)

__all__ = [
    "EXACT_CLAMP",
    "MOST_HYPOTHESES",
    "MOST_SEED",
    "RELEASED_CLAMP",
    "AugmentConfig",
    "DataConfig",
    "FlowConfig",
    "LoopConfig",
    "LossConfig",
    "NetConfig",
    "OptimizerConfig",
    "RunConfig",
    "SoftClamp",
    "TrainConfig",
    "at_least",
    "at_most",
    "finite",
    "option",
]
