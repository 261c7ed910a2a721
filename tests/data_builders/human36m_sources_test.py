"""The forms of Human3.6M: names, what is missing, the same records from all."""

import pickle

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.human36m_lift import (
    fits,
    forms,
    parse,
    positions,
    recordings,
    sources,
)
from data_builders.human36m_lift.recordings import Names
from tests.helpers import human36m as helpers
from tests.helpers.human36m import CAMERAS

PLACE = "MyPoseFeatures/D3_Positions_mono"


def touch(folder, *stems, cameras=CAMERAS):
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        for camera in cameras:
            (folder / f"{stem}.{camera}.cdf").touch()
    return folder


@pytest.mark.parametrize(
    "numbers, expected",
    [
        ({None, 1}, {"0": None, "1": 1}),
        ({None, 2}, {"0": None, "1": 2}),
        ({1, 2}, {"0": 2, "1": 1}),
        ({3, 2}, {"0": 3, "1": 2}),
        ({9, 10}, {"0": 10, "1": 9}),
        ({None}, {"0": None}),
        (set(), {}),
    ],
)
def test_rule_of_the_names(numbers, expected):
    assert positions.numbers_of_subactions(numbers) == expected


@pytest.mark.parametrize(
    "numbers, message",
    [({1}, "only number 1"), ({None, 1, 2}, "got 3"), ({1, 2, 3}, "got 3")],
)
def test_names_that_cannot_be_told_apart(tmp_path, numbers, message):
    with pytest.raises(ValueError, match=message):
        positions.numbers_of_subactions(numbers)
    stems = ["Walking" if n is None else f"Walking {n}" for n in numbers]
    touch(tmp_path / "S1" / PLACE, *stems)
    wanted = [Names("S1", "Walking", s, c) for s in "01" for c in CAMERAS]
    with pytest.raises(files.DataFileError, match=message) as caught:
        positions.find(tmp_path, wanted)
    assert "tell apart, 8 of the 8" in str(caught.value)
    assert str(caught.value).count("Walking*.cdf") == 1
    # Whichever it is, its partner is missing.
    assert str(caught.value).count(": beside Walking 1") == (4 if numbers == {1} else 0)


def test_files_by_uneven_names(tmp_path):
    folder = touch(
        tmp_path / "S7" / "D3_Positions_mono",
        "TakingPhoto",
        "TakingPhoto 2",
        "WalkingDog 2",
        "WalkingDog 3",
        "_ALL",
        "_ALL 1",
        "Walking_ALL",
    )
    (folder / "._TakingPhoto.54138969.cdf").touch()
    (folder / "WalkingDog 2 (1).54138969.cdf").touch()
    wanted = [
        Names("S7", action, subaction, camera)
        for action in ("Photo", "WalkDog")
        for subaction in "01"
        for camera in CAMERAS
    ]
    found = positions.find(tmp_path, wanted)
    stems = ("TakingPhoto", "TakingPhoto 2", "WalkingDog 3", "WalkingDog 2")
    expected = [folder / f"{s}.{c}.cdf" for s in stems for c in CAMERAS]
    assert [found[names] for names in wanted] == expected
    (folder / "Photo.54138969.cdf").touch()
    with pytest.raises(files.DataFileError, match="are the same recording"):
        positions.find(tmp_path, wanted)


def test_every_missing_file_is_listed_at_once(tmp_path):
    folder = touch(
        tmp_path / "S5" / PLACE,
        "Posing",
        "Posing 2",
        "Eating",
        "Sitting 1",
        "Sitting 2",
    )
    (folder / "Posing 2.60457274.cdf").unlink()
    (folder / "Sitting 2.54138969.cdf").unlink()
    wanted = [
        Names(subject, action, subaction, camera)
        for subject in ("S5", "S6")
        for action in ("Eating", "Posing", "Sitting", "Walking")
        for subaction in "01"
        for camera in CAMERAS
    ]
    with pytest.raises(files.DataFileError) as caught:
        positions.find(tmp_path, wanted)
    first, *lines = str(caught.value).splitlines()
    # Of S5 the second Eating, two single files and Walking; all of S6.
    assert "apart, 46 of the 64" in first and len(lines) == 4 + 1 + 1 + 8 + 1
    assert f"  {folder}/Posing 2.60457274.cdf" in lines
    assert f"  {folder}/Sitting 2.54138969.cdf" in lines
    assert f"  {folder}/Eating*.55011271.cdf: subaction 1" in lines
    assert sum("Walking*" in line for line in lines) == 8
    assert lines[-1] == f"  {tmp_path}/S6/{PLACE}: the folder, 32 files of it"


def small(folder, extra=0):
    """Two subjects with two actions each, as files of 3D poses, pickles and merged."""
    rng = np.random.default_rng(3)
    split_subjects = {"train": ("S5",), "test": ("S11",)}
    for split, subjects in split_subjects.items():
        content = helpers.pickled(5, subjects, ("Directions", "Waiting"), with_3d=False)
        merged = helpers.pickled(5, subjects, ("Directions", "Waiting"), with_3d=False)
        for names in recordings.GAPS:
            if names.subject in subjects:
                below = content[names.subject][names.action][names.subaction]
                below[names.camera] = helpers.recording(rng, 0, False)
                merged[names.subject][names.action][names.subaction][names.camera] = (
                    helpers.recording(rng, 0)
                )
        for subject in subjects:
            for action, subactions in content[subject].items():
                for subaction, cameras in subactions.items():
                    for camera, one in cameras.items():
                        names = Names(subject, action, subaction, camera)
                        if names == ("S11", "Directions", "0", "54138969"):
                            continue  # the one file that nobody has
                        count = len(one["imgpath"])
                        pose = helpers.poses(rng, 4 * count + extra)
                        stem = f"{action}{' 1' if subaction == '1' else ''}"
                        path = folder / subject / PLACE / f"{stem}.{camera}.cdf"
                        if len(pose[0]):
                            helpers.write_cdf(path, pose)
                        kept = pose[0, 3::4].reshape(-1, 32, 3)
                        kept = kept[:count, list(_KEPT)].swapaxes(1, 2)
                        merged[subject][action][subaction][camera] = one | {
                            "3d_gt": kept.reshape(-1, 51)
                        }
        helpers.save(folder / parse.WITHOUT_3D[split], content)
        (folder / "merged").mkdir(exist_ok=True)
        helpers.save(folder / "merged" / parse.MERGED[split], merged)
    return folder


_KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]


def test_pickles_and_files_give_what_merged_pickles_give(tmp_path):
    folder = small(tmp_path, extra=5)
    for split in ("train", "test"):
        records, tally = helpers.read(folder, split)
        merged, _ = helpers.read(folder / "merged", split)
        assert len(records) > 20
        helpers.assert_same(records, merged)
        assert tally.surplus == tally.short > 5  # one kept frame too many in each
        assert any(f"{tally.surplus} surplus" in line for line in tally.lines())
        assert recordings.GAPS & set(tally.gaps)


@pytest.mark.parametrize(
    ("count", "ending"), [(8, "Sitting/1/7"), (20, "7 and 12 more")]
)
def test_of_many_that_are_left_out_a_few_are_named(count, ending):
    gaps = [Names("S5", "Sitting", "1", str(i)) for i in range(count)]
    (_, line) = sources.Tally("read", gaps).lines()
    assert line.startswith("left out, without frames: S5/Sitting/1/0, ")
    assert line.endswith(ending)


def test_too_few_frames_of_3d_are_refused_with_both_counts(tmp_path):
    folder = small(tmp_path)
    path = next(iter(sorted((folder / "S11" / PLACE).glob("Waiting 1.*.cdf"))))
    helpers.write_cdf(path, helpers.poses(np.random.default_rng(0), 3))
    with pytest.raises(files.DataFileError, match="holds 0 kept frames.*fewer than"):
        helpers.read(folder, "test")


def test_other_gaps_are_errors_and_leave_nothing(tmp_path):
    folder = small(tmp_path / "raw")
    place = folder / "S5" / PLACE
    removed = [
        next(place.glob(f"{action}.*.cdf")) for action in ("Directions", "Waiting")
    ]
    for path in removed:
        path.unlink()
    with pytest.raises(files.DataFileError, match="tell apart, 2 of the") as caught:
        registry.prepare("human36m_lift", tmp_path / "sets", folder)
    for path in removed:
        assert f"\n  {path}" in str(caught.value)
    assert not [p for p in (tmp_path / "sets").rglob("*") if p.is_file()]


def own_fits(folder, rng):
    """S1 and S9 in full, every other file of fits for all frames; returns the fits."""
    written = {}
    for subject in ("S1", "S9"):
        for names in recordings.all_of(subject):
            stem = f"{names.action}{' 1' if names.subaction == '1' else ''}"
            path = folder / subject / PLACE / f"{stem}.{names.camera}.cdf"
            helpers.write_cdf(path, helpers.poses(rng, 11), compressed=0)
            every = len(written) % 2
            own = f"{names.action}.{names.subaction}.{names.camera}"
            name = f"{stem}.{names.camera}" if len(written) % 3 else own
            array = rng.normal(20, 40, (11 if every else 2, 16, 7)).astype(np.float32)
            target = folder / "fits" / subject / f"{name}.npz"
            target.parent.mkdir(parents=True, exist_ok=True)
            np.savez(target, fits=array, rmse=array[..., 6])
            written[names] = array[3::4] if every else array
    return written


def test_own_detections(tmp_path):
    written = own_fits(tmp_path, np.random.default_rng(1))
    for split, subject in (("train", "S1"), ("test", "S9")):
        records, tally = helpers.read(tmp_path, split, (subject,))
        mine = [fit for names, fit in written.items() if names.subject == subject]
        np.testing.assert_array_equal(records.gaussfit, np.concatenate(mine))
        x = np.clip(records.gaussfit[..., 1], 0, 63)
        np.testing.assert_array_equal(records.pose2d[..., 0], 4 * x)
        assert set(records.frame) == {4, 8} and len(records) == 240
        assert "120 files of 3D poses" in tally.lines()[0]
    with pytest.raises(files.DataFileError, match="no data of S5, S6.*it has S1, S9"):
        forms.recognise(tmp_path).files(helpers.EVERYBODY)
    chosen = {"train": ("S1",), "test": ("S9",)}
    assert len(forms.recognise(tmp_path).files(chosen)) == 480
    first = tmp_path / "S1" / PLACE / "Directions.54138969.cdf"
    first.unlink()
    for path in (tmp_path / "fits" / "S9").glob("Walking*54138969.npz"):
        path.unlink()
    with pytest.raises(files.DataFileError) as caught:  # 3D and 2D at once
        forms.recognise(tmp_path).files(chosen)
    text = str(caught.value)
    assert "apart, 3 of the 480" in text and f"\n  {first}" in text
    assert "fits/S9/Walking.54138969.npz or Walking.0.54138969.npz" in text


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((5, 17, 7), np.float32), r"shape \(frames, 16, 7\); got"),
        (np.zeros((5, 16, 7), int), "floating-point fits"),
        (np.zeros((41, 16, 7), np.float32), "all 80 video frames or of the 20"),
        (np.full((20, 16, 7), np.nan, np.float32), "fits is not finite in 20 of 20"),
    ],
)
def test_bad_fits(tmp_path, array, message):
    path = tmp_path / "a.npz"
    np.savez(path, fits=array)
    with pytest.raises(files.DataFileError, match=message) as caught:
        fits.read(path, 80)
    assert str(path) in str(caught.value)
    content = path.read_bytes()
    for share in (0.2, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(files.DataFileError, match="a.npz"):
            fits.read(path, 80)
    np.savez_compressed(path, other=array)
    with pytest.raises(files.DataFileError, match="no array 'fits'"):
        fits.read(path, 80)


@pytest.mark.parametrize(
    "count, kept, every",
    [(20, 20, 1), (18, 18, 1), (23, 20, 1), (80, 20, 4), (76, 19, 4), (90, 20, 4)],
)
def test_lengths_of_fits(tmp_path, count, kept, every):
    array = np.arange(count * 112, dtype=np.float32).reshape(count, 16, 7)
    np.savez(tmp_path / "a.npz", fits=array)
    found = fits.read(tmp_path / "a.npz", 80)
    np.testing.assert_array_equal(found.gaussfit, array[every - 1 :: every][:20])
    assert list(found.frame) == [4 * (i + 1) for i in range(kept)]


def test_folders_that_are_not_the_data_set(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(files.DataFileError) as caught:
        forms.recognise(tmp_path)
    text = str(caught.value)
    for name in (*parse.MERGED.values(), *parse.WITHOUT_3D.values(), "fits", "S1/"):
        assert name in text
    touch(tmp_path / "S1" / PLACE, "Walking")
    (tmp_path / parse.WITHOUT_3D["train"]).touch()
    with pytest.raises(files.DataFileError, match="none of the three") as caught:
        forms.recognise(tmp_path)
    lines = str(caught.value).splitlines()
    assert "3D files and pickles: lacks testset_h36m_without_3d.pickle" in lines[2]
    (tmp_path / parse.WITHOUT_3D["test"]).touch()
    (tmp_path / "fits").mkdir()
    with pytest.raises(files.DataFileError, match="two kinds of detections"):
        forms.recognise(tmp_path)


@pytest.mark.parametrize("given", [".", "data/S1", "data/merged/sets"])
def test_the_folder_next_to_the_right_one(tmp_path, given):
    (tmp_path / "data" / "merged" / "sets").mkdir(parents=True)
    right = tmp_path / "data" / ("merged" if "merged" in given else "")
    touch(tmp_path / "data" / "S1" / PLACE, "Walking")
    for name in (*parse.MERGED.values(), *parse.WITHOUT_3D.values()):
        (right / name).touch()
    with pytest.raises(files.DataFileError) as caught:
        forms.recognise(tmp_path / given)
    assert str(caught.value).endswith(f"Did you mean {right}?")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("names", [parse.MERGED, parse.WITHOUT_3D])
def test_a_malicious_pickle_is_refused_unrun(tmp_path, names):
    touch(tmp_path / "S1" / PLACE, "Walking")
    content = {"S1": {"Walking": {"0": {"54138969": Malicious(tmp_path / "ran")}}}}
    for name in names.values():
        (tmp_path / name).write_bytes(pickle.dumps(content))
    with pytest.raises(files.DataFileError, match="is refused: it wants posix.mkdir"):
        registry.prepare("human36m_lift", tmp_path / "sets", tmp_path)
    assert not (tmp_path / "ran").exists()
