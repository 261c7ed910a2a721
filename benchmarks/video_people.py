"""Do people keep their numbers, and what does following them save?

    python benchmarks/video_people.py photo.jpg [--frames=100]

A video is made of a photograph with several people: a window pans and zooms over it, so
that where everybody truly is in every frame is known from where they stand in the
photograph. It is written, and read again, as a user's video is; its people are followed
and numbered as ``predict`` does it. Seconds are the processor's, of this process.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time

import numpy as np
from PIL import Image

from jaxflow.detector.blazepose import detector, following, people
from jaxflow.detector.blazepose.following import Following
from jaxflow.detector.crops.crop import heatmap_to_image
from jaxflow.detector.readers import pictures, videos
from jaxflow.prediction import tracks
from jaxflow.runs import compilation_cache

FPS = 25
SIZE = 640, 480
SEARCHED = 8  # frames that are searched for comparison
HIP = 6  # MPII's


def windows(count: int, width: int, height: int) -> np.ndarray:
    """(count, 3) left, top and scale (px of the photograph a pixel) of each frame."""
    fit = max(SIZE[0] / width, SIZE[1] / height)
    t = np.linspace(0, 2 * np.pi, count)
    scale = (0.92 + 0.08 * np.cos(t)) / fit
    free = np.array([width, height]) - scale[:, None] * SIZE
    share = 0.5 + 0.5 * np.stack([np.sin(t), np.sin(t + 1)], -1)
    return np.column_stack([np.maximum(free, 0) * share, scale])


def write(path: pathlib.Path, photo: pathlib.Path, count: int) -> np.ndarray:
    """The video; gives its windows."""
    import imageio_ffmpeg

    whole = Image.fromarray(pictures.read(photo).pixels)
    places = windows(count, *whole.size)
    writer = imageio_ffmpeg.write_frames(str(path), SIZE, fps=FPS, quality=8)
    writer.send(None)
    for left, top, scale in places:
        box = left, top, left + scale * SIZE[0], top + scale * SIZE[1]
        frame = whole.resize(SIZE, Image.Resampling.BILINEAR, box=box)
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return places


def main() -> None:
    """Prints who was found how often, and the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=pathlib.Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", default="full")
    options = parser.parse_args()
    compilation_cache.enable()
    net = detector.load(options.size)
    everybody = people.search(pictures.read(options.photo), net)
    known = np.array([hip_of(one) for one in everybody])
    owners: dict[int, list[int]] = {}
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "made.mp4"
        places = write(path, options.photo, options.frames)
        frames = list(videos.frames(path))
    state, numbering, before = Following(), tracks.Tracks(), time.process_time()
    searches = 0
    for frame, (left, top, scale) in zip(frames, places, strict=True):
        seconds = frame.number / FPS
        state, found = following.follow(state, frame.picture, seconds, net)
        searches += state.searched == seconds
        poses = np.array([pose_of(one) for one in found])
        numbering, numbers = tracks.follow(numbering, poses, seconds)
        for number, one in zip(numbers, found, strict=True):
            hip = hip_of(one) * scale + [left, top]
            owner = int(np.linalg.norm(known - hip, axis=1).argmin())
            owners.setdefault(number, []).append(owner)
        now = time.process_time()
        times.append(now - before)
        before = now
    print(f"{len(frames)} frames, {len(known)} people in the photograph")
    for number, owned in sorted(owners.items()):
        who = {owner: owned.count(owner) for owner in sorted(set(owned))}
        print(f"number {number}: {len(owned)} frames; of person: {who}")
    few = frames[1 :: max(1, len(frames) // SEARCHED)][:SEARCHED]
    before = time.process_time()
    for frame in few:
        people.search(frame.picture, net)
    each = (time.process_time() - before) / len(few)
    print(
        f"CPU seconds a frame: {np.mean(times[1:]):.3f} followed ({searches} of "
        f"{len(frames)} frames searched; median {np.median(times[1:]):.3f}), "
        f"{each:.3f} where each is searched"
    )


def pose_of(one: people.Person) -> np.ndarray:
    """(16, 2) px of the frame."""
    return heatmap_to_image(one.seen.mean.astype(np.float64), one.shown.upright())


def hip_of(one: people.Person) -> np.ndarray:
    """(2,) px of the frame."""
    return pose_of(one)[HIP]


if __name__ == "__main__":
    main()
