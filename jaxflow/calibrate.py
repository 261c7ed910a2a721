"""Fits the latent temperature at which a checkpoint's hypotheses are calibrated.

    python -m jaxflow.train --hold_out=S7 --workdir=DIR ...
    python -m jaxflow.calibrate --checkpoint=DIR --dataset=NAME

A model that was trained for its best of many hypotheses is surer than it is right. This
draws hypotheses for training subjects that were held out of training, at temperatures
from 0.5 to 3, and stores the one with the least calibration error in the checkpoint,
where --temperature=fitted of the other commands finds it; calibration.png beside it
shows the curves before and after. The test set is never looked at.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import tqdm
from absl import flags

from jaxflow import commands, config, coverage, data, protocol, temperature
from jaxflow.config import DataConfig
from jaxflow.temperature import Curve
from jaxflow.training import calibration_file, checkpoint, evaluation, validation
from jaxflow.types import PoseRecords

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of a checkpoint, or the workdir of a run: its latest.",
    required=True,
)  # fmt: skip
_SUBJECTS = flags.DEFINE_list(
    "subjects", [],
    "Subjects of the training split to fit on, comma-separated; default: those the "
    "checkpoint's run held out of training.",
)  # fmt: skip
_FRAMES = flags.DEFINE_integer(
    "frames", 512, "Frames of theirs, evenly spaced.", lower_bound=1
)
_HYPOTHESES = flags.DEFINE_integer(
    "num_hypotheses", 200, "Hypotheses drawn for each pose.", lower_bound=2
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of the hypotheses' noise.", lower_bound=0, upper_bound=2**31 - 1
)
commands.define_flags(config.DataConfig(), "data")
flags.adopt_module_key_flags(commands)


def main(argv: Sequence[str]) -> None:
    """Loads, fits, stores, draws, tells."""
    commands.no_arguments(argv)
    source = commands.from_flags(DataConfig())
    folder = checkpoint.find(_CHECKPOINT.value)
    trained = checkpoint.load_config(folder)
    subjects = tuple(_SUBJECTS.value) or trained.held_out
    _check_subjects(subjects, trained)
    records = _frames(source, subjects)
    curve = _fit(checkpoint.load_params(folder), records, trained.flow)
    found = describe(curve, source, subjects, records, _HYPOTHESES.value, _SEED.value)
    path = calibration_file.save(folder, found)
    print(_table(curve))
    print(_verdict(curve))
    print(f"written: {path}")
    _draw(curve, folder / "calibration")
    print("use it: --temperature=fitted")


def _check_subjects(subjects: Sequence[str], trained: config.TrainConfig) -> None:
    """Refuses to fit without subjects; warns of ones that were trained on."""
    if not subjects:
        raise ValueError(
            "this checkpoint's run held no subject out of training, and --subjects "
            "names none; train with --hold_out=SUBJECT, so that there are frames that "
            "the model has not learned from"
        )
    if set(subjects) - set(trained.held_out):
        print(
            "warning: the run was not told to hold out "
            f"{', '.join(sorted(set(subjects) - set(trained.held_out)))}; on frames "
            "that it has learned from the temperature comes out too low"
        )


def _frames(source: DataConfig, subjects: Sequence[str]) -> PoseRecords:
    records = data.load_records(
        source.dataset, "train", source.data_dir or None, source.manual_dir or None
    )
    own = protocol.counted(records.take(data.of_subjects(records, subjects)))
    return validation.choose(own, _FRAMES.value)


def _fit(params: Any, records: PoseRecords, flow: config.FlowConfig) -> Curve:
    with tqdm.tqdm(
        total=2 * len(records), desc="calibrating", unit="pose", smoothing=0
    ) as bar:
        return temperature.fit(
            params, data.to_batch(records), evaluation.targets_of(records),
            jax.random.key(_SEED.value), num_hypotheses=_HYPOTHESES.value,
            clamp=flow.clamp, progress=bar.update,
        )  # fmt: skip


def describe(
    curve: Curve,
    source: DataConfig,
    subjects: Sequence[str],
    records: PoseRecords,
    num_hypotheses: int,
    seed: int,
) -> dict[str, Any]:
    """The document that is stored: the temperature, and how it was found."""
    return {
        "temperature": float(curve.temperatures[curve.fitted]),
        "calibration_error": {
            "before": float(curve.ece[curve.at(1.0)]),
            "after": float(curve.ece[curve.fitted]),
        },
        "dataset": source.dataset,
        "subjects": list(subjects),
        "frames": len(records),
        "num_hypotheses": num_hypotheses,
        "seed": seed,
        "curve": {
            "temperature": curve.temperatures.tolist(),
            "calibration_error": curve.ece.tolist(),
            "best_mpjpe_mm": curve.best.tolist(),
            "mean_mpjpe_mm": curve.mean.tolist(),
        },
        "levels": list(coverage.CALIBRATION_LEVELS),
        "frequency": {
            "before": curve.frequency[curve.at(1.0)].tolist(),
            "after": curve.frequency[curve.fitted].tolist(),
        },
    }


def _table(curve: Curve) -> str:
    """A line for some temperatures, the fitted one marked."""
    wanted = {curve.at(t) for t in (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)} | {curve.fitted}
    lines = ["temperature  calibration error  best mm  mean mm"]
    for i in sorted(wanted):
        mark = "  <- fitted" if i == curve.fitted else ""
        lines.append(
            f"{curve.temperatures[i]:11.2f}  {curve.ece[i]:17.3f}  "
            f"{curve.best[i]:7.1f}  {curve.mean[i]:7.1f}{mark}"
        )
    return "\n".join(lines)


def _verdict(curve: Curve) -> str:
    fitted = float(curve.temperatures[curve.fitted])
    ends = temperature.LOWEST, temperature.HIGHEST
    near_end = min(abs(fitted - end) for end in ends) < 0.1
    note = " (at the end of the range: this model is far from calibrated)"
    return (
        f"temperature {fitted:.2f}: calibration error "
        f"{curve.ece[curve.at(1.0)]:.3f} -> {curve.ece[curve.fitted]:.3f}"
        f"{note if near_end else ''}"
    )


def _draw(curve: Curve, stem: pathlib.Path) -> None:
    """The picture, where Matplotlib is installed."""
    try:
        from jaxflow.figures import style
        from jaxflow.figures import temperature as temperature_figure
    except ImportError:
        print("no picture: it needs Matplotlib (pip install 'jaxflow[report]')")
        return
    png, _ = style.save(temperature_figure.temperature(curve), stem)
    print(f"picture: {png}")


if __name__ == "__main__":
    commands.run(main)
