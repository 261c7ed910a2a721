"""The steps of lifting, for a fixed number of frames, and what they add up to.

fits (N, 16, 7), pose2d (N, 16, 2), numbers (N,) -> what a model sees, a key a frame
hypotheses (N, M, 17, 3) -> the single pose (N, 17, 3), the spread (N, 17, 3)
heatmaps (N, 16, 64, 64) -> fits, peaks
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxflow.gaussians import keypoints, scales, widening
from jaxflow.gaussians.condition import condition
from jaxflow.gaussians.fitting import fit_gaussians
from jaxflow.maths import checks, geometry, keys
from jaxflow.metrics import selection
from jaxflow.runs.errors import UserError
from jaxflow.types import GaussianFit

# Epsilons of the farthest coordinate, that joints at one place may lie apart: what
# joints of another skeleton become is rounded.
_ROUNDING = 16
_LARGEST = 10.0  # of the middle amplitude; a bump between pixels is above its map


class Prediction(NamedTuple):
    """What N frames may be in 3D: NumPy arrays.

    3D is in metres, H36M-17, hip at 0, camera frame (x right, y down, z away).

    Attributes:
      hypotheses: (N, M, 17, 3).
      chosen: (N, 17, 3), the single pose that ``rule`` makes of them.
      mode: (N, 17, 3), the z = 0 pose.
      spread: (N, 17, 3), standard deviation over the hypotheses.
      log_density: (N, M) nats, see ``sampling.sample_with_log_density``; None of a
        model that has no density.
      pose2d: (N, 16, 2) MPII-16, y down, in the unit of what was lifted.
      fits: (N, 16, 7) heatmap px: A, x0, y0, sx, theta, sy, rmse.
      rule: of ``jaxflow.metrics.selection``.
    """

    hypotheses: np.ndarray
    chosen: np.ndarray
    mode: np.ndarray
    spread: np.ndarray
    log_density: np.ndarray | None
    pose2d: np.ndarray
    fits: np.ndarray
    rule: str


class NotFiniteError(FloatingPointError):
    """What a model drew is not finite.

    Attributes:
      frame: of which frame of the call.
    """

    def __init__(self, frame: int, where: str) -> None:
        """Where: the frame in words."""
        super().__init__(
            f"hypotheses of {where} not finite: the parameters or this frame's input "
            "are broken"
        )
        self.frame = frame


def check_finite(*arrays: np.ndarray) -> None:
    """Refuses what a model gave for frames (N, ...) if there is no pose in it.

    Raises:
      NotFiniteError: says of which frame.
    """
    for array in arrays:
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if bad.any():
            frame = int(bad.argmax())
            raise NotFiniteError(frame, f"frame {frame}")


def nothing(num_hypotheses: int, rule: str, density: bool) -> Prediction:
    """The answer for no frames; density: whether the model knows it."""

    def none(*shape: int) -> np.ndarray:
        return np.zeros((0, *shape), np.float32)

    return Prediction(
        hypotheses=none(num_hypotheses, 17, 3),
        chosen=none(17, 3),
        mode=none(17, 3),
        spread=none(17, 3),
        log_density=none(num_hypotheses) if density else None,
        pose2d=none(16, 2),
        fits=none(16, 7),
        rule=rule,
    )


@checks.promoting
@jax.jit
def prepare(
    fits: jax.Array, pose2d: jax.Array, numbers: jax.Array, seed: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What a model sees, and a key a frame."""
    frame_keys = keys.per_example(jax.random.key(seed), numbers)
    return geometry.normalize_pose2d(pose2d), condition(fits), frame_keys


@checks.promoting
@functools.partial(jax.jit, static_argnums=0)
def summarize(
    rule: str,
    poses: jax.Array,
    mode: jax.Array,
    log_density: jax.Array | None,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The chosen pose, and the standard deviation over the hypotheses."""
    cluster_keys = jax.vmap(functools.partial(jax.random.fold_in, data=1))(key)
    chosen = selection.select(
        rule, poses, mode=mode, log_density=log_density, key=cluster_keys
    )
    return chosen, jnp.std(poses, axis=1)


def usable(name: str, maps: np.ndarray, scale: str) -> np.ndarray:
    """A person's heatmaps (16, 64, 64) in [0, 1]; see ``scales.usable``."""
    try:
        return scales.usable(maps, scale, option="scale")
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def fit(maps: np.ndarray) -> tuple[Any, Any, Any]:
    """Fits (n, 16, 7), peaks (n, 16, 2) and joints found (n, 16) of one full bucket.

    Maps of several peaks have fits as wide as they are: see ``gaussians.widening``.
    """
    from jaxflow.detector.network import decode

    pixels = jnp.asarray(maps)
    if jnp.issubdtype(pixels.dtype, jnp.floating):
        pixels = jnp.minimum(pixels, 1)
    peaks = decode.dark(pixels).place
    fits = widening.widened(pixels, fit_gaussians(pixels, peaks))
    found = fits.converged
    peaks = keypoints.to_middle(peaks, found)
    return keypoints.fill_missing(fits).as_array(), peaks, found


def numbers(name: str, value: npt.ArrayLike) -> np.ndarray:
    """The value as float32; what is masked is NaN.

    Raises:
      TypeError: it is complex, or text.
    """
    array = np.asanyarray(value)
    if array.dtype.kind in "cSU":
        raise TypeError(f"expected {name} to be real numbers; got {array.dtype}")
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float32), np.nan)
    return np.asarray(array, np.float32)


def frames(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """The value as float32 of shape (N, *shape), finite."""
    array = numbers(name, value)
    if array.ndim != 1 + len(shape) or array.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"expected {name} of shape (N, {wanted}); got {array.shape}")
    bad = ~np.isfinite(array).all(axis=(1, 2))
    if bad.any():
        raise ValueError(
            f"{name} of frame {int(bad.argmax())} (and {int(bad.sum()) - 1} more): "
            "expected finite numbers"
        )
    return array


def numbers_of(positions: npt.ArrayLike | None, count: int) -> np.ndarray:
    """The positions (N,) as uint32, by default 0 to N - 1."""
    numbers = np.arange(count) if positions is None else np.asarray(positions)
    if numbers.shape != (count,) or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"expected positions of {count} whole numbers; got {numbers.dtype} of "
            f"shape {numbers.shape}"
        )
    if count and not 0 <= numbers.min() <= numbers.max() < 2**32:
        raise ValueError("expected positions from 0 to 2^32 - 1")
    return numbers.astype(np.uint32)


def filled(
    fits: GaussianFit, pose2d: npt.ArrayLike | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Fits (N, 16) as an array (N, 16, 7), and the joints, if given, (N, 16, 2).

    What did not converge counts as not found in both.

    Raises:
      ValueError: other shapes, or fewer than four joints found.
    """
    found = np.asarray(fits.converged)
    if found.ndim != 2 or found.shape[1] != 16:
        raise ValueError(
            f"expected fits, a GaussianFit of shape (N, 16); got {found.shape}"
        )
    array = np.asarray(keypoints.fill_missing(fits).as_array())
    check_found(found)
    if pose2d is None:
        return array, None
    places = numbers("pose2d", pose2d)
    if places.shape != (*found.shape, 2):
        raise ValueError(
            f"expected pose2d of shape {(*found.shape, 2)}, as the fits have; got "
            f"{places.shape}"
        )
    moved = keypoints.to_middle(jnp.asarray(places), jnp.asarray(found))
    return array, np.asarray(moved)


def detected(
    points: npt.ArrayLike, confidence: npt.ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (N, n, 2), scores and which were found (N, n); 0 where not.

    So JAX, which can be set to take a NaN for a mistake, sees none.

    Raises:
      ValueError: shapes that do not belong together.
    """
    places = numbers("points", points)
    if places.ndim != 3 or places.shape[-1] != 2:
        raise UserError(f"expected points of shape (N, n, 2); got {places.shape}")
    scores = np.ones(places.shape[:-1], np.float32)
    if confidence is not None:
        scores = numbers("confidence", confidence)
        if scores.shape != places.shape[:-1]:
            raise UserError(
                f"expected confidence of shape {places.shape[:-1]}, as the points "
                f"have; got {scores.shape}"
            )
    found = np.isfinite(places).all(-1) & (scores > 0)
    places = np.where(found[..., None], places, np.float32(0))
    return places, np.where(found, scores, np.float32(0)), found


def check_found(found: np.ndarray) -> None:
    """A person (N, 16) of too few joints is nobody."""
    bad = np.flatnonzero(found.sum(axis=1) < keypoints.MIN_JOINTS)
    if bad.size:
        raise UserError(f"frame {bad[0]}: {nobody(found[bad[0]])}")


def nobody(found: np.ndarray) -> str:
    """Why somebody of these joints (16,) found cannot be lifted, or ""."""
    if (count := int(found.sum())) >= keypoints.MIN_JOINTS:
        return ""
    return f"nobody: {count} joints found; expected {keypoints.MIN_JOINTS} or more"


def check_scale(fits: np.ndarray) -> None:
    """Amplitudes (N, 16, 7) far above 1 are those of maps on another scale."""
    peaks = np.median(fits[..., 0], axis=1)
    if (bad := peaks > _LARGEST).any():
        frame = int(bad.argmax())
        raise UserError(
            f"fits of frame {frame}: amplitudes of about {peaks[frame]:.3g}; expected "
            "0 to about 1: divide the heatmaps by what stands for a sure joint first"
        )


def check_extent(pose2d: np.ndarray) -> None:
    """A 2D pose of no size has no shape to lift."""
    far = np.abs(pose2d).max(axis=(1, 2), initial=0)
    apart = np.ptp(pose2d, axis=1).max(axis=-1, initial=0)
    bad = apart <= _ROUNDING * np.finfo(np.float32).eps * far
    if bad.any():
        raise ValueError(
            f"pose2d of frame {int(bad.argmax())}: all joints are at one place"
        )
