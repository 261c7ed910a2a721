"""People in pictures, videos, heatmaps or keypoints, in 3D.

    python -m jaxflow.predict photo.jpg
    python -m jaxflow.predict FOLDER clip.mp4 --detector=DIR --boxes=people.json ...
    python -m jaxflow.predict clip.mp4 --rule=path --formats=bvh,csv --out=DIR
    python -m jaxflow.predict heatmaps.npy keypoints.json --checkpoint=DIR --out=DIR

Without --checkpoint the model that comes with the package is taken.

Inputs: pictures, folders of pictures, videos, heatmaps (.npy, .npz, .h5) and keypoint
files of other detectors (.json, .csv, .npz). In pictures and videos BlazePose finds
people and their joints; its networks are fetched once. --detector takes another: HRNet
(python -m jaxflow.import_torch --kind=hrnet) or an .onnx file with heatmaps, for which
one person fills each picture unless --boxes tells where people are.
jaxflow/detector/README.md has more.

Out: index.html to look at; for each input a folder with poses.npz (every hypothesis),
poses.json (one pose a person by --rule, its spread, joint names, units) and overlays;
by --formats also motions/*.bvh, poses.csv and poses_coco.json.
Started again with the same flags it goes on where it was, also within a video. Exit
status 0 if everything could be used, 2 if something had to be skipped (it is listed), 1
if nothing could be done.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

from jaxflow import commands
from jaxflow.config import MOST_HYPOTHESES
from jaxflow.detector.readers.boxes import MIN_SCORE
from jaxflow.detector.readers.pictures import MEGAPIXELS
from jaxflow.evaluation.calibrated import Applied
from jaxflow.gaussians import scales
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.metrics import selection
from jaxflow.prediction import exports, inputs, looking, motions, run, stream
from jaxflow.prediction.files import Output
from jaxflow.prediction.inputs import Reading
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.sources import find
from jaxflow.runs import released
from jaxflow.runs.errors import UserError
from jaxflow.runs.profiling import Clock

flags = commands.Flags(__name__)

_CHECKPOINT = flags.path(
    "checkpoint",
    None,
    f"{commands.CHECKPOINT} Default: {released.DEFAULT}, which comes with the package.",
)
_OUT = flags.path("out", "out", "Folder to write to.")
_DETECTOR = flags.path(
    "detector",
    None,
    "For pictures and videos: blazepose, blazepose-lite or blazepose-heavy, folder of "
    "an HRNet checkpoint, or an .onnx file with heatmaps; default blazepose.",
)
_NETWORKS = flags.path(
    "networks",
    None,
    "Package of blazepose's networks that was downloaded before (.whl, .tgz); default "
    "they are fetched, once.",
)
_OFFLINE = flags.DEFINE_bool("offline", False, "Fetch nothing.")
_BOXES = flags.path(
    "boxes",
    None,
    "Where people are in pictures and videos: a file of boxes (JSON or CSV), auto to "
    "look for them, or whole where one fills each; default auto with blazepose, else "
    "whole.",
)
_BOX_SCORE = flags.DEFINE_float(
    "box_score", MIN_SCORE, "Boxes of a lower score are left out."
)
_SKELETON = flags.DEFINE_string(
    "skeleton",
    None,
    "Joints of keypoint files, heatmaps and the detector: "
    f"{', '.join(SKELETONS)}; default what the file says, or else by their number.",
)
_KEY = flags.DEFINE_string(
    "key", None, "Name of the array of heatmaps inside an .npz or HDF5 file."
)
_MAPS = flags.DEFINE_enum(
    "maps",
    "probability",
    scales.SCALES,
    "What the values of heatmaps are, in files and from an .onnx detector.",
)
_PIXELS = flags.DEFINE_enum(
    "pixels",
    "imagenet",
    ["imagenet", "0..1", "-1..1"],
    "The scale of pictures that an .onnx detector takes; imagenet as HRNet.",
)
_HYPOTHESES = flags.DEFINE_integer(
    "num_hypotheses",
    200,
    "Hypotheses a person.",
    lower_bound=1,
    upper_bound=MOST_HYPOTHESES,
)
_TEMPERATURE = flags.DEFINE_string(
    "temperature",
    "auto",
    "Scale of the latents: a number; fitted, the one that jaxflow.calibrate has stored "
    "in the checkpoint; or auto, that where there is one, else 1.",
)
_RULE = flags.DEFINE_enum(
    "rule",
    "z0",
    [*selection.RULES, motions.RULE],
    "How the one pose a person is made; path: of a video's frames together, so that it "
    "does not flicker.",
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of the latents.", lower_bound=0, upper_bound=2**31 - 1
)
_EVERY = flags.DEFINE_integer(
    "every", 1, "One in so many frames of a video.", lower_bound=1
)
_FPS = flags.DEFINE_float(
    "fps",
    motions.FPS,
    "Frames a second of keypoint and heatmap files; videos say it themselves.",
    lower_bound=motions.FPS_RANGE[0],
    upper_bound=motions.FPS_RANGE[1],
)
_FORMATS = flags.DEFINE_list(
    "formats",
    [],
    "Written for other programs: some of bvh (a skeleton that moves), csv, coco.",
)
_FLIP_TEST = flags.DEFINE_bool(
    "flip_test",
    True,
    "Show the detector mirror images as well, which takes twice as long; blazepose is "
    "shown none.",
)
_MEGAPIXELS = flags.DEFINE_float(
    "megapixels",
    MEGAPIXELS,
    "Larger pictures are refused, or reduced where the format allows it.",
    lower_bound=0.01,
)
_OVERLAYS = flags.DEFINE_integer(
    "overlays", 24, "Frames of each input that are drawn, spread evenly.", lower_bound=0
)
_JSON_HYPOTHESES = flags.DEFINE_integer(
    "json_hypotheses", 0, "Hypotheses a person in poses.json.", lower_bound=0
)
_TIMING = flags.DEFINE_bool("timing", False, "Print each stage's share of the time.")
flags.adopt(commands)

NOTHING_DONE, SKIPPED_SOME = 1, 2  # exit status


def main(argv: Sequence[str]) -> int:
    """Finds, loads, predicts, tells."""
    if len(argv) < 2:
        raise UserError(
            "expected inputs: pictures, folders, videos, heatmap or keypoint files, as "
            "in python -m jaxflow.predict photo.jpg --out=...; see --help"
        )
    formats, path = _formats(), _RULE.value == motions.RULE
    checkpoint = _CHECKPOINT.value or released.default()
    sources = find([os.path.expanduser(source) for source in argv[1:]], _KEY.value)
    detector = looking.detector_for(sources, _DETECTOR.value)
    boxes = looking.boxes_of(_BOXES.value, _BOX_SCORE.value)
    notes = inputs.check_boxes(sources, boxes) if boxes is not None else ()
    fetching = {"networks": _NETWORKS.value, "offline": _OFFLINE.value}
    lifter = Lifter.load(
        checkpoint,
        detector,
        flip_test=_FLIP_TEST.value,
        pixels=_PIXELS.value,
        num_hypotheses=_HYPOTHESES.value,
        temperature=_TEMPERATURE.value,
        rule="z0" if path else _RULE.value,
        seed=_SEED.value,
        sizes=stream.SIZES,
        **fetching,
        **looking.shared(sources, detector, skeleton=_SKELETON.value, maps=_MAPS.value),
    )
    reading = Reading(
        every=_EVERY.value,
        megapixels=_MEGAPIXELS.value,
        skeleton=_SKELETON.value,
        boxes=boxes,
        key=_KEY.value,
        fps=_FPS.value,
        maps=_MAPS.value,
        finder=looking.finder_for(sources, _BOXES.value, lifter, **fetching),
    )
    output = Output(
        pathlib.Path(_OUT.value),
        _OVERLAYS.value,
        _JSON_HYPOTHESES.value,
        path=path,
        formats=formats,
    )
    task = run.Task(lifter, reading, output, Clock())
    about = run.about_run(task, checkpoint, detector, _BOXES.value)
    tally = run.make(sources, task, about)
    print(tally.told())
    if tally.problems:
        print(tally.skipped(), file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    drawn = f"{lifter.temperature:g}{Applied.to(lifter.model)}"
    print(f"temperature of the latents: {drawn}")
    if _TIMING.value:
        print(task.clock.table())
    if not tally.problems:
        return 0
    return SKIPPED_SOME if tally.done else NOTHING_DONE


def _formats() -> tuple[str, ...]:
    """Those that were asked for."""
    asked = [name.strip().lower() for name in _FORMATS.value]
    if unknown := [name for name in asked if name not in exports.FORMATS]:
        raise UserError(
            f"--formats={unknown[0]}: expected some of {', '.join(exports.FORMATS)}, "
            "with commas between them"
        )
    return tuple(name for name in exports.FORMATS if name in asked)


if __name__ == "__main__":
    commands.run(main)
