"""The paper's own figures, to stand beside ours: plain data and where it is from.

In: nothing. Out: ``Published`` tables, each of rows of numbers under named columns, and
``as_rows``, which makes a table's rows of them. All from Wehrbein et al., ICCV 2021,
unless a table says otherwise; what the paper quotes from others keeps their names.
MPJPE and PA-MPJPE are in mm, PCK in per cent, CPS is an area in mm; where a method
draws M hypotheses its best one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxflow.reporting.tables import Number, Row


class Citation(NamedTuple):
    """Whose figures they are."""

    authors: str
    venue: str
    year: int

    def __str__(self) -> str:
        """For example ``Martinez et al., ICCV 2017``."""
        return f"{self.authors}, {self.venue} {self.year}"


MARTINEZ = Citation("Martinez et al.", "ICCV", 2017)
LI_2019 = Citation("Li and Lee", "CVPR", 2019)
SHARMA = Citation("Sharma et al.", "ICCV", 2019)
LI_2020 = Citation("Li and Lee", "BMVC", 2020)
OIKARINEN = Citation("Oikarinen et al.", "IJCNN", 2021)
WEHRBEIN = Citation("Wehrbein et al.", "ICCV", 2021)
PIERZCHLEWICZ = Citation("Pierzchlewicz et al.", "arXiv", 2022)


class Method(NamedTuple):
    """One method's figures.

    Attributes:
      method: a short name, unique in its table together with ``hypotheses``.
      source: whose method.
      hypotheses: M, of which the best counts; None where the paper does not say.
      values: one a column; None where there is none.
      note: how the paper got them, or what is odd about them.
    """

    method: str
    source: Citation
    hypotheses: int | None
    values: tuple[float | None, ...]
    note: str = ""


class Published(NamedTuple):
    """A table of the paper.

    Attributes:
      place: where in the paper.
      title: what it shows.
      columns: names of the values.
      better: for each column -1 where less is better, 1 where more is, 0 neither.
      rows: in the paper's order, its own method last.
      name: of letters and hyphens, for a `tables.Table` that has these rows.
      citation: the publication.
    """

    place: str
    title: str
    columns: tuple[str, ...]
    better: tuple[int, ...]
    rows: tuple[Method, ...]
    name: str = ""
    citation: Citation = WEHRBEIN

    @property
    def source(self) -> str:
        """The publication, and where in it."""
        return f"{self.citation}, {self.place}" if self.place else str(self.citation)


def as_rows(table: Published, columns: Sequence[str] | None = None) -> tuple[Row, ...]:
    """Rows: the method with its source and M, then a cell a column.

    Args:
      table: any of this module's.
      columns: which, in this order; default all. A name that the table does not have
        gives empty cells, as another data set's actions do.
    """
    wanted = table.columns if columns is None else tuple(columns)
    rows = []
    for method in table.rows:
        values = dict(zip(table.columns, method.values, strict=True))
        rows.append(
            Row((label(method), *(number(values.get(column)) for column in wanted)))
        )
    return tuple(rows)


def label(row: Method) -> str:
    """For example ``Martinez et al., ICCV 2017 (M = 1)``."""
    name = str(row.source) + (f", {row.method}" if row.method else "")
    return name if row.hypotheses is None else f"{name} (M = {row.hypotheses})"


def number(value: float | None) -> Number | None:
    """One decimal, as the paper has, and two below one."""
    return None if value is None else Number(value, 2 if 0 < value < 1 else 1)


# Table 1's order; names as the data sets have them.
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing",
    "Purchases", "Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking",
    "WalkTogether",
)  # fmt: skip
AVERAGE = "Average"

_NOT_THE_MEAN = "the quoted average is not the mean of the quoted actions"


def _per_action(protocol: int, error: str, rows: tuple[Method, ...]) -> Published:
    columns = (*ACTIONS, AVERAGE)
    return Published(
        f"Table 1, protocol {protocol}", f"{error} on Human3.6M, mm", columns,
        (-1,) * len(columns), rows, f"table-1-protocol-{protocol}",
    )  # fmt: skip


PROTOCOL_1 = _per_action(1, "MPJPE", (
    Method("", MARTINEZ, 1, (
        51.8, 56.2, 58.1, 59.0, 69.5, 78.4, 55.2, 58.1, 74.0, 94.6, 62.3, 59.1, 65.1,
        49.5, 52.4, 62.9)),
    Method("", LI_2020, 10, (
        62.0, 69.7, 64.3, 73.6, 75.1, 84.8, 68.7, 75.0, 81.2, 104.3, 70.2, 72.0, 75.0,
        67.0, 69.0, 73.9), _NOT_THE_MEAN),
    Method("", LI_2019, 5, (
        43.8, 48.6, 49.1, 49.8, 57.6, 61.5, 45.9, 48.3, 62.0, 73.4, 54.8, 50.6, 56.0,
        43.4, 45.5, 52.7)),
    Method("", OIKARINEN, 200, (
        40.0, 43.2, 41.0, 43.4, 50.0, 53.6, 40.1, 41.4, 52.6, 67.3, 48.1, 44.2, 44.9,
        39.5, 40.2, 46.2), _NOT_THE_MEAN),
    Method("", SHARMA, 200, (
        37.8, 43.2, 43.0, 44.3, 51.1, 57.0, 39.7, 43.0, 56.3, 64.0, 48.1, 45.4, 50.4,
        37.9, 39.9, 46.8), _NOT_THE_MEAN),
    Method("z0", WEHRBEIN, 1, (
        52.4, 60.2, 57.8, 57.4, 65.7, 74.1, 56.2, 59.1, 69.3, 78.0, 61.2, 63.7, 67.0,
        50.0, 54.9, 61.8)),
    Method("", WEHRBEIN, 200, (
        38.5, 42.5, 39.9, 41.7, 46.5, 51.6, 39.9, 40.8, 49.5, 56.8, 45.3, 46.4, 46.8,
        37.8, 40.4, 44.3)),
))  # fmt: skip

PROTOCOL_2 = _per_action(2, "PA-MPJPE", (
    Method("", MARTINEZ, 1, (
        39.5, 43.2, 46.4, 47.0, 51.0, 56.0, 41.4, 40.6, 56.5, 69.4, 49.2, 45.0, 49.5,
        38.0, 43.1, 47.7)),
    Method("", LI_2020, 10, (
        38.5, 41.7, 39.6, 45.2, 45.8, 46.5, 37.8, 42.7, 52.4, 62.9, 45.3, 40.9, 45.3,
        38.6, 38.4, 44.3), _NOT_THE_MEAN),
    Method("", LI_2019, 5, (
        35.5, 39.8, 41.3, 42.3, 46.0, 48.9, 36.9, 37.3, 51.0, 60.6, 44.9, 40.2, 44.1,
        33.1, 36.9, 42.6)),
    Method("", OIKARINEN, 200, (
        30.8, 34.7, 33.6, 34.2, 39.6, 42.2, 31.0, 31.9, 42.9, 53.5, 38.1, 34.1, 38.0,
        29.6, 31.1, 36.3), _NOT_THE_MEAN),
    Method("", SHARMA, 200, (
        30.6, 34.6, 35.7, 36.4, 41.2, 43.6, 31.8, 31.5, 46.2, 49.7, 39.7, 35.8, 39.6,
        29.7, 32.8, 37.3), "computed by Wehrbein et al. from the published model"),
    Method("z0", WEHRBEIN, 1, (
        37.8, 41.7, 42.1, 41.8, 46.5, 50.2, 38.0, 39.2, 51.7, 61.8, 45.4, 42.6, 45.7,
        33.7, 38.5, 43.8)),
    Method("", WEHRBEIN, 200, (
        27.9, 31.4, 29.7, 30.2, 34.9, 37.1, 27.3, 28.2, 39.0, 46.1, 34.2, 32.3, 33.6,
        26.1, 27.5, 32.4)),
))  # fmt: skip

_SUBSET_COLUMNS = ("MPJPE", "PA-MPJPE", "PCK", "CPS")
_SUBSET_BETTER = (-1, -1, 1, 1)

AMBIGUOUS = Published(
    "Table 2", "The ambiguous subset of Human3.6M (H36MA), best hypothesis",
    _SUBSET_COLUMNS, _SUBSET_BETTER, (
        Method("", LI_2019, None, (81.1, 66.0, 85.7, 119.9),
            "computed by Wehrbein et al. from the published model"),
        Method("", SHARMA, None, (78.3, 61.1, 88.5, 136.4),
            "computed by Wehrbein et al. from the published model"),
        Method("", WEHRBEIN, 200, (71.0, 54.2, 93.4, 171.0)),
    ), "table-2",
)  # fmt: skip

MPI_INF_3DHP = Published(
    "Table 3", "PCK on MPI-INF-3DHP without training on it, best hypothesis, %",
    ("Studio GS", "Studio no GS", "Outdoor", "All"), (1,) * 4, (
        Method("", LI_2020, None, (86.9, 86.6, 79.3, 85.0), "weakly supervised"),
        Method("", LI_2019, None, (70.1, 68.2, 66.6, 67.9), "given the true 2D joints"),
        Method("", WEHRBEIN, None, (86.6, 82.8, 82.5, 84.3)),
    ),
)  # fmt: skip

# Methods by the names of ``presets.ABLATIONS``.
ABLATIONS = Published(
    "Table 4", "Ablations on the ambiguous subset (H36MA), best hypothesis",
    _SUBSET_COLUMNS, _SUBSET_BETTER, (
        Method("no_condition", WEHRBEIN, 200, (71.7, 57.2, 91.2, 137.6)),
        Method("no_heatmap", WEHRBEIN, 200, (72.4, 56.2, 92.2, 157.3)),
        Method("no_gen", WEHRBEIN, 200, (73.6, 58.2, 92.5, 165.5)),
        Method("no_best_of_m", WEHRBEIN, 200, (76.0, 58.5, 91.6, 161.4)),
        Method("k1", WEHRBEIN, 200, (71.8, 54.9, 92.6, 167.4)),
        Method("k10", WEHRBEIN, 200, (70.7, 54.9, 93.3, 168.3)),
        Method("k50", WEHRBEIN, 200, (71.0, 55.2, 93.1, 168.0)),
        Method("full", WEHRBEIN, 200, (71.0, 54.2, 93.4, 171.0), "k = 5"),
    ),
)  # fmt: skip

FEWER_SAMPLES = Published(
    "Table 5", "Fewer hypotheses on Human3.6M, best one", ("MPJPE", "PA-MPJPE"),
    (-1, -1), (
        Method("kernel means", LI_2019, 5, (52.7, 42.6)),
        Method("drawn", LI_2019, 5, (74.9, 63.3)),
        Method("drawn", LI_2019, 10, (70.3, 59.7)),
        Method("drawn", LI_2019, 200, (59.6, 50.2)),
        Method("K-means of 200", WEHRBEIN, 5, (53.2, 38.4)),
        Method("drawn", WEHRBEIN, 5, (59.2, 42.3)),
        Method("drawn", WEHRBEIN, 10, (55.0, 39.6)),
        Method("drawn", WEHRBEIN, 200, (44.3, 32.4)),
    ), "table-5",
)  # fmt: skip

SPREAD = Published(
    "Section 4.5", "Standard deviation of the hypotheses on Human3.6M, mm",
    ("x", "y", "z"), (0,) * 3, (Method("", WEHRBEIN, 200, (18.3, 17.3, 42.4)),),
    "standard-deviation-of-the-hypotheses-on-human3-6m-mm",
)  # fmt: skip

# Milliseconds for one image.
INFERENCE_TIME = Published(
    "Appendix D", "Inference time of one image, ms, on an NVIDIA GeForce RTX 3090",
    ("2D detector", "Fit of 16 heatmaps", "1 hypothesis", "1000 hypotheses"),
    (-1,) * 4, (
        Method("PyTorch 1.7.1", WEHRBEIN, None, (32.0, 70.0, 4.6, 5.1)),
    ),
)  # fmt: skip

# Not the paper's own: measured later on its published model.
CALIBRATION = Published(
    "", "Expected calibration error on Human3.6M",
    ("ECE",), (-1,), (
        Method("CVAE", PIERZCHLEWICZ, 200, (0.36,)),
        Method("graph flow by likelihood", PIERZCHLEWICZ, 200, (0.08,)),
        Method("", WEHRBEIN, 200, (0.18,)),
    ), "expected-calibration-error-on-human3-6m", PIERZCHLEWICZ,
)  # fmt: skip
