"""What a model is: of the flow, and of the other methods.

Defaults are the released code's; where the paper differs, the help gives the paper's.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from jaxflow.config.options import at_least, option, whole


class SoftClamp(NamedTuple):
    """The bound on log-scales, ``clamp(s) = alpha * factor * arctan(s / alpha)``.

    Attributes:
      alpha: the scale (paper equation 2).
      factor: 2/pi in the paper, so that clamp stays within +-alpha; the released code
        rounds it to 0.636.
    """

    alpha: float = 2.0
    factor: float = 0.636


RELEASED_CLAMP = SoftClamp()
EXACT_CLAMP = SoftClamp(factor=2 / math.pi)


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """Architecture of the conditional flow and its encoder (paper section 4.2)."""

    blocks: int = option(8, "coupling blocks")
    hidden: int = option(1028, "hidden width of the coupling nets (paper: 1024)")
    encoder_hidden: int = option(256, "hidden width of the condition's encoder")
    encoded: int = option(56, "length of the encoded condition")
    exact_clamp: bool = option(
        False, "2/pi in the soft clamp (paper) instead of the released code's 0.636"
    )
    joints: int = option(16, "joints of a pose without its hip")
    condition: int = option(78, "length of the condition")
    use_condition: bool = option(
        True,
        "let the flow see the heatmaps' Gaussians; without, the encoder's first kernel "
        "starts and stays at zero, so that the encoded condition is a learned constant",
        before=True,
    )
    affine_hidden: int = option(
        0,
        "hidden width of the three nets of a conditional affine layer before the "
        "blocks, which gives the hypotheses their width (not the paper's); 0: no such "
        "layer",
        before=0,
    )
    affine_depth: int = option(
        1, "further hidden layers of each of these nets, each a residual", before=1
    )
    affine_symmetric: bool = option(
        False,
        "let that layer know that a mirror exchanges left and right: its nets are "
        "asked for the mirror image, too",
        before=False,
    )

    def __post_init__(self) -> None:
        """Refuses sizes that make no flow."""
        whole(self, "blocks", "hidden", "encoder_hidden", "encoded", "joints")
        whole(self, "condition", "affine_hidden", "affine_depth")
        if self.affine_hidden < 0 or self.affine_hidden and self.condition % 6:
            raise ValueError(
                "affine_hidden must be 0 or more, and the condition then six numbers a "
                f"joint; got {self.affine_hidden} and {self.condition}"
            )
        if self.affine_symmetric and (self.joints, self.condition) != (16, 78):
            raise ValueError(
                "affine_symmetric is of 16 joints and a condition of 78 numbers; got "
                f"{self.joints} and {self.condition}"
            )
        at_least(
            self,
            affine_depth=0,
            blocks=1,
            hidden=1,
            encoder_hidden=1,
            encoded=1,
            condition=1,
        )
        if self.joints < 2 or self.joints % 2:
            raise ValueError(
                "joints must be even, so that a pose splits into two halves, not "
                f"{self.joints}"
            )

    @property
    def clamp(self) -> SoftClamp:
        """The bound on log-scales."""
        return EXACT_CLAMP if self.exact_clamp else RELEASED_CLAMP


@dataclasses.dataclass(frozen=True)
class NetConfig:
    """Architecture of the methods beside the flow; each reads what it has."""

    width: int = option(1024, "hidden width of a net", before=1024)
    depth: int = option(2, "residual blocks of a net, layers of cgnf", before=2)
    dropout: float = option(
        0.5, "share of a net's hidden numbers left out in training", before=0.5
    )
    components: int = option(5, "components of a mixture", before=5)
    steps: int = option(2, "steps from noise to a pose", before=2)
    elbo: bool = option(
        False,
        "of cvae: learn by the evidence lower bound, not by the released loss",
        before=False,
    )
    joint_level: bool = option(
        False, "of graph_mdn: a mixture for each joint, not one of poses", before=False
    )
    winner: bool = option(
        False,
        "of generator: learn by the nearest hypothesis alone, not by the energy score",
        before=False,
    )
    features: int = option(
        2048,
        "random features of the ridge regression that residuals are measured from",
        before=2048,
    )

    def __post_init__(self) -> None:
        """Refuses sizes that make no net."""
        whole(self, "width", "depth", "components", "steps", "features")
        at_least(self, width=1, depth=0, components=1, steps=1, features=1)
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout must be at least 0 and below 1, not {self.dropout}"
            )
