"""jaxflow: probabilistic monocular 3D human pose estimation with normalizing flows.

From heatmaps to hypotheses::

    fits = jaxflow.fit_gaussians(heatmaps)                    # (16, 64, 64)
    pose2d = jaxflow.normalize_pose2d(fits.mean)              # (32,)
    cond = jaxflow.condition(fits)                            # (78,)
    params = jaxflow.load_params("runs/benchmark")
    poses = jaxflow.sample(params, pose2d, cond, jax.random.key(0))  # (200, 17, 3)

Arrays are float32, lengths metres, angles radians, leading axes any batch shape.
"""

from typing import TYPE_CHECKING, Any

from jaxflow._version import __version__
from jaxflow.condition import condition
from jaxflow.config import FlowConfig, SoftClamp, TrainConfig
from jaxflow.flow import init, log_prob
from jaxflow.geometry import (
    denormalize_pose3d,
    normalize_pose2d,
    normalize_pose3d,
)
from jaxflow.sampling import sample
from jaxflow.types import Batch, GaussianFit, Params, PoseRecords

if TYPE_CHECKING:
    from jaxflow.distribution import posterior
    from jaxflow.gaussian_fit import fit_gaussians
    from jaxflow.lifter import Lifter
    from jaxflow.predicting import predict
    from jaxflow.training.calibration_file import load_temperature
    from jaxflow.training.checkpoint import load_config, load_params, save_params

# Loaded on first use: these bring distrax, orbax or compile code nobody may need.
_LAZY = {
    "Lifter": "jaxflow.lifter",
    "fit_gaussians": "jaxflow.gaussian_fit",
    "posterior": "jaxflow.distribution",
    "predict": "jaxflow.predicting",
    "load_config": "jaxflow.training.checkpoint",
    "load_params": "jaxflow.training.checkpoint",
    "load_temperature": "jaxflow.training.calibration_file",
    "save_params": "jaxflow.training.checkpoint",
}

# Modules that are part of the public interface. Commands are not: they define flags.
_MODULES = (
    "critic",
    "detections",
    "distribution",
    "flow",
    "gaussians",
    "losses",
    "metrics",
    "torch_weights",
)

__all__ = [
    "Batch",
    "FlowConfig",
    "GaussianFit",
    "Lifter",
    "Params",
    "PoseRecords",
    "SoftClamp",
    "TrainConfig",
    "__version__",
    "condition",
    "denormalize_pose3d",
    "fit_gaussians",
    "init",
    "load_config",
    "load_params",
    "load_temperature",
    "log_prob",
    "normalize_pose2d",
    "normalize_pose3d",
    "posterior",
    "predict",
    "sample",
    "save_params",
]


def __getattr__(name: str) -> Any:
    """Public names of modules that are loaded late, and the package's modules."""
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"jaxflow.{name}")
    raise AttributeError(f"module 'jaxflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
