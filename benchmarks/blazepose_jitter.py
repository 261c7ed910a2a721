"""Is BlazePose's sigma right? Its crops are shifted, scaled and turned at random.

    python benchmarks/blazepose_jitter.py photo.jpg FOLDER [--size=heavy]

Where the network is sure, a joint should stay where it is in the picture; where its map
is wide, it should wander as far as the map is wide. For every joint with a map of its
own: the sigma that is read of its maps (the network's blur taken away, made-up joints
left out) against the scatter of its place over the jitters, both in heatmap px of the
person's own crop. Prints bins of sigma, and the slope of scatter over sigma through
the origin. Scatter is no error: what the network gets wrong in every crop alike does
not show.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from jaxflow.detector.blazepose import detector, people, uncertainty
from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures
from jaxflow.gaussians.heatmaps import START_SIGMA
from jaxflow.runs import compilation_cache
from jaxflow.skeleton import MPII_JOINTS

SHIFT, SCALE, TURN = 0.04, 0.08, np.radians(10)  # standard deviations
BINS = (0, 0.5, 1, 1.5, 2, 3, 5, 10)
WIDEST = 9.0  # px; beyond, what a fit says is cut off
OWN = np.array([name not in uncertainty.RULES for name in MPII_JOINTS])


def jittered(square: Crop, count: int, rng: np.random.Generator) -> list[Crop]:
    """The square, moved at random."""
    shifts = rng.normal(size=(count, 2)) * SHIFT * square.side
    scales = np.exp(rng.normal(size=count) * SCALE)
    turns = square.turn + rng.normal(size=count) * TURN
    moved = zip(square.center + shifts, square.side * scales, turns, strict=True)
    return [Crop(*one) for one in moved]


def measured(
    picture: pictures.Picture,
    square: Crop,
    net: detector.BlazePose,
    squares: list[Crop],
) -> tuple[np.ndarray, np.ndarray]:
    """Sigma and scatter (n,) of a person's joints, heatmap px of the square."""
    seen = people.observe(net, [picture] * len(squares), squares)
    places, widths = [], []
    for mean, fit, one in zip(seen.mean, seen.fit, squares, strict=True):
        places.append(crop.heatmap_to_image(mean.astype(np.float64), one.upright()))
        left = np.maximum((fit[:, [3, 5]] ** 2).mean(1) - START_SIGMA**2, 0)
        widths.append(left * (one.side / square.side) ** 2)
    pixel = square.side / 64
    scatter = np.sqrt((np.var(places, axis=0) / pixel**2).mean(1))
    sigma = np.sqrt(np.mean(widths, axis=0))
    kept = OWN & seen.found.all(0)
    return sigma[kept], scatter[kept]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--size", default="full")
    parser.add_argument("--count", type=int, default=24)
    options = parser.parse_args()
    compilation_cache.enable()
    net = detector.load(options.size)
    rng = np.random.default_rng(0)
    pairs, persons = [], 0
    for path in options.pictures:
        for file in pictures.list_folder(path) if path.is_dir() else [path]:
            picture = pictures.read(file)
            for square in people.find(picture, net):
                squares = jittered(square, options.count, rng)
                pairs.append(measured(picture, square, net, squares))
                persons += 1
    sigma, scatter = (np.concatenate(column) for column in zip(*pairs, strict=True))
    print(f"{net.name}, {persons} people, {len(sigma)} joints, {options.count} jitters")
    print("sigma px     joints  sigma  scatter (medians)")
    for low, high in zip(BINS, BINS[1:], strict=False):
        inside = (sigma >= low) & (sigma < high)
        if inside.any():
            a, b = np.median(sigma[inside]), np.median(scatter[inside])
            print(f"{low:4g} to {high:3g} {inside.sum():9d} {a:7.2f} {b:7.2f}")
    within = sigma < WIDEST
    a, b = sigma[within], scatter[within]
    print(f"slope through the origin {a @ b / (a @ a):.2f}")
    print(f"correlation {np.corrcoef(a, b)[0, 1]:.2f}")


if __name__ == "__main__":
    main()
