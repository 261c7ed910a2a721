"""BlazePose on photographs that installed packages carry for their own examples.

None is in this repository: each is looked for where its package has it. Joints are
told by eye, to a tenth of the person's height.
"""

import numpy as np
import pytest

from jaxflow.detector.blazepose import detector, fetch, people
from jaxflow.detector.crops.crop import heatmap_to_image
from jaxflow.detector.readers import pictures
from jaxflow.skeleton import MPII_JOINTS
from tests.helpers import photographs

pytestmark = pytest.mark.slow

JOINTS = ("RFoot", "LFoot", "RShoulder", "LShoulder", "RWrist", "LWrist")
# Whole people: their `JOINTS`, px; None for what is not seen.
WHOLE = {
    ("opencv", "messi5.jpg"): [
        [(280, 320), (420, 268), (180, 130), (285, 130), (100, 98), (355, 165)]
    ],
    ("opencv", "basketball1.png"): [
        [(62, 465), (128, 455), (50, 160), (115, 160), (130, 160), (150, 165)]
    ],
    ("ultralytics/assets", "bus.jpg"): [
        [(75, 870), (195, 865), (80, 500), (170, 500), (180, 560), (125, 600)],
        [(270, 830), (285, 790), (245, 505), (325, 500), (270, 660), (265, 525)],
    ],
}
# Portraits: their shoulders, which tell left from right.
PORTRAITS = {
    ("matplotlib/mpl-data/sample_data", "grace_hopper.jpg"): [(100, 390), (430, 400)],
    ("skimage/data", "astronaut.png"): [(75, 260), (310, 250)],
}
NOBODY = [
    ("matplotlib/mpl-data/sample_data", "logo2.png"),
    ("matplotlib/mpl-data/sample_data", "Minduka_Present_Blue_Pack.png"),
    ("skimage/data", "chelsea.png"),
    ("skimage/data", "coffee.png"),
    ("skimage/data", "rocket.jpg"),
    ("opencv", "fruits.jpg"),
    ("opencv", "home.jpg"),
]


@pytest.fixture(scope="module")
def net():
    for name in ("pose_detection.tflite", "pose_landmark_full.tflite"):
        if not fetch.is_whole(name):
            pytest.skip(f"{name} was not fetched: {fetch.cache()}")
    return detector.load("full", offline=True)


def mirrored(picture):
    return pictures.from_array(np.ascontiguousarray(picture.pixels[:, ::-1]))


def joints_of(one):
    """(16, 2) px of the picture."""
    return heatmap_to_image(one.seen.mean.astype(np.float64), one.shown.upright())


def exchanged(points, width):
    """Joints of pairs (2 n, 2) as a mirror image has them."""
    pairs = points.reshape(-1, 2, 2)[:, ::-1].reshape(-1, 2)
    return np.array([width - 1, 0]) + [-1, 1] * pairs


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("place", WHOLE, ids=lambda place: place[1])
def test_everybody_whole_is_found_and_not_mirrored(net, place, mirror):
    picture = photographs.read(*place)
    found = people.search(mirrored(picture) if mirror else picture, net)
    told = [joints_of(one)[[*map(MPII_JOINTS.index, JOINTS)]] for one in found]
    for want in map(np.array, WHOLE[place]):
        want = exchanged(want, picture.width) if mirror else want
        height = np.ptp(want[:, 1])
        apart = [np.linalg.norm(own - want, axis=1) / height for own in told]
        best = min(apart, key=np.max)
        assert best.max() < 0.15, dict(zip(JOINTS, best.round(2), strict=True))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("place", PORTRAITS, ids=lambda place: place[1])
def test_a_portrait_is_one_person(net, place, mirror):
    picture = photographs.read(*place)
    (one,) = people.search(mirrored(picture) if mirror else picture, net)
    want = np.array(PORTRAITS[place])
    want = exchanged(want, picture.width) if mirror else want
    shoulders = [MPII_JOINTS.index(name) for name in ("RShoulder", "LShoulder")]
    apart = np.linalg.norm(joints_of(one)[shoulders] - want, axis=1)
    assert apart.max() < 0.2 * np.ptp(want[:, 0])


@pytest.mark.parametrize("place", NOBODY, ids=lambda place: place[1])
def test_nobody_is_found_where_nobody_is(net, place):
    assert people.search(photographs.read(*place), net) == []
