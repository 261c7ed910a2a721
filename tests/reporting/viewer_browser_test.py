"""The viewer in a real browser, opened from disk: what is drawn and what it says."""

import re

import numpy as np
import pytest

from jaxflow.reporting import page
from jaxflow.reporting.viewer import viewer
from tests.helpers.browser import Opened, chromium
from tests.helpers.viewer import standing, viewer_pose
from tests.helpers.viewer_reading import (
    COLOURS,
    INKED,
    PLANE,
    SPACE,
    choose,
    drawn,
    said,
    side,
    until,
    view,
)

ODD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    poses = [
        viewer_pose("First"),
        viewer_pose(ODD, seed=1, detail=f"subject {ODD}"),
        viewer_pose("No truth", seed=2, target=None, log_density=None),
    ]
    text = page.render("Title", "", [], [viewer.section(poses), page.Section("B", "")])
    path = tmp_path_factory.mktemp("page") / "viewer.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, path):
    one = Opened(browser, path)
    yield one
    one.context.close()
    assert one.problems == []
    assert one.requests == [path.as_uri()]


def test_both_panels_are_drawn(opened):
    for canvas in (SPACE, PLANE):
        opened.settle()
        assert opened.page.locator(canvas).evaluate(COLOURS) > 20
    assert len(opened.page.screenshot()) > 20_000


def test_the_slider_chooses_the_hypothesis(opened):
    before = drawn(opened), drawn(opened, PLANE)
    slider = opened.page.get_by_role("slider", name="Hypothesis")
    slider.fill("7")
    assert "#8" in said(opened, "number")
    after = drawn(opened), drawn(opened, PLANE)
    assert before[0] != after[0] and before[1] != after[1]
    slider.press("ArrowLeft")
    slider.press("[")
    assert "6 of 12" in said(opened, "number")
    assert "number 6" in slider.get_attribute("aria-valuetext")


def test_the_mouse_turns_and_zooms(opened):
    pictures = [drawn(opened)]
    box = opened.page.locator(SPACE).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = opened.page.mouse
    for dx, dy in ((90, 0), (0, 60)):
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + dx, y + dy, steps=3)
        mouse.up()
        pictures.append(drawn(opened))
    mouse.wheel(0, -300)
    until(lambda: drawn(opened) not in pictures)
    assert len(set(pictures)) == 3
    mouse.dblclick(x, y)
    assert drawn(opened) == pictures[0]


def test_the_wheel_scrolls_the_page_unless_the_drawing_was_clicked(opened):
    before = drawn(opened)
    opened.page.set_viewport_size({"width": 1280, "height": 400})
    opened.page.locator(SPACE).hover()
    top = opened.page.evaluate("scrollY")
    opened.page.mouse.wheel(0, 120)
    until(lambda: opened.page.evaluate("scrollY") > top)
    assert drawn(opened) == before


def test_keys_turn_and_leaf_and_toggle(opened):
    canvas = opened.page.locator(SPACE)
    canvas.focus()
    pictures = [drawn(opened)]
    for key in ("ArrowLeft", "ArrowUp", "+", "]", "g"):
        canvas.press(key)
        pictures.append(drawn(opened))
    assert len(set(pictures)) == len(pictures)
    assert "#2" in said(opened, "number")
    assert not opened.page.get_by_label("ground truth").is_checked()
    for key in ("g", "[", "0"):
        canvas.press(key)
    assert drawn(opened) == pictures[0]
    canvas.press("End")
    assert "12 of 12" in said(opened, "number")


def test_every_control_is_reached_by_the_tab_key(opened):
    opened.page.get_by_label("Pose", exact=True).focus()
    reached = []
    for _ in range(20):
        opened.page.keyboard.press("Tab")
        reached.append(
            opened.page.evaluate(
                "const e = document.activeElement; [e.dataset.role, e.dataset.view, "
                "e.dataset.do, e.dataset.toggle, e.name].find(Boolean)"
            )
        )
    wanted = {"next", "space", "camera", "top", "play", "slider", "truth", "mean"}
    wanted |= {"viewer-colour", "viewer-show", "viewer-sort"}
    assert wanted <= set(reached)


@pytest.mark.parametrize("toggle", ["ground truth", "z = 0 pose", "mean"])
def test_what_is_compared_with_can_be_switched(opened, toggle):
    before = drawn(opened)
    box = opened.page.get_by_label(toggle)
    box.set_checked(not box.is_checked(), force=True)
    assert drawn(opened) != before


def test_colours_show_density_and_error_with_their_range(opened):
    pictures = [drawn(opened)]
    for quantity, unit in (("density", "log-density"), ("error", "error")):
        choose(opened, "colour", quantity)
        pictures.append(drawn(opened))
        assert unit in said(opened, "unit")
    assert len(set(pictures)) == 3
    pose = viewer_pose().frame
    centred = pose.poses - pose.poses[:, :1]
    errors = 1000 * np.linalg.norm(centred - pose.target, axis=-1).mean(axis=-1)
    low, high = (float(said(opened, end).split()[0]) for end in ("low", "high"))
    np.testing.assert_allclose([low, high], [errors.min(), errors.max()], atol=0.11)
    assert side(opened, "right")["count"] < 50  # limbs have lost their sides' colours


def test_the_best_come_first_in_their_order(opened):
    pose = viewer_pose().frame
    centred = pose.poses - pose.poses[:, :1]
    errors = 1000 * np.linalg.norm(centred - pose.target, axis=-1).mean(axis=-1)
    chosen = said(opened, "number").split()[0]
    for order, best in (
        ("error", errors.argmin()),
        ("density", pose.log_density.argmax()),
    ):
        choose(opened, "sort", order)
        assert said(opened, "number").split()[0] == chosen  # the same stays chosen
        opened.page.get_by_role("slider").press("Home")
        assert re.match(rf"#{best + 1}\b", said(opened, "number"))
        assert "rank 1 of 12" in said(opened, order)
        chosen = said(opened, "number").split()[0]
    choose(opened, "sort", "error")
    opened.page.get_by_role("slider").press("Home")
    assert f"{errors.min():.1f} mm" in said(opened, "error")


def test_one_faint_all(opened):
    pictures = {drawn(opened)}
    for show in ("one", "all"):
        choose(opened, "show", show)
        pictures.add(drawn(opened))
    assert len(pictures) == 3


def test_play_leafs_and_stops(opened):
    opened.page.get_by_role("button", name="Play").click()
    slider = opened.page.get_by_role("slider")
    until(lambda: int(slider.input_value()) >= 2)
    opened.page.get_by_role("button", name="Pause").click()
    before = said(opened, "number")
    opened.page.wait_for_timeout(500)
    assert said(opened, "number") == before


def test_the_views_have_the_camera_frame_s_directions(opened):
    """Blue is the left side: right in the picture, and the left arm points away."""
    choose(opened, "show", "one")
    opened.page.get_by_label("ground truth").set_checked(False, force=True)
    view(opened, "Camera")
    left, right = side(opened, "left"), side(opened, "right")
    assert left["x"] > right["x"] + 20
    assert left["endY"] < left["y"] - 20  # the stretched arm is above the leg
    view(opened, "Side")
    assert side(opened, "left")["x"] > side(opened, "right")["x"] + 20
    view(opened, "Top")
    assert side(opened, "left")["y"] < side(opened, "right")["y"] - 20


def test_a_hypothesis_that_projects_onto_the_detection_lies_on_it(browser, tmp_path):
    """The 2D panel's thin line has the detection's size, whatever the depths."""
    pose = standing()
    other = pose * [1, 1, 3]
    bent = pose.copy()
    bent[1:7, 0] += 0.3
    path = tmp_path / "page.html"
    given = viewer_pose(poses=np.stack([pose, other, bent]), log_density=None)
    path.write_text(page.render("", "", [], [viewer.section([given])]), "utf-8")
    opened = Opened(browser, path)
    same = drawn(opened, PLANE)
    panel = opened.page.locator(PLANE)
    detection = np.ptp(given.frame.pose2d, axis=0)
    scale = panel.bounding_box()["height"] / (1.2 * detection.max())
    np.testing.assert_allclose(panel.evaluate(INKED), scale * detection, atol=4)
    slider = opened.page.get_by_role("slider")
    slider.fill("1")
    assert drawn(opened, PLANE) == same
    slider.fill("2")
    assert drawn(opened, PLANE) != same
    opened.context.close()


def test_names_from_data_are_shown_and_not_run(opened):
    dialogs = []
    opened.page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    opened.page.get_by_label("Pose", exact=True).select_option(index=1)
    opened.settle()
    assert opened.page.locator("option").nth(1).inner_text() == ODD
    assert said(opened, "detail") == f"subject {ODD}"
    assert opened.page.locator("script").count() == 2  # the data and the viewer
    assert dialogs == []


def test_a_single_pose_has_a_title_and_no_list(browser, tmp_path):
    path = tmp_path / "page.html"
    section = viewer.section([viewer_pose(ODD)])
    path.write_text(page.render("", "", [], [section]), "utf-8")
    opened = Opened(browser, path)
    opened.settle()
    assert opened.page.locator("b[data-role=title]").inner_text() == ODD
    assert not opened.page.get_by_label("Pose", exact=True).is_visible()
    assert not opened.page.get_by_role("button", name="Next pose").is_visible()
    assert said(opened, "detail") == "a line about it"
    opened.context.close()


def test_the_policy_refuses_other_scripts(browser, path):
    opened = Opened(browser, path)
    opened.page.evaluate(
        "const one = document.createElement('script');"
        "one.textContent = 'window.slipped = 1'; document.body.append(one)"
    )
    assert opened.page.evaluate("window.slipped") is None
    assert any("Content Security Policy" in text for text in opened.problems)
    opened.context.close()


def test_without_truth_its_controls_are_off(opened):
    choose(opened, "colour", "error")
    view(opened, "Previous pose")
    opened.settle()
    assert opened.page.locator("[name=viewer-colour][value=error]").is_disabled()
    assert opened.page.locator("[name=viewer-colour][value=limbs]").is_checked()
    assert opened.page.get_by_label("ground truth").is_disabled()
    assert not opened.page.locator("[data-role=error]").is_visible()
    view(opened, "Next pose")
    opened.settle()
    assert opened.page.locator("[data-role=error]").is_visible()
    assert opened.page.get_by_label("ground truth").is_enabled()


def test_dark_and_light_follow_the_system_at_once(opened):
    background = "getComputedStyle(document.body).backgroundColor"
    pictures = []
    for scheme, bright in (("light", True), ("dark", False)):
        opened.page.emulate_media(color_scheme=scheme)
        opened.settle()
        channels = re.findall(r"\d+", opened.page.evaluate(background))
        assert (min(map(int, channels)) > 200) == bright
        assert (max(map(int, channels)) > 60) == bright
        pictures.append(drawn(opened))
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_is_wider_than_the_window(browser, path, width):
    opened = Opened(
        browser,
        path,
        viewport={"width": width, "height": 844},
        has_touch=width < 500,
        device_scale_factor=2,
    )
    opened.settle()
    assert opened.overflow() <= 0
    box = opened.page.locator(SPACE).bounding_box()
    assert box["width"] > 0.5 * min(width, 1088)
    size = opened.page.locator(SPACE).evaluate("canvas => canvas.width")
    assert abs(size - 2 * box["width"]) <= 1  # sharp at this display's density
    assert opened.problems == []
    opened.context.close()


def test_two_fingers_zoom(browser, path):
    opened = Opened(
        browser, path, viewport={"width": 390, "height": 844}, has_touch=True
    )
    before = drawn(opened)
    opened.page.locator(SPACE).scroll_into_view_if_needed()
    box = opened.page.locator(SPACE).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = opened.context.new_cdp_session(opened.page)
    for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 90)):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        event = {"type": kind, "touchPoints": points}
        session.send("Input.dispatchTouchEvent", event)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(lambda: drawn(opened) != before)
    assert opened.page.evaluate("visualViewport.scale") == 1
    opened.context.close()


def test_without_scripts_the_page_says_so(browser, path):
    opened = Opened(browser, path, java_script_enabled=False)
    assert opened.page.locator("noscript p").is_visible()
    assert not opened.page.locator(".viewer").is_visible()
    opened.context.close()
