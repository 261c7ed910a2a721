"""Puts a report together and writes its files.

In: a loaded test and its evaluation. Out: a folder with report.html, evaluation.json,
tables/ and figures/, the same bytes for the same inputs but for the page's date.
"""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import tqdm

from jaxflow.evaluation import protocol
from jaxflow.reporting import comparison, published, result_tables, tables
from jaxflow.reporting.contents import About, Content, Extras, all_tables, render
from jaxflow.runs import files, plain_config, released, writer
from jaxflow.runs.errors import UserError, missing

if TYPE_CHECKING:
    from jaxflow.reporting.drawings import Picture

_T = TypeVar("_T")
# All that there may be; a report has those that belong to what was asked for.
_TABLES = (
    *(published.PROTOCOL_1.name, published.PROTOCOL_2.name, published.AMBIGUOUS.name),
    *(published.FEWER_SAMPLES.name, published.CALIBRATION.name, published.SPREAD.name),
    *("test", "ambiguous-subset", "spread-of-the-hypotheses", "one-pose-out-of-many"),
    *("uncertainty-per-joint", "uncertainty-by-sigma", "uncertainty-per-person"),
    *("response-coverage", "response-spread"),
    *("mpi-inf-3dhp", "table-3", "inference-time"),
    *("models-models-compared", "models-ambiguous-subset"),
    *("models-uncertainty-compared", "models-paired", "models-cost"),
)
_FIGURES = (
    *("hypotheses", "hardest", "calibration", "samples", "cps", "spread", "sigma"),
    *("response", "models-calibration", "models-samples", "models-operations"),
    *("models-temperature", "training"),
)


def check_matplotlib() -> None:
    """Refuses to begin what could not be drawn.

    Raises:
      ImportError: Matplotlib is not installed; says how to install it.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise missing("the report", "Matplotlib", "report") from error


def write(
    out: pathlib.Path,
    loaded: protocol.Loaded,
    evaluated: protocol.Evaluation,
    about: About,
    extras: Extras,
) -> pathlib.Path:
    """Draws and writes everything; returns the page's path.

    What an earlier report left there goes, so that nothing stands beside this one's
    that is not of it; a user's own files stay.

    Raises:
      OSError: the folder cannot be written to.
      UserError: the evaluation does not know its frames.
    """
    content = draw(loaded, evaluated, about, extras)
    clear(out)
    write_tables(out, evaluated, about, extras)
    _save(out, content.figures())
    date = datetime.date.today().isoformat()
    return files.write_text(out / "report.html", render(content, date))


def clear(out: pathlib.Path) -> None:
    """Removes the tables and figures of a report.

    Raises:
      OSError: no permission.
    """
    files.remove_any(out / "tables", _TABLES, ("md", "csv", "json"))
    files.remove_any(out / "figures", _FIGURES, ("png", "svg"))


def draw(
    loaded: protocol.Loaded,
    evaluated: protocol.Evaluation,
    about: About,
    extras: Extras,
) -> Content:
    """Every figure, and the poses of the interactive part, behind a progress bar."""
    from jaxflow.reporting import chosen_frames, drawings

    frames = evaluated.frames
    if frames is None:
        raise UserError("expected an evaluation that knows its frames; got none")
    groups = [
        list(chosen_frames.by_sureness(frames.records).items()),
        list(chosen_frames.hardest(frames).items()),
        list(chosen_frames.for_viewer(frames).items()),
    ]
    baseline = drawings.noise_baseline(loaded, evaluated)
    with tqdm.tqdm(
        total=7 if extras.comparison else 6, desc="drawing", unit="part", smoothing=0
    ) as bar:

        def step(draw_part: Callable[..., _T], *arguments: Any) -> _T:
            result = draw_part(*arguments)
            bar.update()
            return result

        rows = [row for group in groups for row in group]
        drawn = step(chosen_frames.draw, loaded, frames, rows)
        first, second = len(groups[0]), len(groups[0]) + len(groups[1])
        compared = extras.comparison
        sigma = step(drawings.sigma, protocol.counted(loaded.records))
        log = training_log(about.checkpoint)
        return Content(
            evaluated=evaluated,
            about=about,
            extras=extras,
            viewer_poses=drawn.take(slice(second, None)).viewer_poses(),
            frames=[
                step(drawings.hypotheses, drawn.take(slice(0, first))),
                step(drawings.hardest, drawn.take(slice(first, second))),
            ],
            plots=[
                *step(drawings.plots, evaluated, baseline),
                *([sigma] if sigma else []),
            ],
            models=step(drawings.models, compared) if compared else [],
            training=step(drawings.training, log),
            response=drawings.response(evaluated.response)
            if evaluated.response
            else None,
        )


def training_log(checkpoint: str) -> list[dict[str, Any]]:
    """Rows of the metrics.jsonl of the run that a checkpoint belongs to, if any."""
    folder = pathlib.Path(released.path_of(checkpoint) or checkpoint).absolute()
    for workdir in (folder, *folder.parents[:2]):
        if (workdir / writer.FILE).is_file():
            return writer.read(workdir)
    return []


def write_tables(
    out: pathlib.Path, evaluated: protocol.Evaluation, about: About, extras: Extras
) -> None:
    """evaluation.json, and every table as Markdown, CSV and JSON below tables/."""
    document = {**document_of(about), **result_tables.to_json(evaluated)}
    if extras.times is not None:
        document["inference_time"] = extras.times.to_json()
    if extras.comparison is not None:
        document["comparison"] = comparison.to_json(extras.comparison)
    files.write_json(out / "evaluation.json", document)
    for section, listed in all_tables(evaluated, about, extras).items():
        for table in listed:
            prefix = "models-" if section == "models" else ""
            stem = out / "tables" / f"{prefix}{table.name}"
            files.write_text(stem.with_suffix(".md"), tables.to_markdown(table))
            files.write_text(stem.with_suffix(".csv"), tables.to_csv(table))
            files.write_json(stem.with_suffix(".json"), tables.to_json(table))


def document_of(about: About) -> dict[str, Any]:
    """What was tested and how, for JSON."""
    return {
        "checkpoint": about.checkpoint,
        "dataset": about.dataset,
        "test_config": plain_config.to_dict(about.test),
    }


def _save(out: pathlib.Path, drawn: Sequence[Picture]) -> None:
    from jaxflow.reporting.figures import style

    for picture in tqdm.tqdm(drawn, desc="pictures", unit="figure", smoothing=0):
        stem = out / "figures" / picture.name
        style.save(picture.figure, stem, picture.svg)
