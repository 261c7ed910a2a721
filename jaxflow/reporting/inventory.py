"""What a data set holds: frames per subject and action, and the ambiguous share.

In: the ``PoseRecords`` of its splits. Out: counts, and a table of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from jaxflow import data
from jaxflow.reporting import tables
from jaxflow.reporting.tables import Number, Row
from jaxflow.types import PoseRecords


class Inventory(NamedTuple):
    """Counts of one split.

    Attributes:
      frames: how many.
      ambiguous: how many have a fitted sigma above 5 heatmap pixels.
      subjects: frames by subject, in the set's order.
      actions: frames by action, by name.
    """

    frames: int
    ambiguous: int
    subjects: dict[str, int]
    actions: dict[str, int]


def of(records: PoseRecords) -> Inventory:
    """Counts the frames of a split."""
    return Inventory(
        frames=len(records),
        ambiguous=int(data.ambiguous(records).sum()),
        subjects=dict(Counter(records.subject.tolist())),
        actions=dict(sorted(Counter(records.action.tolist()).items())),
    )


def table(title: str, splits: Mapping[str, Inventory]) -> tables.Table:
    """A column a split: frames by subject, frames by action, ambiguous and all.

    Args:
      title: of the table.
      splits: by name, at least one.
    """
    rows: list[Row] = []
    for kind, field in (("subject", "subjects"), ("action", "actions")):
        counts = [getattr(inventory, field) for inventory in splits.values()]
        names = dict.fromkeys(name for column in counts for name in column)
        rows += [
            Row((f"{kind} {name}", *(_count(column.get(name)) for column in counts)))
            for name in names
        ]
    shares = (
        f"{ours.ambiguous} ({100 * ours.ambiguous / max(ours.frames, 1):.1f} %)"
        for ours in splits.values()
    )
    frames = (tables.count(inventory.frames) for inventory in splits.values())
    rows.append(Row(("ambiguous", *shares), closing=True))
    rows.append(Row(("all", *frames), closing=True))
    return tables.Table("inventory", title, ("Frames", *splits), tuple(rows))


def _count(frames: int | None) -> Number | str:
    return "-" if frames is None else tables.count(frames)
