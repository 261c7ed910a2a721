"""What a run writes over and removes: its own files, killed or whole, and no others."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from jaxflow.detector.readers.records import Skipped
from jaxflow.prediction import exports, files, page, run, unfinished
from jaxflow.prediction.files import Output
from jaxflow.prediction.sources import KEYPOINTS, Source
from jaxflow.runs.errors import UserError
from jaxflow.runs.run import LOCK, Run

NOTE = {"run": {}, "input": {}}
SOURCE = Source(pathlib.Path("clip.json"), KEYPOINTS, "clip")


def writer(folder, begun=None):
    return files.PeopleWriter(Output(folder), "clip", NOTE, begun)


def put(folder, *names):
    """Files of these names; gives them."""
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a user's")
    return paths


@pytest.mark.parametrize(
    "name",
    [
        "clip/pictures/a.jpg",
        "clip/motions/a.bvh",
        "clip/poses.csv",
        "clip",
        "index.html",
    ],
)
def test_a_user_s_own_files_are_in_the_way(tmp_path, name):
    (path,) = put(tmp_path, name)
    with pytest.raises(UserError, match="take another --out"):
        run.plan([SOURCE], Output(tmp_path), {})
    assert path.read_text() == "a user's"


def test_a_user_s_own_summary_is_none_of_ours(tmp_path):
    put(tmp_path, "clip/overlays/a.jpg")
    (tmp_path / "clip" / files.SUMMARY).write_text(json.dumps({"people": 3}))
    with pytest.raises(UserError, match="holds no predictions"):
        run.plan([SOURCE], Output(tmp_path), {})


def test_a_user_s_own_lock_stays(tmp_path):
    (path,) = put(tmp_path, LOCK)
    with pytest.raises(FileExistsError, match="no run's lock; take another --out"):
        with Run(tmp_path, flag="--out"):
            pass
    assert path.read_text() == "a user's"
    path.unlink()
    for _ in range(2):
        with Run(tmp_path, flag="--out"):
            assert path.read_text().startswith("process ")


def test_what_runs_left_is_written_over(tmp_path):
    """Begun, whole, without people, and the page."""
    folder = tmp_path / "clip"
    files.check_owned(folder)
    folder.mkdir()
    files.check_owned(folder)
    begun = writer(tmp_path)
    put(folder, files.ARRAYS)  # and killed before there was a summary
    files.check_owned(folder)
    begun.finish()
    files.check_owned(folder)
    page.write(tmp_path, [page.Done(folder, files.read_summary(folder))], [])
    page.check_owned(tmp_path)


@pytest.mark.parametrize(
    ("count", "people", "problem"),
    [(1, "1 person,", "problem<"), (2, "2 people,", "problems<")],
)
def test_a_page_counts_in_words(tmp_path, count, people, problem):
    summary = {"people": count, "skipped": [], "run": {}}
    done = page.Done(tmp_path / "clip", summary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page.page_people, "shown", lambda *_: ([], []))
        text = page.write(tmp_path, [done], ["a.jpg: bad"] * count).read_text()
    assert people in text and problem in text


def test_all_of_a_run_s_goes_and_what_a_user_added_stays(tmp_path):
    folder = tmp_path / "clip"
    writer(tmp_path)
    put(folder, files.ARRAYS, files.DOCUMENT, exports.TABLE, "crops/0.jpg")
    put(folder, "motions/person-0-from-0.bvh", "unfinished/names")
    # What writers that were killed have left.
    litter = ".poses.npz.0123abcd", "motions/.a.bvh.0123abcd", "crops/.a.jpg.0123abcd"
    put(folder, *litter)
    own = put(folder, "notes.txt", "motions/notes.txt", "poses.npz.zip")
    files.clear(folder)
    assert {path for path in folder.rglob("*") if path.is_file()} == {*own}


def test_a_frame_counts_once_whatever_its_file_is_called(tmp_path):
    """Who is skipped names the path, who is lifted or noted the file."""
    begun, named = writer(tmp_path), ["clip.mp4", "in/clip.mp4", "other/clip.mp4"]
    events = [(named[1], 0), (named[0], 0), (named[1], 0), (named[0], 1), (named[1], 1)]
    events += [(named[2], 1)]
    read = [begun.take(Skipped(file, frame, 0, "")) for file, frame in events]
    assert read == [1, 0, 0, 1, 0, 1] and begun.frames == 3


@pytest.mark.parametrize("own", [(), ("notes.txt", "crops/notes.txt")])
def test_what_failed_once_can_be_tried_again(tmp_path, own):
    """Also where drawings of an earlier run, or files of a user, lay beside it."""
    folder = tmp_path / "clip"
    writer(tmp_path).finish()
    own = put(folder, *own)
    put(folder, "overlays/0.jpg", "pictures/0.jpg", "crops/0.jpg")
    writer(tmp_path)  # begins anew, and fails
    files.give_up(folder)
    assert run.plan([SOURCE], Output(tmp_path), {}).rest() == [SOURCE]
    assert unfinished.begun(folder, NOTE) is None
    writer(tmp_path).finish()
    left = {folder / files.SUMMARY, *own}
    assert {path for path in folder.rglob("*") if path.is_file()} == left


def test_a_source_whose_arrays_are_gone_is_done_again(tmp_path):
    folder = tmp_path / "clip"
    put(folder, files.ARRAYS)
    note = run.plan([SOURCE], Output(tmp_path / "none"), {}).notes["clip"]
    summary = {**note, "people": 1, "frames_read": 1}
    (folder / files.SUMMARY).write_text(json.dumps(summary))
    assert run.plan([SOURCE], Output(tmp_path), {}).done
    (folder / files.ARRAYS).unlink()
    assert not run.plan([SOURCE], Output(tmp_path), {}).done


def stopped(*arguments):
    raise KeyboardInterrupt


def test_a_mark_is_nothing_to_go_on_from_and_goes_last(tmp_path, monkeypatch):
    columns = unfinished.Columns(tmp_path, NOTE, None)
    assert unfinished.is_marked(tmp_path)
    assert unfinished.begun(tmp_path, NOTE) is None
    columns.append("a", np.float32(1).tobytes())
    columns.save({}, {})
    assert unfinished.begun(tmp_path, NOTE).sizes == {"a": 4}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", stopped)
        unfinished.remove(tmp_path)
    assert unfinished.is_marked(tmp_path) and not unfinished.begun(tmp_path, NOTE)
    unfinished.remove(tmp_path)
    assert not any(tmp_path.iterdir())
