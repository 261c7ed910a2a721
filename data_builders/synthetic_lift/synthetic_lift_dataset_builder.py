"""TFDS builder ``synthetic_lift``: simulated people, cameras and 2D detector."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import tensorflow_datasets as tfds

from data_builders import features
from data_builders.lift_builder import Examples, LiftBuilder
from data_builders.simulation.views import TRUE_2D
from data_builders.synthetic_lift import generation
from jaxflow.runs.errors import UserError


@dataclasses.dataclass
class SyntheticConfig(tfds.core.BuilderConfig):
    """How much is generated, from which seed.

    The configuration's name says it all (``seed0-train20000-test2000``), so that sets
    of different make never share a folder.
    """

    name: str = ""
    seed: int = 0
    train_frames: int = 20_000
    test_frames: int = 2_000

    def __post_init__(self) -> None:
        """Names the configuration; refuses what cannot be generated."""
        if self.seed < 0 or self.train_frames < 1 or self.test_frames < 1:
            raise UserError(
                "expected a seed of at least 0 and at least one frame a split; got "
                f"seed {self.seed}, {self.train_frames} training and "
                f"{self.test_frames} test frames"
            )
        self.name = f"seed{self.seed}-train{self.train_frames}-test{self.test_frames}"

    @classmethod
    def from_name(cls, name: str) -> SyntheticConfig:
        """The configuration of a name.

        Raises:
          UserError: no such name.
        """
        match = re.fullmatch(r"seed(\d+)-train(\d+)-test(\d+)", name)
        if match is None:
            raise UserError(
                "expected a synthetic_lift configuration such as "
                f"{SyntheticConfig().name}; got {name!r}"
            )
        seed, train_frames, test_frames = map(int, match.groups())
        return cls(seed=seed, train_frames=train_frames, test_frames=test_frames)


class Builder(LiftBuilder):
    """Poses, views and detections from a seed; nothing is downloaded."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = SyntheticConfig
    BUILDER_CONFIGS = [SyntheticConfig()]
    EXTRA_FEATURES = TRUE_2D

    def splits(self, folder: pathlib.Path) -> dict[str, Examples]:
        """Training and test frames; see the base class."""
        config = self.builder_config
        frames = {"train": config.train_frames, "test": config.test_frames}
        return {split: self._generated(split, count) for split, count in frames.items()}

    def _generated(self, split: str, frames: int) -> Examples:
        records = generation.generate(split, frames, self.builder_config.seed)
        yield from features.examples([records], split, len(records))
