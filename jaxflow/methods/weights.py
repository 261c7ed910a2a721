"""A trained model as one file to hand on: what goes into it, and what that changes.

    checkpoint -> NAME.npz (`runs.weights_file`), how far poses move by its rounding

Beside parameters and configuration the file has the method's name, the fitted
temperature, and where it comes from: the data set's name (never a folder of the machine
that it was made on), seed, iterations, versions, and figures of an evaluation.
"""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxflow import methods
from jaxflow.flow import calibration_file, exported
from jaxflow.gaussians.condition import condition
from jaxflow.maths import geometry
from jaxflow.runs import checkpoint, weights_file
from jaxflow.runs.errors import UserError
from jaxflow.types import Model

# A quarter of a millimetre of 0.5 m, of inputs that are no people: their poses move
# twice as far as those of people.
TOLERANCE = 5e-4
_FIGURES = ("mpjpe_mm", "pa_mpjpe_mm", "pck150_share", "cps", "calibration_error")
_EXACT = ("whitening",)  # of methods that have it: a regression on many features
_KEPT = ("method", "train", "data")


def to_bytes(
    directory: str | pathlib.Path,
    line: str = "",
    figures: Mapping[str, Any] | None = None,
) -> bytes:
    """The file's content.

    Args:
      directory: of a checkpoint of any method, as `methods.load` takes it.
      line: what the model is, for ``jaxflow.pretrained``.
      figures: plain values, such as `read_figures` gives.

    Raises:
      CheckpointError: there is no complete checkpoint, or it cannot be made a file of.
    """
    folder = checkpoint.find(directory)
    about = checkpoint.read_about(folder)
    packages = ("jax", "numpy")
    told: dict[str, Any] = {"line": line or about.get("line", "")}
    told |= {name: about[name] for name in _KEPT if name in about}
    if begun := about.get("begun_with"):
        name = pathlib.PurePath(begun["init_from"]).name
        told["begun_with"] = {**begun, "init_from": name}
    if "source" in about:
        told["source"] = {"dataset": about["source"]["dataset"], "data_dir": ""}
    told["step"] = int(folder.name) if folder.name.isdigit() else about.get("step", 0)
    calibration = calibration_file.load(folder)
    if calibration is not None:
        calibration.pop("params_crc32", None)  # the file has its own checksums
        told["calibration"] = calibration
    told["figures"] = dict(about.get("figures", {}) if figures is None else figures)
    told["versions"] = {name: importlib.metadata.version(name) for name in packages}
    return weights_file.to_bytes(methods.load(folder).parameters(), told, _EXACT)


def read_figures(path: str | pathlib.Path) -> dict[str, Any]:
    """The main figures of what ``jaxflow.evaluate --out`` has written.

    Raises:
      UserError: it is no such file.
      OSError: it cannot be read.
    """
    try:
        document = json.loads(pathlib.Path(path).read_text())
        pooled = document["test"]["pooled_over_frames"]
        kept = {name: pooled[name] for name in _FIGURES}
        return {
            "dataset": document["dataset"],
            "frames": pooled["frames"],
            "num_hypotheses": document["test"]["num_hypotheses"],
            "temperature": document["temperature"],
            **kept,
        }
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected what python -m jaxflow.evaluate --out writes ({error!r})"
        ) from error


def check(model: Model, other: Model) -> float:
    """How far hypotheses of one model lie from the other's, drawn from equal latents.

    Args:
      model: of a checkpoint.
      other: that a file of its weights gave.

    Returns:
      Mean distance of a joint, in shares of the mean distance of a joint from the hip.
      The inputs are those that exported samplers are compared with.

    Raises:
      UserError: another architecture, or they lie farther apart than rounding explains.
    """
    if (model.method, model.config) != (other.method, other.config):
        raise UserError("the file is of another architecture than the checkpoint")
    inputs = exported.example_inputs(16, 1)
    seen = geometry.normalize_pose2d(inputs.pose2d), condition(inputs.fits)
    ours, theirs = (
        np.asarray(one.sample(*seen, jax.random.key(0), num_hypotheses=16))
        for one in (model, other)
    )
    distance = np.linalg.norm(ours - theirs, axis=-1).mean()
    share = float(distance / np.linalg.norm(ours, axis=-1).mean())
    if not share <= TOLERANCE:
        raise UserError(
            f"joints of the file's poses lie {share:.2g} of their mean distance from "
            f"the hip beside the checkpoint's, expected at most {TOLERANCE:g}: it was "
            "made of another checkpoint, or float16 is too coarse for these parameters"
        )
    return share
