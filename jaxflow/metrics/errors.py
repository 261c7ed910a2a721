"""Errors of poses and of sets of hypotheses, in millimetres or shares.

In: poses (..., 17, 3) or hypotheses (..., M, 17, 3) and targets (..., 17, 3), H36M-17,
metres, one frame of reference, moved so that their hips coincide
(``geometry.relative_to_hip``): nothing here moves them. Out: an error a pose.
``of_example`` gives every figure of one frame in a form that sums over frames, so that
a test set of any size is evaluated in bounded memory (paper section 4.3).

A target with one axis less than the poses is shared by the M hypotheses of its frame;
otherwise leading axes broadcast as in NumPy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np

from jaxflow.maths import checks, linalg, procrustes
from jaxflow.metrics.coverage import calibration_hits, check_hypotheses
from jaxflow.skeleton import CPS_JOINTS, PCK_JOINTS

_MM = 1000.0
PCK_THRESHOLD = 150.0  # mm
CPS_THRESHOLDS = tuple(float(mm) for mm in range(1, 301))
_STEPS = (1, 2, 3, 5, 7)  # numbers of samples to report, times powers of ten


def mpjpe(poses: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """Mean per-joint position error: protocol 1 where both have their hip at 0.

    Args:
      poses: (..., 17, 3) metres, or hypotheses (..., M, 17, 3).
      target: (..., 17, 3) metres.

    Returns:
      (...) or (..., M) mm.

    Raises:
      TypeError: not floating point.
      ValueError: a shape does not end in (17, 3), or the leading axes do not fit.

    Source: paper section 4.3.
    """
    return jnp.mean(joint_errors(poses, target), axis=-1)


def pa_mpjpe(poses: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """MPJPE after similarity alignment to the target, without mirroring: protocol 2.

    Shapes, units and errors as in ``mpjpe``.

    Source: paper section 4.3.
    """
    return jnp.mean(aligned_joint_errors(poses, target), axis=-1)


def pck(
    poses: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
    threshold: float = PCK_THRESHOLD,
) -> jax.Array:
    """Share of the fourteen counted joints within ``threshold`` mm of the target.

    Shapes and errors as in ``mpjpe``; hips, knees, feet, thorax, head, shoulders,
    elbows and wrists count. The best of M is the largest.

    Source: paper section 4.3.
    """
    return _share_within(joint_errors(poses, target), threshold)


@checks.promoting
def cps_curve(
    hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> jax.Array:
    """Share of frames with a correct hypothesis, against the threshold.

    A hypothesis is correct at d mm if all its joints but the spine lie within d of the
    target after similarity alignment; a frame counts if any of its M is.

    Args:
      hypotheses: (..., M, 17, 3) metres.
      target: (..., 17, 3) metres.

    Returns:
      (300,) shares, over all frames together, for d = 1, ..., 300 mm.

    Raises:
      ValueError: as ``mpjpe``.

    Source: paper section 4.3 (correct poses score, Wandt et al. 2021); the alignment is
    the released code's.
    """
    check_hypotheses(hypotheses, target)
    radius = jnp.min(_pose_radius(aligned_joint_errors(hypotheses, target)), axis=-1)
    within = radius[..., None] <= jnp.asarray(CPS_THRESHOLDS, radius.dtype)
    return jnp.mean(within.astype(radius.dtype), axis=tuple(range(radius.ndim)))


def cps(hypotheses: jax.typing.ArrayLike, target: jax.typing.ArrayLike) -> jax.Array:
    """Correct poses score: the area under ``cps_curve``, at most 299 (trapezoids)."""
    return area_under_cps_curve(cps_curve(hypotheses, target))


def area_under_cps_curve(curve: Any) -> Any:
    """(..., 300) shares at thresholds 1 mm apart to their trapezoid area (...)."""
    return curve.sum(axis=-1) - (curve[..., 0] + curve[..., -1]) / 2


def spread(hypotheses: jax.typing.ArrayLike) -> jax.Array:
    """Standard deviation over the hypotheses per joint and axis, unbiased variance.

    Args:
      hypotheses: (..., M, 17, 3) metres, M at least 2.

    Returns:
      (..., 17, 3) mm.

    Raises:
      TypeError: not floating point.
      ValueError: a shape does not end in (M, 17, 3), or M is 1.

    Source: paper section 4.4 (diversity per axis).
    """
    hypotheses = checks.floating("hypotheses", hypotheses, (None, 17, 3))
    if hypotheses.shape[-3] < 2:
        raise ValueError(
            f"expected at least 2 hypotheses for a spread; got {hypotheses.shape}"
        )
    return _MM * linalg.root(jnp.var(hypotheses, axis=-3, ddof=1))


class ExampleErrors(NamedTuple):
    """Every figure of one frame; sums over frames are all that any table needs.

    Attributes:
      mpjpe: (..., 5) mm: the z = 0 pose, then best, mean, median and worst of M.
      pa_mpjpe: (..., 5) mm, likewise.
      pck: (...) the best hypothesis's share of joints within 150 mm.
      cps_radius: (...) mm, the least threshold at which the frame counts as correct.
      spread: (..., 17, 3) mm.
      hits: (..., 21, 16) see ``calibration_hits``.
      best_of: (..., K) mm, MPJPE of the best of fewer; see ``expected_best``.
    """

    mpjpe: jax.Array
    pa_mpjpe: jax.Array
    pck: jax.Array
    cps_radius: jax.Array
    spread: jax.Array
    hits: jax.Array
    best_of: jax.Array


# The five figures of a protocol, in the order of ``ExampleErrors.mpjpe``.
ERROR_NAMES = ("z0", "best", "mean", "median", "worst")


@checks.promoting
def of_example(
    hypotheses: jax.typing.ArrayLike,
    z0: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
) -> ExampleErrors:
    """All errors of frames from their hypotheses.

    Args:
      hypotheses: (..., M, 17, 3) metres, hip at 0.
      z0: (..., 17, 3) metres, hip at 0: the pose at the latent mode.
      target: (..., 17, 3) metres, hip at 0.

    Raises:
      ValueError: as ``mpjpe``.
    """
    hypotheses, target = check_hypotheses(hypotheses, target)
    # The z = 0 pose goes along as one more hypothesis: one alignment to compile.
    z0 = checks.floating("z0", z0, (17, 3))[..., None, :, :]
    poses = jnp.concatenate([z0, hypotheses], axis=-3)
    errors, aligned = joint_errors(poses, target), aligned_joint_errors(poses, target)
    means, aligned_means = jnp.mean(errors, axis=-1), jnp.mean(aligned, axis=-1)
    return ExampleErrors(
        mpjpe=_five(means),
        pa_mpjpe=_five(aligned_means),
        pck=jnp.max(_share_within(errors[..., 1:, :], PCK_THRESHOLD), axis=-1),
        cps_radius=jnp.min(_pose_radius(aligned[..., 1:, :]), axis=-1),
        spread=spread(hypotheses),
        hits=calibration_hits(hypotheses, target),
        best_of=expected_best(means[..., 1:]),
    )


@checks.promoting
def joint_errors(
    poses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> jax.Array:
    """Distance of every joint to the target's, (..., 17) mm; as ``mpjpe`` otherwise."""
    poses, target = _paired(poses, target)
    return _MM * linalg.length(poses - target)


@checks.promoting
def aligned_joint_errors(
    poses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> jax.Array:
    """The same after similarity alignment, (..., 17) mm."""
    poses, target = _paired(poses, target)
    return _MM * linalg.length(procrustes.align(poses, target) - target)


def _paired(
    poses: jax.typing.ArrayLike, target: jax.typing.ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """Both checked; the target gets an axis for its hypotheses where it lacks one."""
    poses = checks.floating("poses", poses, (17, 3))
    target = checks.floating("target", target, (17, 3))
    if target.ndim == poses.ndim - 1 and target.shape[:-2] == poses.shape[:-3]:
        return poses, target[..., None, :, :]
    try:
        jnp.broadcast_shapes(poses.shape, target.shape)
    except ValueError as error:
        raise ValueError(
            f"expected leading axes that fit; got poses {poses.shape} and target "
            f"{target.shape}"
        ) from error
    return poses, target


def _share_within(errors: jax.Array, threshold: float) -> jax.Array:
    """(..., 17) mm to the share of PCK's joints at most ``threshold`` away."""
    within = errors[..., jnp.asarray(PCK_JOINTS)] <= threshold
    # A table, since compilers turn a division by 14 into an inexact product.
    shares = np.arange(len(PCK_JOINTS) + 1) / len(PCK_JOINTS)
    return jnp.asarray(shares, errors.dtype)[jnp.sum(within, axis=-1)]


def _pose_radius(aligned: jax.Array) -> jax.Array:
    """(..., 17) mm to the threshold from which on the pose is correct (...)."""
    return jnp.max(aligned[..., jnp.asarray(CPS_JOINTS)], axis=-1)


def _five(errors: jax.Array) -> jax.Array:
    """(..., 1 + M), z0 first, to (..., 5) in the order of ``ERROR_NAMES``."""
    z0, errors = errors[..., 0], errors[..., 1:]
    best, worst = jnp.min(errors, axis=-1), jnp.max(errors, axis=-1)
    mean, median = jnp.mean(errors, axis=-1), jnp.median(errors, axis=-1)
    return jnp.stack([z0, best, mean, median, worst], axis=-1)


def sample_counts(hypotheses: int) -> tuple[int, ...]:
    """Numbers of samples to report for M drawn: 1, 2, 3, 5, 7, 10, 20, ..., M."""
    scales = (10**power for power in range(len(str(hypotheses))))
    wanted = {step * scale for scale in scales for step in _STEPS} | {hypotheses}
    return tuple(sorted(count for count in wanted if count <= hypotheses))


def expected_best(errors: jax.Array) -> jax.Array:
    """The least error among fewer hypotheses, as it is to be expected.

    Averaged over all subsets of a size, rather than of the first ones, so that every
    hypothesis counts. With the errors sorted, e_1 <= ... <= e_M, e_i is the least of a
    random m-subset with probability C(M - i, m - 1) / C(M, m): the other m - 1 lie
    above it.

    Args:
      errors: (..., M).

    Returns:
      (..., K), for each m of ``sample_counts(M)``.
    """
    weights = jnp.asarray(_weights(errors.shape[-1]), errors.dtype)
    return linalg.einsum("...m,mk->...k", jnp.sort(errors, axis=-1), weights)


def _weights(total: int) -> np.ndarray:
    """(M, K): the probability that the i-th least error is the best of m.

    The first's is m / M; of the (i + 1)-th it is (M - i - m + 1) / (M - i) times that
    of the i-th.
    """
    counts = np.asarray(sample_counts(total))
    above = np.arange(total - 1, 0, -1)[:, None]  # M - i
    shares = np.maximum(above - counts + 1, 0) / above
    first = np.ones((1, len(counts)))
    return counts / total * np.cumprod(np.concatenate([first, shares]), axis=0)
