"""Which file of 3D poses answers which recording.

Human3.6M's files lie in one folder ``D3_Positions_mono`` a subject and are named after
the videos, by habits that changed between subjects: "Walking.54138969.cdf", "Walking
1.54138969.cdf", "TakingPhoto 2...", "WalkingDog...". The rule behind them: a subject
records each action twice. Where one of the two has no number, it is subaction 0 and its
numbered partner subaction 1. Where both have one, the higher number is subaction 0.
"""

from __future__ import annotations

import pathlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from data_builders.files import DataFileError
from data_builders.human36m_lift import recordings
from data_builders.human36m_lift.recordings import Names
from jaxflow.runs.errors import UserError

# Where a subject's files may lie, seen from the folder of all subjects.
PLACES = ("{}/MyPoseFeatures/D3_Positions_mono", "{}/D3_Positions_mono")

# "Walking 1.54138969.cdf"; the number is that of the take.
_FILE = re.compile(
    r"(?P<action>[A-Za-z]+)( (?P<number>\d{1,6}))?\.(?P<camera>\d+)\.cdf"
)
_OTHER_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}

Number = int | None  # of a take, None where its files have none


class _File(NamedTuple):
    path: pathlib.Path
    stem: str  # as the file spells the action, with the number
    action: str
    number: Number
    camera: str


def subjects(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Folder of 3D poses of each subject that has one, in order of subjects."""
    found = {}
    for folder in root.iterdir() if root.is_dir() else ():
        places = (root / place.format(folder.name) for place in PLACES)
        place = next((place for place in places if place.is_dir()), None)
        if place is not None:
            found[folder.name] = place
    return {name: found[name] for name in sorted(found, key=recordings.key_in_order)}


def find(root: pathlib.Path, wanted: Collection[Names]) -> dict[Names, pathlib.Path]:
    """The file of each recording.

    Args:
      root: folder of the subjects' folders S1, S5, ...
      wanted: recordings.

    Raises:
      DataFileError: files are missing, or cannot be told apart; the message lists all
        of them.
    """
    found, problems = look(root, wanted)
    require_all(root, len(wanted) - len(found), len(wanted), problems)
    return found


def look(
    root: pathlib.Path, wanted: Collection[Names]
) -> tuple[dict[Names, pathlib.Path], list[str]]:
    """The files that are there, and a line for each that is not.

    Args:
      root: folder of the subjects' folders.
      wanted: recordings.
    """
    folders = subjects(root)
    found: dict[Names, pathlib.Path] = {}
    problems: list[str] = []
    for subject in dict.fromkeys(names.subject for names in wanted):
        of_subject = [names for names in wanted if names.subject == subject]
        if subject in folders:
            _find_subject(folders[subject], of_subject, found, problems)
        else:
            place = root / PLACES[0].format(subject)
            problems.append(f"{place}: the folder, {len(of_subject)} files of it")
    return found, problems


def require_all(
    root: pathlib.Path, missing: int, wanted: int, lines: Collection[str]
) -> None:
    """Refuses a folder in which files are missing.

    Raises:
      DataFileError: with a line for each of them.
    """
    if lines:
        raise DataFileError(
            f"{root} lacks, or does not tell apart, {missing} of the {wanted} files "
            "that are needed:" + "".join(f"\n  {line}" for line in lines)
        )


def _find_subject(
    folder: pathlib.Path,
    wanted: Iterable[Names],
    found: dict[Names, pathlib.Path],
    problems: list[str],
) -> None:
    """Adds one subject's files to ``found`` and what is amiss to ``problems``."""
    takes = _takes(folder)
    by_action: dict[str, list[Names]] = defaultdict(list)
    for names in wanted:
        by_action[names.action].append(names)
    for action, of_action in by_action.items():
        try:
            numbers = numbers_of_subactions(takes[action])
        except ValueError as error:
            problems.append(f"{folder}/{action}*.cdf: {error}")
            if len(takes[action]) == 1:  # its partner is missing
                (only,) = takes[action].values()
                problems += _lone(folder, only, of_action)
            continue
        for names in of_action:
            if names.subaction not in numbers:
                problems.append(
                    f"{folder}/{action}*.{names.camera}.cdf: subaction "
                    f"{names.subaction}"
                )
                continue
            files = takes[action][numbers[names.subaction]]
            if names.camera in files:
                found[names] = files[names.camera].path
            else:
                stem = next(iter(files.values())).stem
                problems.append(f"{folder / stem}.{names.camera}.cdf")


def _lone(
    folder: pathlib.Path, files: dict[str, _File], wanted: Iterable[Names]
) -> list[str]:
    """A line for each file that is missing beside those of the only take."""
    stem = next(iter(files.values())).stem
    action = stem.split(" ")[0]
    cameras = dict.fromkeys(names.camera for names in wanted)
    of_take = [f"{folder / stem}.{c}.cdf" for c in cameras if c not in files]
    return of_take + [
        f"{folder / action}*.{camera}.cdf: beside {stem}.{camera}.cdf"
        for camera in cameras
    ]


def _takes(folder: pathlib.Path) -> dict[str, dict[Number, dict[str, _File]]]:
    """Files of a folder by action, number of the take, and camera."""
    takes: dict[str, dict[Number, dict[str, _File]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for file in _files(folder):
        cameras = takes[file.action][file.number]
        if file.camera in cameras:
            raise DataFileError(
                f"{folder}: {cameras[file.camera].path.name} and {file.path.name} are "
                "the same recording"
            )
        cameras[file.camera] = file
    return takes


def _files(folder: pathlib.Path) -> Iterator[_File]:
    """The files that are named like a video; those of all actions (_ALL) are not."""
    for path in sorted(folder.iterdir()):
        if match := _FILE.fullmatch(path.name):
            action, number = match["action"], match["number"]
            yield _File(
                path=path,
                stem=path.name.split(".")[0],
                action=_OTHER_NAMES.get(action, action),
                number=None if number is None else int(number),
                camera=match["camera"],
            )


def numbers_of_subactions(numbers: Collection[Number]) -> dict[str, Number]:
    """The take's number of each subaction.

    Args:
      numbers: that a subject's files of one action have. Of a take without a number
        alone it is known that it is subaction 0.

    Raises:
      UserError: a lone numbered take, which may be either; or more than two takes.
    """
    numbered = sorted(number for number in numbers if number is not None)
    if len(numbers) > 2:
        raise UserError(f"expected two takes; got {len(numbers)}")
    if None in numbers:
        return dict(zip(recordings.SUBACTIONS, (None, *numbered), strict=False))
    if len(numbered) == 1:
        raise UserError(
            f"expected two takes; got only number {numbered[0]}, which may be either"
        )
    return dict(zip(recordings.SUBACTIONS, reversed(numbered), strict=False))
