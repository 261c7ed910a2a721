"""jaxflow: probabilistic monocular 3D human pose estimation with normalizing flows.

From heatmaps to hypotheses::

    fits = jaxflow.fit_gaussians(heatmaps)                    # (16, 64, 64)
    pose2d = jaxflow.normalize_pose2d(fits.mean)              # (32,)
    cond = jaxflow.condition(fits)                            # (78,)
    params = jaxflow.load_params("runs/benchmark")
    poses = jaxflow.sample(params, pose2d, cond, jax.random.key(0))  # (200, 17, 3)

Arrays are float32, lengths metres, angles radians, leading axes any batch shape.
"""

import sys
from typing import TYPE_CHECKING, Any

from jaxflow.runs.errors import stop_shortly

if "".join(sys.argv[:1]).endswith(("-m", "data_builders/build.py")):
    stop_shortly()  # a command is being loaded

from jaxflow._version import __version__

if TYPE_CHECKING:
    from jaxflow.config import FlowConfig, SoftClamp, TrainConfig
    from jaxflow.flow.calibration_file import load_temperature
    from jaxflow.flow.checkpoint import load_config, load_params, save_params
    from jaxflow.flow.density import log_prob
    from jaxflow.flow.distribution import posterior
    from jaxflow.flow.model import init
    from jaxflow.flow.sampling import sample
    from jaxflow.gaussians.condition import condition
    from jaxflow.gaussians.fitting import fit_gaussians
    from jaxflow.maths.geometry import (
        denormalize_pose3d,
        normalize_pose2d,
        normalize_pose3d,
    )
    from jaxflow.prediction.in_memory import predictions
    from jaxflow.prediction.lifter import Lifter
    from jaxflow.runs.released import pretrained
    from jaxflow.types import Batch, GaussianFit, Params, PoseRecords

# Commands are verbs and live in a folder of their own, but are called as
# ``python -m jaxflow.train``: the package looks for its modules there, too.
__path__.append(f"{__path__[0]}/commands")

# Loaded on first use: not even JAX is needed to list the commands, and distrax, orbax
# or compiled code by few.
_LAZY = {
    "Batch": "jaxflow.types",
    "FlowConfig": "jaxflow.config",
    "GaussianFit": "jaxflow.types",
    "Lifter": "jaxflow.prediction.lifter",
    "Params": "jaxflow.types",
    "PoseRecords": "jaxflow.types",
    "SoftClamp": "jaxflow.config",
    "TrainConfig": "jaxflow.config",
    "condition": "jaxflow.gaussians.condition",
    "denormalize_pose3d": "jaxflow.maths.geometry",
    "fit_gaussians": "jaxflow.gaussians.fitting",
    "init": "jaxflow.flow.model",
    "load_config": "jaxflow.flow.checkpoint",
    "load_params": "jaxflow.flow.checkpoint",
    "load_temperature": "jaxflow.flow.calibration_file",
    "log_prob": "jaxflow.flow.density",
    "normalize_pose2d": "jaxflow.maths.geometry",
    "normalize_pose3d": "jaxflow.maths.geometry",
    "posterior": "jaxflow.flow.distribution",
    "predictions": "jaxflow.prediction.in_memory",
    "pretrained": "jaxflow.runs.released",
    "sample": "jaxflow.flow.sampling",
    "save_params": "jaxflow.flow.checkpoint",
}

# Modules that are part of the public interface, by the name they have there. Commands
# are not: they define flags.
_MODULES = {
    "config": "jaxflow.config",
    "critic": "jaxflow.critic",
    "detections": "jaxflow.gaussians.keypoints",
    "distribution": "jaxflow.flow.distribution",
    "flow": "jaxflow.flow",
    "gaussians": "jaxflow.gaussians",
    "losses": "jaxflow.losses",
    "metrics": "jaxflow.metrics",
    "sample_files": "jaxflow.prediction.set_files",
    "skeleton": "jaxflow.skeleton",
    "torch_weights": "jaxflow.torch_weights",
    "types": "jaxflow.types",
}

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
    "predictions",
    "pretrained",
    "sample",
    "save_params",
]


def __getattr__(name: str) -> Any:
    """Public names of modules that are loaded late, and the package's modules."""
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'jaxflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
