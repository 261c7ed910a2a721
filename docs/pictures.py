"""Draws the pictures of the page on uncertainty: python docs/pictures.py."""

import pathlib
import re

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = pathlib.Path(__file__).parent
LEVELS = np.linspace(0, 1, 21)
BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#718096"


def calibration(path: pathlib.Path) -> None:
    """Hypotheses of three widths around the same truths, and their curves."""
    rng = np.random.default_rng(0)
    truths = rng.normal(size=(4000, 2))
    figure, axes = plt.subplots(2, 3, figsize=(8, 5.4), height_ratios=(1, 1))
    widths = {"too sure": 0.5, "right": 1.0, "not sure enough": 1.6}
    for column, (name, width) in zip(axes.T, widths.items(), strict=True):
        drawn = rng.normal(size=(200, 2)) * width
        column[0].scatter(*truths[:200].T, s=6, color=ORANGE, label="truths")
        column[0].scatter(*drawn.T, s=6, color=BLUE, label="hypotheses")
        column[0].set(title=name, xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[])
        column[0].set_aspect("equal")
        centre = np.median(drawn, 0)
        radii = np.quantile(np.linalg.norm(drawn - centre, axis=1), LEVELS)
        inside = np.linalg.norm(truths - centre, axis=1)[:, None] < radii
        error = np.abs(inside.mean(0) - LEVELS).mean()
        column[1].plot([0, 1], [0, 1], color=GREY, linewidth=1)
        column[1].plot(LEVELS, inside.mean(0), color=BLUE)
        column[1].set(xlabel="level of the region", title=f"ECE {error:.2f}")
        column[1].set_aspect("equal")
    axes[0, 0].legend(loc="lower left", fontsize=7)
    axes[1, 0].set_ylabel("share of truths inside")
    save(figure, path)


def response(path: pathlib.Path) -> None:
    """The table of the model card, drawn."""
    card = (HERE / "model_card.md").read_text()
    rows = re.findall(r"^\| (left \w+|head) \|(.*)\|$", card, re.M)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    for name, row in rows:
        numbers = [float(number) for number in re.findall(r"\d+", row)]
        left.plot([2.1, 4, 6, 10], numbers[:4], marker="o", markersize=3, label=name)
        right.plot([2.1, 10], numbers[4:], marker="o", markersize=3)
    left.axhline(90, color=GREY, linewidth=1)
    left.set(xlabel="sigma, heatmap px", ylabel="coverage of 90 %, %", ylim=(0, 100))
    right.set(xlabel="sigma, heatmap px", ylabel="spread, mm", ylim=(0, None))
    left.legend(fontsize=7, loc="lower left", ncols=2)
    save(figure, path)


def save(figure: plt.Figure, path: pathlib.Path) -> None:
    """Writes a picture for pages of any background."""
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    print(f"written: {path}")


if __name__ == "__main__":
    calibration(HERE / "calibration.png")
    response(HERE / "response.png")
