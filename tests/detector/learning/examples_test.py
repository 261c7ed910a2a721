"""What a detector is trained on: labels from COCO's JSON, and examples from labels."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxflow.detector.crops import crop, warp
from jaxflow.detector.learning import examples, labels
from jaxflow.detector.learning.examples import Change
from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.joint_orders import JointsError
from jaxflow.gaussians.skeletons import COCO_17
from jaxflow.skeleton import MPII_JOINTS
from tests.helpers import drawn_people


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Labels of four drawn people, and their folder."""
    folder = tmp_path_factory.mktemp("drawn")
    path, points = drawn_people.write(folder)
    return labels.read(path, folder), points, folder


def test_labels_are_those_of_the_file(drawn):
    found, points, folder = drawn
    np.testing.assert_allclose(found.points, points, rtol=1e-6)
    np.testing.assert_allclose(found.box, [drawn_people.box_of(p) for p in points])
    assert found.found.all() and found.picture[2] == folder / "2.png"


def edited(folder, tmp_path, change):
    """The annotation file after ``change(content, second annotation)``."""
    content = json.loads((folder / "coco.json").read_text())
    change(content, content["annotations"][1])
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(content))
    return path


def test_unlabelled_joints_crowds_and_missing_boxes(drawn, tmp_path):
    before, points, folder = drawn

    def change(content, second):
        second["keypoints"][5] = 0  # RKnee
        second["keypoints"][8] = 1  # RHip, hidden
        del second["bbox"]
        content["annotations"][0]["iscrowd"] = 1
        content["annotations"][2]["keypoints"] = [0] * 48

    got = labels.read(edited(folder, tmp_path, change), folder)
    assert [path.name for path in got.picture] == ["1.png", "3.png"]
    assert not got.found[0, 1] and got.found[0, 2] and got.found.sum() == 31
    kept = np.delete(points[1], 1, axis=0)
    np.testing.assert_allclose(got.box[0], drawn_people.box_of(kept))
    assert got.fingerprint() != before.fingerprint()


def test_coco_s_joints_become_mpii_s(drawn, tmp_path):
    """By the joints' names, spelt as COCO does."""
    _, _, folder = drawn
    names = [
        "".join(f"_{c.lower()}" if c.isupper() else c for c in joint)[1:]
        for joint in COCO_17.joints
    ]
    places = np.arange(34.0).reshape(17, 2) + 1

    def change(content, second):
        content["categories"][0]["keypoints"] = names
        content["annotations"] = [second]
        seen = np.full((17, 1), 2)
        second["keypoints"] = np.concatenate([places, seen], 1).ravel().tolist()

    got = labels.read(edited(folder, tmp_path, change), folder)
    assert got.found.all()
    for mpii, coco in (("RFoot", "RightAnkle"), ("LWrist", "LeftWrist")):
        np.testing.assert_allclose(
            got.points[0, MPII_JOINTS.index(mpii)], places[COCO_17.joints.index(coco)]
        )


def of_coco(second, names, order):
    """One annotation of joints (17, 2) by COCO's order, in another; returns them."""
    places = np.arange(34.0).reshape(17, 2) + 1
    rows = [(5, 5, 2) if joint is None else (*places[joint], 2) for joint in order]
    second["keypoints"] = np.ravel(rows).tolist()
    return {"id": 1, "name": "person", "keypoints": names}, places


@pytest.mark.parametrize("skeleton", ["auto", "coco_17"])
@pytest.mark.parametrize("more", [0, 1, 4])
def test_joints_in_another_order_are_told_by_their_names(
    drawn, tmp_path, skeleton, more
):
    """COCO's, backwards and behind others; with a neck they are 18 like OpenPose's."""
    _, _, folder = drawn
    others = ["neck", "tail", "left_wing", "right_wing"][:more]
    names = [*others, *COCO_17.joints[::-1]]
    order = [*[None] * more, *range(17)[::-1]]
    places = np.zeros((17, 2))

    def change(content, second):
        category, places[:] = of_coco(second, names, order)
        content.update(categories=[category], annotations=[second])

    got = labels.read(edited(folder, tmp_path, change), folder, skeleton)
    assert got.found.all()
    for mpii, coco in (("RFoot", "RightAnkle"), ("LWrist", "LeftWrist")):
        np.testing.assert_allclose(
            got.points[0, MPII_JOINTS.index(mpii)], places[COCO_17.joints.index(coco)]
        )


def test_names_that_are_no_skeleton_s_are_refused(drawn, tmp_path):
    """Unless the skeleton is said; one that the names deny does not help."""
    _, _, folder = drawn
    words = [f"point_{number}" for number in range(18)]

    def change(content, second):
        category, _ = of_coco(second, words, [*range(17), None])
        content.update(categories=[category], annotations=[second])

    path = edited(folder, tmp_path, change)
    with pytest.raises(JointsError, match=r"edited.json.*point_0.*--skeleton"):
        labels.read(path, folder)
    assert labels.read(path, folder, "openpose_18").found.any()
    words[:] = [*COCO_17.joints, "neck"]
    path = edited(folder, tmp_path, change)
    with pytest.raises(JointsError, match="the file says they are openpose_18's"):
        labels.read(path, folder, "body_25")


def test_only_joints_that_count_make_a_person(drawn, tmp_path):
    """Of a whole body the hands alone are nobody; nor is a joint of v = -1."""
    _, _, folder = drawn
    names = [*COCO_17.joints, "left_hand"]

    def change(content, second):
        category, _ = of_coco(second, names, [*range(17), None])
        hand = {**second, "keypoints": [*[0] * 51, 5, 5, 2]}
        none = {**second, "keypoints": [0, 0, -1] * 18}
        del hand["bbox"], none["bbox"]
        content.update(categories=[category], annotations=[hand, second, none])

    assert len(labels.read(edited(folder, tmp_path, change), folder).picture) == 1


WRONG = {
    "annotation 101: expected 16 keypoints": lambda c, a: a["keypoints"].__setitem__(
        2, "x"
    ),
    r"got image_id \[1\]": lambda c, a: a.update(image_id=[1]),
    "expected 'categories' with id": lambda c, a: c.update(categories=[3]),
    "the same names": lambda c, a: (
        c["categories"].append({"id": 7, "keypoints": ["tail"] * 16}),
        a.update(category_id=7),
    ),
    "keypoints as 48 finite": lambda c, a: a.update(keypoints=[2] * 45),
    "annotation 101: expected 16": lambda c, a: a["keypoints"].__setitem__(0, "x"),
    "annotation 101: expected bbox": lambda c, a: a.update(bbox=[1, 2, 0, 0]),
    "got image_id 77": lambda c, a: a.update(image_id=77),
    "pictures are missing:.*no.png": lambda c, a: c["images"][1].update(
        file_name="no.png"
    ),
    "got none": lambda c, a: c.update(annotations=[]),
    "expected 'images'": lambda c, a: c.pop("images"),
}


@pytest.mark.parametrize("said", WRONG)
def test_damaged_annotations_are_named(drawn, tmp_path, said):
    _, _, folder = drawn
    path = edited(folder, tmp_path, WRONG[said])
    with pytest.raises(
        (ValueError, FileNotFoundError), match=f"(?s)edited.json.*{said}"
    ):
        labels.read(path, folder)


def test_files_that_are_no_annotations_are_named(drawn, tmp_path):
    _, _, folder = drawn
    with pytest.raises(FileNotFoundError, match="COCO keypoint JSON; there is none"):
        labels.read(tmp_path / "no.json", folder)
    cases = ("{", "no JSON"), ("[]", "expected an object"), ("[3]", "got a list")
    for text, said in cases:
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            labels.read(tmp_path / "odd.json", folder)
    with pytest.raises(ValueError, match="expected a skeleton among mpii_16"):
        labels.read(folder / "coco.json", folder, "coco_18")


def blobs(points, width, height, sigma):
    """A grey picture (height, width, 3) with a bump at each point."""
    y, x = np.mgrid[:height, :width]
    bumps = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2)) for a, b in points]
    grey = np.rint(255 * np.clip(sum(bumps), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def centre_near(pixels, point, reach):
    """The centroid of a picture (S, S) near a point."""
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    weight = pixels * (np.hypot(x - point[0], y - point[1]) < reach)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("zoom", [0.6, 1, 4])
@pytest.mark.parametrize(
    "change",
    [Change(), Change(True), Change(False, 0.5, 1.2), Change(True, -0.8, 0.8)],
    ids=str,
)
def test_labels_follow_the_pixels(tmp_path, zoom, change):
    """Bumps drawn at the joints are where the example says, enlarged or reduced."""
    size = int(160 * zoom)
    points = zoom * (40 + 80 * drawn_people.STANDING)
    joints = [MPII_JOINTS.index(name) for name in ("Head", "RWrist", "LFoot", "Thorax")]
    pixels = blobs(points[joints], size, size, 2.5 * zoom)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    people = labels.Labels(
        [tmp_path / "a.png"],
        np.array([[40, 40, 80, 80]]) * zoom,
        points[None].astype(np.float32),
        np.ones((1, 16), bool),
    )
    example = examples.make(people, 0, change, 128)
    assert example.crop.shape == (128, 128, 3) and example.crop.dtype == np.uint8
    if change.mirror:  # the right wrist is now called the left one
        joints = [
            MPII_JOINTS.index(name) for name in ("Head", "LWrist", "RFoot", "Thorax")
        ]
    whole = [j for j in joints if np.all(np.abs(example.points[j] - 63.5) < 55)]
    assert len(whole) >= 3
    for joint in whole:
        place = example.points[joint]
        got = centre_near(example.crop[..., 0], place, 10)
        np.testing.assert_allclose(got, place, atol=0.05)
    if change.mirror and not change.angle:  # the right hand is now on the right
        wrists = [example.points[MPII_JOINTS.index(f"{s}Wrist")] for s in "RL"]
        assert wrists[0][0] < wrists[1][0]


def test_an_unchanged_example_is_the_detector_s_crop(drawn):
    found, _, _ = drawn
    example = examples.make(found, 1, Change(), 256)
    square = crop.from_box(found.box[1])
    want = np.asarray(warp.crops(pictures.read(found.picture[1]), square))[0]
    inside = np.s_[8:-8, 8:-8]
    differences = np.abs(example.crop.astype(int) - want.astype(int))[inside]
    assert differences.max() <= 2
    np.testing.assert_allclose(
        example.points, crop.image_to_crop(found.points[1], square), rtol=1e-5
    )


def test_joints_outside_or_not_labelled_do_not_count(drawn):
    found, _, _ = drawn
    box = found.box.copy()
    box[0, 3] /= 4  # the upper quarter of the first person
    box[0, 2] = box[0, 3]
    hidden = found.found.copy()
    hidden[0, MPII_JOINTS.index("Head")] = False
    example = examples.make(found._replace(box=box, found=hidden), 0, Change(), 128)
    inside = np.all((example.points >= 0) & (example.points <= 127), -1)
    want = inside & hidden[0]
    assert 0 < want.sum() < 15
    np.testing.assert_array_equal(example.weight, want)


def test_changes_are_drawn_as_published():
    drawn = [examples.draw_change((0, i), 30, 0.25, True) for i in range(2000)]
    angles = np.degrees([change.angle for change in drawn])
    scales = np.array([change.scale for change in drawn])
    assert 0.35 < np.mean(angles == 0) < 0.45 and np.abs(angles).max() <= 60
    np.testing.assert_allclose(np.std(angles[angles != 0]), 29, rtol=0.08)
    assert scales.min() == 0.75 and scales.max() == 1.25
    assert 0.45 < np.mean([change.mirror for change in drawn]) < 0.55
    assert examples.draw_change((0, 5), 30, 0.25, True) == drawn[5]
    assert examples.draw_change((0, 5), 0, 0, False) == Change()
