"""A checkpoint's model, drawn from as its calibration found best.

    model, calibration.json -> model, temperature

What may have been fitted: the temperature, how much the hypotheses' own differ from it
(`tempered`), and how much wider unsure joints are drawn (`widened`). Between these two
limbs may be held (`limbs`); an unsure joint, drawn wider, lengthens its limb again.
"""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

from jaxflow.evaluation import limbs, tempered, widened
from jaxflow.flow import calibration_file
from jaxflow.types import Model


class Applied(NamedTuple):
    """What of a calibration a model is drawn with, beside the temperature.

    Attributes:
      spread: how much the hypotheses' own temperatures differ, see `tempered`; else 0.
      widths: whether unsure joints are drawn wider, see `widened`.
      limbs_kept: share of how much limbs' proportions differ that is kept, see
        `limbs`; else 1.
    """

    spread: float = 0.0
    widths: bool = False
    limbs_kept: float = 1.0

    @classmethod
    def to(cls, model: Any) -> Applied:
        """What stands around a model."""
        found = cls()
        while model is not None:
            if isinstance(model, tempered.Tempered):
                found = found._replace(spread=round(float(model.spread), 6))
            if isinstance(model, widened.Widened):
                found = found._replace(widths=True)
            if isinstance(model, limbs.Held):
                found = found._replace(limbs_kept=round(float(model.kept), 6))
            model = getattr(model, "model", None)
        return found

    def __str__(self) -> str:
        """A few words that follow the temperature; nothing where there is nothing."""
        parts = [f"tails (spread {self.spread:g})"] if self.spread else []
        parts += [f"limbs held ({self.limbs_kept:g} kept)"] * (self.limbs_kept < 1)
        parts += ["widths"] if self.widths else []
        if len(parts) > 1:
            parts[-2:] = [" and ".join(parts[-2:])]
        return f", with {', '.join(parts)}" if parts else ""


def around(
    model: Model, spread: float = 0.0, limbs_kept: float = 1.0, factors: Any = None
) -> Model:
    """A model drawn from in these ways, or itself.

    Args:
      model: any.
      spread: of `tempered`; 0 for none.
      limbs_kept: of `limbs`; 1 for limbs as they are drawn.
      factors: of `widened`; None for none.
    """
    if spread:
        model = tempered.of(model, spread)
    if limbs_kept < 1:
        model = limbs.of(model, limbs_kept)
    return model if factors is None else widened.of(model, factors)


def calibrated(
    model: Model, directory: str | pathlib.Path, wanted: str | float
) -> tuple[Model, float]:
    """A checkpoint's model as a command was asked to draw from it.

    Args:
      model: that the checkpoint holds.
      directory: of the checkpoint.
      wanted: a temperature, as `calibration_file.resolve` takes it. With "fitted" and
        "auto" all counts that was fitted; with a number the model is as it was trained.

    Returns:
      The model, and the temperature.

    Raises:
      UserError: as `calibration_file.resolve`.
    """
    document = None
    if wanted == calibration_file.AUTO:
        document = calibration_file.load(directory)
    elif wanted == calibration_file.FITTED:
        document = calibration_file.fitted(directory)
    if document is None:
        return model, calibration_file.resolve(directory, wanted)
    spread = calibration_file.number_of(document, "temperature_spread", directory)
    kept = calibration_file.number_of(document, "limbs_kept", directory)
    factors = calibration_file.factors_of(document, directory, widened.SHAPE)
    return around(model, spread, kept, factors), float(document["temperature"])
