"""Which cameras, subjects and test frames a prepared set holds.

A configuration's name says all of it, so that sets of different make never share a
folder: ``every64``, ``ambiguous``, ``train-S1-S5_test-S9``,
``train-S1-S5_test-S9_every64``, and ``wild``, ``wild-seed1-views2``, ``studio``,
``studio-seed1`` or ``centred`` alone or before any of these. Without a configuration:
the recordings' own cameras, all frames, subjects as published.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from data_builders.simulation import pictures
from jaxflow.gaussians.ellipses import AMBIGUOUS_SIGMA
from jaxflow.runs.errors import UserError
from jaxflow.types import PoseRecords

# Every 16th test frame of an action: every 64th video frame (paper section 4.1).
PROTOCOL_STRIDE = 16

_CAMERAS = re.compile(
    r"(?P<cameras>wild|studio|centred)(?:-seed(?P<seed>\d{1,18}))?"
    r"(?:-views(?P<views>[1-9]\d{0,3}))?(?:_(?=.)|$)"
)
# What may stand behind the cameras.
_PARTS = {"wild": {"seed", "views"}, "studio": {"seed"}, "centred": set[str]()}
_NAME = re.compile(
    r"(?:train(?P<train>(?:-[A-Za-z0-9]+)+)_test(?P<test>(?:-[A-Za-z0-9]+)+)"
    r"(?:_(?P<also>every64|ambiguous))?|(?P<only>every64|ambiguous)|)"
)
_EXPECTED = (
    "expected a human36m_lift configuration: every64 (test: every 64th video frame), "
    "ambiguous (test: ambiguous frames), subjects such as train-S1-S5_test-S9, or "
    "these with _every64 or _ambiguous behind; wild or wild-seed1-views2 for pictures "
    "as anybody takes them, studio or studio-seed1 for another studio's, centred for "
    "their own cameras turned to the crops, alone or with _ before any of these; none "
    "for all frames of all subjects"
)


@dataclasses.dataclass(eq=False)
class Human36mConfig(tfds.core.BuilderConfig):
    """A choice of cameras, subjects and test frames.

    Attributes:
      name: says all; empty for the default.
      cameras: "own", the recordings'; "centred", the same, turned to look at the crop;
        "wild", as anybody takes pictures; "studio", four others, before one of which
        each pose is.
      seed: of everything random, where the cameras are not the recordings'.
      views: pictures of each pose, where wild.
      subjects: of the splits "train" and "test"; none where they are those that the
        raw files have.
      test_frames: "all", "every64" or "ambiguous".
    """

    name: str = ""
    cameras: str = "own"
    seed: int = 0
    views: int = 1
    subjects: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    test_frames: str = "all"

    def __post_init__(self) -> None:
        """Sets of pictures have a version of their own."""
        if self.cameras == "wild":
            self.version = pictures.VERSION
            self.release_notes = pictures.RELEASE_NOTES

    @classmethod
    def from_name(cls, name: str) -> Human36mConfig:
        """The configuration of a name.

        Raises:
          UserError: no such name, or a subject twice.
        """
        seen = _CAMERAS.match(name)
        rest = name[seen.end() :] if seen else name
        match = _NAME.fullmatch(rest)
        said = {part for part in ("seed", "views") if seen and seen[part]}
        if match is None or not name or (seen and said - _PARTS[seen["cameras"]]):
            raise UserError(f"{_EXPECTED}; got {name!r}")
        subjects = {
            split: tuple(match[split][1:].split("-"))
            for split in ("train", "test")
            if match[split]
        }
        counts = Counter(subject for chosen in subjects.values() for subject in chosen)
        if twice := [subject for subject, count in counts.items() if count > 1]:
            raise UserError(
                f"expected each subject once; got {', '.join(twice)} twice in {name!r}"
            )
        cameras = seen["cameras"] if seen else "own"
        seed = int((seen and seen["seed"]) or 0)
        views = int((seen and seen["views"]) or 1)
        by = cameras + f"-seed{seed}" * (seed > 0) + f"-views{views}" * (views > 1)
        return cls(
            name="_".join(filter(None, (by if seen else "", rest))),
            cameras=cameras,
            seed=seed,
            views=views,
            subjects=subjects,
            test_frames=match["also"] or match["only"] or "all",
        )

    @property
    def protocol_stride(self) -> int:
        """Every how many frames of the test split the protocol counts."""
        return PROTOCOL_STRIDE if self.test_frames == "all" else 1

    def choose_test(self, stream: Iterator[PoseRecords]) -> Iterator[PoseRecords]:
        """The test frames of this configuration.

        Args:
          stream: recordings in the set's order, each of one action.
        """
        if self.test_frames == "every64":
            return every_nth_per_action(stream, PROTOCOL_STRIDE)
        if self.test_frames == "ambiguous":
            return (records.take(_ambiguous(records)) for records in stream)
        return stream


def every_nth_per_action(
    stream: Iterator[PoseRecords], stride: int
) -> Iterator[PoseRecords]:
    """Every ``stride``-th frame of each action, its recordings joined first.

    Gives what ``jaxflow.data.every_nth_per_action`` takes of the joined records.
    """
    seen: Counter[str] = Counter()
    for records in stream:
        action = str(records.action[0])
        first = -seen[action] % stride
        seen[action] += len(records)
        yield records.take(slice(first, None, stride))


def _ambiguous(records: PoseRecords) -> np.ndarray:
    """As ``gaussians.is_ambiguous``, which would compile anew for each length."""
    sigma = np.abs(records.gaussfit[..., [3, 5]])
    return (sigma > AMBIGUOUS_SIGMA).any(axis=(1, 2))
