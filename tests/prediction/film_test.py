"""People whom BlazePose's finder finds, from a file to what is written of them.

A film of two who cross; a picture of somebody of whom little is to be seen.
"""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("PIL", reason="predict's helpers need the extra 'detector'")

from jaxflow.detector.blazepose import people
from jaxflow.prediction import files
from jaxflow.prediction.inputs import Reading
from tests.detector.blazepose.people_test import Seeing, look
from tests.helpers import predict as helpers

FRAMES, FPS = 100, 25
WIDE, HIGH = 320, 240
HIP = 150  # px from the top
HIDES = 14  # px that a body is wide to either side
_BODY = helpers.people("test", 1).pose2d[0]
BODY = 32 + 20 * (_BODY - _BODY[6]) / np.ptp(_BODY, axis=0).max()  # heatmap px


@dataclasses.dataclass(frozen=True)
class SeeingJoints(Seeing):
    """Sees the same pose about everybody's hips; of ``wide`` joints hardly where."""

    wide: int = 0

    def observe(self, patches, turn, least=0.0):
        seen = super().observe(patches, turn, least)
        fit = seen.fit.copy()
        fit[..., 1:3] = BODY
        fit[:, : self.wide, 3] = 8
        return seen._replace(fit=fit, mean=fit[..., 1:3])


def middles(t):
    """(2,) px from the left: one who comes from there, and one who passes behind."""
    return np.array([50 + 2.2 * t, 270 - 2.2 * t])


def frame(t):
    """A red and a green spot for each; who is in front hides the other."""
    pixels = np.zeros((HIGH, WIDE, 3), np.uint8)
    y, x = np.mgrid[:HIGH, :WIDE]
    for middle in middles(t)[::-1]:
        pixels[:, max(0, int(middle) - HIDES) : int(middle) + HIDES] = 0
        for channel, height in enumerate((HIP, HIP - 46)):
            spot = (x - middle) ** 2 + (y - height) ** 2 <= 5**2
            pixels[spot, channel] = 255
    return pixels


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What is written of the film, and how often all of a frame was searched."""
    folder = tmp_path_factory.mktemp("film")
    clip = helpers.write_clip(folder / "two.avi", [*map(frame, range(FRAMES))], FPS)
    eyes = SeeingJoints(0.9, None, look, 4)
    lifter = dataclasses.replace(helpers.quick_lifter(), detector=eyes)
    searches = []
    with pytest.MonkeyPatch.context() as patch:
        search = people.search

        def counting(*given):
            searches.append(given)
            return search(*given)

        patch.setattr(people, "search", counting)
        reading = Reading(finder=eyes)
        out = folder / "out"
        outcome, frames = helpers.run([clip], lifter, out, reading, overlays=2)
    assert outcome.problems == [] and frames == FRAMES
    with np.load(out / "two" / files.ARRAYS) as file:
        return dict(file), len(searches)


def test_two_who_cross_keep_their_numbers(written):
    arrays, _ = written
    hips = arrays["pose2d"][:, 6, 0]
    assert set(arrays["person"]) == {"0", "1"}
    for number in (0, 1):
        own = arrays["person"] == str(number)
        truth = np.array([middles(t)[number] for t in arrays["frame"][own]])
        np.testing.assert_allclose(hips[own], truth, atol=6)
        # One of them is hidden while they pass each other.
        assert own.sum() >= FRAMES - 2 * HIDES / 2.2 - 1
        assert len(np.unique(arrays["frame"][own])) == own.sum()


def test_squares_follow_from_frame_to_frame(written):
    """A whole frame is searched at first, each half a second, and for who is lost."""
    arrays, searches = written
    assert searches <= 1 + FRAMES / (FPS / 2) + 2
    side = arrays["square"][:, 2]
    assert np.ptp(side) < 0.2 * side.mean()


def test_somebody_who_is_barely_there_is_noted_everywhere(tmp_path):
    """In poses.json, on the page and on the console."""
    from PIL import Image

    Image.fromarray(frame(0)[:, : WIDE // 2]).save(tmp_path / "a.png")
    eyes = SeeingJoints(0.9, None, look, 4, wide=10)
    lifter = dataclasses.replace(helpers.quick_lifter(), detector=eyes)
    reading = Reading(finder=eyes)
    outcome, _ = helpers.run([tmp_path / "a.png"], lifter, tmp_path / "out", reading)
    note = "barely seen: 10 of 16 joints are guesses"
    assert f"note: a.png, person 0: {note}" in outcome.told()
    document = json.loads((tmp_path / "out" / "a" / files.DOCUMENT).read_text())
    assert [one["note"] for one in document["people"]] == [note]
    text = outcome.page.read_text()
    assert f'"detail":"{note}"' in text and f"person 0: {note}</td>" in text
