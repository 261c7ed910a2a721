"""Hyper-parameters as frozen, hashable dataclasses: static arguments of jit.

Defaults are the released code's values, from which the published tables come; where the
paper differs, the field's comment gives the paper's value (METHOD, last table).
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple


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
    """Architecture of the conditional flow and its encoder (METHOD section 4)."""

    joints: int = 16  # J: poses have 3 J numbers, 2 J of them observed, J latent
    condition: int = 78  # K, length of the condition
    blocks: int = 8
    hidden: int = 1028  # paper: 1024
    encoder_hidden: int = 256
    encoded: int = 56
    clamp: SoftClamp = RELEASED_CLAMP  # paper: EXACT_CLAMP

    def __post_init__(self) -> None:
        """Refuses sizes that make no flow."""
        for field in ("blocks", "hidden", "encoder_hidden", "encoded", "condition"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"FlowConfig.{field} must be at least 1, not {getattr(self, field)}"
                )
        if self.joints < 2 or self.joints % 2:
            raise ValueError(
                "FlowConfig.joints must be even, so that the pose splits into two "
                f"halves, not {self.joints}"
            )


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights and variants of the losses (paper section 3.3, METHOD section 6)."""

    l2d_weight: float = 1.0
    mmd_weight: float = 10.0
    det_weight: float = 4.0
    gen_weight: float = 1.0
    best_of_m_weight: float = 4.0
    heatmap_weight: float = 750.0
    best_k: int = 5
    unbiased_mmd: bool = False  # paper: True
    mask_needs_both: bool = False  # paper: True, both sigmas above the threshold
    gradient_penalty_weight: float = 10.0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam for the flow with its encoder, and for the critic (METHOD section 7)."""

    learning_rate: float = 1e-4
    critic_learning_rate: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.9
    epsilon: float = 1e-8
    halve_after_epoch: int = 150
    clip: float = 15.0  # per element
    clip_encoder: bool = False  # paper: True


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run's trajectory (METHOD section 7)."""

    flow: FlowConfig = FlowConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: int = 64
    hypotheses: int = 200
    critic_updates: int = 5
    epochs: int = 155
    iterations: int = 0  # 0: as many as `epochs` needs
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses counts that make no iteration."""
        for field in ("batch_size", "critic_updates", "epochs"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"{field} must be at least 1, not {getattr(self, field)}"
                )
        if self.hypotheses < max(2, self.loss.best_k):
            raise ValueError(
                "hypotheses must be at least 2 (for a covariance) and at least "
                f"best_k = {self.loss.best_k}, not {self.hypotheses}"
            )

    @property
    def batches_per_iteration(self) -> int:
        """Real and fake batch of every critic update, and the flow's: 11."""
        return 2 * self.critic_updates + 1

    @property
    def frames_per_iteration(self) -> int:
        """Data-set frames that one iteration consumes."""
        return self.batches_per_iteration * self.batch_size
