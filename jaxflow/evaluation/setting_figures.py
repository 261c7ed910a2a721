"""Figures of MPI-INF-3DHP per setting, and the tables of them (paper Table 3).

In: ``SettingErrors`` of batches of frames, as NumPy. Out: ``SettingTotals`` that add up
over batches and settings, and a ``SettingsResult`` with PCK, AUC and MPJPE of every
setting and of all frames. Joints are counted in whole numbers and summed over frames:
a setting's figure is the mean over its frames, All that over all frames, whatever their
video. Nothing grows with the number of frames.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxflow.reporting import published
from jaxflow.reporting.tables import Table, to_console
from jaxflow.skeleton import PCK_JOINTS

AUC_THRESHOLDS = tuple(float(mm) for mm in range(0, 151, 5))
PICKS = ("best", "z0")  # the order of every pair of figures
ALL = "All"
# What poses are compared with -> the annotation's name in the data set.
TARGETS = {"universal": "univ_annot3", "camera": "annot3"}

LEGEND = """\
PCK: % of 14 joints strictly within 150 mm; AUC: mean % over the thresholds 0, 5, ...
150 mm, at most 96.8; MPJPE: mm over 17 joints. Pelvis at 0, no alignment, means over
frames; "best" takes for each frame the hypothesis that is best in the figure.
"""


class SettingErrors(NamedTuple):
    """What is counted of each frame, the best of M and the z = 0 pose.

    Attributes:
      mpjpe: (B, 2) mm.
      near: (B, 2) how many of the 14 joints lie strictly within 150 mm.
      near_any: (B, 2) the same, summed over the 31 thresholds.
    """

    mpjpe: Any
    near: Any
    near_any: Any


@dataclasses.dataclass(frozen=True)
class SettingTotals:
    """Sums over ``frames`` frames of what ``SettingErrors`` holds, each (2,)."""

    frames: int
    mpjpe: np.ndarray
    near: np.ndarray
    near_any: np.ndarray

    @classmethod
    def of(cls, errors: SettingErrors) -> SettingTotals:
        """The sums over the leading axis of a batch's errors."""
        sums = (np.sum(np.asarray(leaf, np.float64), axis=0) for leaf in errors)
        return cls(len(errors.mpjpe), *sums)

    def __add__(self, other: SettingTotals) -> SettingTotals:
        """The sums over both sets of frames."""
        names = [field.name for field in dataclasses.fields(self)]
        return SettingTotals(**{n: getattr(self, n) + getattr(other, n) for n in names})


class SettingFigures(NamedTuple):
    """Means over frames, each for the best of M and for the z = 0 pose.

    Attributes:
      frames: how many frames they rest on.
      pck: (2,) share of the 14 joints strictly within 150 mm.
      auc: (2,) mean of that share over the 31 thresholds.
      mpjpe: (2,) mm.
    """

    frames: int
    pck: np.ndarray
    auc: np.ndarray
    mpjpe: np.ndarray

    @classmethod
    def of(cls, totals: SettingTotals) -> SettingFigures:
        """Means over the frames of some sums."""
        joints = totals.frames * len(PCK_JOINTS)
        return cls(
            frames=totals.frames,
            pck=totals.near / joints,
            auc=totals.near_any / (joints * len(AUC_THRESHOLDS)),
            mpjpe=totals.mpjpe / totals.frames,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""

        def named(pair: np.ndarray) -> dict[str, float]:
            return dict(zip(PICKS, map(float, pair), strict=True))

        return {
            "frames": self.frames,
            "pck150_share": named(self.pck),
            "auc_share": named(self.auc),
            "mpjpe_mm": named(self.mpjpe),
        }


@dataclasses.dataclass(frozen=True)
class SettingsResult:
    """What the protocol found.

    Attributes:
      num_hypotheses: M.
      target: "universal" or "camera".
      not_valid: how many frames of the records were not counted.
      totals: sums per setting that has valid frames, in the records' order.
      annotated_2d: whether the 2D joints were the annotated ones, none detected.
    """

    num_hypotheses: int
    target: str
    not_valid: int
    totals: dict[str, SettingTotals]
    annotated_2d: bool = False

    @property
    def figures(self) -> dict[str, SettingFigures]:
        """Of each setting, and of all frames under the name All."""
        first, *rest = self.totals.values()
        pooled = {ALL: sum(rest, start=first)}
        totals = {**self.totals, **pooled}
        return {name: SettingFigures.of(one) for name, one in totals.items()}

    def tables(self) -> list[Table]:
        """Every figure per setting, and PCK below the rows of the paper's Table 3."""
        return [self._by_setting(), self._beside_paper()]

    def _by_setting(self) -> Table:
        rows = []
        for name, one in self.figures.items():
            shares = (100 * share for share in (*one.pck, *one.auc))
            cells = (f"{value:.1f}" for value in (*shares, *one.mpjpe))
            rows.append((name, str(one.frames), *cells))
        title = (
            f"MPI-INF-3DHP: {self.figures[ALL].frames} valid frames "
            f"({self.not_valid} more are not valid), {self.num_hypotheses} hypotheses "
            f"each, target {TARGETS[self.target]}"
        )
        names = [f"{name} {pick}" for name in ("PCK", "AUC", "MPJPE") for pick in PICKS]
        return Table(title, ("Setting", "frames", *names), tuple(rows), 1)

    def _beside_paper(self) -> Table:
        paper, figures = published.MPI_INF_3DHP, self.figures
        rows = list(published.as_rows(paper, tuple(figures)))
        for i, name in enumerate((f"best of {self.num_hypotheses}", "z0")):
            cells = (f"{100 * one.pck[i]:.1f}" for one in figures.values())
            rows.append((f"This model, {name}", *cells))
        rows.append(("Frames counted", *(str(one.frames) for one in figures.values())))
        return Table(
            title=f"{paper.place}: {paper.title}",
            columns=("Method", *figures),
            rows=tuple(rows),
            closing=3,
            better=(0, *(1 for _ in figures)),
            comparable=(tuple(range(len(paper.rows) + 1)),),
            note=self._remarks(),
        )

    def _remarks(self) -> str:
        """Whose figures rest on what."""
        rows = published.MPI_INF_3DHP.rows
        remarks = [f"{published.label(row)}: {row.note}" for row in rows if row.note]
        if self.annotated_2d:
            remarks.append("this model: given the true 2D joints")
        return "; ".join(remarks) + "."

    def describe(self) -> str:
        """The tables and how to read them, for the console."""
        return "\n\n".join([*map(to_console, self.tables()), LEGEND])

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and dicts."""
        paper, figures = published.MPI_INF_3DHP, self.figures
        return {
            "protocol": "MPI-INF-3DHP",
            "target": TARGETS[self.target],
            "num_hypotheses": self.num_hypotheses,
            "annotated_2d": self.annotated_2d,
            "frames_not_valid": self.not_valid,
            "settings": {name: figures[name].to_json() for name in self.totals},
            "all_frames": figures[ALL].to_json(),
            "paper_table_3_pck_percent": {
                published.label(row): dict(zip(paper.columns, row.values, strict=True))
                for row in paper.rows
            },
        }
