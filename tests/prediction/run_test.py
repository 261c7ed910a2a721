"""What a run says of itself: what it depends on, and what it could not use."""

import os
import types

from jaxflow.prediction import page, run
from jaxflow.prediction.files import Output
from jaxflow.prediction.sources import KEYPOINTS, Source
from jaxflow.runs import files


def replace(path, text):
    """Other text of the same length, as a copy that keeps times may put it there."""
    before = path.parent.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    os.utime(path.parent, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_frame_of_a_folder_that_is_another_makes_it_another(tmp_path):
    """And pictures that come into it do not."""
    (tmp_path / "1_keypoints.json").write_text("a")
    source = Source(tmp_path, KEYPOINTS, "clip")

    def note():
        return run.plan([source], Output(tmp_path / "out"), {}).notes["clip"]

    before = note()
    (tmp_path / "out").mkdir()
    assert note() == before
    replace(tmp_path / "1_keypoints.json", "b")
    assert note() != before


def test_a_checkpoint_that_is_another_makes_the_detector_another(tmp_path):
    """Beside it a run may write what it likes."""
    newest = tmp_path / "checkpoints" / "7"
    weights = newest / "params" / "weights"
    files.write_text(weights, "a")
    files.write_text(newest / "_CHECKPOINT_METADATA", "{}")
    task = types.SimpleNamespace(lifter=types.SimpleNamespace(detector=None))
    before = run._detector(task, tmp_path)
    assert before["path"] == str(newest)
    (tmp_path / "metrics.jsonl").touch()
    assert run._detector(task, tmp_path) == before
    replace(weights, "b")
    assert run._detector(task, tmp_path) != before


def test_what_is_not_told_is_where_it_is_said_to_be(tmp_path):
    lines = [f"{i}.jpg: damaged" for i in range(page.LISTED + 10)]
    path = page.write(tmp_path, [], lines)
    told = run.Tally(0, [], 0, 0, lines, path).skipped()
    assert told.startswith("skipped 110:\n  0.jpg")
    assert "and 90 more: the first 100 in index.html" in told
    assert "99.jpg" in path.read_text() and "100.jpg" not in path.read_text()


def test_a_detector_that_is_gone_has_its_name():
    assert files.identity("/nowhere/a.onnx") == {"path": "/nowhere/a.onnx"}
