"""Where a run's data are, and how it is watched: without influence on its result."""

from __future__ import annotations

import dataclasses

from jaxflow.config.options import (
    MOST_HYPOTHESES,
    at_least,
    at_most,
    finite,
    one_of_choices,
    option,
)
from jaxflow.config.training import TrainConfig


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where poses come from."""

    dataset: str = option(
        "synthetic_lift",
        "TFDS builder of data_builders/; several with commas between are one data set",
    )
    data_dir: str = option(
        "",
        "where built data sets lie; default: $TFDS_DATA_DIR or ~/tensorflow_datasets",
        path=True,
    )
    manual_dir: str = option(
        "", "raw files that a builder without download needs", path=True
    )

    def __post_init__(self) -> None:
        """One name for the same sets, however spaces stand between them."""
        names = ",".join(part.strip() for part in self.dataset.split(","))
        object.__setattr__(self, "dataset", names)


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How a run is watched and saved, and when it ends early."""

    log_every: int = option(50, "iterations between log lines")
    checkpoint_every: int = option(500, "iterations between checkpoints")
    keep: int = option(3, "newest checkpoints kept")
    keep_best: bool = option(
        False,
        "save at every validation, and keep the checkpoint whose hypotheses have the "
        "lowest energy score beside the newest ones; other commands then take it, "
        "training goes on from the newest",
    )
    validate_every: int = option(1000, "iterations between validations; 0: none")
    patience: int = option(
        0,
        "end the run when so many validations in a row brought no lower energy score; "
        "0: train all iterations",
    )
    validation_frames: int = option(
        256,
        "frames of a validation, evenly spaced: the subjects' held out of training "
        "(--hold_out), or else the test set's",
    )
    validation_hypotheses: int = option(50, "hypotheses per frame of a validation")
    devices: int = option(0, "devices to use in each process; 0: all of them")
    stream: str = option(
        "auto",
        "never: all training frames lie on the device; always: they are read from "
        "their files shortly before their iteration, so that neither the device nor "
        "this machine holds them all; auto: the first where there is room to spare, "
        "said in the first line. The result is the same to the bit",
        choices=("auto", "always", "never"),
    )
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
        at_least(self, validation_frames=1, validation_hypotheses=2)
        at_most(self, validation_hypotheses=MOST_HYPOTHESES)
        finite(self, "validate_every", "devices")
        at_least(self, patience=0)
        one_of_choices(self)
        for name in ("keep_best", "patience"):
            if getattr(self, name) and not self.validate_every:
                raise ValueError(f"{name} needs validations: set validate_every")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A whole training run."""

    train: TrainConfig = TrainConfig()
    data: DataConfig = DataConfig()
    loop: LoopConfig = LoopConfig()
