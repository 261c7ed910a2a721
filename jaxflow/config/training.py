"""What decides a training run's trajectory: losses, optimiser, frames, length."""

from __future__ import annotations

import dataclasses
import math

from jaxflow.config.architecture import FlowConfig, NetConfig
from jaxflow.config.options import (
    MOST_HYPOTHESES,
    MOST_SEED,
    at_least,
    at_most,
    finite,
    option,
)


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights and variants of the losses (paper section 3.3).

    A term of weight 0 is not computed, so it costs nothing, and reads 0.
    """

    l2d_weight: float = option(1.0, "weight of L2D, the predicted 2D pose's error")
    gen_weight: float = option(
        1.0,
        "weight of L_gen, the critic's judgement; 0: no critic is trained, an "
        "iteration is the flow's update alone, on the batch that it would have had",
    )
    mmd_weight: float = option(10.0, "weight of L_MMD, the latents' distribution")
    det_weight: float = option(4.0, "weight of L_det, the pose from its own latent")
    best_of_m_weight: float = option(4.0, "weight of L_MB, the best hypotheses' error")
    heatmap_weight: float = option(
        750.0,
        "weight of L_HM, the hypotheses' spread; with this and the other losses of "
        "hypotheses at 0 none are drawn",
    )
    best_k: int = option(5, "hypotheses that L_MB averages; 1 is plain best-of-M")
    unbiased_mmd: bool = option(
        False, "leave the diagonal out of MMD (paper) instead of averaging all pairs"
    )
    mask_needs_both: bool = option(
        False, "L_HM counts joints uncertain along both axes (paper), not along either"
    )
    gradient_penalty_weight: float = option(10.0, "weight of the critic's penalty")
    energy_weight: float = option(
        0.0,
        "weight of the energy score of all hypotheses (proper; not the paper's)",
        before=0.0,
    )

    def __post_init__(self) -> None:
        """Refuses weights and counts without a meaning."""
        at_least(self, best_k=1)
        names = [field.name for field in dataclasses.fields(self)]
        finite(self, *(name for name in names if name.endswith("_weight")))

    @property
    def any_hypotheses(self) -> bool:
        """Whether a loss is on that looks at many hypotheses of a pose."""
        weights = self.best_of_m_weight, self.heatmap_weight, self.energy_weight
        return any(weight > 0 for weight in weights)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam for the flow with its encoder, and for the critic (paper section 4.2)."""

    learning_rate: float = option(
        1e-4, "of the flow and its encoder, or of another method's net"
    )
    critic_learning_rate: float = option(1e-4, "of the critic")
    beta1: float = option(0.5, "decay of Adam's first moment")
    beta2: float = option(0.9, "decay of Adam's second moment")
    epsilon: float = option(1e-8, "Adam's epsilon")
    halve_after_epoch: int = option(150, "epochs after which both rates are halved")
    clip: float = option(
        15.0, "bound on each element of the gradient, unless clip_norm bounds its norm"
    )
    clip_norm: float = option(
        0.0,
        "bound on the norm of the whole gradient, of methods other than the flow; 0: "
        "none",
        before=0.0,
    )
    weight_decay: float = option(
        0.0, "decay of weights, of methods other than the flow", before=0.0
    )
    clip_encoder: bool = option(
        False, "clip the encoder's gradient too (paper); released code: the flow's only"
    )
    warmup: int = option(
        0, "iterations over which both rates grow linearly from 0", before=0
    )
    joint_rate: float = option(
        1.0,
        "share of the learning rate that is left once the affine layer's own stage "
        "(--affine_iterations) is over",
        before=1.0,
    )
    average_decay: float = option(
        0.0,
        "decay per iteration of a running average of the parameters, which "
        "checkpoints then hold for sampling; 0: none",
        before=0.0,
    )

    def __post_init__(self) -> None:
        """Refuses settings without a meaning."""
        finite(self, "learning_rate", "critic_learning_rate", "epsilon")
        finite(self, "clip_norm", "weight_decay", "joint_rate")
        at_least(self, warmup=0, halve_after_epoch=0)
        if not self.clip > 0:
            raise ValueError(f"clip must be above 0, not {self.clip}")
        for name in ("beta1", "beta2", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, not {getattr(self, name)}"
                )


# Fields of `AugmentConfig`, each of which changes frames where it is not 0.
_CHANGES = "turned", "mirrored", "proportions", "recombined", "unsure"


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """What is done to frames before they are trained on (not the paper's)."""

    turned: float = option(
        0.0, "share of frames that are seen from another side", before=0.0
    )
    mirrored: float = option(0.0, "share of frames that are mirrored", before=0.0)
    proportions: float = option(
        0.0,
        "deviation of the logarithm of a person's size, and of each limb's length",
        before=0.0,
    )
    recombined: float = option(
        0.0,
        "share of frames with the arms held as in another frame, and with the legs",
        before=0.0,
    )
    unsure: float = option(
        0.0, "share of joints given an error that their Gaussians tell of", before=0.0
    )
    unsure_least: float = option(0.5, "least deviation of it, heatmap px", before=0.5)
    unsure_most: float = option(12.0, "largest deviation, heatmap px", before=12.0)

    def __post_init__(self) -> None:
        """Refuses what is no share or no range."""
        finite(self, *_CHANGES)
        at_most(self, **dict.fromkeys(_CHANGES, 1))
        if not 0 < self.unsure_least <= self.unsure_most < math.inf:
            raise ValueError("unsure_least must be above 0, unsure_most not below it")

    @property
    def any(self) -> bool:
        """Whether frames are changed at all."""
        return any(getattr(self, name) > 0 for name in _CHANGES)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run's trajectory on given data (paper section 4.2)."""

    method: str = option(
        "flow", "what is trained, by its name in jaxflow.methods", before="flow"
    )
    batch_size: int = option(64, "poses in a batch, over all devices")
    hypotheses: int = option(
        200,
        "L, hypotheses per pose for L_MB, L_HM and the energy score (at most 16 while "
        "the affine layer learns alone)",
    )
    critic_updates: int = option(5, "critic updates per update of the flow")
    critic_hidden: int = option(
        1000, "width of the critic's layers that see the bones", before=1000
    )
    epochs: int = option(155, "passes over the data; see --iterations")
    iterations: int = option(0, "training iterations; 0: as many as --epochs gives")
    seed: int = option(0, "of initial parameters, data order and noise")
    hold_out: str = option(
        "",
        "training subjects, comma-separated, whose frames are not trained on: they are "
        "for validation and jaxflow.calibrate",
        before="",
    )
    flow: FlowConfig = FlowConfig()
    net: NetConfig = option(NetConfig(), "", before={})
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    augment: AugmentConfig = option(AugmentConfig(), "", before={})
    affine_iterations: int = option(
        0,
        "iterations at the start that train the conditional affine layer alone "
        "(--affine_hidden), at a small part of the others' cost",
        before=0,
    )
    affine_likelihood: int = option(
        500,
        "of those iterations, how many at first learn by likelihood, at most a third; "
        "the others by the energy score",
        before=500,
    )

    def __post_init__(self) -> None:
        """Refuses counts that make no iteration, or train what is not there."""
        at_least(self, batch_size=1, critic_updates=1, critic_hidden=1)
        at_least(self, epochs=1, iterations=0, seed=0)
        at_least(self, affine_iterations=0, affine_likelihood=0)
        at_most(self, hypotheses=MOST_HYPOTHESES, seed=MOST_SEED)
        if self.affine_iterations and not self.flow.affine_hidden:
            raise ValueError(
                f"affine_iterations = {self.affine_iterations} trains an affine layer, "
                "but affine_hidden = 0 makes none: set both, or both to 0"
            )
        best_k = self.loss.best_k if self.loss.best_of_m_weight else 0
        if self.hypotheses < max(2, best_k):
            for_best = f" and at least best_k = {best_k}" if best_k else ""
            raise ValueError(
                f"hypotheses must be at least 2 (for a covariance){for_best}, not "
                f"{self.hypotheses}"
            )

    @property
    def held_out(self) -> tuple[str, ...]:
        """The subjects that are not trained on."""
        return tuple(name.strip() for name in self.hold_out.split(",") if name.strip())

    @property
    def batches_per_iteration(self) -> int:
        """Real and fake batch of every critic update, and the flow's: 11."""
        return 2 * self.critic_updates + 1

    @property
    def frames_per_iteration(self) -> int:
        """Data-set frames that one iteration consumes."""
        return self.batches_per_iteration * self.batch_size
