r"""Why people in pictures are harder than in a studio: size, border, cameras.

    python -m benchmarks.wild_parts --checkpoint=cmu --data_dir=runs/data \
      --dataset=cmu_mocap_lift/seed0-test3+5+9

Takes the test poses of a set with level cameras and own bodies, and takes pictures of
the same poses twice: of bodies scaled and varied as `wild` has them, whose size no
picture tells, and of the bodies as they are. Prints the figures of both, of all
pictures, of those that cut nobody off, and of these by level cameras, beside the
set's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import app, logging

from benchmarks import cameras
from data_builders.human36m_lift import refilmed
from data_builders.simulation import pictures
from jaxflow.metrics.sums import Means
from jaxflow.types import PoseRecords

_SEED = 1  # other pictures than any set's
_LEVEL = 10.0  # degrees


def pictured(records: PoseRecords, *, varied: bool) -> PoseRecords:
    """A picture of each pose; see `wild`."""
    seen_by = np.char.add(records.subject, records.camera)
    columns: dict[str, np.ndarray] = {}
    for number, camera in enumerate(np.unique(seen_by)):
        own = np.flatnonzero(seen_by == camera)
        poses = records.pose3d[own]
        joints = refilmed.upright(poses, refilmed.vertical(poses))
        shots = pictures.taken(joints, 1, _SEED, (number,), varied=varied)
        for name, values in (shots._asdict() | shots.extra).items():
            if name != "extra":
                shape = (len(records), *values.shape[1:])
                columns.setdefault(name, np.empty(shape, values.dtype))[own] = values
    extra = {name: columns.pop(name) for name in pictures.FEATURES}
    return dataclasses.replace(records, **columns, extra=extra)


def groups(records: PoseRecords) -> dict[str, np.ndarray]:
    """(N,) text by name: which of the rows a frame is in."""
    whole = ~records.extra["cut"].any(axis=1)
    level = whole & (np.abs(records.extra["pitch"]) <= _LEVEL)
    return {
        "all": np.full(len(records), "all"),
        "whole": np.where(whole, "nothing cut off", ""),
        "level": np.where(level, "and cameras level within 10°", ""),
    }


def main(argv: Sequence[str]) -> None:
    """Prints the table."""
    del argv
    logging.set_verbosity(logging.ERROR)
    records, model, temperature = cameras.opened()
    cameras.begin_table(records, model, temperature)
    everything = {"all": np.full(len(records), "as they are")}
    _tell("studio", cameras.measured(model, temperature, records, everything))
    for varied, name in ((False, "own bodies"), (True, "varied bodies")):
        shots = pictured(records, varied=varied)
        _tell(name, cameras.measured(model, temperature, shots, groups(shots)))


def _tell(name: str, totals: dict[str, dict[str, cameras.Total]]) -> None:
    for labels in totals.values():
        for label in filter(None, labels):
            print(cameras.row(f"{name}, {label}", Means.of(labels[label])))


if __name__ == "__main__":
    app.run(main)
