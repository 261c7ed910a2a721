"""Who looks where, and what is said of people who are not all there."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxflow.detector.blazepose import detector as blazepose
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.records import Seen
from jaxflow.prediction import looking, sources, stream
from jaxflow.prediction.records import Noted
from jaxflow.prediction.sources import Source
from jaxflow.runs.profiling import Clock
from jaxflow.skeleton import MPII_JOINTS
from tests.detector.blazepose.people_test import BODIES, drawn, seeing

PICTURE = Source("a.jpg", sources.PICTURE, "a")
POINTS = Source("a.json", sources.KEYPOINTS, "a")


def test_blazepose_is_for_pictures_without_another():
    assert looking.detector_for([POINTS, PICTURE], None) == "blazepose"
    assert looking.detector_for([POINTS], None) is None
    assert looking.detector_for([PICTURE], "runs/hrnet") == "runs/hrnet"


def test_options_that_files_use_are_not_the_detector_s(tmp_path):
    """Unless it has a use for them, too, or there are pictures alone."""
    options = {"skeleton": "coco_17", "maps": "logits"}
    both = [PICTURE, POINTS]
    assert looking.shared([PICTURE], "blazepose", **options) == options
    assert looking.shared(both, "blazepose", **options) == {}
    assert looking.shared(both, "net.onnx", **options) == options
    assert looking.shared(both, tmp_path, **options) == {"skeleton": "coco_17"}
    assert looking.shared([POINTS], None, **options) == options


def test_names_and_sizes():
    assert blazepose.size_of("blazepose") == "full"
    assert blazepose.size_of("blazepose-heavy") == "heavy"
    assert blazepose.size_of("runs/blazepose") is None
    with pytest.raises(ValueError, match="expected blazepose of full, lite, heavy"):
        blazepose.size_of("blazepose-big")


class Lifting:
    def __init__(self, detector):
        self.detector = detector


def finder():
    """Of people for another detector."""
    return looking.Finder(seeing(), Lifting(None))


def test_who_finds_people():
    own = Lifting(seeing())
    for boxes in (None, "auto"):
        assert looking.finder_for([PICTURE], boxes, own) is own.detector
    assert looking.finder_for([PICTURE], "whole", own) is None
    assert looking.finder_for([PICTURE], "people.csv", own) is None
    assert looking.finder_for([POINTS], None, own) is None
    assert looking.finder_for([PICTURE], None, Lifting("HRNet")) is None
    assert looking.boxes_of("auto") is looking.boxes_of("whole") is None


def test_people_of_a_frame_are_numbered():
    frame = Seen("a.jpg", 3, 0, None, drawn(*BODIES))
    found = finder().found(frame)
    assert [(one.frame, one.person) for one in found] == [(3, 0), (3, 1), (3, 2)]
    assert found[0].square.center[0] < found[1].square.center[0]
    nobody = finder().found(frame._replace(picture=drawn()))
    assert nobody == [Noted("a.jpg", 3, "a.jpg, frame 3: nobody found")]
    points = Seen("a.json", 0, 7, None, fit=np.zeros((16, 7)))
    assert finder().found(points) == [points]


def test_who_was_seen_need_not_be_looked_at_again():
    """Where the finder is the detector; else there is but the square."""
    frame = Seen("a.jpg", 3, 0, None, drawn(BODIES[0]))
    own = Lifting(seeing())
    (told,) = looking.Finder(own.detector, own).found(frame)
    (square,) = finder().found(frame)
    assert square.fit is None and square.square.turn != 0
    (looked,) = looking.observed([square], own)
    assert told.square.turn == 0 and told.numbered and told.person == 0
    np.testing.assert_array_equal(told.fit, looked.fit)
    np.testing.assert_allclose(told.pose2d, looked.pose2d, atol=1)


def test_people_with_fits_and_notes():
    """In the upright square of the same middle."""
    person = finder().found(Seen("a.jpg", 0, 0, None, drawn(BODIES[0])))[0]
    (seen,) = looking.observed([person], Lifting(seeing()))
    assert seen.square.turn == 0.0 and seen.fit.shape == (16, 7) and not seen.note
    np.testing.assert_allclose(seen.pose2d, np.tile(person.square.center, (16, 1)))
    far = person._replace(square=person.square._replace(center=np.array([9e4, 0.0])))
    (reason,) = looking.observed([far], Lifting(seeing()))
    assert "lies outside the picture" in reason


def test_who_is_cut_off_or_barely_seen():
    picture = pictures.from_array(np.zeros((100, 200, 3), np.uint8))
    pose2d, none = np.full((16, 2), 50.0), np.zeros(16, bool)
    assert looking._cut_off(pose2d, picture, none) == ""
    pose2d[0], pose2d[2] = (50, 100), (-2, 50)
    assert looking._cut_off(pose2d, picture, none) == (
        "cut off by the picture's border: RFoot, RHip"
    )
    assert looking._barely(none) == ""
    most = np.arange(16) < 9
    assert looking._barely(most) == "barely seen: 9 of 16 joints are guesses"


def test_legs_that_are_guessed_where_there_is_no_room_for_them():
    """Whose hips are near the border that their feet should be beyond."""
    picture = pictures.from_array(np.zeros((100, 200, 3), np.uint8))
    guessed = np.isin(MPII_JOINTS, ["RFoot", "LFoot", "LKnee", "LWrist"])
    near = Crop(np.array([100.0, 80.0]), np.float64(100))
    names = np.array(MPII_JOINTS)[looking._legs_beyond(near, guessed, picture)]
    assert names.tolist() == ["RFoot", "LKnee", "LFoot"]
    lying = near._replace(turn=np.pi / 2)
    inside = near._replace(center=np.array([100.0, 60.0]))
    for square in (lying, inside):
        assert not looking._legs_beyond(square, guessed, picture).any()
    one_seen = guessed & ~np.isin(MPII_JOINTS, ["RFoot"])
    assert not looking._legs_beyond(near, one_seen, picture).any()


def test_other_detectors_see_people_upright(monkeypatch):
    """HRNet was trained on squares that are not turned."""
    lying = drawn(((300, 200), (360, 200)))
    person = finder().found(Seen("a.jpg", 0, 0, None, lying))[0]
    assert person.square.turn == pytest.approx(np.pi / 2, abs=0.05)
    entry = stream._Entry(PICTURE, person)
    maps = np.zeros((1, 16, 64, 64), np.float32)
    hrnet = SimpleNamespace(detect=lambda crops: maps[: len(crops)])
    stream._detect([entry], Lifting(hrnet), (1,), Clock())
    assert entry.seen.square == person.square.upright()
