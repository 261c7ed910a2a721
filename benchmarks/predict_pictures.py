"""What a picture costs `predict`, and a further person in it.

    python benchmarks/predict_pictures.py photo.jpg ... [--copies=4]

Each photograph is predicted as a folder of copies, after one copy that compiles: read,
searched for people, lifted, drawn and written, all but the page. Seconds of the clock,
which say little on a busy machine, and of the processor; stages by the clock, the first
picture of each folder aside. What a person costs is the slope over the photographs.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import tempfile
import time

import jax
import numpy as np

from jaxflow.prediction import run, stream
from jaxflow.prediction.files import Output
from jaxflow.prediction.inputs import Reading
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.sources import find
from jaxflow.runs import compilation_cache
from jaxflow.runs.profiling import Clock


def predict(folder: pathlib.Path, out: pathlib.Path, lifter: Lifter) -> tuple[int, str]:
    """A run over a folder; how many people, and the stages."""
    clock = Clock()
    reading = Reading(finder=lifter.detector)
    plan = run.plan(find([folder]), Output(out), {"rule": lifter.rule})
    tally = run.predict(plan, run.Task(lifter, reading, Output(out), clock))
    return tally.people, clock.table()


def main() -> None:
    """Prints a block a photograph, then the fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=pathlib.Path)
    parser.add_argument("--copies", type=int, default=4)
    options = parser.parse_args()
    compilation_cache.enable()
    lifter = Lifter.load(None, "blazepose", sizes=stream.SIZES)
    rows = []
    print(f"{jax.devices()[0].device_kind}, {options.copies} copies of each")
    for photo in options.photos:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for part, count in (("one", 1), ("many", options.copies)):
                (folder / part).mkdir()
                for i in range(count):
                    shutil.copy(photo, folder / part / f"{i}{photo.suffix}")
            predict(folder / "one", folder / "first", lifter)
            wall, cpu = time.perf_counter(), time.process_time()
            people, stages = predict(folder / "many", folder / "out", lifter)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rows.append((people / options.copies, *np.array([wall, cpu]) / options.copies))
        print(
            "{}: {:.0f} people, {:.2f} s a picture, {:.2f} CPU s".format(
                photo.name, *rows[-1]
            )
        )
        print(stages)
    if len({row[0] for row in rows}) > 1:
        people, wall, cpu = np.array(rows).T
        for name, seconds in (("s", wall), ("CPU s", cpu)):
            slope, start = np.polyfit(people, seconds, 1)
            print(f"{start + slope:.2f} {name} a picture of one, {slope:.2f} a further")


if __name__ == "__main__":
    main()
