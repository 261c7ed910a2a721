r"""Compares models on a test set: mean and standard deviation over their seeds.

    python -m jaxflow.compare --checkpoints=NAME=DIR[,DIR...] --checkpoints=... \
        --dataset=NAME --out=FOLDER

Prints the strided test set's table and the ambiguous subset's, with the paper's Table 4
beside models that are called as its ablations (launch/ablations makes them), and where
one model is sharper but another better calibrated. FOLDER gets Markdown, CSV and JSON,
and figures with the extra report.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

from jaxflow import commands
from jaxflow.evaluation import comparison, protocol
from jaxflow.methods import samplers, training_cost
from jaxflow.reporting import comparison as tell
from jaxflow.reporting import tables
from jaxflow.runs import files

flags = commands.Flags(__name__)

_CHECKPOINTS = flags.DEFINE_multi_string(
    "checkpoints",
    None,
    "NAME=[SAMPLER:]DIR[,DIR...][@TEMPERATURE]: a model's name, its seeds' "
    "checkpoints or workdirs, a temperature of its own, and another way to draw from "
    "it: mirrored (half from the picture's mirror image), noise (its pose of "
    "temperature 0 with the detector's noise), means (a mixture's) or steps10 (so "
    "many, of flow_matching). Once for each model.",
    required=True,
)
_OUT = flags.path("out", None, "Folder to write to; none if not given.")

# A comparison is of models alone.
_LEFT_OUT = ("ambiguous", "mean_pose", "untrained", "reductions")
flags.define_data()
flags.define_config(protocol.EvaluationConfig(), "test", skip=_LEFT_OUT)
flags.adopt(commands)


def main(argv: Sequence[str]) -> None:
    """Evaluates every checkpoint, prints, writes."""
    commands.no_arguments(argv)
    entries = [comparison.parse(text) for text in _CHECKPOINTS.value]
    test = flags.config(protocol.EvaluationConfig(), skip=_LEFT_OUT)
    source = flags.data([folder for entry in entries for folder in entry.checkpoints])
    if _OUT.value:
        files.check_folder(_OUT.value, "--out")
    result = comparison.compare(
        entries, source, test, samplers.load, training_cost.of_checkpoint
    )
    print(f"\n{tell.describe(result, tables.wants_bold(sys.stdout))}")
    if _OUT.value:
        for path in tell.write(result, pathlib.Path(_OUT.value)):
            print(f"written: {path}")


if __name__ == "__main__":
    commands.run(main)
