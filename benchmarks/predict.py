"""Times the stages from a picture to hypotheses, and their share of the detector's.

    python benchmarks/predict.py [repeats]

HRNet-W32 and the flow in their released sizes with random weights, eight crops at a
time, 200 hypotheses: weights do not change what a stage costs, but for the fits, which
get heatmaps with a bump in each, as a trained detector gives them. The stages take
turns, so that ratios hold on a busy machine. With and without the flip test.
"""

import dataclasses
import statistics
import sys
import time

import jax
import numpy as np

import jaxflow
from jaxflow.detector.crops import crop, warp
from jaxflow.detector.network import hrnet, loading
from jaxflow.detector.readers.pictures import Picture
from jaxflow.gaussians import heatmaps
from jaxflow.methods.flow import FlowModel
from jaxflow.prediction.lifter import Lifter
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.types import GaussianFit

BATCH = 8


def random_detector() -> loading.Detector:
    """HRNet-W32 with fresh weights."""
    variables = hrnet.init(jax.random.key(0))
    network = jax.jit(lambda crops: hrnet.heatmaps(variables, warp.normalize(crops)))
    return loading.Detector(
        lambda crops: np.asarray(network(crops)), "HRNet-W32", flip_test=False
    )


def random_maps(rng: np.random.Generator) -> np.ndarray:
    """(8, 16, 64, 64) bumps of sigma about 2 px on a little noise."""
    shape = BATCH, len(MPII_JOINTS)
    fits = GaussianFit(
        rng.uniform(0.6, 1, shape),
        rng.uniform(8, 56, (*shape, 2)),
        rng.uniform(1.7, 3, (*shape, 2)),
        rng.uniform(0, 3, shape),
        np.zeros(shape),
        np.ones(shape, bool),
    )
    maps = np.asarray(heatmaps.render(jax.tree.map(np.float32, fits)))
    return maps + rng.normal(0, 0.01, maps.shape).astype(np.float32)


def main() -> None:
    """Prints a line a stage."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (720, 960, 3), np.uint8)
    picture = Picture(pixels, 960, 720)
    squares = crop.from_box([[240, 120, 400, 480]] * BATCH)
    plain, maps = random_detector(), random_maps(rng)
    flipped = dataclasses.replace(plain, flip_test=True)
    lifter = Lifter(FlowModel.of(jaxflow.init(jax.random.key(1))), sizes=(BATCH,))
    crops = np.asarray(warp.crops(picture, squares))
    fits, peaks, _ = lifter.fit(maps)
    stages = {
        "crop": lambda: np.asarray(warp.crops(picture, squares)),
        "detector": lambda: plain.detect(crops),
        "detector, flip test": lambda: flipped.detect(crops),
        "fit": lambda: lifter.fit(maps),
        "lift, 200 hypotheses": lambda: lifter.lift_fits(fits, peaks),
    }
    times: dict[str, list[float]] = {name: [] for name in stages}
    for turn in range(repeats + 1):  # the first one compiles
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start) / BATCH)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{jax.devices()[0].device_kind}, batches of {BATCH}, ms a picture")
    for name, value in medians.items():
        print(f"{name:<22}{value:9.2f}")
    after = medians["fit"] + medians["lift, 200 hypotheses"]
    for name in ("detector", "detector, flip test"):
        share = 100 * after / medians[name]
        print(f"fit and lift: {share:.1f} % of the {name}")


if __name__ == "__main__":
    main()
