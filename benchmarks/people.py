"""Who is in merged pickles, told apart by their bones, and the same data by person.

    python -m benchmarks.people --pickles=FOLDER --out=FOLDER

Motion capture gives a person's bones the same lengths in each frame. Merged pickles
(`data_builders/human36m_lift/README.md`) that were put together of many recordings may
therefore hold one person under several subjects, in training and in testing. Prints
who is where and writes two folders, from which `human36m_lift` builds:

* `strangers`: the same subjects; the training set without the people of the test set.
* `people`: each person is a subject, in the order of their frames: P01, P02, ...;
  again nobody of the test set in the training set. A person's cameras of one name may
  be those of several subjects: for `wild`, which finds a vertical for each, they must
  be level alike.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
from collections import Counter
from typing import Any

import numpy as np

from data_builders.human36m_lift import parse
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS

_ALIKE = 3.0  # mm: bones of one person differ by less
_KEYS = ("3d_gt", "2d_hrnet", "gaussfit")
# Bones that capture keeps rigid; the torso's bend, and the head turns.
_LIMBS = [
    bone
    for bone in H36M_BONES
    if re.fullmatch("[LR](Hip|Knee|Foot|Shoulder|Elbow|Wrist)", H36M_JOINTS[bone[1]])
]

# Recordings, and of each of their frames (F,) the number of its person.
Recordings = list[tuple[parse.Entry, np.ndarray]]


def bones(pose3d: np.ndarray) -> np.ndarray:
    """(n, 12) lengths, mm, of poses (n, 17, 3)."""
    starts, ends = np.transpose(_LIMBS)
    return np.linalg.norm(pose3d[:, ends] - pose3d[:, starts], axis=-1)


def people(lengths: np.ndarray) -> np.ndarray:
    """(n,) the number of each frame's person, those of most frames first.

    Args:
      lengths: (n, 12) of `bones`.
    """
    person = np.full(len(lengths), -1)
    number = 0
    while (left := np.flatnonzero(person < 0)).size:
        commonest = Counter(map(tuple, lengths[left].round())).most_common(1)[0][0]
        near = np.abs(lengths[left] - commonest).max(axis=1) <= _ALIKE
        person[left[near]] = number
        number += 1
    order = np.argsort(-np.bincount(person), kind="stable")
    return np.argsort(order)[person]


def _recordings(folder: pathlib.Path) -> dict[str, Recordings]:
    """Those of each split that have frames."""
    entries = {
        split: [one for one in parse.entries(folder / name) if not one.is_empty]
        for split, name in parse.MERGED.items()
    }
    every = [entry for own in entries.values() for entry in own]
    poses = [parse.merged(entry)[0] for entry in every]
    person = people(bones(np.concatenate(poses)))
    parts = iter(np.split(person, np.cumsum([len(pose) for pose in poses])[:-1]))
    return {
        split: [(one, next(parts)) for one in own] for split, own in entries.items()
    }


def _frames(recordings: Recordings) -> Counter[int]:
    """How many each person has."""
    return Counter(int(who) for _, people in recordings for who in people)


def _write(
    path: pathlib.Path, parts: list[tuple[str, parse.Entry, np.ndarray]]
) -> None:
    """A pickle of chosen frames of recordings, each under a subject."""
    tree: dict[str, Any] = {}
    for subject, entry, rows in parts:
        _, action, subaction, camera = entry.names
        frame = parse.detections(entry).frame[rows]
        own = tree.setdefault(subject, {}).setdefault(action, {})
        # One person may be in the same recording of several subjects.
        while camera in own.setdefault(subaction, {}):
            subaction += "0"
        own[subaction][camera] = {
            key: np.array(entry.content[key])[rows] for key in _KEYS
        } | {"imgpath": [f"{number}.jpg" for number in frame]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        pickle.dump(tree, file, protocol=4)


def divide(pickles: pathlib.Path, out: pathlib.Path) -> None:
    """Finds the people of two pickles, tells of them and writes both folders."""
    splits = _recordings(pickles)
    tested = _frames(splits["test"])
    for split, recordings in splits.items():
        counts = _frames(recordings)
        print(f"{split}: {counts.total():,} frames of {len(counts)} people")
        for one, count in sorted(counts.items()):
            own = {entry.names.subject for entry, who in recordings if one in who}
            also = "; in test, too" if split == "train" and one in tested else ""
            print(f"  {_name(one)} {count:>7,} frames, {', '.join(sorted(own))}{also}")
        by_subject, by_person = [], []
        for entry, who in recordings:
            kept = np.isin(who, list(tested)) == (split == "test")
            by_subject.append((entry.names.subject, entry, kept))
            by_person += [(_name(n), entry, who == n) for n in np.unique(who[kept])]
        _write(out / "strangers" / parse.MERGED[split], by_subject)
        _write(out / "people" / parse.MERGED[split], by_person)


def _name(person: int) -> str:
    return f"P{person + 1:02d}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--pickles", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    divide(arguments.pickles, arguments.out)


if __name__ == "__main__":
    main()
