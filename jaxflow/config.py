"""Hyper-parameters as frozen, hashable dataclasses: static arguments of jit.

Each field carries its own help text, from which the commands make their flags, so a
parameter is described once. Defaults are the released code's values, from which the
published tables come; where the paper differs, the help gives the paper's value.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple


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


def option(default: Any, text: str, **added: Any) -> Any:
    """A dataclass field with its help text.

    ``before=VALUE`` is for a field that was added later: what a configuration means
    that was stored without it (`runs.plain_config.from_dict`). ``path=True`` is for a
    file or folder.
    """
    return dataclasses.field(default=default, metadata={"help": text, **added})


def at_least(owner: Any, /, **least: int) -> None:
    """Refuses an owner one of whose attributes, by name, lies below its least value.

    Raises:
      ValueError: names the first that does, and says what was expected and what came.
    """
    for name, value in least.items():
        if (actual := getattr(owner, name)) < value:
            raise ValueError(f"{name} must be at least {value}, not {actual}")


def at_most(owner: Any, /, **most: int) -> None:
    """The same of greatest values."""
    for name, value in most.items():
        if (actual := getattr(owner, name)) > value:
            raise ValueError(f"{name} must be at most {value}, not {actual}")


def finite(owner: Any, /, *names: str) -> None:
    """The same of numbers that must be 0 or more, and finite."""
    for name in names:
        value = getattr(owner, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be 0 or more and finite, not {value}")


# What is drawn for a pose at a time; more than this takes gigabytes.
MOST_HYPOTHESES = 100_000
MOST_SEED = 2**31 - 1


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
        "hidden width of the two nets of a conditional affine layer before the blocks, "
        "which gives the hypotheses their width (not the paper's); 0: no such layer",
        before=0,
    )

    def __post_init__(self) -> None:
        """Refuses sizes that make no flow."""
        if self.affine_hidden < 0 or self.affine_hidden and self.condition % 6:
            raise ValueError(
                "affine_hidden must be 0 or more, and the condition then six numbers a "
                f"joint; got {self.affine_hidden} and {self.condition}"
            )
        at_least(self, blocks=1, hidden=1, encoder_hidden=1, encoded=1, condition=1)
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

    learning_rate: float = option(1e-4, "of the flow and its encoder")
    critic_learning_rate: float = option(1e-4, "of the critic")
    beta1: float = option(0.5, "decay of Adam's first moment")
    beta2: float = option(0.9, "decay of Adam's second moment")
    epsilon: float = option(1e-8, "Adam's epsilon")
    halve_after_epoch: int = option(150, "epochs after which both rates are halved")
    clip: float = option(15.0, "bound on each element of the flow's gradient")
    clip_encoder: bool = option(
        False, "clip the encoder's gradient too (paper); released code: the flow's only"
    )
    warmup: int = option(
        0, "iterations over which both rates grow linearly from 0", before=0
    )
    average_decay: float = option(
        0.0,
        "decay per iteration of a running average of the flow's parameters, which "
        "checkpoints then hold for sampling; 0: none",
        before=0.0,
    )

    def __post_init__(self) -> None:
        """Refuses settings without a meaning."""
        finite(self, "learning_rate", "critic_learning_rate", "epsilon")
        at_least(self, warmup=0, halve_after_epoch=0)
        if not self.clip > 0:
            raise ValueError(f"clip must be above 0, not {self.clip}")
        for name in ("beta1", "beta2", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, not {getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """What is done to frames before they are trained on (not the paper's)."""

    turned: float = option(
        0.0, "share of frames that are seen from another side", before=0.0
    )
    mirrored: float = option(0.0, "share of frames that are mirrored", before=0.0)
    unsure: float = option(
        0.0, "share of joints given an error that their Gaussians tell of", before=0.0
    )
    unsure_least: float = option(0.5, "least deviation of it, heatmap px", before=0.5)
    unsure_most: float = option(12.0, "largest deviation, heatmap px", before=12.0)

    def __post_init__(self) -> None:
        """Refuses what is no share or no range."""
        finite(self, "turned", "mirrored", "unsure")
        at_most(self, turned=1, mirrored=1, unsure=1)
        if not 0 < self.unsure_least <= self.unsure_most < math.inf:
            raise ValueError("unsure_least must be above 0, unsure_most not below it")

    @property
    def any(self) -> bool:
        """Whether frames are changed at all."""
        return max(self.turned, self.mirrored, self.unsure) > 0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run's trajectory on given data (paper section 4.2)."""

    method: str = option(
        "flow", "what is trained, by its name in jaxflow.methods", before="flow"
    )
    batch_size: int = option(64, "poses in a batch, over all devices")
    hypotheses: int = option(200, "L, hypotheses per pose for L_MB and L_HM")
    critic_updates: int = option(5, "critic updates per update of the flow")
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
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    augment: AugmentConfig = option(AugmentConfig(), "", before={})
    affine_iterations: int = option(
        0,
        "iterations at the start that train the conditional affine layer alone "
        "(--affine_hidden), at a small part of the others' cost",
        before=0,
    )

    def __post_init__(self) -> None:
        """Refuses counts that make no iteration."""
        at_least(self, batch_size=1, critic_updates=1, epochs=1, iterations=0, seed=0)
        at_most(self, hypotheses=MOST_HYPOTHESES, seed=MOST_SEED)
        best_k = self.loss.best_k if self.loss.best_of_m_weight else 0
        if self.hypotheses < max(2, best_k):
            raise ValueError(
                "hypotheses must be at least 2 (for a covariance) and at least "
                f"best_k = {self.loss.best_k}, not {self.hypotheses}"
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


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where poses come from."""

    dataset: str = option("synthetic_lift", "TFDS builder of data_builders/")
    data_dir: str = option(
        "",
        "where built data sets lie; default: $TFDS_DATA_DIR or ~/tensorflow_datasets",
        path=True,
    )
    manual_dir: str = option(
        "", "raw files that a builder without download needs", path=True
    )


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How a run is watched and saved; without influence on its result."""

    log_every: int = option(50, "iterations between log lines")
    checkpoint_every: int = option(500, "iterations between checkpoints")
    keep: int = option(3, "newest checkpoints kept")
    keep_best: bool = option(
        False,
        "save at every validation, and keep the checkpoint with the lowest validation "
        "MPJPE of the best hypothesis beside the newest ones",
    )
    validate_every: int = option(1000, "iterations between validations; 0: none")
    validation_frames: int = option(
        256,
        "frames of a validation, evenly spaced: the subjects' held out of training "
        "(--hold_out), or else the test set's",
    )
    validation_hypotheses: int = option(50, "hypotheses per frame of a validation")
    devices: int = option(0, "devices to use in each process; 0: all of them")
    heartbeat: int = option(
        30, "seconds between progress lines where the output is no terminal"
    )
    profile: str = option(
        "",
        "folder for a trace of some steady iterations, which TensorBoard and "
        "ui.perfetto.dev open; none if empty",
        path=True,
    )

    def __post_init__(self) -> None:
        """Refuses intervals that never come."""
        at_least(self, log_every=1, checkpoint_every=1, keep=1, heartbeat=1)
        at_least(self, validation_frames=1, validation_hypotheses=1)
        at_most(self, validation_hypotheses=MOST_HYPOTHESES)
        finite(self, "validate_every", "devices")
        if self.keep_best and not self.validate_every:
            raise ValueError("keep_best needs validations: set validate_every")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A whole training run."""

    train: TrainConfig = TrainConfig()
    data: DataConfig = DataConfig()
    loop: LoopConfig = LoopConfig()
