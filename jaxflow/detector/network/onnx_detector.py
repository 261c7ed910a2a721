"""Any ONNX network with heatmaps as a detector, run by onnxruntime.

    path -> network: crops (B, 256, 256, 3) uint8 -> heatmaps (B, 16, 64, 64) float32

Everything is read from the model's shapes. Input: one picture tensor, (B, 3, H, W) or
(B, H, W, 3); floating pictures are given as HRNet takes them (imagenet: / 255, mean and
deviation removed) or on another of the scales `PIXELS`, uint8 ones as they are; free
sizes become 256. Output: (B, J, h, w) or (B, h, w, J).

Another size than 256 x 256 keeps the crop's middle and height: a network for 256 x 192
sees the middle three quarters of the crop, one for 384 x 288 the same half as large
again, and its heatmaps are brought back to the 64 x 64 that the fits are made for. Both
grids are related as in ``crop``.

Another skeleton than MPII's becomes it by ``gaussians.skeletons``. A joint that the
network has keeps its own map. A joint made of several (the pelvis as the middle of the
hips) has none: the mean of two bumps is not the bump of the mean. It is drawn anew, as
the Gaussian that the fits of its parts add up to.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import gaussians
from jaxflow.detector.crops import warp
from jaxflow.detector.crops.crop import CROP_SIZE
from jaxflow.detector.readers.joint_orders import ALIASES, BY_COUNT, joints_of
from jaxflow.gaussians import heatmaps, scales
from jaxflow.gaussians import keypoints as detections
from jaxflow.gaussians.fitting import fit_gaussians
from jaxflow.gaussians.keypoints import HEATMAP_SIZE
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.maths import batching
from jaxflow.runs.errors import UserError, missing, reason
from jaxflow.skeleton import MPII_JOINTS

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
PIXELS = ("imagenet", "0..1", "-1..1")  # of floating pictures


class _Input(NamedTuple):
    """What the model takes.

    Attributes:
      name: of the tensor.
      height: px.
      width: px.
      channels_first: whether it is (B, 3, H, W).
      dtype: of the pixels.
      batch: how many pictures a call must have; None if any.
      pixels: their scale, of `PIXELS`.
    """

    name: str
    height: int
    width: int
    channels_first: bool
    dtype: Any
    batch: int | None
    pixels: str


class _Output(NamedTuple):
    """Which of its answers are the heatmaps.

    Attributes:
      name: of the tensor.
      channels_first: whether it is (B, J, h, w).
      skeleton: its joints, a name of ``gaussians.skeletons``.
    """

    name: str
    channels_first: bool
    skeleton: str


def load(
    path: pathlib.Path,
    skeleton: str | None = None,
    pixels: str = "imagenet",
    maps: str = "probability",
) -> Callable[[np.ndarray], np.ndarray]:
    """The network as a function of crops.

    Args:
      path: an .onnx file.
      skeleton: of its joints; default by their number.
      pixels: the scale of the pictures it takes, of `PIXELS`.
      maps: the scale of the heatmaps it gives, of ``gaussians.scales``.

    Returns:
      crops (B, 256, 256, 3) uint8 -> raw heatmaps (B, 16, 64, 64) float32, MPII order.

    Raises:
      ImportError: onnxruntime is not installed.
      UserError: no ONNX model, or its input or output is not as expected; names the
        file, what was expected and what came.
    """
    session = _session(path)
    picture = _input(path, session.get_inputs(), pixels)
    probe = np.zeros((picture.batch or 1, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    names = [output.name for output in session.get_outputs()]
    try:
        answers = session.run(names, {picture.name: _prepare(probe, picture)})
    except Exception as error:  # onnxruntime's own kinds
        raise UserError(f"{path}: the model does not run: {reason(error)}") from error
    heatmap = _output(path, dict(zip(names, answers, strict=True)), picture, skeleton)

    def network(crops: np.ndarray) -> np.ndarray:
        parts = []
        for _, rows in batching.blocks(len(crops), picture.batch or len(crops)):
            (answer,) = session.run(
                [heatmap.name], {picture.name: _prepare(crops[rows], picture)}
            )
            parts.append(_finish(answer, heatmap, maps, path))
        return np.concatenate(parts)[: len(crops)]

    return network


def _session(path: pathlib.Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise missing(f"running {path}", "onnxruntime", "onnx") from error
    wanted = "CUDAExecutionProvider", "CPUExecutionProvider"
    available = onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(
            str(path), providers=[name for name in wanted if name in available]
        )
    except Exception as error:  # onnxruntime's own kinds
        raise UserError(f"{path}: no usable ONNX model: {reason(error)}") from error


def _input(path: pathlib.Path, inputs: Sequence[Any], pixels: str) -> _Input:
    """The picture tensor, from its declared shape."""
    shapes = {one.name: list(one.shape) for one in inputs}
    expected = (
        "one picture tensor, (B, 3, H, W) or (B, H, W, 3), of float, float16 or uint8"
    )
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _DTYPES:
        kinds = ", ".join(one.type for one in inputs)
        raise UserError(f"{path}: expected {expected}; got {shapes} of {kinds}")
    first = inputs[0].shape
    if 3 not in (first[1], first[3]):
        raise UserError(f"{path}: expected {expected}; got {shapes}")
    if pixels not in PIXELS:
        raise UserError(f"expected pixels of {', '.join(PIXELS)}; got {pixels!r}")
    if inputs[0].type == "tensor(uint8)" and pixels != "imagenet":
        raise UserError(f"{path} takes pictures of uint8, not of {pixels}")
    channels_first = first[1] == 3
    sides = first[2:] if channels_first else first[1:3]
    height, width = (side if _fixed(side) else CROP_SIZE for side in sides)
    batch = first[0] if _fixed(first[0]) else None
    dtype = _DTYPES[inputs[0].type]
    return _Input(inputs[0].name, height, width, channels_first, dtype, batch, pixels)


def _fixed(size: Any) -> bool:
    """Whether an entry of a declared shape is a number: free ones are names."""
    return isinstance(size, int) and size > 0


def _output(
    path: pathlib.Path,
    answers: dict[str, np.ndarray],
    picture: _Input,
    skeleton: str | None,
) -> _Output:
    """The first output whose shape is that of heatmaps."""
    counts = BY_COUNT | {joints_of(name): name for name in ALIASES}
    if skeleton is not None:
        counts = {joints_of(skeleton): skeleton}
    for name, answer in answers.items():
        for first in (True, False):
            if answer.ndim != 4 or answer.shape[1 if first else 3] not in counts:
                continue
            height, width = answer.shape[2:] if first else answer.shape[1:3]
            if min(height, width) >= 3 and (
                height * picture.width == width * picture.height
            ):
                return _Output(name, first, counts[answer.shape[1 if first else 3]])
    shapes = ", ".join(f"{name} {value.shape}" for name, value in answers.items())
    raise UserError(
        f"{path}: expected heatmaps (B, J, h, w) or (B, h, w, J) of the proportions of "
        f"its {picture.height} x {picture.width} input, J being "
        f"{' or '.join(f'{n} ({s})' for n, s in counts.items())}; got {shapes}"
    )


def _prepare(crops: np.ndarray, picture: _Input) -> np.ndarray:
    """Crops as the model takes them."""
    images = crops
    if (picture.height, picture.width) != (CROP_SIZE, CROP_SIZE):
        images = resample(crops, (picture.height, picture.width), axes=(1, 2))
        images = np.clip(np.rint(images), 0, 255)
    if picture.dtype != np.uint8:
        images = _scaled(images, picture.pixels)
    if picture.channels_first:
        images = np.moveaxis(images, -1, 1)
    return np.ascontiguousarray(images, picture.dtype)


def _scaled(images: np.ndarray, pixels: str) -> np.ndarray:
    """Pixels of 0 to 255 on another scale."""
    if pixels == "imagenet":
        return np.asarray(warp.normalize(jnp.asarray(images)))
    share = images.astype(np.float32) / 255
    return share if pixels == "0..1" else 2 * share - 1


def _finish(
    maps: np.ndarray, heatmap: _Output, scale: str, path: pathlib.Path
) -> np.ndarray:
    """The model's answer as (B, 16, 64, 64) float32."""
    if not heatmap.channels_first:
        maps = np.moveaxis(maps, -1, 1)
    if scale != "probability":
        maps = maps.astype(np.float32)
        try:
            scales.check(maps, scale, scales.UNDERSHOOT)
        except UserError as error:
            raise UserError(f"{path} gave {error}") from None
        maps = scales.convert(maps, scale)
    if maps.shape[2:] != (HEATMAP_SIZE, HEATMAP_SIZE):
        maps = resample(maps, (HEATMAP_SIZE, HEATMAP_SIZE), axes=(2, 3))
    return to_mpii(maps.astype(np.float32), heatmap.skeleton)


def resample(
    arrays: np.ndarray, size: tuple[int, int], axes: tuple[int, int]
) -> np.ndarray:
    """Brings two axes to another size: equal heights, equal middles, black outside.

    Linear interpolation, averaging where more than two old pixels make a new one. The
    width is cut or filled up where the proportions differ.

    Args:
      arrays: of numbers.
      size: new height and width.
      axes: which axes these are.

    Returns:
      float32.
    """
    scale = arrays.shape[axes[0]] / size[0]  # old pixels a new one, both axes
    arrays = arrays.astype(np.float32)
    for axis, new in zip(axes, size, strict=True):
        old = arrays.shape[axis]
        places = (np.arange(new) - new / 2) * scale + old / 2
        reach = max(1.0, scale / 2)
        weights = 1 - np.abs(places[:, None] - np.arange(old)) / reach
        weights = (np.maximum(weights, 0) / reach).astype(np.float32)
        arrays = np.moveaxis(np.tensordot(weights, arrays, (1, axis)), 0, axis)
    return arrays


def to_mpii(maps: np.ndarray, skeleton: str) -> np.ndarray:
    """Heatmaps (B, n, 64, 64) of a skeleton's joints as those of MPII-16.

    Args:
      maps: float32.
      skeleton: a name of ``gaussians.skeletons``.

    Returns:
      (B, 16, 64, 64) float32. Maps of joints made of several others are Gaussians of
      the summed covariance; what a bump's training width adds to it counts once.
    """
    skeleton = ALIASES.get(skeleton, skeleton)
    foreign = SKELETONS[skeleton]
    maps = maps[:, : len(foreign.joints)]
    own = {
        joint: foreign.joints.index(foreign.groups[terms[0][1]][0])
        for joint, terms in foreign.sums.items()
        if len(terms) == 1 and len(foreign.groups[terms[0][1]]) == 1
    }
    copied = maps[:, [own.get(joint, 0) for joint in MPII_JOINTS]]
    drawn = [i for i, joint in enumerate(MPII_JOINTS) if joint not in own]
    if drawn:
        copied[:, drawn] = _draw(jnp.asarray(maps), skeleton, tuple(drawn))
    return copied


@functools.partial(jax.jit, static_argnames=("skeleton", "joints"))
def _draw(maps: jax.Array, skeleton: str, joints: tuple[int, ...]) -> jax.Array:
    """The bumps (B, len(joints), 64, 64) of MPII joints that are made of others."""
    fits = fit_gaussians(jnp.clip(maps, 0, 1))
    spread = jnp.sqrt(jnp.maximum(fits.sigma**2 - heatmaps.START_SIGMA**2, 0))
    keypoints = detections.Keypoints(
        fits.mean, gaussians.covariance_image_frame(spread, fits.theta), fits.converged
    )
    bumps = detections.to_fits(
        detections.to_mpii(keypoints, skeleton),
        jnp.zeros((len(maps), 2), maps.dtype),
        jnp.ones(len(maps), maps.dtype),
    )
    # Of a joint whose parts were not found nothing is drawn: an empty map says so.
    bumps = bumps._replace(amplitude=jnp.where(bumps.converged, bumps.amplitude, 0))
    bumps = jax.tree.map(lambda field: field[:, jnp.asarray(joints)], bumps)
    return heatmaps.render(bumps, HEATMAP_SIZE, HEATMAP_SIZE)
