"""Fits what makes a checkpoint's hypotheses as wide as they are wrong.

    python -m jaxflow.calibrate --checkpoint=DIR --dataset=NAME

A model that was trained for its best of many hypotheses is surer than it is right. This
draws hypotheses for training subjects that were held out of training (python -m
jaxflow.train --hold_out=S7), at temperatures from 0.5 to 3, and stores the one with the
least calibration error in the checkpoint; beside it, how much the hypotheses' own
temperatures should differ from it, since people do (--notails leaves that out). With
--limbs below 1 a frame's hypotheses get more nearly one skeleton first, and all is
fitted on these. Then each joint in turn is made less surely seen, and stored is by how
much its hypotheses must be spread wider for their 90 % regions to hold the truth in
90 % of these frames (--nowidths leaves that out). --temperature=fitted of the other
commands uses all; calibration.png shows the curves before and after. The test set is
never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxflow import commands, methods
from jaxflow.evaluation import calibrating
from jaxflow.flow import calibration_file
from jaxflow.reporting import calibration
from jaxflow.runs import files

flags = commands.Flags(__name__)

_CHECKPOINT = flags.path(
    "checkpoint",
    None,
    "A run's workdir (its latest checkpoint, or its best with --keep_best) or a "
    "checkpoint's folder.",
    required=True,
)

flags.define_data()
flags.define_config(calibrating.CalibrationConfig(), "calibration")
flags.adopt(commands)


def main(argv: Sequence[str]) -> None:
    """Fits, keeps, tells."""
    commands.no_arguments(argv)
    settings = flags.config(calibrating.CalibrationConfig())
    folder = calibration_file.place(_CHECKPOINT.value)
    files.check_folder(folder, "--checkpoint")  # or fail after the work
    source = flags.data([_CHECKPOINT.value])
    result = calibrating.calibrate(methods.load(folder), str(folder), source, settings)
    print(calibration.describe(result, calibration.draw(result)))


if __name__ == "__main__":
    commands.run(main)
