"""The page of predictions: whom it shows, and how it is used in a browser."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pictures need the extra 'detector'")

from jaxflow.detector.crops import crop
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import pictures as reading
from jaxflow.detector.readers.records import Seen
from jaxflow.prediction import files, page, page_people, pictures
from jaxflow.prediction.files import ARRAYS
from jaxflow.prediction.page_people import Frame
from jaxflow.prediction.records import Lifted
from jaxflow.skeleton import H36M_JOINTS
from tests.helpers import predict as predict_helpers
from tests.helpers.browser import Opened, chromium
from tests.helpers.viewer import viewer_pose
from tests.helpers.viewer_reading import (
    COLOURS,
    PIXELS,
    PLANE,
    SPACE,
    choose,
    drawn,
    said,
    until,
)

PICTURE = "[data-role=picture]"
# Pixels of grey ground under a thin green, in the left and in the right half.
TINGED = f"""(canvas) => {{{PIXELS}
  const found = [0, 0];
  for (let i = 0; i < data.length; i += 4) {{
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    if (g - Math.max(r, b) < 8 || g - r > 70 || Math.abs(r - b) > 40) continue;
    found[Number((i / 4) % canvas.width > canvas.width / 2)] += 1;
  }}
  return found;
}}"""
TITLE = "select[data-role=pose] option:checked"


@pytest.fixture(scope="module")
def joints():
    """(2, 16, 2) px of two people side by side."""
    return predict_helpers.people("test", 2).pose2d + [[[0, 0]], [[256, 0]]]


def lifted(pose2d, person, picture):
    """Somebody with eight hypotheses, of which the rule took the sixth."""
    shown = viewer_pose(count=8, seed=person).frame
    low, high = pose2d.min(axis=0), pose2d.max(axis=0)
    square = Crop((low + high) / 2, np.float64(1.25 * (high - low).max()))
    fit = np.array(shown.fit)
    fit[:, 1:3] = crop.image_to_crop(pose2d, square) / 4
    hypotheses = shown.poses * np.float32(1 + 0.2 * person)
    return Lifted(
        Seen("both.png", 0, person, square, picture, note="a note" * person),
        hypotheses=hypotheses,
        chosen=hypotheses[5],
        mode=shown.mode,
        spread=hypotheses.std(axis=0),
        log_density=shown.log_density,
        pose2d=pose2d,
        fit=fit,
    )


@pytest.fixture(scope="module")
def out(joints, tmp_path_factory):
    """What a run leaves of them."""
    folder = tmp_path_factory.mktemp("page")
    sides = joints[0], joints[1] - [256, 0]
    both = np.concatenate([predict_helpers.draw(one) for one in sides], axis=1)
    about = {"run": {"rule": "medoid", "num_hypotheses": 8}, "input": {}}
    writer = files.PeopleWriter(files.Output(folder), "both", about, None)
    for person, own in enumerate(joints):
        writer.take(lifted(own, person, reading.from_array(both)))
    page.write(folder, [page.Done(folder / "both", writer.finish())], [])
    return folder


@pytest.fixture(scope="module")
def arrays(out):
    with np.load(out / "both" / ARRAYS) as file:
        return dict(file)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def shows_the_picture(opened):
    opened.settle()
    return opened.page.locator(PICTURE).evaluate(COLOURS) > 200


def titled(opened):
    opened.settle()
    return opened.page.locator(TITLE).inner_text()


@pytest.fixture
def opened(browser, out):
    one = Opened(browser, out / page.PAGE)
    until(lambda: shows_the_picture(one))  # which is read after the page
    yield one
    one.context.close()
    assert one.problems == []
    assert one.requests == [(out / page.PAGE).as_uri()]


def test_it_opens_on_the_pose_that_the_rule_chose(opened):
    """Which is the sixth of the hypotheses."""
    assert "chosen" in said(opened, "number") and "medoid" in said(opened, "number")
    first = drawn(opened)
    slider = opened.page.get_by_role("slider", name="Hypothesis")
    slider.fill("5")
    assert "#6" in said(opened, "number") and drawn(opened) == first
    slider.fill("0")
    assert drawn(opened) != first
    opened.page.get_by_role("button", name="Chosen pose").click()
    assert drawn(opened) == first


def test_a_click_picks_a_person_and_so_do_keys(opened, joints):
    box = opened.page.locator(PICTURE).bounding_box()
    scale = min(box["width"] / 512, box["height"] / 256)
    corner = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    before = drawn(opened), drawn(opened, PICTURE), drawn(opened, PLANE)
    for person in (1, 0):
        point = corner + scale * (joints[person, 8] - [256, 128])
        opened.page.mouse.click(*point)
        assert f"person {person}" in titled(opened)
        after = drawn(opened), drawn(opened, PICTURE), drawn(opened, PLANE)
        assert [a == b for a, b in zip(after, before, strict=True)] == [person == 0] * 3
    button = opened.page.get_by_role("button", name="both.png, person 1", exact=True)
    button.focus()
    opened.page.keyboard.press("Enter")
    assert "person 1" in titled(opened)
    assert button.get_attribute("aria-pressed") == "true"
    assert said(opened, "detail") == "a note"


def test_the_buttons_stand_around_the_people(opened, joints):
    box = opened.page.locator(PICTURE).bounding_box()
    scale = min(box["width"] / 512, box["height"] / 256)
    for person, own in enumerate(joints):
        name = f"both.png, person {person}"
        button = opened.page.get_by_role("button", name=name, exact=True).bounding_box()
        found = button["x"] + button["width"] / 2 - box["x"] - box["width"] / 2
        middle = (own[:, 0].min() + own[:, 0].max()) / 2
        assert abs(found / scale - (middle - 256)) < 15


def test_the_picture_has_the_hypotheses_projections(opened):
    """They go where only one is asked for."""
    assert shows_the_picture(opened)
    before = drawn(opened, PICTURE), drawn(opened, PLANE)
    choose(opened, "show", "one")
    after = drawn(opened, PICTURE), drawn(opened, PLANE)
    assert before[0] != after[0] and before[1] != after[1]


def test_the_picture_has_the_ellipses_of_whom_it_shows(opened):
    choose(opened, "show", "one")
    for person in (0, 1):
        opened.page.locator(TITLE).evaluate(
            "(o, i) => {o.parentElement.selectedIndex = i;"
            " o.parentElement.dispatchEvent(new Event('change', {bubbles: true}))}",
            person,
        )
        opened.settle()
        tinged = opened.page.locator(PICTURE).evaluate(TINGED)
        assert tinged[person] > 2 * tinged[1 - person], tinged


def test_the_spread_is_said_in_words(opened, arrays):
    lines = opened.page.locator("[data-role=words] li").all_inner_texts()
    assert len(lines) == 16
    x, y, z = 100 * arrays["spread"][0, H36M_JOINTS.index("LWrist")]
    across = round(float(np.sqrt((x**2 + y**2) / 2)))
    want = (
        f"left wrist: \u00b1 {across} cm across, \u00b1 {round(float(z))} cm in depth"
    )
    assert want in lines


def test_what_has_nothing_to_show_is_not_there(opened):
    for name in ("ground truth", "error"):
        assert not any(
            one.is_visible() for one in opened.page.get_by_text(name, exact=True).all()
        ), name
    assert opened.page.get_by_text("z = 0 pose").is_visible()


def test_on_a_phone_in_the_dark(browser, out):
    one = Opened(
        browser,
        out / page.PAGE,
        viewport={"width": 360, "height": 740},
        has_touch=True,
        color_scheme="dark",
    )
    until(lambda: shows_the_picture(one))
    assert one.overflow() <= 0 and one.problems == []
    picture, space = (
        one.page.locator(role).bounding_box() for role in (PICTURE, SPACE)
    )
    assert picture["width"] > 300 and picture["y"] < space["y"]
    one.page.locator("[data-person='1']").tap()
    until(lambda: "person 1" in titled(one))
    one.context.close()


def frames(*counts):
    folder = pathlib.Path("a")
    return [Frame(folder, "a", i, list(range(n)), None) for i, n in enumerate(counts)]


def test_frames_are_taken_fairly_and_whole():
    video, photo = frames(*[2] * 100), frames(3)
    taken = page_people.fairly([video, photo])
    assert sum(len(one.rows) for one in taken) <= page_people.SHOWN
    assert len(taken) == 11 and taken[-1].rows == [0, 1, 2]
    assert np.ptp(np.diff([one.number for one in taken[:-1]])) <= 1
    assert len(page_people.fairly([frames(3)] * 50)) == 8
    assert len(page_people.fairly([frames(100)])) == 1


@pytest.mark.parametrize("side, shown", [(200, True), (400, False), (900, True)])
def test_the_whole_picture_is_left_out_where_the_crop_shows_it(side, shown):
    """As large; of somebody whom it does not hold the crop is mostly empty."""
    kept = pictures.Kept(b"", np.array([400.0, 300.0]))
    people = SimpleNamespace(read=lambda name, row: np.array([200.0, 150.0, side]))
    scene = page_people._scene(people, frames(1)[0], kept)
    assert (scene is not None) == shown


def test_words():
    spread = np.zeros((17, 3))
    spread[H36M_JOINTS.index("LWrist")] = 0.03, 0.05, 0.123
    spread[H36M_JOINTS.index("Spine")] = 0.001, 0.001, 0.02
    first, second, *others = page_people.in_words(spread)
    assert first == "left wrist: \u00b1 4 cm across, \u00b1 12 cm in depth"
    assert second == "spine: below 1 cm across, \u00b1 2 cm in depth"
    assert len(others) == 14 and not any("hip:" == line[:4] for line in others)


def test_a_picture_is_kept_small_and_knows_its_size(joints):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (900, 1600, 3), np.uint8)
    content = pictures._reduced(pixels, 0.5, "1600 900")
    same = pictures.kept(content, 1e9)
    assert same.content == content and same.size.tolist() == [1600, 900]
    small = pictures.kept(content, len(content) / 4)
    assert 0.1 < len(small.content) / len(content) < 0.3
    assert small.size.tolist() == [1600, 900]
    assert pictures.kept(b"\xff\xd8\xff no picture", 1e9) is None
