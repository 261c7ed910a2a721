"""Is BlazePose's sigma right? Its crops are shifted, scaled and turned at random.

    python benchmarks/blazepose_jitter.py photo.jpg FOLDER --against=heavy

Where the network is sure, a joint should stay where it is in the picture; where its map
is wide, it should wander as far as the map is wide. For every joint with a map of its
own: the sigma that is read of its maps (the network's blur taken away, made-up joints
left out), the scatter of its place over the jitters, and how far it is from where
another network sees it (the mean of that one's jitters), all along one axis and in
heatmap px of the person's own crop. Both are less than errors: what a network gets
wrong in every crop alike does not show in the first, what all get wrong in neither.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import NamedTuple

import numpy as np

from jaxflow.detector.blazepose import detector, people, uncertainty
from jaxflow.detector.crops import crop, turned
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import Picture
from jaxflow.gaussians.heatmaps import START_SIGMA
from jaxflow.gaussians.keypoints import HEATMAP_SIZE
from jaxflow.runs import compilation_cache
from jaxflow.skeleton import MPII_JOINTS

SHIFT, SCALE, TURN = 0.04, 0.08, np.radians(10)  # standard deviations
BINS = (0, 0.5, 1, 1.5, 2, 3, 5, 10)
SMALL = 2.0  # px
WIDEST = 9.0  # px; beyond, what a fit says is cut off
OWN = np.array([name not in uncertainty.RULES for name in MPII_JOINTS])


def jittered(
    square: Crop, count: int, strength: float, rng: np.random.Generator
) -> list[Crop]:
    """The square, moved at random."""
    shifts = strength * SHIFT * square.side * rng.normal(size=(count, 2))
    scales = np.exp(strength * SCALE * rng.normal(size=count))
    turns = square.turn + strength * TURN * rng.normal(size=count)
    moved = zip(square.center + shifts, square.side * scales, turns, strict=True)
    return [Crop(*one) for one in moved]


class Joints(NamedTuple):
    """Joints that were found in every crop: (n,), heatmap px of the person's square."""

    sigma: np.ndarray
    scatter: np.ndarray
    apart: np.ndarray


def places(
    picture: Picture, squares: list[Crop], net: detector.BlazePose
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (k, 16, 2) px and variances (k, 16) px^2 of the picture, joints found."""
    patches = detector.stacked([turned.cut(picture, square) for square in squares])
    turns = np.array([square.turn for square in squares], np.float32)
    seen = net.observe(patches, turns)
    side = np.array([one.side for one in squares])
    upright = Crop(np.array([one.center for one in squares]), side)
    left = np.maximum((seen.fit[..., [3, 5]] ** 2).mean(-1) - START_SIGMA**2, 0)
    where = crop.heatmap_to_image(seen.mean.astype(np.float64), upright)
    return where, left * (side[:, None] / HEATMAP_SIZE) ** 2, seen.found.all(0)


def measured(
    picture: Picture, square: Crop, nets: list[detector.BlazePose], squares: list[Crop]
) -> Joints:
    """A person's joints as the first network sees them, and the last another time."""
    where, variance, found = places(picture, squares, nets[0])
    other, _, also = places(picture, squares, nets[-1])
    pixel = square.side / HEATMAP_SIZE
    apart = ((where - other.mean(0)) ** 2).mean((0, 2))
    spread = variance.mean(0), np.var(where, axis=0, ddof=1).mean(-1), apart
    kept = OWN & found & also
    return Joints(*(np.sqrt(part[kept]) / pixel for part in spread))


def table(joints: Joints) -> str:
    """Bins of sigma, and slopes."""
    lines = ["   sigma px  joints   sigma  scatter  apart   (root mean squares)"]
    for low, high in zip(BINS, BINS[1:], strict=False):
        inside = (joints.sigma >= low) & (joints.sigma < high)
        if inside.any():
            a, b, c = (np.sqrt((part[inside] ** 2).mean()) for part in joints)
            lines.append(
                f"{low:4g} to {high:3g} {inside.sum():7d} {a:7.2f} {b:8.2f} {c:6.2f}"
            )
    kept = Joints(*(part[joints.sigma < WIDEST] for part in joints))
    for name, part in (("scatter", kept.scatter), ("apart", kept.apart)):
        slope = kept.sigma @ part / (kept.sigma @ kept.sigma)
        ratio = _ratio(part, kept.sigma)
        lines.append(
            f"{name}: slope {slope:.2f}, ratio of root mean squares {ratio:.2f}"
        )
    return "\n".join(lines)


def halves(persons: list[Joints]) -> str:
    """What makes one half of the people right, and how right it makes the others."""
    lines = []
    for start in (0, 1):
        fitted, held = (_narrow(persons[i::2]) for i in (start, 1 - start))
        factor = _ratio(fitted.scatter, fitted.sigma)
        slope = held.sigma @ held.scatter / (held.sigma @ held.sigma) / factor
        lines.append(
            f"sigma times {factor:.2f}, fitted on {len(persons[start::2])} people: of "
            f"the others scatter has slope {slope:.2f}, ratio "
            f"{_ratio(held.scatter, held.sigma) / factor:.2f}, apart ratio "
            f"{_ratio(held.apart, held.sigma) / factor:.2f}"
        )
    return "\n".join(lines)


def floors(persons: list[Joints]) -> str:
    """Whether scatter has a part that sigma does not tell: f^2 + (b sigma)^2.

    Fitted on one half of the people, and what it says of the others where sigma is
    below and above `SMALL`, beside one factor alone: scatter over what was expected.
    """
    lines = []
    for start in (0, 1):
        fitted, held = (_narrow(persons[i::2]) for i in (start, 1 - start))
        square = fitted.sigma**2
        weight = 1 / (1 + square)  # a square's spread grows with it
        terms = weight[:, None] * np.stack([np.ones_like(square), square], -1)
        target = weight * fitted.scatter**2
        floor, share = np.maximum(np.linalg.lstsq(terms, target, rcond=None)[0], 0)
        alone = _ratio(fitted.scatter, fitted.sigma)
        expected = np.sqrt(floor + share * held.sigma**2), alone * held.sigma
        narrow = held.sigma < SMALL
        ratios = [
            f"{_ratio(held.scatter[part], one[part]):.2f}"
            for one in expected
            for part in (narrow, ~narrow)
        ]
        lines.append(
            f"floor {np.sqrt(floor):.2f} px, factor {np.sqrt(share):.2f}: of the "
            f"others {ratios[0]} below {SMALL:g} px and {ratios[1]} above; with a "
            f"factor alone {ratios[2]} and {ratios[3]}"
        )
    return "\n".join(lines)


def _narrow(persons: list[Joints]) -> Joints:
    joints = Joints(*(np.concatenate(part) for part in zip(*persons, strict=True)))
    return Joints(*(part[joints.sigma < WIDEST] for part in joints))


def _ratio(part: np.ndarray, sigma: np.ndarray) -> float:
    return float(np.sqrt((part**2).mean() / (sigma**2).mean()))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--size", default="full")
    parser.add_argument("--against", default="", help="another size")
    parser.add_argument("--count", type=int, default=12, help="jitters")
    parser.add_argument("--strength", type=float, default=1.0, help="of the jitter")
    options = parser.parse_args()
    compilation_cache.enable()
    sizes = [options.size, options.against or options.size]
    nets = [detector.load(size) for size in dict.fromkeys(sizes)]
    rng = np.random.default_rng(0)
    persons = []
    for path in options.pictures:
        for file in pictures.list_folder(path) if path.is_dir() else [path]:
            picture = pictures.read(file)
            for square in people.find(picture, nets[0]):
                squares = jittered(square, options.count, options.strength, rng)
                persons.append(measured(picture, square, nets, squares))
    joints = Joints(*(np.concatenate(part) for part in zip(*persons, strict=True)))
    print(
        f"{' against '.join(net.name for net in nets)}: {len(persons)} people, "
        f"{len(joints.sigma)} joints, {options.count} jitters of {options.strength:g}"
    )
    print(table(joints))
    print(halves(persons))
    print(floors(persons))


if __name__ == "__main__":
    main()
