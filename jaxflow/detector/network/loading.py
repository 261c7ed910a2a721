"""A detector ready for use: crops in, heatmaps out, whichever network it is.

    load(path) -> Detector
    Detector.detect: crops (B, 256, 256, 3) uint8 -> heatmaps (B, 16, 64, 64) float32

A folder holds HRNet (``python -m jaxflow.import_torch --kind=hrnet``,
``python -m jaxflow.train_detector``); a file that ends in .onnx any network with
heatmaps.

The flip test shows the network each crop and its mirror image. The answer for the
mirror image is mirrored back, left and right joints exchanged, and moved by one column,
because of the convention of ``crop``: mirroring moves the crop's column 4 i to
255 - 4 i, and heatmap column 64 - i, at crop px 256 - 4 i, is the nearest there is. The
mean of both is the answer. A crop that is its own mirror image then has heatmaps h
with h[i] = h[64 - i], right and left exchanged.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxflow.detector.blazepose import detector as blazepose
from jaxflow.detector.blazepose.detector import BlazePose
from jaxflow.detector.crops import warp
from jaxflow.detector.crops.crop import CROP_SIZE
from jaxflow.detector.readers import joint_orders
from jaxflow.gaussians import scales
from jaxflow.gaussians.keypoints import HEATMAP_SIZE
from jaxflow.maths import batching
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS, MPII_MIRRORED

BATCH = 8  # crops that go through the network together
# What `load` takes for some kinds of networks alone, with what says nothing.
_DEFAULTS: dict[str, Any] = {
    "flip_test": True,
    "batch": BATCH,
    "skeleton": None,
    "pixels": "imagenet",
    "maps": "probability",
}


@dataclasses.dataclass(frozen=True)
class Detector:
    """A network that finds sixteen joints.

    Attributes:
      network: crops (B, 256, 256, 3) uint8 to raw heatmaps (B, 16, 64, 64), MPII order.
      name: of the network, for reports.
      flip_test: whether each crop is also shown mirrored, which takes twice as long.
      batch: how many crops go through the network together.
      pixels: the scale of the pictures that it is shown.
    """

    network: Callable[[np.ndarray], np.ndarray]
    name: str
    flip_test: bool = True
    batch: int = BATCH
    pixels: str = "imagenet"

    def detect(self, crops: np.ndarray | jax.Array) -> np.ndarray:
        """Heatmaps, as the Gaussian fits take them.

        Args:
          crops: (B, 256, 256, 3) uint8 RGB, as from ``warp.crops``.

        Returns:
          (B, 16, 64, 64) float32 in [0, 1], MPII order.

        Raises:
          TypeError: the crops are not uint8.
          ValueError: their shape is another, or an ONNX model's heatmaps are on another
            scale.
          FloatingPointError: a heatmap is not finite.
        """
        crops = np.asarray(crops)
        _check_crops(crops)
        shape = len(crops), len(MPII_JOINTS), HEATMAP_SIZE, HEATMAP_SIZE
        maps = np.empty(shape, np.float32)
        for rows, _ in batching.blocks(len(crops), self.batch):
            part = crops[rows]
            # Up to a power of two, so that few sizes are compiled.
            size = min(self.batch, 1 << (len(part) - 1).bit_length())
            batch = batching.filled(part, size)
            raw = self.network(batch)
            if self.flip_test:
                raw = (raw + mirror_back(self.network(warp.flip(batch)))) / 2
            maps[rows] = raw[: len(part)]
        if not np.isfinite(maps).all():
            raise FloatingPointError(
                f"{self.name} gave heatmaps with numbers that are not finite: are its "
                "weights those of a trained network?"
            )
        return np.clip(maps, 0, 1, out=maps)


def load(
    path: str | os.PathLike[str],
    *,
    flip_test: bool = True,
    batch: int = BATCH,
    skeleton: str | None = None,
    pixels: str = "imagenet",
    maps: str = "probability",
    dtype: jax.typing.DTypeLike = np.float32,
    networks: str | os.PathLike[str] | None = None,
    offline: bool = False,
) -> Detector | BlazePose:
    """A detector from disk.

    Args:
      path: a folder with an HRNet checkpoint, an .onnx file, or blazepose,
        blazepose-lite or blazepose-heavy, whose networks are fetched at first.
      flip_test: whether each crop is also shown mirrored.
      batch: crops that go through the network together.
      skeleton: the network's joints, as ``gaussians.skeletons`` names them; default
        mpii_16 of HRNet, by their number of an ONNX network: see ``joint_orders``.
      pixels: the scale of pictures that an ONNX network of floating input takes:
        imagenet (as HRNet), 0..1 or -1..1.
      maps: the scale of the heatmaps that an ONNX network gives: probability, logits or
        0..255.
      dtype: of HRNet's convolutions; bfloat16 is faster on accelerators.
      networks: the package of blazepose's networks, where it was downloaded before.
      offline: whether blazepose's networks are never fetched.

    Raises:
      FileNotFoundError: there is nothing at the path.
      ImportError: an ONNX file, and onnxruntime is not installed; blazepose, and
        tflite is not.
      UserError: a batch below 1, an option that the network has no use for, a file of
        another kind, or a network whose input or output is not as expected; the file is
        named.
    """
    given = {"flip_test": flip_test, "batch": batch, "skeleton": skeleton}
    _refuse_of_no_use(path, {**given, "pixels": pixels, "maps": maps})
    if (size := blazepose.size_of(os.fspath(path))) is not None:
        return blazepose.load(size, networks, offline=offline)
    path = pathlib.Path(path)
    if batch < 1:
        raise UserError(f"expected a batch of at least 1; got {batch}")
    if not path.exists():
        raise FileNotFoundError(
            f"no detector at {path}: expected a checkpoint's folder or an .onnx file"
        )
    if path.is_dir():
        network = _hrnet(path, dtype, skeleton or "mpii_16")
        return Detector(network, f"HRNet in {path}", flip_test, batch)
    if path.suffix.lower() != ".onnx":
        raise UserError(f"expected a checkpoint's folder or an .onnx file; got {path}")
    from jaxflow.detector.network.onnx_detector import load as load_onnx

    network = _checked(load_onnx(path, skeleton, pixels, maps), path)
    return Detector(network, f"the ONNX model {path}", flip_test, batch, pixels)


def _refuse_of_no_use(path: str | os.PathLike[str], given: dict[str, Any]) -> None:
    for name in of_no_use(path):
        if given[name] != _DEFAULTS[name]:
            raise UserError(
                f"{path}: expected no {name}, of which this detector has no use; got "
                f"{given[name]}"
            )


def of_no_use(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The options of `load` that a detector, told by its path, has no use for."""
    if blazepose.size_of(os.fspath(path)) is not None:
        return tuple(_DEFAULTS)
    return ("pixels", "maps") if os.path.isdir(path) else ()


def _checked(
    network: Callable[[np.ndarray], np.ndarray], path: pathlib.Path
) -> Callable[[np.ndarray], np.ndarray]:
    """A foreign network, whose heatmaps may be on a scale of their own."""

    def checked(crops: np.ndarray) -> np.ndarray:
        maps = network(crops)
        try:
            scales.check(maps, lowest=scales.UNDERSHOOT)
        except UserError as error:
            raise UserError(f"the ONNX model {path} gave {error}") from None
        return maps

    return checked


def _hrnet(
    folder: pathlib.Path, dtype: jax.typing.DTypeLike, skeleton: str
) -> Callable[[np.ndarray], np.ndarray]:
    """HRNet of a checkpoint as a function of crops."""
    from jaxflow.detector.network import checkpoint, hrnet, onnx_detector

    if (joints := joint_orders.joints_of(skeleton)) != len(MPII_JOINTS):
        raise UserError(
            f"{folder}: HRNet's {len(MPII_JOINTS)} joints cannot be the {joints} of "
            f"{skeleton}, as --skeleton asks; predict what has those apart"
        )
    variables, config = checkpoint.load(folder)
    if config.joints != len(MPII_JOINTS):
        raise UserError(
            f"{folder}: expected a detector of {len(MPII_JOINTS)} joints; it has "
            f"{config.joints}"
        )

    @jax.jit
    def network(variables: dict, crops: jax.Array) -> jax.Array:
        return hrnet.heatmaps(variables, warp.normalize(crops), config, dtype=dtype)

    if skeleton == "mpii_16":
        return lambda crops: np.asarray(network(variables, crops))
    return lambda crops: onnx_detector.to_mpii(
        np.asarray(network(variables, crops)), skeleton
    )


def mirror_back(maps: np.ndarray) -> np.ndarray:
    """Heatmaps (..., 16, H, W) of a mirrored crop as those of the crop.

    The first column, for which nothing moves in, keeps what it was before the move, as
    in HRNet's published evaluation.
    """
    back = maps[..., list(MPII_MIRRORED), :, ::-1]
    return np.concatenate([back[..., :1], back[..., :-1]], axis=-1)


def _check_crops(crops: np.ndarray) -> None:
    if crops.dtype != np.uint8:
        raise TypeError(f"expected crops of uint8, RGB; got {crops.dtype}")
    if crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
        raise UserError(
            f"expected crops of shape (B, {CROP_SIZE}, {CROP_SIZE}, 3); got "
            f"{crops.shape}"
        )
