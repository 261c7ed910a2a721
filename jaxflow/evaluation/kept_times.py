"""Inference times that are measured once, so that a report comes out the same again.

In: a checkpoint. Out: the times of its model on this machine's device, measured the
first time and then read from ``inference_times.json`` in the folder of the run, which
has an entry a device.
"""

from __future__ import annotations

import json
import pathlib

from jaxflow.evaluation import inference_time
from jaxflow.evaluation.inference_time import InferenceTimes
from jaxflow.evaluation.protocol import Loaded
from jaxflow.runs import checkpoint, files

FILE = "inference_times.json"
CHOICES = ("kept", "new", "off")


def times(
    loaded: Loaded, checkpoint_dir: str, choice: str, fallback: pathlib.Path
) -> InferenceTimes | None:
    """The times, or None where they are not wanted.

    Args:
      loaded: the model.
      checkpoint_dir: where it is from.
      choice: one of ``CHOICES``: ``kept`` measures only if nothing is kept, ``new``
        always, and ``off`` gives None.
      fallback: a folder to keep them in where that of the run cannot be written to.

    Raises:
      ValueError: what is kept is damaged.
    """
    if choice == "off":
        return None
    device = inference_time.device_name()
    folders = [fallback]
    step = checkpoint.find(checkpoint_dir)
    if step.parent.name == checkpoint.FOLDER:
        folders.insert(0, step.parents[1])
    for folder in folders if choice == "kept" else ():
        found = _read(folder / FILE).get(device)
        if found is not None:
            return found
    measured = inference_time.measure(loaded.params, loaded.flow.clamp)
    for folder in folders:
        try:
            _write(folder / FILE, {**_read(folder / FILE), device: measured})
            break
        except OSError:
            continue
    return measured


def _read(path: pathlib.Path) -> dict[str, InferenceTimes]:
    """By device; none where there is no file."""
    if not path.is_file():
        return {}
    try:
        return {
            device: InferenceTimes(
                device=device,
                repeats=int(one["repeats"]),
                fit_ms=float(one["fit_16_heatmaps_ms"]),
                sample_ms={int(m): float(ms) for m, ms in one["sample_ms"].items()},
            )
            for device, one in json.loads(path.read_text()).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected inference times by device, as a report writes them; "
            f"remove the file to measure anew ({error!r})"
        ) from error


def _write(path: pathlib.Path, found: dict[str, InferenceTimes]) -> None:
    files.write_json(path, {device: one.to_json() for device, one in found.items()})
