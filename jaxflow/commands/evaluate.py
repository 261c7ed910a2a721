"""Evaluates a checkpoint on a test set: prints the tables, writes JSON.

    python -m jaxflow.evaluate --checkpoint=DIR --dataset=NAME --out=FILE.json

For every frame, 200 hypotheses and the z = 0 pose; the best, mean, median and worst
error under protocol 1 (MPJPE) and 2 (PA-MPJPE), PCK, CPS and the calibration error, per
action, averaged over actions and over frames; then the same on the ambiguous frames.
For MPI-INF-3DHP also PCK, AUC and MPJPE per setting. --reductions adds how good few
hypotheses are, and each way to choose a single one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jaxflow import commands, methods
from jaxflow.evaluation import protocol
from jaxflow.reporting import result_tables, tables
from jaxflow.runs import files, plain_config, profiling

flags = commands.Flags(__name__)

_CHECKPOINT = flags.path("checkpoint", None, commands.CHECKPOINT, required=True)
_PROFILE = flags.path(
    "profile",
    "",
    "Folder for a trace of the evaluation, which TensorBoard and "
    "ui.perfetto.dev open; none if not given.",
)
_OUT = flags.path("out", None, "JSON file to write; none if not given.")

flags.define_data()
flags.define_config(protocol.EvaluationConfig(), "test")
flags.adopt(commands)


def main(argv: Sequence[str]) -> None:
    """Loads, evaluates, prints, writes."""
    commands.no_arguments(argv)
    test = flags.config(protocol.EvaluationConfig())
    source = flags.data([_CHECKPOINT.value])
    if _OUT.value:
        files.check_file(_OUT.value, "--out")
    if _PROFILE.value:
        files.check_folder(_PROFILE.value, "--profile")
    model = methods.load(_CHECKPOINT.value)
    loaded = protocol.load(model, _CHECKPOINT.value, source, test)
    with profiling.traced(_PROFILE.value):
        result = protocol.evaluate(loaded)
    print(result_tables.describe(result, bold=tables.wants_bold(sys.stdout)))
    if _OUT.value:
        document = {
            "checkpoint": _CHECKPOINT.value,
            "dataset": source.dataset,
            "test_config": plain_config.to_dict(loaded.test),
            **result_tables.to_json(result),
        }
        print(f"written: {files.write_json(_OUT.value, document)}")


if __name__ == "__main__":
    commands.run(main)
