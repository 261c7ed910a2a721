"""Trains a 2D detector on your pictures, from a published one or from nothing.

    python -m jaxflow.train_detector --annotations=coco.json --images=DIR --out=DIR
    python -m jaxflow.train_detector ... --checkpoint=runs/hrnet --learning_rate=1e-4

The annotations are COCO's keypoint JSON, with MPII's 16 joints, COCO's 17 or others
that --skeleton names. --checkpoint is a detector to start from, as python -m
jaxflow.import_torch --kind=hrnet writes it; without it the flags of the group
[detector] give the sizes of a fresh one. Stop with Ctrl-C or SIGTERM at any time; the
same command goes on. The folder gets checkpoints/, metrics.jsonl, tensorboard/ and
flags.txt.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from jaxflow import commands
from jaxflow.detector.learning import labels as labels_lib
from jaxflow.detector.learning import loop
from jaxflow.detector.learning.step import LearningConfig
from jaxflow.detector.network import checkpoint
from jaxflow.detector.network.hrnet import HRNetConfig
from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.types import Params

flags = commands.Flags(__name__)

_ANNOTATIONS = flags.path("annotations", None, "COCO keypoint JSON.", required=True)
_IMAGES = flags.path(
    "images", None, "Folder that the file names in it start from.", required=True
)
_OUT = flags.path("out", None, "Folder of the run, made if need be.", required=True)
_CHECKPOINT = flags.path("checkpoint", "", "Detector to start from.")
_SKELETON = flags.DEFINE_enum(
    "skeleton",
    "auto",
    ["auto", *SKELETONS],
    "Whose joints the annotations have; auto: by their names, else by their number.",
)

_FIXED = ("joints",)  # what a flow is conditioned on
flags.define_config(LearningConfig(), "training")
flags.define_config(loop.Logging(), "logging")
flags.define_config(HRNetConfig(), "detector", skip=_FIXED)
flags.adopt(commands)


def main(argv: Sequence[str]) -> int:
    """Trains; 0 when done, 130 when stopped by Ctrl-C, 143 by SIGTERM."""
    commands.no_arguments(argv)
    out = pathlib.Path(_OUT.value)
    config = flags.config(LearningConfig())
    pace = flags.config(loop.Logging())
    initial, network = _start()
    labels = labels_lib.read(_ANNOTATIONS.value, _IMAGES.value, _SKELETON.value)
    notes = {"flags.txt": flags.as_flagfile(_flag_names())}
    print(
        f"{len(labels.picture)} persons in {len(set(labels.picture))} pictures, "
        f"{labels.found.mean():.0%} of their joints labelled; HRNet-W{network.width}"
    )
    outcome = loop.train(
        labels, network, config, out, initial=initial, pace=pace, notes=notes
    )
    if outcome.stopped_by is not None:
        print(
            f"stopped at step {outcome.step} of {config.steps} and saved; "
            "the same command goes on"
        )
        return 128 + outcome.stopped_by
    print(
        f"trained {outcome.step} steps ({outcome.seconds:.0f} s in this call); the "
        f"detector is in {out}"
    )
    return 0


def _start() -> tuple[Params | None, HRNetConfig]:
    """The detector to start from, if any, and the network's sizes.

    Raises:
      UserError: sizes were given beside a checkpoint, or it has other joints.
    """
    if not _CHECKPOINT.value:
        return None, flags.config(HRNetConfig(), skip=_FIXED)
    sizes = [name for name in _sizes() if flags.FLAGS[name].present]
    if sizes:
        raise UserError(
            f"--{sizes[0]} and --checkpoint were given, but the checkpoint has its own "
            "sizes; leave one of them out"
        )
    variables, network = checkpoint.load(_CHECKPOINT.value)
    if network.joints != len(MPII_JOINTS):
        raise UserError(
            f"{_CHECKPOINT.value}: expected a detector of MPII's {len(MPII_JOINTS)} "
            f"joints; it has {network.joints}"
        )
    return variables, network


def _sizes() -> list[str]:
    names = [field.name for field in dataclasses.fields(HRNetConfig)]
    return [name for name in names if name not in _FIXED]


def _flag_names() -> list[str]:
    """Every flag of the run but its folder."""
    configs = LearningConfig, loop.Logging
    names = [field.name for config in configs for field in dataclasses.fields(config)]
    inputs = ["annotations", "images", "checkpoint", "skeleton"]
    return inputs + names + ([] if _CHECKPOINT.value else _sizes())


if __name__ == "__main__":
    commands.run(main)
