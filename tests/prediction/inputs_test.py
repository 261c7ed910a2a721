"""What is found to predict, what is left out, and names of any kind."""

import json
import os
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

from jaxflow.commands import predict
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers.boxes import read_boxes
from jaxflow.detector.readers.records import Seen, Skipped
from jaxflow.prediction import in_memory, inputs, looking, sources
from jaxflow.prediction.inputs import Reading
from jaxflow.prediction.records import Mark
from jaxflow.prediction.sources import Source
from jaxflow.runs import files
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS, MPII_TO_H36M
from tests.helpers import in_process
from tests.helpers import predict as predict_helpers
from tests.helpers.cases import case

ODD = os.fsdecode(b"caf\xe9 \xff")  # no UTF-8


@pytest.fixture(scope="module")
def lifter():
    return predict_helpers.quick_lifter()


@pytest.fixture(scope="module")
def points():
    return predict_helpers.people("train", 2).pose2d


def write(folder, points, *names):
    """The same person in a picture, or as keypoints, of each name."""
    for name in names:
        if name.endswith(".json"):
            numbers = np.c_[points[0], np.ones(16)].ravel().tolist()
            entry = {"image_id": 0, "keypoints": numbers}
            (folder / name).write_text(json.dumps([entry]))
        else:
            Image.fromarray(predict_helpers.draw(points[0])).save(folder / name, "PNG")


def left_out(found):
    return [os.path.basename(e.source) for e in found if isinstance(e, Skipped)]


class TestFolders:
    def test_what_is_left_out_is_listed(self, tmp_path, points, lifter):
        write(tmp_path, points, "a.jpg", "c.png")
        others = "b.HEIC d.MOV e.dng f_keypoints.json maps.npy".split()
        for name in [*others, "boxes.json", "notes.txt", ".hidden.mov", "Thumbs.db"]:
            (tmp_path / name).write_bytes(b"0")
        for name in ("deeper", "empty"):
            (tmp_path / name).mkdir()
        write(tmp_path / "deeper", points, "g.jpg")
        found = sources.find([tmp_path])
        assert left_out(found) == sorted([*others, "deeper"])
        outcome, _ = predict_helpers.run([tmp_path], lifter, tmp_path / "out")
        assert outcome.people == 2 and len(outcome.problems) == 6
        assert (
            "b.HEIC: .heic pictures are not read; save it as JPEG"
            in (outcome.problems[0])
        )
        assert "d.MOV: left out of a folder of pictures" in outcome.problems[1]

    def test_one_that_cannot_be_read_costs_no_other(
        self, tmp_path, points, monkeypatch
    ):
        write(tmp_path, points, "a.png")
        (tmp_path / "locked").mkdir()
        listed = pathlib.Path.iterdir

        def refused(path):
            if path.name == "locked":
                raise PermissionError(13, "Permission denied", str(path))
            return listed(path)

        monkeypatch.setattr(pathlib.Path, "iterdir", refused)
        found = sources.find([tmp_path])
        assert [one.path.name for one in found if isinstance(one, Source)] == ["a.png"]
        assert left_out(found) == ["locked"]

    def test_beside_keypoints(self, tmp_path, points):
        write(tmp_path, points, "a.json")
        (tmp_path / "walk.mp4").write_bytes(b"0")
        assert left_out(sources.find([tmp_path])) == ["walk.mp4"]


class TestNames:
    @pytest.mark.parametrize(
        "stem", [ODD, "x" * 250, "\u00e9" * 125, "a\nb\x07", "\u306a\u307e\u3048"]
    )
    @pytest.mark.parametrize("suffix", [".jpg", ".json"])
    def test_of_any_kind(self, tmp_path, points, lifter, stem, suffix):
        """Each is read, or skipped by its name, and never spoils the others."""
        name = stem + suffix
        if len(os.fsencode(name)) > 255:
            name = stem[:-2] + suffix
        write(tmp_path, points, "good.jpg", name)
        paths = [tmp_path / name, tmp_path / "good.jpg"]
        outcome, _ = predict_helpers.run(paths, lifter, tmp_path / "out")
        assert outcome.people == 2 and not outcome.problems
        for done in outcome.done:
            document = json.loads((done.folder / "poses.json").read_bytes())
            document["people"][0]["source"].encode()
            assert len(list(done.folder.glob("overlays/*"))) == 1

    def test_of_what_is_not_there(self, tmp_path, points, lifter):
        write(tmp_path, points, "good.jpg")
        paths = [tmp_path / ODD, tmp_path / ("y" * 300), tmp_path / "good.jpg"]
        outcome, _ = predict_helpers.run(paths, lifter, tmp_path / "out")
        assert outcome.people == 1 and len(outcome.problems) == 2

    @pytest.mark.parametrize("name", ["\ud800.jpg", "z" * 300 + ".jpg", "a\0b.jpg"])
    def test_in_a_file_of_keypoints(self, tmp_path, points, lifter, name):
        write(tmp_path, points, "a.json", "b.json")
        (entry,) = json.loads((tmp_path / "a.json").read_text())
        entry["image_id"] = name
        (tmp_path / "a.json").write_text(json.dumps([entry, entry]))
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        outcome, _ = predict_helpers.run(paths, lifter, tmp_path / "out")
        assert outcome.people == 3 and not outcome.problems

    def test_half_a_pair(self, tmp_path, points, lifter):
        write(tmp_path, points, "good.jpg")
        paths = [case("keypoints/lone_surrogate.json"), tmp_path / "good.jpg"]
        outcome, _ = predict_helpers.run(paths, lifter, tmp_path / "out")
        assert len(outcome.done) == 2 and outcome.people >= 1

    def test_an_empty_one_is_no_folder(self):
        """A shell makes one of what is not set; the present folder is not meant."""
        with pytest.raises(UserError, match="got an empty one"):
            in_memory.predictions("")
        with pytest.raises(UserError, match="got an empty one"):
            sources.find(["a.jpg", ""])

    def test_short_and_printable(self):
        assert files.printable(ODD) == "caf\\udce9 \\udcff"
        assert files.printable("3.04\u202fPM \u306a.png") == "3.04\u202fPM \u306a.png"
        assert files.short("\u00e9" * 125) == "\u00e9" * 100


class TestBoxes:
    def test_that_match_nothing_are_an_error_before_the_work(self, tmp_path, points):
        write(tmp_path, points, "a.jpg", "k.json")
        (tmp_path / "b.csv").write_text("picture,x,y,w,h\nother.jpg,0,0,256,256\n")
        table = read_boxes(tmp_path / "b.csv")
        for names in (["a.jpg", "k.json"], ["k.json"]):
            found = sources.find([tmp_path / name for name in names])
            with pytest.raises(UserError, match="no box belongs to any picture"):
                inputs.check_boxes(found, table)

    def test_one_that_is_huge_costs_no_other(self, tmp_path, points, lifter):
        write(tmp_path, points, "a.jpg", "ok.png")
        text = case("boxes/huge.csv").read_text() + "a.jpg,0,0,256,256\n"
        (tmp_path / "b.csv").write_text(text)
        table = read_boxes(tmp_path / "b.csv")
        paths = [tmp_path / "a.jpg", tmp_path / "ok.png"]
        reading = Reading(boxes=table)
        outcome, _ = predict_helpers.run(paths, lifter, tmp_path / "out", reading)
        assert outcome.people == 1 and len(outcome.problems) == 1
        assert "line 2: expected pixels of a picture" in outcome.problems[0]

    def test_what_was_not_used_is_kept_for_callers(
        self, tmp_path, points, lifter, monkeypatch
    ):
        """`jaxflow.predictions` tells all that the command prints."""
        write(tmp_path, points, "a.png", "b.png")
        rows = ["picture,x,y,w,h,score", "a.png,0,0,256,256,0.9", "a.png,0,0,9,9,0.1"]
        rows += ["other.png,0,0,9,9,1", "a.png,0,0,1e30,9,1"]
        (tmp_path / "b.csv").write_text("\n".join(rows))
        monkeypatch.setattr(in_memory.Lifter, "load", lambda *_, **__: lifter)
        paths = [tmp_path / "a.png", tmp_path / "b.png"]
        told = in_memory.predictions(paths, "run", "net", boxes=tmp_path / "b.csv")
        assert len(told.people) == 1
        score, without, others = told.notes
        assert "1 boxes of a score below 0.3" in score and "other.png" in others
        assert "no box belongs to b.png" in without
        assert "line 5: expected pixels of a picture" in told.skipped[0].reason


def test_networks_at_hand_find_people_for_another_detector(
    tmp_path, points, monkeypatch
):
    """``jaxflow.predictions`` looks no farther for them than it was told to."""
    write(tmp_path, points, "a.png")
    told = []

    def load(*arguments, **how):
        told.append((*arguments, how))
        raise UserError("enough")

    monkeypatch.setattr(looking.blazepose, "load", load)
    monkeypatch.setattr(
        in_memory.Lifter, "load", lambda *_, **__: predict_helpers.quick_lifter()
    )
    with pytest.raises(UserError, match="enough"):
        in_memory.predictions(
            tmp_path / "a.png", "run", "net", boxes="auto", networks="n", offline=True
        )
    assert told == [("full", "n", {"offline": True})]


class TestKey:
    def test_of_maps_beside_keypoints(self, tmp_path, lifter):
        """Without it such a file is one of keypoints, as it always was."""
        people = np.ones((1, 17, 3))
        maps = np.zeros((2, 16, 64, 64), np.float32)
        np.savez(tmp_path / "both.npz", keypoints=people, answer=maps)
        np.savez(tmp_path / "points.npz", keypoints=people)
        paths = [tmp_path / "both.npz", tmp_path / "points.npz"]

        def kinds(key):
            return [source.kind for source in sources.find(paths, key)]

        assert kinds("answer") == [sources.HEATMAPS, sources.KEYPOINTS]
        assert kinds("nothing") == kinds(None) == [sources.KEYPOINTS] * 2
        (source,) = sources.find(paths[:1], "answer")
        assert len([*inputs.read(source, Reading(key="answer"))]) == 2


class TestSkeletonsOfHeatmaps:
    def test_by_name_or_refused(self, tmp_path):
        places = np.random.default_rng(0).uniform(12, 52, (17, 2))
        y, x = np.mgrid[:64, :64]
        distance = [(x - a) ** 2 + (y - b) ** 2 for a, b in places]
        maps = np.exp(-np.stack(distance) / 8).astype(np.float32)
        np.save(tmp_path / "a.npy", maps[None])
        np.save(tmp_path / "b.npy", maps[None, :16])
        np.save(tmp_path / "c.npy", np.rint(255 * maps[None]).astype(np.uint8))

        def peaks(name, skeleton):
            (source,) = sources.find([tmp_path / name])
            (person,) = inputs.read(source, Reading(skeleton=skeleton))
            flat = person.maps.reshape(16, -1).argmax(-1)
            return np.stack([flat % 64, flat // 64], -1)

        h36m = peaks("a.npy", "h36m_17")
        np.testing.assert_allclose(h36m, places[list(MPII_TO_H36M)], atol=1)
        np.testing.assert_array_equal(peaks("c.npy", "h36m_17"), h36m)
        original = peaks("b.npy", "mpii_original_16")
        spine, thorax = MPII_JOINTS.index("Spine"), MPII_JOINTS.index("Thorax")
        np.testing.assert_allclose(original[thorax], places[7], atol=1)
        np.testing.assert_allclose(original[spine], places[6:8].mean(0), atol=1)
        for name, skeleton in (("a.npy", None), ("b.npy", "coco_17")):
            with pytest.raises(UserError, match="--skeleton tells of others"):
                peaks(name, skeleton)


class TestNothingDone:
    def test_has_the_status_of_an_error(self, tmp_path, points, capsys):
        flags = f"--out={tmp_path / 'out'}", "--checkpoint=cmu_small"
        missing = tmp_path / "no.json"
        status, _, told = in_process.told(capsys, predict, missing, *flags)
        assert status == 1 and "no.json" in told
        write(tmp_path, points, "a.json")
        given = missing, tmp_path / "a.json"
        status, _, told = in_process.told(capsys, predict, *given, *flags)
        assert status == 2 and "no.json" in told

    def test_a_reader_that_is_not_installed_costs_no_other_input(
        self, tmp_path, points, lifter, monkeypatch
    ):
        write(tmp_path, points, "a.json")
        (tmp_path / "maps.h5").write_bytes(b"0")
        monkeypatch.setitem(sys.modules, "h5py", None)
        given = [tmp_path / "maps.h5", tmp_path / "a.json"]
        outcome, _ = predict_helpers.run(given, lifter, tmp_path / "out")
        assert outcome.people == 1
        assert "h5py, which is not installed" in outcome.problems[0]

    def test_keypoints_of_another_name_are_told(self, tmp_path):
        path = tmp_path / "a.npz"
        np.savez(path, poses=np.zeros((3, 17, 2)), frame=np.arange(3))
        (skipped,) = sources.find([path])
        assert "array called keypoints; got (3, 17, 2) in poses" in skipped.reason


@pytest.mark.parametrize(
    "option",
    [{"fps": 0}, {"fps": float("nan")}, {"every": 0}, {"every": 1.5}, {"boxes": 3}],
    ids=str,
)
def test_options_that_could_only_fail_later(tmp_path, points, option):
    write(tmp_path, points, "a.json")
    with pytest.raises((TypeError, ValueError), match=f"expected .*{[*option][0]}"):
        in_memory.predictions(tmp_path / "a.json", "cmu_small", **option)


def test_marks_lie_between_frames(monkeypatch):
    """Also where somebody in the middle of a frame is skipped, by a longer name."""
    monkeypatch.setattr(inputs, "_PEOPLE_A_MARK", 1)
    square = Crop(np.zeros(2), np.float64(1))
    events = [
        Skipped("/folder/a.json", t, i, "all zero")
        if i == 1
        else Seen("a.json", t, i, square)
        for t in range(3)
        for i in range(3)
    ]
    marked = list(inputs._marked(iter(events), 0))
    assert [e.place for e in marked if isinstance(e, Mark)] == [3, 6]
