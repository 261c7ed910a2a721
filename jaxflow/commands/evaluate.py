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

from absl import flags

from jaxflow import commands, config
from jaxflow.evaluation import protocol
from jaxflow.reporting import tables
from jaxflow.runs import files, profiling

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Folder of a checkpoint, or the workdir of a run: its latest.",
    required=True,
)
_PROFILE = flags.DEFINE_string(
    "profile",
    "",
    "Folder for a trace of the evaluation, which TensorBoard and "
    "ui.perfetto.dev open; none if not given.",
)
_OUT = flags.DEFINE_string("out", None, "JSON file to write; none if not given.")

commands.define_flags(config.DataConfig(), "data")
commands.define_flags(protocol.EvaluationConfig(), "test")
flags.adopt_module_key_flags(commands)


def main(argv: Sequence[str]) -> None:
    """Loads, evaluates, prints, writes."""
    commands.no_arguments(argv)
    source = commands.from_flags(config.DataConfig())
    test = commands.from_flags(protocol.EvaluationConfig())
    loaded = protocol.load(_CHECKPOINT.value, source, test)
    test = protocol.resolved(loaded, test)
    with profiling.traced(_PROFILE.value):
        result = protocol.evaluate(loaded, test)
    print(result.describe(bold=tables.wants_bold(sys.stdout)))
    if _OUT.value:
        document = {
            "checkpoint": _CHECKPOINT.value,
            "dataset": source.dataset,
            "test_config": config.to_dict(test),
            **result.to_json(),
        }
        print(f"written: {files.write_json(_OUT.value, document)}")


if __name__ == "__main__":
    commands.run(main)
