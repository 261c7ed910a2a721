"""How far BlazePose's heatmaps are from LiteRT's, on people's crops in photographs.

    python benchmarks/litert.py photo.jpg ... [--size=full]

Logits of each person's crop, the largest difference: between ours and the same graph in
float64, LiteRT's fast operators, and its reference operators. Below them the largest
difference as a share of the logit, of those that exceed one.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import jax
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from jaxflow.detector.blazepose import detector, fetch, network, people, tflite_reader
from jaxflow.detector.crops import turned
from jaxflow.detector.readers import pictures
from jaxflow.runs import compilation_cache

MAPS = "Identity_3"
OPERATORS = {
    "LiteRT's fast operators": OpResolverType.AUTO,
    "LiteRT's reference operators": OpResolverType.BUILTIN_REF,
}


def crops(photos: list[pathlib.Path], size: str) -> np.ndarray:
    """Everybody's crop (B, 256, 256, 3) in [0, 1], as the network is shown it."""
    net = detector.load(size)
    shown = []
    for path in photos:
        picture = pictures.read(path)
        for person in people.search(picture, net):
            patch = detector.stacked([turned.cut(picture, person.shown)])
            turn = np.array([person.shown.turn], np.float32)
            shown.append(np.asarray(turned.sample(patch, turn))[0] / np.float32(255))
    return np.stack(shown)


def litert(content: bytes, batch: np.ndarray, operators: Any) -> np.ndarray:
    """LiteRT's maps (B, 64, 64, 39)."""
    runner = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=operators
    )
    runner.allocate_tensors()
    given = runner.get_input_details()[0]["index"]
    (wanted,) = [
        detail["index"]
        for detail in runner.get_output_details()
        if detail["name"] == MAPS
    ]
    maps = []
    for picture in batch:
        runner.set_tensor(given, picture[None])
        runner.invoke()
        maps.append(np.array(runner.get_tensor(wanted)[0]))
    return np.stack(maps)


def main() -> None:
    """Prints a line a pair, a number a crop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=pathlib.Path)
    parser.add_argument("--size", choices=("lite", "full", "heavy"), default="full")
    options = parser.parse_args()
    compilation_cache.enable()
    batch = crops(options.photos, options.size)
    path = fetch.ready(options.size).pose
    content = path.read_bytes()
    graph = tflite_reader.read(content)
    function, weights = network.build(graph, [MAPS])
    run = jax.jit(function)
    ours = np.asarray(run(weights, batch)[0])
    with jax.enable_x64(True):
        wide = {name: np.asarray(one, np.float64) for name, one in weights.items()}
        exact = np.asarray(run(wide, batch.astype(np.float64))[0])
    others = {name: litert(content, batch, which) for name, which in OPERATORS.items()}
    pairs = [("ours, float64", ours, exact)]
    for name, maps in others.items():
        pairs += [(f"ours, {name}", ours, maps), (f"{name}, float64", maps, exact)]
    for name, one, other in pairs:
        apart = np.abs(one - other)
        each = " ".join(f"{most:.1e}" for most in apart.max((1, 2, 3)))
        share = (apart / np.maximum(1, np.abs(exact))).max()
        print(f"{name}: {each}; of a logit at most {share:.1e}")


if __name__ == "__main__":
    main()
