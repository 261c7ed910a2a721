"""How many people the search finds: those of photographs, pasted into others.

    python benchmarks/find_people.py people.jpg ... --onto empty.jpg ... [--pictures=72]

Whoever is found in the first photographs with at least eight joints is cut out and
pasted, 8 to 70 % of a picture's longer side high, one to five to a picture, into
photographs in which nobody is. Found is who is told of where they were pasted; others
are told of where nobody was.
"""

from __future__ import annotations

import argparse
import pathlib
import time

import numpy as np
from PIL import Image

from jaxflow.detector.blazepose import detector, people
from jaxflow.detector.crops import crop
from jaxflow.detector.readers import pictures
from jaxflow.runs import compilation_cache

SIZES = (600, 480), (900, 600), (640, 480), (512, 512), (1280, 720), (480, 640)
HEIGHTS = 0.08, 0.7  # of a picture's longer side
SURE = 8
BODY = 33  # landmarks that are of the body
AROUND = 0.15  # of a body's extent, cut out with it

Box = tuple[int, int, int, int]  # left, top, width, height


def cut_outs(path: pathlib.Path, finder: detector.BlazePose) -> list[Image.Image]:
    """The people of a photograph."""
    picture = pictures.read(path)
    whole = Image.fromarray(np.ascontiguousarray(picture.pixels))
    parts = []
    for person in people.search(picture, finder):
        points = person.seen.points[:BODY].astype(np.float64) - 0.5
        points = crop.crop_to_image(points, person.shown)
        margin = AROUND * np.ptp(points, axis=0)
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        ends = np.clip([low, high], 0, [picture.width - 1, picture.height - 1])
        if person.sure >= SURE:
            left, top, right, bottom = (int(end) for end in ends.ravel())
            parts.append(whole.crop((left, top, right, bottom)))
    return parts


def pasted(
    onto: Image.Image, parts: list[Image.Image], rng: np.random.Generator
) -> list[Box]:
    """Pastes some people where there is room; gives where."""
    width, height = onto.size
    places: list[Box] = []
    for _ in range(rng.integers(1, 6)):
        part = parts[rng.integers(len(parts))]
        tall = int(np.exp(rng.uniform(*np.log(HEIGHTS))) * max(onto.size))
        wide = max(8, round(part.width * tall / part.height))
        if wide > width or tall > height:
            continue
        for _ in range(20):
            x, y = rng.integers(width - wide + 1), rng.integers(height - tall + 1)
            box = int(x), int(y), wide, tall
            if not any(_meet(box, other) for other in places):
                onto.paste(part.resize(box[2:], Image.Resampling.LANCZOS), box[:2])
                places.append(box)
                break
    return places


def _meet(one: Box, other: Box) -> bool:
    return all(
        one[i] <= other[i] + other[i + 2] and other[i] <= one[i] + one[i + 2]
        for i in range(2)
    )


def in_box(torso: np.ndarray, box: Box) -> bool:
    """Whether the middle of a torso (4, 2) is within a tenth of a box."""
    corner, size = np.array(box[:2]), np.array(box[2:])
    share = (torso.mean(axis=0) - corner) / size
    return bool(np.all(np.abs(share - 0.5) <= 0.6))


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=pathlib.Path)
    parser.add_argument("--onto", nargs="+", type=pathlib.Path, required=True)
    parser.add_argument("--pictures", type=int, default=72)
    options = parser.parse_args()
    compilation_cache.enable()
    finder = detector.load("full")
    parts = [part for path in options.photos for part in cut_outs(path, finder)]
    rng = np.random.default_rng(0)
    found = others = there = tiles = 0
    seconds = 0.0
    for i in range(options.pictures):
        with Image.open(options.onto[i % len(options.onto)]) as image:
            onto = image.convert("RGB").resize(SIZES[i % len(SIZES)])
        places = pasted(onto, parts, rng)
        picture = pictures.from_array(np.asarray(onto))
        tiles += len(list(people._tiles(*onto.size)))
        begun = time.perf_counter()
        told = people.search(picture, finder)
        seconds += time.perf_counter() - begun
        here = sum(any(in_box(one.torso, box) for one in told) for box in places)
        found, there, others = found + here, there + len(places), others + len(told)
    count = options.pictures
    print(
        f"{len(parts)} people pasted {there} times into {count} pictures: {found} "
        f"found, {others - found} others; {tiles / count:.1f} tiles and "
        f"{seconds / count:.2f} s a picture"
    )


if __name__ == "__main__":
    main()
