"""Named groups of settings: training recipes, and the paper's ablations.

    TrainConfig, presets -> TrainConfig with the presets' values

A preset names fields of `TrainConfig` or of the configurations within it; no two of
these share a field's name, so neither presets nor flags have to say which they mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxflow.config import TrainConfig


class Preset(NamedTuple):
    """A group of settings.

    Attributes:
      text: one line that says what it stands for.
      values: by the names of the fields.
    """

    text: str
    values: Mapping[str, Any]


# Weights and rates that belong together.
RECIPES: Mapping[str, Preset] = {
    "paper": Preset("the released code's", {}),
    # Found on held-out subjects of real motion capture; BUILD_NOTES.md has what was
    # tried. The affine layer and the joints less surely seen make hypotheses as wide
    # as the detector is unsure.
    "sharp": Preset(
        "a conditional Gaussian under the flow, trained first; poses turned and "
        "mirrored, limbs held as in other frames, people of other proportions, some "
        "joints less surely seen; the energy score in place of L_MB, less of L_det, a "
        "higher rate for the flow after a warm-up, and an average of its parameters to "
        "sample with",
        {
            "affine_hidden": 512,
            "affine_depth": 2,
            "affine_symmetric": True,
            "affine_iterations": 10000,
            "unsure": 0.14,
            "turned": 0.8,
            "mirrored": 0.5,
            "proportions": 0.05,
            "recombined": 0.3,
            "energy_weight": 16.0,
            "best_of_m_weight": 0.0,
            "det_weight": 1.0,
            "learning_rate": 5e-4,
            "joint_rate": 0.2,
            "warmup": 200,
            "average_decay": 0.998,
        },
    ),
}
# Rows of the paper's Table 4 (section 4.6). Each takes one thing from the full model.
ABLATIONS: Mapping[str, Preset] = {
    "full": Preset("the whole model", {}),
    "no_condition": Preset(
        "the flow does not see the heatmaps' Gaussians", {"use_condition": False}
    ),
    "no_heatmap": Preset("without L_HM", {"heatmap_weight": 0.0}),
    "no_gen": Preset("without L_gen and its critic", {"gen_weight": 0.0}),
    "no_best_of_m": Preset("without L_MB", {"best_of_m_weight": 0.0}),
    "k1": Preset("L_MB of the best hypothesis alone", {"best_k": 1}),
    "k10": Preset("L_MB of the 10 best", {"best_k": 10}),
    "k50": Preset("L_MB of the 50 best", {"best_k": 50}),
}


def apply(config: TrainConfig, *presets: Preset) -> TrainConfig:
    """The configuration with the presets' values; a later preset wins.

    Raises:
      ValueError: the values make no sense together with the rest.
    """
    values = {
        name: value for preset in presets for name, value in preset.values.items()
    }
    return _replaced(config, values)


def _replaced(config: Any, values: Mapping[str, Any]) -> Any:
    """The dataclass with new values for its own fields and those of the ones within."""
    changes = {}
    for field in dataclasses.fields(config):
        present = getattr(config, field.name)
        if dataclasses.is_dataclass(present):
            changes[field.name] = _replaced(present, values)
        elif field.name in values:
            changes[field.name] = values[field.name]
    return dataclasses.replace(config, **changes)


def describe(presets: Mapping[str, Preset]) -> str:
    """``name: text; name: text``, for a flag's help."""
    return "; ".join(f"{name}: {preset.text}" for name, preset in presets.items())
