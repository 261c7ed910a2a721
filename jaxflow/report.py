"""Draws a checkpoint's evaluation: tables, figures, and one page to look at.

    python -m jaxflow.report --checkpoint=DIR --dataset=NAME --out=DIR

Writes report.html (one file, no network), evaluation.json, every table as Markdown and
CSV below tables/, every figure as PNG and SVG below figures/. Needs the extra `report`:
pip install 'jaxflow[report]'.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from jaxflow import commands, config, protocol, reporting

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of a checkpoint, or the workdir of a run: its latest.",
    required=True,
)  # fmt: skip
_OUT = flags.DEFINE_string("out", None, "Folder to write to.", required=True)

commands.define_flags(config.DataConfig(), "data")
commands.define_flags(protocol.TestConfig(), "test")
flags.adopt_module_key_flags(commands)


def main(argv: Sequence[str]) -> None:
    """Loads, evaluates, draws, writes."""
    commands.no_arguments(argv)
    reporting.check_matplotlib()
    source = commands.from_flags(config.DataConfig())
    test = commands.from_flags(protocol.TestConfig())
    loaded = protocol.load(_CHECKPOINT.value, source, test)
    evaluated = protocol.evaluate(loaded, test)
    print(evaluated.describe())
    about = reporting.About(_CHECKPOINT.value, source.dataset, test)
    out = pathlib.Path(_OUT.value).absolute()
    page = reporting.write(out, loaded, evaluated, about)
    print(f"\nreport:   {page}")
    print(f"pictures: {out / 'figures'}")
    print(f"tables:   {out / 'tables'}")


if __name__ == "__main__":
    commands.run(main)
