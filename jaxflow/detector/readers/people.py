"""Other detectors' keypoints as what the flow takes.

    keypoint file -> Seen or Skipped, a person at a time, in the file's order

Joints become MPII's, confidences standard deviations and those Gaussian fits by
``jaxflow.detections``, a few hundred persons together. Coordinates are taken relative
to the person before they are rounded to float32. Somebody whose keypoints cannot be
used is skipped, with the reason; the others are not concerned.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import keypoint_json, keypoint_tables
from jaxflow.detector.readers.joint_orders import ALIASES, joints_of, skeleton_of
from jaxflow.detector.readers.records import Detection, Seen, Skipped, lacking
from jaxflow.gaussians import keypoints as detections
from jaxflow.gaussians.keypoints import HEATMAP_SIZE, MIN_JOINTS, MOST_SURE
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.maths import batching
from jaxflow.runs.errors import UserError

SUFFIXES = (".json", ".csv", ".npz")
_BATCH = 256
_FARTHEST = 1e6  # px; no picture is so large
_NORMALISED = 2.0  # px; nobody is so small


def read_people(
    path: str | os.PathLike[str], skeleton: str | None = None
) -> Iterator[Seen | Skipped]:
    """The persons in a keypoint file.

    Args:
      path: .json, .csv or .npz, as ``keypoint_json`` and ``keypoint_tables`` describe
        them, or a folder of .json files, one a frame.
      skeleton: the joints' order, as ``gaussians.skeletons`` names it; default what the
        file says, or else by their number: see ``joint_orders``.

    Yields:
      Seen with a fit, or Skipped with a reason that names the file and the person.

    Raises:
      FileNotFoundError: there is nothing at the path.
      UserError: an unknown skeleton, another kind of file, or a damaged one.
    """
    path = pathlib.Path(path)
    if skeleton is not None:
        joints_of(skeleton)
    if path.is_dir():
        entries = keypoint_json.read_folder(path, skeleton)
    elif path.suffix.lower() == ".json":
        entries = keypoint_json.read(path, skeleton)
    elif path.suffix.lower() == ".csv":
        entries = keypoint_tables.read_csv(path)
    elif path.suffix.lower() == ".npz":
        entries = keypoint_tables.read_npz(path)
    else:
        raise UserError(f"expected one of {', '.join(SUFFIXES)}; got {path}")
    yield from to_people(entries, ALIASES.get(skeleton or "", skeleton), str(path))


def to_people(
    entries: Iterable[Detection | Skipped], skeleton: str | None, name: str
) -> Iterator[Seen | Skipped]:
    """Detections as persons, in their order.

    Args:
      entries: all of one skeleton. Those that are skipped already are passed on.
      skeleton: which; None: what the file says, or else by the number of joints that
        most of the first ones have.
      name: of the file, for messages.
    """
    entries = iter(entries)
    ids: dict[tuple[str, int], set[str]] = {}
    while batch := list(itertools.islice(entries, _BATCH)):
        told = _named(batch)
        if skeleton and told and told != skeleton and not ids:
            raise UserError(
                f"{name}: expected joints of {skeleton}, as --skeleton asks; the file "
                f"says they are {told}'s"
            )
        skeleton = skeleton or told or _counted(batch)
        checked: list[Detection | Skipped] = []
        for entry in batch:
            if isinstance(entry, Detection):
                try:
                    entry = _checked(entry, skeleton_of(len(entry.points), skeleton))
                    entry = _apart(entry, ids.setdefault(entry[:2], set()))
                except ValueError as error:
                    entry = _skip(entry, name, str(error))
            checked.append(entry)
        yield from _persons(checked, skeleton, name)


def _named(batch: Sequence[Detection | Skipped]) -> str | None:
    """The skeleton that the file names, if it does."""
    told = (entry.skeleton for entry in batch if isinstance(entry, Detection))
    return next((skeleton for skeleton in told if skeleton is not None), None)


def _counted(batch: Sequence[Detection | Skipped]) -> str | None:
    """The skeleton that most numbers of joints mean, if they mean any."""
    counts = Counter(len(e.points) for e in batch if isinstance(e, Detection))
    for count, _ in counts.most_common():
        with contextlib.suppress(UserError):
            return skeleton_of(count)
    return None


def _apart(entry: Detection, taken: set[str]) -> Detection:
    """Somebody else of the frame may have the same id: then the first that is free."""
    index, number = entry.person_id, 0
    while str(index) in taken:
        index, number = number, number + 1
    taken.add(str(index))
    return entry._replace(person_id=index)


def _skip(entry: Detection, name: str, reason: str) -> Skipped:
    where = f"{name}: frame {entry.frame}, person {entry.person_id}"
    if entry.source != name:
        where = f"{name}: {entry.source}, frame {entry.frame}, person {entry.person_id}"
    return Skipped(entry.source, entry.frame, entry.person_id, f"{where}: {reason}")


def _checked(entry: Detection, skeleton: str) -> Detection:
    """The detection with the skeleton's joints alone, and with confidences.

    Raises:
      UserError: numbers that cannot be meant.
    """
    if entry.skeleton not in (None, skeleton):
        raise UserError(f"expected joints of {skeleton}; got {entry.skeleton}'s")
    if abs(entry.frame) >= 2**62:
        raise UserError(f"frame {entry.frame:.3g}; expected a number of a frame")
    names = SKELETONS[skeleton].joints
    points = entry.points[: len(names)]
    confidence = entry.confidence
    confidence = np.ones(len(names)) if confidence is None else confidence[: len(names)]
    sigma = entry.sigma
    if sigma is not None:
        sigma = sigma[: len(names)]
        sigma = np.stack([sigma, sigma], -1) if sigma.ndim == 1 else sigma
    # What is not a number was not found, as for `Lifter.lift_keypoints`.
    numbers = np.isfinite(points).all(-1)
    if sigma is not None:
        numbers &= np.isfinite(sigma).all(-1)
    confidence = np.where(numbers, confidence, 0)
    found = confidence > 0
    confidence = np.where(found, confidence, 0)  # NaN among them
    if not found.any() or not points[found].any():
        raise UserError("all keypoints are zero or no numbers: nobody was found")
    if (most := float(confidence.max())) > MOST_SURE:
        raise UserError(
            f"confidences up to {most:g}; expected 0 to 1: divide percents by 100"
        )
    bad = found & ~(np.abs(points) <= _FARTHEST).all(-1)
    if bad.any():
        i = int(bad.argmax())
        raise UserError(
            f"{names[i]} is at ({points[i, 0]:g}, {points[i, 1]:g}); expected image "
            "pixels, or the confidence 0 for a joint that was not found"
        )
    if (np.abs(points[found]) <= _NORMALISED).all():
        raise UserError(
            f"all keypoints lie within {_NORMALISED:g} px of (0, 0): expected image "
            "pixels; multiply numbers from 0 to 1 by the picture's width and height"
        )
    if sigma is not None:
        if not ((sigma[found] >= 0) & (sigma[found] <= _FARTHEST)).all():
            raise UserError("expected standard deviations of 0 px or more")
    points = np.where(found[:, None], points, 0)
    return entry._replace(points=points, confidence=confidence, sigma=sigma)


def _persons(
    batch: Sequence[Detection | Skipped], skeleton: str | None, name: str
) -> Iterator[Seen | Skipped]:
    """Converts the detections of a batch, in one call."""
    usable = [entry for entry in batch if isinstance(entry, Detection)]
    persons = iter(_convert_all(usable, skeleton) if usable and skeleton else ())
    for entry in batch:
        if isinstance(entry, Skipped):
            yield entry
            continue
        person, found = next(persons)
        count = int(found.sum())
        if count < MIN_JOINTS:
            yield _skip(
                entry, name, f"{count} joints found; expected {MIN_JOINTS} or more"
            )
        elif not np.ptp(person.pose2d[found], axis=0).any():
            yield _skip(entry, name, "all joints are at one place")
        else:
            yield person._replace(note=lacking(found))


def _convert_all(
    entries: Sequence[Detection], skeleton: str
) -> Iterator[tuple[Seen, np.ndarray]]:
    """The detections as persons, usable or not, and which joints (16,) were found."""

    def stack(arrays: Iterable[Any]) -> np.ndarray:
        return batching.filled(np.stack([*arrays]), _BATCH)

    points = stack(entry.points for entry in entries)
    confidence = stack(entry.confidence for entry in entries)
    weight = (confidence > 0)[..., None]
    middle = (points * weight).sum(1) / weight.sum(1)
    sigma = None
    if entries[0].sigma is not None:
        spread = stack(entry.sigma for entry in entries)
        sigma = jnp.asarray(np.where(weight, spread, 0), jnp.float32)
    relative = jnp.asarray(np.where(weight, points - middle[:, None], 0), jnp.float32)
    scores = jnp.asarray(confidence, jnp.float32)
    mpii = jax.device_get(_convert(*_to_mpii(relative, scores, sigma, skeleton)))
    rows = zip(entries, middle, *mpii, strict=False)  # which are filled up behind
    for entry, center, places, fit, corner, pixel, found in rows:
        side = np.float64(HEATMAP_SIZE * pixel)
        person = Seen(
            file=entry.source,
            frame=entry.frame,
            person=entry.person_id,
            numbered=entry.numbered,
            square=Crop(corner + center + side / 2, side),
            fit=fit,
            pose2d=(places + center).astype(np.float32),
        )
        yield person, found


@functools.partial(jax.jit, static_argnames="skeleton")
def _to_mpii(
    points: jax.Array, confidence: jax.Array, sigma: jax.Array | None, skeleton: str
) -> tuple[detections.Keypoints, jax.Array, jax.Array]:
    """MPII keypoints (B, 16) and their crops' corners (B, 2) and heatmap pixels (B,).

    Args:
      points: (B, n, 2).
      confidence: (B, n); 0 for a joint not found.
      sigma: (B, n, 2) px, or None, where confidences make them.
      skeleton: of the n joints.
    """
    places = detections.from_sigma(points, jnp.zeros_like(points))
    places = places._replace(found=places.found & (confidence > 0))
    corner, pixel = detections.crop_of(detections.to_mpii(places, skeleton))
    if sigma is None:
        keypoints = detections.from_confidence(points, confidence, pixel)
    else:
        keypoints = detections.from_sigma(points, sigma)
        keypoints = keypoints._replace(found=places.found)
    return detections.to_mpii(keypoints, skeleton), corner, pixel


@jax.jit  # apart, as it is the same for every skeleton
def _convert(
    keypoints: detections.Keypoints, corner: jax.Array, pixel: jax.Array
) -> tuple[jax.Array, ...]:
    """MPII keypoints (B, 16) as fits.

    Returns:
      Points (B, 16, 2) px, fits (B, 16, 7) heatmap px, the crops' corners (B, 2) and
      heatmap pixels (B,) in px, and which joints (B, 16) were found.
    """
    fits = detections.to_fits(keypoints, corner, pixel)
    back = corner[:, None] + fits.mean * pixel[:, None, None]
    return back, fits.as_array(), corner, pixel, keypoints.found
