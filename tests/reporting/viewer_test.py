"""What the viewer is given: positions, figures, ellipses, text, and bad input."""

import base64
import html.parser
import json

import numpy as np
import pytest

from jaxflow.reporting import page
from jaxflow.reporting.viewer import viewer
from tests.helpers.viewer import standing, viewer_pose

ODD = "</script><script>alert(1)</script> & \u2028"


class Reader(html.parser.HTMLParser):
    """Collects the contents of script elements by their type."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.kind = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_data(self, data):
        if self.scripts and self.cdata_elem == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = kind, text + data


def document(pose):
    """The JSON that a browser will read."""
    scripts = Reader(viewer.section([pose]).markup.html).scripts
    assert [kind for kind, _ in scripts] == ["application/json"]
    return json.loads(scripts[0][1])["poses"][0]


def positions(text):
    return np.frombuffer(base64.b64decode(text), "<i2").reshape(-1, 17, 3) / 1000


def test_positions_are_kept_to_half_a_millimetre():
    shown = viewer_pose(poses=viewer_pose().frame.poses + [0.3, -1.0, 4.0])
    found, given = document(shown), shown.frame
    want = given.poses - given.poses[:, :1]
    np.testing.assert_allclose(positions(found["hypotheses"]), want, atol=5.01e-4)
    mean = want.mean(axis=0)
    np.testing.assert_allclose(positions(found["mean"])[0], mean, atol=5.01e-4)
    np.testing.assert_allclose(positions(found["target"])[0], standing(), atol=5.01e-4)


def test_positions_out_of_range_stop_at_it():
    far = standing()
    far[3, 2] = 1000.0
    found = positions(document(viewer_pose(mode=far))["mode"])[0]
    assert found[3, 2] == 32.767


def test_errors_are_those_of_the_hypotheses():
    shown = viewer_pose()
    found, given = document(shown), shown.frame
    centred = given.poses - given.poses[:, :1]
    want = 1000 * np.linalg.norm(centred - given.target, axis=-1).mean(axis=-1)
    np.testing.assert_allclose(found["error"], want, atol=0.06)
    mode = 1000 * np.linalg.norm(given.mode - given.target, axis=-1).mean()
    np.testing.assert_allclose(found["modeError"], mode, atol=0.06)
    np.testing.assert_allclose(found["density"], given.log_density, atol=0.006)


def test_without_truth_and_density_there_are_none():
    found = document(viewer_pose(target=None, log_density=None))
    assert not {"target", "error", "modeError", "meanError", "density"} & set(found)


def test_names_cannot_leave_their_element():
    found = document(viewer_pose(ODD, detail=ODD))
    assert found["title"] == ODD and found["detail"] == ODD
    text = viewer.section([viewer_pose(ODD)]).markup.html
    assert "alert(1)</" not in text and "\u2028" not in text


def test_ellipses_are_the_level_lines_of_the_fitted_bumps():
    """Against the definition, in heatmap pixels, y down, with its sign of theta."""
    fit = np.array([[0.9, 20.0, 40.0, -2.0, 0.6, 5.0, 0.0]] * 16, np.float32)
    x0, y0, longer, shorter, angle = viewer.ellipses(fit)[3]
    assert longer > shorter
    turn = np.linspace(0, 2 * np.pi, 9)
    along, across = longer * np.cos(turn), shorter * np.sin(turn)
    dx = (x0 + along * np.cos(angle) - across * np.sin(angle)) / 4 - 20.0
    dy = (y0 + along * np.sin(angle) + across * np.cos(angle)) / 4 - 40.0
    sx, t, sy = 2.0, 0.6, 5.0
    a = np.cos(t) ** 2 / (2 * sx**2) + np.sin(t) ** 2 / (2 * sy**2)
    b = -np.sin(2 * t) / (4 * sx**2) + np.sin(2 * t) / (4 * sy**2)
    c = np.sin(t) ** 2 / (2 * sx**2) + np.cos(t) ** 2 / (2 * sy**2)
    exponent = a * dx**2 + 2 * b * dx * dy + c * dy**2
    np.testing.assert_allclose(exponent, 0.5, rtol=1e-4)


def test_pictures():
    png = b"\x89PNG\r\n\x1a\n..."
    found = document(viewer_pose(picture=png))["picture"]
    assert found == "data:image/png;base64," + base64.b64encode(png).decode()
    jpeg = document(viewer_pose(picture=b"\xff\xd8\xff\xe0"))["picture"]
    assert jpeg.startswith("data:image/jpeg;")
    with pytest.raises(ValueError, match=r"picture of 'A pose'.*JPEG or PNG.*GIF8"):
        viewer.section([viewer_pose(picture=b"GIF89a")])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pose2d", np.zeros((17, 2)), r"pose2d of 'A pose'.*\(16, 2\).*\(17, 2\)"),
        ("fit", np.full((16, 7), np.nan), "fit of 'A pose'.*finite.*112"),
        ("poses", np.zeros((12, 51)), r"poses.*\(12, 17, 3\).*\(12, 51\)"),
        ("poses", np.zeros((0, 17, 3)), "one or more"),
        ("target", np.zeros((16, 3)), "target"),
        ("log_density", np.zeros(11), r"log_density.*\(12,\).*\(11,\)"),
    ],
)
def test_bad_poses_are_refused(field, value, message):
    fields = {field: value}
    if message == "one or more":
        fields["log_density"] = None
    with pytest.raises(ValueError, match=message):
        viewer.section([viewer_pose(**fields)])


def test_no_pose_is_refused():
    with pytest.raises(ValueError, match="at least one pose"):
        viewer.section([])


def test_a_page_of_many_poses_is_small():
    poses = [viewer_pose(str(i), count=200, seed=i) for i in range(24)]
    text = page.render("", "", [], [viewer.section(poses)])
    assert len(text.encode()) < 1_000_000


def test_viewers_of_one_page_share_their_script():
    sections = [viewer.section([viewer_pose()], name=name) for name in ("one", "two")]
    text = page.render("", "", [], sections)
    kinds = [kind for kind, _ in Reader(text).scripts]
    assert kinds == ["application/json"] * 2 + [None]
    assert 'id="one-keys"' in text and 'id="two-keys"' in text


def test_the_same_poses_give_the_same_page():
    first, second = (viewer.section([viewer_pose()]).markup for _ in range(2))
    assert first == second
