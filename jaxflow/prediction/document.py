"""poses.json: what a source's people are, for any language.

Lifted -> a line; lines -> FOLDER/poses.json: a heading on lines of its own, then a line
a person
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from jaxflow._version import __version__
from jaxflow.metrics import selection
from jaxflow.prediction import motions
from jaxflow.prediction.records import STORED, Lifted
from jaxflow.runs import files
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS, MPII_BONES, MPII_JOINTS


def line(person: Lifted, hypotheses: int) -> bytes:
    """A person: millimetres and tenths of a pixel are enough to show.

    Args:
      person: whom.
      hypotheses: how many of them are told.
    """
    seen, density = person.seen, person.log_density
    content = {
        "source": seen.file,
        "frame": seen.frame,
        "person": seen.person,
        "square": _rounded([*seen.square.center, seen.square.side], 2),
        "pose": _rounded(person.chosen, 4),
        "spread": _rounded(person.spread, 4),
    }
    if density is not None:
        content["log_density_mean"] = _rounded(density.mean(), 3)
        content["log_density_max"] = _rounded(density.max(), 3)
    content |= {
        "pose2d": _rounded(person.pose2d, 2),
        "heatmap_peaks": _rounded(person.fit[:, 0], 3),
        "heatmap_sigmas": _rounded(np.abs(person.fit[:, [3, 5]]), 2),
    }
    if hypotheses:
        content["hypotheses"] = _rounded(person.hypotheses[:hypotheses], 4)
        if density is not None:
            content["log_density"] = _rounded(density[:hypotheses], 3)
    if seen.note:
        content["note"] = seen.note
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def moved(line: bytes, pose: np.ndarray) -> bytes:
    """A person's line with another pose (17, 3)."""
    content = json.loads(line) | {"pose": _rounded(pose, 4)}
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _rounded(values: Any, digits: int) -> Any:
    return np.round(np.asarray(values, np.float64), digits).tolist()


def write(
    path: pathlib.Path,
    about: dict[str, Any],
    skipped: dict[str, Any],
    lines: Iterable[bytes],
) -> None:
    """The file.

    Args:
      path: of it.
      about: the run and the source, plain values.
      skipped: what could not be used.
      lines: of `line`, at least one.

    Raises:
      OSError: no space, no permission.
    """
    rule = about["run"]["rule"]
    rules = {name: one.text for name, one in selection.RULES.items()}
    rules[motions.RULE] = motions.TEXT
    heading = {
        "jaxflow": __version__,
        "jax": jax.__version__,
        **about,
        "units": {**STORED, "pose": "metres", "square": "image px"},
        "frame_of_reference": "camera: x right, y down, z away; hip at the origin",
        "rule": {"name": rule, "pose": rules[rule]},
        "joints": H36M_JOINTS,
        "bones": H36M_BONES,
        "joints2d": MPII_JOINTS,
        "bones2d": MPII_BONES,
        **skipped,
    }
    text = "".join(f"{json.dumps(k)}: {json.dumps(v)},\n" for k, v in heading.items())
    with files.aside(path) as temporary, open(temporary, "wb") as file:
        file.write(b"{\n" + text.encode() + b'"people": [')
        for number, person in enumerate(lines):
            file.write((b",\n" if number else b"\n") + person)
        file.write(b"\n]\n}\n")
