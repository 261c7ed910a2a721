"""A run with --rule=path and files for other programs: what it leaves, and resumed."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL", reason="predict's helpers need the extra 'detector'")

from jaxflow.prediction import exports, in_memory, motions
from jaxflow.prediction import files as prediction_files
from jaxflow.skeleton import MPII_JOINTS
from tests.helpers.predict import contents, people, quick_lifter, run

FRAMES = 24


def keypoints(path):
    """Two people who sway, detected with noise."""
    bodies = people("test", 2).pose2d
    rng = np.random.default_rng(0)
    sway = 8 * np.sin(np.arange(FRAMES) / 6)[:, None, None, None]
    points = bodies + sway + rng.normal(0, 1.5, (FRAMES, 2, 16, 2))
    points[:, 1] += [300, 0]
    np.savez(path, keypoints=points.astype(np.float32))
    return path


def test_people_of_a_file_without_ids_keep_their_numbers(tmp_path):
    """In every file; the rows of a frame change places."""
    arrays = dict(np.load(keypoints(tmp_path / "clip.npz")))
    points = arrays["keypoints"]
    heading = "frame," + ",".join(f"{n}_{a}" for n in MPII_JOINTS for a in "xy")
    lines = [heading]
    for t, both in enumerate(points):
        rows = both[::-1] if t % 3 == 1 else both
        lines += [",".join(map(str, [t, *row.ravel()])) for row in rows]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    outcome, _ = run([tmp_path / "table.csv"], quick_lifter(), tmp_path / "out")
    assert outcome.problems == []
    folder = tmp_path / "out" / "table"
    with np.load(folder / prediction_files.ARRAYS) as file:
        left = file["pose2d"].mean((1, 2))
        first = file["person"] == "0"
    assert first.sum() == FRAMES and left[first].max() < left[~first].min()
    document = json.loads((folder / prediction_files.DOCUMENT).read_text())
    told = np.array([one["person"] for one in document["people"]])
    np.testing.assert_array_equal(told == 0, first)


def test_the_path_is_in_every_file_and_smoother(tmp_path, monkeypatch):
    source = keypoints(tmp_path / "clip.npz")
    lifter = quick_lifter()
    options = {"path": True, "formats": exports.FORMATS}
    about = {"rule": motions.RULE}
    outcome, frames = run([source], lifter, tmp_path / "out", about=about, **options)
    assert outcome.problems == [] and frames == FRAMES
    folder = tmp_path / "out" / "clip"
    with np.load(folder / prediction_files.ARRAYS) as file:
        arrays = dict(file)
    document = json.loads((folder / prediction_files.DOCUMENT).read_text())
    assert document["rule"] == {"name": motions.RULE, "pose": motions.TEXT}
    poses = np.array([one["pose"] for one in document["people"]])
    np.testing.assert_allclose(poses, arrays["chosen"], atol=6e-5)
    for person in ("0", "1"):
        own = arrays["person"] == person
        flicker = [
            np.abs(np.diff(arrays[name][own], 2, axis=0)).mean()
            for name in ("chosen", "mode")
        ]
        assert flicker[0] < 0.8 * flicker[1]
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.bvh")}
    assert names == {f"motions/person-{i}-from-0.bvh" for i in (0, 1)}
    table = np.genfromtxt(folder / exports.TABLE, delimiter=",", names=True)
    column = arrays["chosen"][:, 13, 0]
    np.testing.assert_allclose(table["LWrist_x"], column, atol=1e-5)
    # In memory the same; and again into the folder, without the files now.
    monkeypatch.setattr(in_memory.Lifter, "load", lambda *_, **__: lifter)
    found = in_memory.predictions(source, "any", rule=motions.RULE)
    poses = np.stack([one.chosen for one in found.people])
    np.testing.assert_allclose(poses, arrays["chosen"], atol=1e-5)
    run([source], lifter, tmp_path / "out", about={"rule": "z0"})
    left = set(contents(folder))
    assert prediction_files.ARRAYS in left and exports.TABLE not in left
    assert not any(name.endswith(".bvh") for name in left)
