"""The three forms in which users have Human3.6M, each as a stream of recordings.

* The authors' merged pickles, which hold everything.
* Files of 3D poses (``D3_Positions_mono``) and the authors' pickles without 3D.
* Files of 3D poses and fits of one's own detections.

In: the folder of the raw files. Out: for a split, its recordings in order, each read
when its turn comes, and a tally of what was read. Whatever the form, the same data give
the same records. ``forms`` tells which of them a folder has.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from data_builders.files import DataFileError
from data_builders.human36m_lift import cdf, fits, parse, positions, recordings
from data_builders.human36m_lift.recordings import Names
from jaxflow.types import PoseRecords

Subjects = Sequence[str] | None  # None: those of the split as published
Reader = Callable[[], PoseRecords]
_NAMED = 8  # of what is left out


@dataclasses.dataclass
class Tally:
    """What came of a split's raw files.

    Attributes:
      files: what was read, in words.
      gaps: recordings without frames or 3D poses, left out.
      surplus: kept frames of 3D poses that have no detection, dropped from the end.
      short: recordings of which some frames were dropped.
    """

    files: str = ""
    gaps: list[Names] = dataclasses.field(default_factory=list)
    surplus: int = 0
    short: int = 0

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [self.files]
        if self.surplus:
            lines.append(
                f"{self.surplus} surplus frames of 3D poses dropped from the ends of "
                f"{self.short} recordings"
            )
        if self.gaps:
            rest = len(self.gaps) - _NAMED
            named = ", ".join(map(str, self.gaps[:_NAMED]))
            more = f" and {rest} more" if rest > 0 else ""
            lines.append(f"left out, without frames: {named}{more}")
        return lines


class Source(abc.ABC):
    """Raw files of one form.

    Attributes:
      title: of the form, for messages.
      folder: that holds the files.
    """

    title = ""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    @abc.abstractmethod
    def files(self, chosen: dict[str, Subjects]) -> list[pathlib.Path]:
        """All raw files that the splits need.

        Args:
          chosen: subjects of each split.

        Raises:
          DataFileError: files are missing, all of them listed, or a chosen subject is
            not in them.
        """

    @abc.abstractmethod
    def recordings(self, split: str, subjects: Subjects, tally: Tally) -> list[Reader]:
        """Readers of a split's recordings in order; they go on filling the tally.

        Raises:
          DataFileError: see ``files``; the readers raise it for a damaged recording.
        """


class MergedPickles(Source):
    """``trainset_h36m.pickle`` and ``testset_h36m.pickle``."""

    title = "merged pickles"
    pickles = parse.MERGED

    def files(self, chosen: dict[str, Subjects]) -> list[pathlib.Path]:
        """The two pickles; see the base class."""
        return [self.folder / name for name in self.pickles.values()]

    def recordings(self, split: str, subjects: Subjects, tally: Tally) -> list[Reader]:
        """See the base class."""
        entries = self._entries(split, subjects, tally)
        pickles = " and ".join(self._pickles(split, subjects))
        tally.files = f"{len(entries)} recordings of {pickles}"
        return [functools.partial(_read_merged, entry) for entry in entries]

    def _pickles(self, split: str, subjects: Subjects) -> list[str]:
        """Files that a split is read from; chosen subjects may be in either."""
        return list(self.pickles.values()) if subjects else [self.pickles[split]]

    def _entries(
        self, split: str, subjects: Subjects, tally: Tally
    ) -> list[parse.Entry]:
        """A split's recordings that have frames, in order."""
        entries = [
            entry
            for name in self._pickles(split, subjects)
            for entry in parse.entries(self.folder / name)
        ]
        if subjects:
            _require_subjects(self.folder, subjects, {e.names.subject for e in entries})
            entries = [entry for entry in entries if entry.names.subject in subjects]
            entries.sort(key=lambda entry: recordings.names_in_order(entry.names))
            _require_distinct(entries)
        whole = [entry for entry in entries if not self._is_gap(entry)]
        tally.gaps = [entry.names for entry in entries if self._is_gap(entry)]
        return whole

    def _is_gap(self, entry: parse.Entry) -> bool:
        """Whether a recording lacks 3D as it should, or has no frames to lack it for.

        A merged pickle may hold what lacks 3D elsewhere.
        """
        return entry.is_empty or (
            entry.names in recordings.GAPS and "3d_gt" not in entry.content
        )


def _read_merged(entry: parse.Entry) -> PoseRecords:
    return recordings.to_records(entry.names, *parse.merged(entry))


class PicklesAndPositions(MergedPickles):
    """Files of 3D poses and the two pickles without them."""

    title = "3D files and pickles"
    pickles = parse.WITHOUT_3D

    def files(self, chosen: dict[str, Subjects]) -> list[pathlib.Path]:
        """Pickles, then files of 3D poses; see the base class."""
        cdf.require_library()
        entries = [
            entry
            for split, subjects in chosen.items()
            for entry in self._entries(split, subjects, Tally())
        ]
        found = positions.find(self.folder, [entry.names for entry in entries])
        return [*super().files(chosen), *found.values()]

    def recordings(self, split: str, subjects: Subjects, tally: Tally) -> list[Reader]:
        """See the base class."""
        entries = self._entries(split, subjects, tally)
        found = positions.find(self.folder, [entry.names for entry in entries])
        pickles = " and ".join(self._pickles(split, subjects))
        tally.files = (
            f"{len(entries)} recordings of {pickles} and as many files of 3D poses"
        )
        reader = cdf.Reader()
        return [
            functools.partial(_read_joined, entry, found[entry.names], tally, reader)
            for entry in entries
        ]

    def _is_gap(self, entry: parse.Entry) -> bool:
        """The known gaps, and recordings without frames."""
        return entry.is_empty or entry.names in recordings.GAPS


def _read_joined(
    entry: parse.Entry, path: pathlib.Path, tally: Tally, reader: cdf.Reader
) -> PoseRecords:
    found, pose3d = parse.detections(entry), reader.read(path).pose3d
    if len(pose3d) < len(found.frame):
        raise DataFileError(
            f"{path} holds {len(pose3d)} kept frames (every 4th), fewer than the "
            f"{len(found.frame)} of {entry.where}"
        )
    return _as_long(entry.names, pose3d, found, tally)


class FitsAndPositions(Source):
    """Files of 3D poses and fits of one's own."""

    title = "3D files and own fits"

    def files(self, chosen: dict[str, Subjects]) -> list[pathlib.Path]:
        """Files of 3D poses, then of fits; see the base class."""
        cdf.require_library()
        subjects = [n for split in chosen for n in self._subjects(split, chosen[split])]
        of_poses, of_fits = self._find(subjects)
        return [*of_poses.values(), *of_fits.values()]

    def recordings(self, split: str, subjects: Subjects, tally: Tally) -> list[Reader]:
        """See the base class."""
        chosen = self._subjects(split, subjects)
        of_poses, of_fits = self._find(chosen)
        tally.files = f"{len(of_poses)} files of 3D poses and as many of own fits"
        tally.gaps = [
            names for names in sorted(recordings.GAPS) if names.subject in chosen
        ]
        reader = cdf.Reader()
        return [
            functools.partial(_read_fits, names, path, of_fits[names], tally, reader)
            for names, path in of_poses.items()
        ]

    def _subjects(self, split: str, subjects: Subjects) -> list[str]:
        chosen = subjects or recordings.SUBJECTS[split]
        _require_subjects(self.folder, chosen, positions.subjects(self.folder))
        return sorted(chosen, key=recordings.key_in_order)

    def _find(
        self, subjects: Iterable[str]
    ) -> tuple[dict[Names, pathlib.Path], dict[Names, pathlib.Path]]:
        """Files of 3D poses and of fits; refuses unless all of both are there."""
        wanted = [names for name in subjects for names in recordings.all_of(name)]
        of_poses, problems = positions.look(self.folder, wanted)
        of_fits, missing = fits.look(
            self.folder, {names: of_poses.get(names) for names in wanted}
        )
        positions.require_all(
            self.folder,
            2 * len(wanted) - len(of_poses) - len(of_fits),
            2 * len(wanted),
            [*problems, *missing],
        )
        return of_poses, of_fits


def _read_fits(
    names: Names,
    path: pathlib.Path,
    of_fits: pathlib.Path,
    tally: Tally,
    reader: cdf.Reader,
) -> PoseRecords:
    poses = reader.read(path)
    found = fits.read(of_fits, poses.video_frames)
    return _as_long(names, poses.pose3d, found, tally)


def _as_long(
    names: Names, pose3d: np.ndarray, found: recordings.Detections, tally: Tally
) -> PoseRecords:
    """A recording without the 3D poses behind its last detection, which are counted."""
    surplus = len(pose3d) - len(found.frame)
    tally.surplus += surplus
    tally.short += surplus > 0
    return recordings.to_records(names, pose3d[: len(found.frame)], found)


def _require_subjects(
    folder: pathlib.Path, chosen: Iterable[str], known: Iterable[str]
) -> None:
    """Refuses subjects that are not there, naming those that are."""
    known = sorted(known, key=recordings.key_in_order)
    if absent := [name for name in chosen if name not in known]:
        raise DataFileError(
            f"{folder} has no data of {', '.join(absent)}; it has "
            f"{', '.join(known) or 'no subjects'}. A configuration chooses subjects, "
            "for example human36m_lift/train-S1-S5_test-S9"
        )


def _require_distinct(entries: Sequence[parse.Entry]) -> None:
    for one, other in zip(entries, entries[1:], strict=False):
        if one.names == other.names:
            raise DataFileError(f"{one.where} is in {other.where} again")
