"""What a choice between models needs: error against cost, and against calibration.

In: a ``Comparison``. Out: figures about as wide as a phone, means over a model's seeds
but for what was found over temperature, which is the first calibrated seed's.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from jaxflow.evaluation.comparison import Comparison
from jaxflow.metrics import errors
from jaxflow.reporting.figures import curves, style


def against_number(comparison: Comparison) -> Figure:
    """Error of the best of m against m, a line a model."""
    members = comparison.members
    series = {member.entry.name: member.pooled for member in members}
    return curves.samples(series, members[0].test[0].num_hypotheses)


def against_operations(comparison: Comparison) -> Figure:
    """The same against the floating-point operations that m hypotheses take.

    A model that draws cheaply may draw more.
    """
    members = [member for member in comparison.members if member.cost]
    with style.plot() as (figure, axes):
        for member, look in zip(members, curves.looks(len(members)), strict=True):
            assert member.cost is not None
            counts = errors.sample_counts(member.test[0].num_hypotheses)
            axes.plot(
                [member.cost.of(count) / 1e6 for count in counts],
                member.pooled.best_of,
                marker="o",
                markersize=3,
                linewidth=1.6,
                label=member.entry.name,
                **look,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(
            xlabel="million floating-point operations a pose",
            ylabel="MPJPE of the best hypothesis, mm",
            title="Error against cost",
        )
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", fontsize=8)
    return figure


def against_calibration(comparison: Comparison) -> Figure | None:
    """Error of the best hypothesis against the calibration error, over temperature.

    Of the held-out frames that `jaxflow.calibrate` fitted on; the dot is the fitted
    temperature. A model is better only where it is lower and farther left. None where
    no model was calibrated.
    """
    members = [member for member in comparison.members if any(member.curves)]
    if not members:
        return None
    with style.plot() as (figure, axes):
        for member, look in zip(members, curves.looks(len(members)), strict=True):
            document = next(found for found in member.curves if found)
            curve = document["curve"]
            error, best = curve["calibration_error"], curve["best_mpjpe_mm"]
            axes.plot(error, best, linewidth=1.4, label=member.entry.name, **look)
            fitted = error.index(min(error))
            axes.plot(error[fitted], best[fitted], "o", color=look["color"])
        counts = {
            found["num_hypotheses"] for one in members for found in one.curves if found
        }
        many = f"{min(counts)}" if len(counts) == 1 else "M"
        axes.set(
            xlabel="calibration error",
            ylabel=f"MPJPE of the best of {many}, mm",
            xlim=(0, None),
            title="Sharp and calibrated, over temperature",
        )
        axes.legend(loc="upper right", fontsize=8)
    return figure


def draw(comparison: Comparison) -> dict[str, Figure]:
    """The figures there are, by the names of their files."""
    found = {
        "best_of": against_number(comparison),
        "operations": against_operations(comparison),
        "temperature": against_calibration(comparison),
    }
    return {name: figure for name, figure in found.items() if figure is not None}
