"""Human3.6M as users download it, beside what the authors' script makes of it."""

import shutil

import numpy as np
import pytest

from data_builders import files, restricted_pickle
from data_builders.human36m_lift import forms, parse, positions
from jaxflow import data
from tests.conftest import shared_path
from tests.helpers import human36m as helpers


@pytest.fixture(scope="module")
def raw_tree():
    """The folder, and what the authors' script makes of it: key -> (F, 51)."""
    folder = shared_path("data/raw_tree")
    with np.load(folder / "expected_3d.npz") as file:
        parts = np.split(file["pose3d_mm"], np.cumsum(file["count"])[:-1])
        return folder / "human36m", dict(zip(file["key"].tolist(), parts, strict=True))


def test_raw_tree_exactly(raw_tree, tmp_path):
    folder, expected = raw_tree
    assert len(expected) == 838
    built = [
        data.load_records("human36m_lift", split, tmp_path, folder)
        for split in ("train", "test")
    ]
    seen = {}
    for records in built:
        keys = np.char.add(np.char.add(records.subject, "|"), records.action)
        for part in (records.subaction, records.camera):
            keys = np.char.add(np.char.add(keys, "|"), part)
        flat = records.pose3d.swapaxes(1, 2).reshape(-1, 51)
        for key in np.unique(keys):
            seen[str(key)] = flat[keys == key]
    assert seen.keys() == expected.keys()
    for key, poses in expected.items():
        np.testing.assert_array_equal(seen[key], poses, err_msg=key)


def test_raw_tree_s_pictures_confirm_the_rule(raw_tree):
    """The pickles' pictures are named after the videos; nothing here goes by them."""
    folder, _ = raw_tree
    for name in parse.WITHOUT_3D.values():
        entries = [e for e in parse.entries(folder / name) if not e.is_empty]
        found = positions.find(folder, [entry.names for entry in entries])
        for entry in entries:
            video = entry.content["imgpath"][0].split("/")[-2]
            stem = found[entry.names].stem.replace("TakingPhoto", "Photo")
            assert video.replace("TakingPhoto", "Photo").replace(
                "WalkingDog", "WalkDog"
            ) == stem.replace("WalkingDog", "WalkDog")


def test_raw_tree_merged_gives_the_same_records(raw_tree, tmp_path):
    folder, expected = raw_tree
    for split, name in parse.WITHOUT_3D.items():
        content = restricted_pickle.load(folder / name)
        for entry in parse.entries(folder / name):
            if not entry.is_empty:
                below = content
                for part in entry.names:
                    below = below[part]
                below["3d_gt"] = expected["|".join(entry.names)]
        plain = _plain(content)
        helpers.save(tmp_path / parse.MERGED[split], plain)
    for split in ("train", "test"):
        helpers.assert_same(
            helpers.read(tmp_path, split)[0], helpers.read(folder, split)[0]
        )


def _plain(content):
    if isinstance(content, dict):
        return {key: _plain(below) for key, below in content.items()}
    return np.array(content) if isinstance(content, np.ndarray) else content


def test_raw_tree_with_files_taken_away(raw_tree, tmp_path):
    folder, _ = raw_tree
    copied = tmp_path / "human36m"
    shutil.copytree(folder, copied)
    for path in [copied, *copied.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    removed = sorted(copied.rglob("*Eating*.58860488.cdf"))
    for path in removed:
        path.unlink()
    with pytest.raises(files.DataFileError) as caught:
        forms.recognise(copied).files(helpers.EVERYBODY)
    # Both splits are looked at; each names all that it lacks.
    for path in removed:
        assert f"\n  {path}" in str(caught.value)
