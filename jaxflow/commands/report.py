r"""Draws a checkpoint's evaluation: tables, figures, and one page to look at.

    python -m jaxflow.report --checkpoint=DIR --dataset=NAME --out=DIR

Writes report.html (one file, no network, with poses to turn), evaluation.json, every
table as Markdown, CSV and JSON below tables/, every figure as PNG and SVG below
figures/. The same seed gives the same bytes but for the date; times, which no two runs
measure alike, are measured once a checkpoint and device and then kept (--timing).

Seeds of one model, divided by commas, are reported as mean and standard deviation; the
page draws the first. Other models stand beside it with --compare, given once for each:

    python -m jaxflow.report --checkpoint=runs/seed0,runs/seed1 --name=full \
        --compare=no_condition=runs/other0,runs/other1 --dataset=NAME --out=DIR

A second data set's Table 3 comes with --settings_dataset. Needs the extra `report`:
pip install -e '.[report]' in the checkout.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from jaxflow import commands, config, methods
from jaxflow.evaluation import comparison, inference_time, protocol
from jaxflow.methods import samplers, training_cost
from jaxflow.reporting import report
from jaxflow.reporting.contents import About, Extras, console
from jaxflow.runs import files
from jaxflow.runs.errors import UserError

flags = commands.Flags(__name__)

_CHECKPOINT = flags.paths(
    "checkpoint",
    None,
    f"{commands.CHECKPOINT} Several, divided by commas, are seeds of one model.",
    required=True,
)
_OUT = flags.path("out", None, "Folder to write to.", required=True)
_NAME = flags.DEFINE_string(
    "name",
    "this model",
    "What to call the model beside others; as an ablation of the "
    "paper (full, no_condition, ...) it gets the paper's row.",
)
_COMPARE = flags.DEFINE_multi_string(
    "compare",
    [],
    "NAME=[SAMPLER:]DIR[,DIR...][@TEMPERATURE]: another model, its seeds, a "
    "temperature of its own, and another way to draw from it. May be repeated.",
)
_SETTINGS = flags.DEFINE_string(
    "settings_dataset",
    None,
    "A data set with settings (mpi_inf_3dhp_lift) to test on, too: paper Table 3.",
)
_SETTINGS_MANUAL = flags.path(
    "settings_manual_dir", None, "Folder of that set's raw files, to build it."
)
_TIMING = flags.DEFINE_enum(
    "timing",
    "kept",
    inference_time.CHOICES,
    "Inference times: kept measures them if that has not been done for this checkpoint "
    "and device, and keeps them in the run's folder; new measures them again; off "
    "leaves them out.",
)

_TEST = protocol.EvaluationConfig(reductions=True)
flags.define_data()
flags.define_config(_TEST, "test")
flags.adopt(commands)


def main(argv: Sequence[str]) -> None:
    """Loads, evaluates, draws, writes."""
    commands.no_arguments(argv)
    report.check_matplotlib()
    test = flags.config(_TEST)
    first, *_ = seeds = _seeds()
    others = [comparison.parse(text) for text in _COMPARE.value]
    entries = [comparison.Entry(_NAME.value, tuple(seeds)), *others]
    folders = [folder for entry in entries for folder in entry.checkpoints]
    source = flags.data(folders)
    out = files.check_folder(_OUT.value, "--out")  # or fail after the work
    inference_time.check(first, out)
    report.training_log(first)
    comparison.check(entries, test, samplers.load)
    settings = _settings(first, source, test) if _SETTINGS.value else None
    compared = None
    if len(seeds) > 1 or others:
        plain = dataclasses.replace(test, reductions=False)
        compared = comparison.compare(
            entries, source, plain, samplers.load, training_cost.of_checkpoint
        )
    loaded = protocol.load(methods.load(first), first, source, test)
    evaluated = protocol.evaluate(loaded)
    if settings is not None:
        evaluated = evaluated._replace(settings=settings)
    times = inference_time.kept(loaded.model, first, _TIMING.value, out)
    about, extras = About(first, source.dataset, loaded.test), Extras(times, compared)
    print(console(evaluated, about, extras, sys.stdout))
    page = report.write(out, loaded, evaluated, about, extras)
    print(f"\nreport:   {page}")
    print(f"pictures: {out / 'figures'}")
    print(f"tables:   {out / 'tables'}")


def _seeds() -> list[str]:
    """The checkpoint's folders.

    Raises:
      UserError: there is none.
    """
    folders = [folder for folder in _CHECKPOINT.value if folder]
    if not folders:
        raise UserError("expected --checkpoint=DIR[,DIR...], a folder a seed; got none")
    return folders


def _settings(
    checkpoint: str, source: config.DataConfig, test: protocol.EvaluationConfig
) -> protocol.SettingsResult:
    """Table 3 from a data set of its own.

    Raises:
      UserError: the set has no settings.
    """
    other = dataclasses.replace(
        source, dataset=str(_SETTINGS.value), manual_dir=_SETTINGS_MANUAL.value or ""
    )
    test = dataclasses.replace(test, split="test", mean_pose=False)
    loaded = protocol.load(methods.load(checkpoint), checkpoint, other, test)
    result = protocol.settings_of(loaded)
    if result is None:
        raise UserError(
            f"--settings_dataset: expected a set with settings, as mpi_inf_3dhp_lift; "
            f"{_SETTINGS.value} has none"
        )
    return result


if __name__ == "__main__":
    commands.run(main)
