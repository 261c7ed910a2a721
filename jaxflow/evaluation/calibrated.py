"""A checkpoint's model, drawn from as its calibration found best.

    model, calibration.json -> model, temperature

What may have been fitted: the temperature, how much the hypotheses' own differ from it
(`tempered`), and how much wider unsure joints are drawn (`widened`).
"""

from __future__ import annotations

import pathlib

from jaxflow.evaluation import tempered, widened
from jaxflow.flow import calibration_file
from jaxflow.types import Model


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
    spread = calibration_file.spread_of(document, directory)
    factors = calibration_file.factors_of(document, directory, widened.SHAPE)
    if spread:
        model = tempered.of(model, spread)
    if factors is not None:
        model = widened.of(model, factors)
    return model, float(document["temperature"])
