"""Which cameras see the motion, and whose is for testing.

A configuration's name says all of it, so that sets of different make never share a
folder: ``seed0`` and ``seed0-test3+5`` before the studio's cameras, ``wild`` and
``wild-seed1-views4-test3+5`` in pictures as anybody takes them. What a ``wild`` name
leaves out is as in ``wild`` itself.
"""

from __future__ import annotations

import dataclasses
import re

import tensorflow_datasets as tfds

from data_builders.simulation import pictures
from jaxflow.runs.errors import UserError

WILD_TEST_SUBJECTS: tuple[int, ...] = (3, 5, 9)
WILD_VIEWS = 6  # pictures of each pose

_TEST = r"(?:-test(?P<test>\d+(?:\+\d+)*))?"
_STUDIO_NAME = re.compile(rf"seed(?P<seed>\d{{1,18}}){_TEST}")
_WILD_NAME = re.compile(
    rf"wild(?:-seed(?P<seed>\d{{1,18}}))?(?:-views(?P<views>\d{{1,4}}))?{_TEST}"
)


@dataclasses.dataclass
class CmuConfig(tfds.core.BuilderConfig):
    """Cameras, seed and test subjects, from which the name is made.

    Attributes:
      name: says the rest.
      seed: of everything random.
      wild: pictures as anybody takes them, not the studio's four cameras.
      views: pictures of each pose, where wild; the studio has one.
      test_subjects: numbers of the test split, in order; none for the default, which
        is every eighth subject in the studio.
    """

    name: str = ""
    seed: int = 0
    wild: bool = False
    views: int = WILD_VIEWS
    test_subjects: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Names the configuration; refuses what cannot be made."""
        if self.seed < 0 or self.views < 1:
            raise UserError(
                "expected a seed of at least 0 and at least one view; got seed "
                f"{self.seed}, {self.views} views"
            )
        default = WILD_TEST_SUBJECTS if self.wild else ()
        self.test_subjects = tuple(sorted({*self.test_subjects})) or default
        parts = ["wild"] if self.wild else [f"seed{self.seed}"]
        if self.wild and self.seed:
            parts.append(f"seed{self.seed}")
        if self.wild and self.views != WILD_VIEWS:
            parts.append(f"views{self.views}")
        if self.test_subjects != default:
            parts.append(f"test{'+'.join(map(str, self.test_subjects))}")
        self.name = "-".join(parts)
        if self.wild:
            self.version = pictures.VERSION
            self.release_notes = pictures.RELEASE_NOTES

    @classmethod
    def from_name(cls, name: str) -> CmuConfig:
        """The configuration of a name.

        Raises:
          UserError: no such name.
        """
        match = _STUDIO_NAME.fullmatch(name) or _WILD_NAME.fullmatch(name)
        if match is None:
            raise UserError(
                "expected a cmu_mocap_lift configuration such as seed0, "
                "seed0-test3+5, wild or wild-seed1-views4-test3+5; got "
                f"{name!r}"
            )
        found = match.groupdict()
        tested = (found["test"] or "").split("+")
        return cls(
            seed=int(found["seed"] or 0),
            wild=name.startswith("wild"),
            views=int(found.get("views") or WILD_VIEWS),
            test_subjects=tuple(int(number) for number in tested if number),
        )

    @property
    def split_rule(self) -> str:
        """Which subjects are the test split, in words."""
        if not self.test_subjects:
            return "subjects 8, 16, 24, ... are the test split"
        named = ", ".join(map(str, self.test_subjects))
        return f"test subjects: {named}"
