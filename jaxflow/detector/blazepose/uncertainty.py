"""What BlazePose's heatmaps say, as fits of the sixteen joints that the flow knows.

    logits (B, 64, 64, 39) of turned crops -> Reading, in the upright crops

1. The logistic function makes a bump of each joint, to which a Gaussian is fitted. Of a
   sure joint its sigma is the network's own blur, so s0^2 is taken away; what is left
   is the covariance of the joint's place, by a factor that was measured.
2. Where one Gaussian holds too little of a map, as of one with two peaks, it is as wide
   as the whole map (``gaussians.widening``).
3. Means and covariances are turned back with the crop.
4. What the network does not tell is made up of what it tells (``gaussians.skeletons``):
   spine, thorax and head. Their covariances are those of their terms, and of the rule:
   a spine does not lie midway between hip and thorax in everybody.
5. ``keypoints.to_fits`` puts on the blur that the flow's training set has.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.detector.network import decode
from jaxflow.gaussians import ellipses, keypoints, widening
from jaxflow.gaussians.fitting import fit_gaussians
from jaxflow.gaussians.keypoints import HEATMAP_SIZE, Keypoints
from jaxflow.gaussians.skeletons import BLAZEPOSE_33, COCO_17
from jaxflow.maths import linalg
from jaxflow.skeleton import CROP_PER_HEATMAP, MPII_JOINTS

# px of the heatmap; of sure joints of the three sizes.
BLUR = {"lite": 1.2, "full": 1.1, "heavy": 1.0}
# Of what is left of sigma, by the sizes: where crops are moved as far as a detector's
# training moves them, joints scatter by so much of it. The mean of what either half of
# 34 people says (benchmarks/blazepose_jitter.py --strength=2.5 --against=heavy).
SHARE = {"lite": 0.82, "full": 0.88, "heavy": 1.0}
MIDDLE_OF_HIPS = 33  # a heatmap of its own
CHANNELS = (*map(BLAZEPOSE_33.joints.index, COCO_17.joints), MIDDLE_OF_HIPS)
# Mirrored pictures give column 64 - i: column 32 is the middle of the crop, crop px
# 127.5. By ``crop``'s convention it would be 128.
SHIFT = -0.5 / CROP_PER_HEATMAP
# A joint that was seen is narrower, and its map higher; others are guesses.
WIDEST_SEEN, LEAST_PEAK = 3.65, 0.2
# Standard deviations of what the rules make up, as shares of the torso's length. Spine
# and thorax: 0.058 and 0.062 of motion capture (CMU's training subjects in Human3.6M's
# joints). The face is in no such data; the head's is what 1.6 times a face's place
# within the head comes to.
RULES = {"Spine": 0.06, "Thorax": 0.06, "Head": 0.12}
_ROUND = 1.3  # torso over shoulders' width, for a torso that is seen from above
_TORSO = tuple(map(MPII_JOINTS.index, ("Hip", "Thorax", "RShoulder", "LShoulder")))


class Reading(NamedTuple):
    """What was read of B crops, in heatmap px of the upright ones.

    Attributes:
      fit: (B, 16, 7) as ``GaussianFit.as_array``, MPII-16.
      mean: (B, 16, 2); a joint not found is in the middle of the others.
      found: (B, 16) bool.
      peak: (B, 16) the largest value of the maps that a joint rests on, the least of
        them.
    """

    fit: jax.Array | np.ndarray
    mean: jax.Array | np.ndarray
    found: jax.Array | np.ndarray
    peak: jax.Array | np.ndarray


def is_sure(fit: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Which joints (...) were seen: fits (..., 7) and peaks (...) of a `Reading`."""
    return (fit[..., [3, 5]].max(-1) <= WIDEST_SEEN) & (peak >= LEAST_PEAK)


@functools.partial(jax.jit, static_argnames=("blur", "share"))
def read(
    logits: jax.Array, turn: jax.Array, blur: float, share: float = 1.0
) -> Reading:
    """Reads heatmaps.

    Args:
      logits: (B, 64, 64, 39), the network's.
      turn: (B,) radians, the crops', as in ``Crop``.
      blur: s0, of `BLUR`.
      share: of `SHARE`.
    """
    maps = jax.nn.sigmoid(logits[..., jnp.asarray(CHANNELS)])
    maps = jnp.moveaxis(maps, -1, 1)
    seen = turned_back(of_maps(maps, blur, share), turn)
    joints = with_rules(to_mpii(seen))
    zero = jnp.zeros((*joints.mean.shape[:-2], 2), maps.dtype)
    fits = keypoints.to_fits(joints, zero, jnp.ones_like(zero[..., 0]))
    peaks = _least_peak(jnp.max(maps, (-2, -1)))
    return Reading(fits.as_array(), fits.mean, joints.found, peaks)


def unread(count: int) -> Reading:
    """What stands for maps that were not read: no joint is found."""
    joints = len(MPII_JOINTS)
    shapes = (joints, 7), (joints, 2), (joints,), (joints,)
    fit, mean, found, peak = (np.zeros((count, *own), np.float32) for own in shapes)
    return Reading(fit, mean, found > 0, peak)


def of_maps(maps: jax.Array, blur: float, share: float = 1.0) -> Keypoints:
    """Places (..., J) of maps (..., J, 64, 64) in [0, 1], less the network's blur."""
    fits = widening.widened(maps, fit_gaussians(maps, decode.dark(maps).place))
    left = share * jnp.sqrt(jnp.maximum(jnp.square(fits.sigma) - blur**2, 0))
    covariance = ellipses.covariance_image_frame(left, fits.theta)
    return Keypoints(fits.mean + SHIFT, covariance, fits.converged)


def turned_back(seen: Keypoints, turn: jax.Array) -> Keypoints:
    """Keypoints (B, J) of turned crops in px of the upright ones."""
    middle = HEATMAP_SIZE / 2
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    rotation = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    mean = middle + linalg.einsum("bxy,bjy->bjx", rotation, seen.mean - middle)
    covariance = linalg.einsum(
        "bxy,bjyz,bwz->bjxw", rotation, seen.covariance, rotation
    )
    return Keypoints(mean, covariance, seen.found)


def to_mpii(seen: Keypoints) -> Keypoints:
    """MPII-16 of COCO-17 and the middle of the hips, which has a map of its own."""
    coco = jax.tree.map(lambda part: part[:, : len(COCO_17.joints)], seen)
    joints = keypoints.to_mpii(coco, "coco_17")
    hip = MPII_JOINTS.index("Hip")
    there = seen.found[:, -1]

    def put(array: jax.Array, own: jax.Array) -> jax.Array:
        place = there.reshape(-1, *[1] * (own.ndim - 1))
        return array.at[:, hip].set(jnp.where(place, own, array[:, hip]))

    return jax.tree.map(put, joints, jax.tree.map(lambda part: part[:, -1], seen))


def with_rules(joints: Keypoints) -> Keypoints:
    """Adds the covariances of the rules by which joints (B, 16) were made up."""
    hip, thorax, right, left = (joints.mean[:, i] for i in _TORSO)
    length = jnp.maximum(
        jnp.linalg.norm(hip - thorax, axis=-1),
        _ROUND * jnp.linalg.norm(right - left, axis=-1),
    )
    share = jnp.asarray([RULES.get(name, 0.0) for name in MPII_JOINTS])
    variance = jnp.square(share * length[:, None])
    unit = jnp.eye(2, dtype=joints.mean.dtype)
    return joints._replace(
        covariance=joints.covariance + variance[..., None, None] * unit
    )


def _least_peak(peaks: jax.Array) -> jax.Array:
    """(B, 18) peaks of maps as (B, 16): of the least sure one of a joint's terms."""
    members, sums = keypoints.tables(COCO_17)
    rests = jnp.asarray((sums != 0).astype(int) @ members > 0)
    least = jnp.min(jnp.where(rests, peaks[:, None, :-1], jnp.inf), axis=-1)
    return least.at[:, MPII_JOINTS.index("Hip")].set(peaks[:, -1])
