"""Which of the three forms of Human3.6M a folder holds.

In: the user's folder. Out: the source that reads it, or an error that says what each
form lacks.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterable

from data_builders.files import DataFileError
from data_builders.human36m_lift import fits, parse, positions
from data_builders.human36m_lift.sources import (
    FitsAndPositions,
    MergedPickles,
    PicklesAndPositions,
    Source,
)

_MOST_LOOKED_INTO = 100  # folders

EXPECTED = (
    "expected either trainset_h36m.pickle and testset_h36m.pickle; or folders "
    "S1/MyPoseFeatures/D3_Positions_mono, S5/..., with either "
    "trainset_h36m_without_3d.pickle and testset_h36m_without_3d.pickle, or a folder "
    f"{fits.FOLDER} of your own (see data_builders/human36m_lift/README.md)"
)


def recognise(folder: pathlib.Path) -> Source:
    """The form in which a folder holds the data.

    Raises:
      DataFileError: it is no folder, holds none of the forms, or two kinds of
        detections; says what each form lacks.
    """
    if not folder.is_dir():
        raise DataFileError(f"{folder} is not a folder; {EXPECTED}")
    lacks = _lacks(folder)
    whole = [form for form, missing in lacks.items() if not missing]
    if FitsAndPositions in whole and len(whole) > 1:
        raise DataFileError(
            f"{folder} holds the authors' pickles and the folder {fits.FOLDER}: two "
            "kinds of detections. Take one of them away"
        )
    if whole:
        return whole[0](folder)
    lines = "".join(
        f"\n  {form.title}: lacks {', '.join(missing)}"
        for form, missing in lacks.items()
    )
    raise DataFileError(
        f"{folder} holds Human3.6M in none of the three forms:{lines}\n{EXPECTED}"
        f"{_hint(folder)}"
    )


def _lacks(folder: pathlib.Path) -> dict[type[Source], list[str]]:
    """What of each form a folder lacks."""
    return {
        MergedPickles: _lacking(folder, parse.MERGED.values()),
        PicklesAndPositions: _lacking(folder, parse.WITHOUT_3D.values(), True),
        FitsAndPositions: _lacking(folder, [fits.FOLDER], True),
    }


def _lacking(
    folder: pathlib.Path, names: Iterable[str], with_positions: bool = False
) -> list[str]:
    missing = [name for name in names if not (folder / name).exists()]
    if with_positions and not positions.subjects(folder):
        missing.append("S1/MyPoseFeatures/D3_Positions_mono, S5/...")
    return missing


def _hint(folder: pathlib.Path) -> str:
    """Names the folder below or above that holds what was looked for, if there is."""
    with contextlib.suppress(OSError):  # no hint where folders may not be read
        below = sorted(path for path in folder.iterdir() if path.is_dir())
        for near in (*below[:_MOST_LOOKED_INTO], folder.parent):
            if not all(_lacks(near).values()):
                return f". Did you mean {near}?"
    return ""
