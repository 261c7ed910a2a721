"""ASF and AMC files: bones, joints, and what a damaged file says of itself."""

import re

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from data_builders.cmu_mocap_lift import amc, asf, kinematics
from data_builders.files import DataFileError
from jaxflow.skeleton import H36M_BONES, H36M_JOINTS
from tests.conftest import shared_path
from tests.helpers import cmu as cmu

SKELETON = asf.parse(cmu.asf_text(), "01.asf")
PLACES = {bone.name: place for place, bone in enumerate(SKELETON.bones)}
ROWS = cmu.motion_rows(np.random.default_rng(0), 12)
LINES_IN_FRAME = 2 + len(cmu.DOF)
HEADER = 3


def ends_of(rows, skeleton=SKELETON):
    return kinematics.bone_ends(skeleton, amc.parse(cmu.amc_text(rows), skeleton, "x"))


@pytest.mark.parametrize("take", ["02_01", "02_03", "05_03", "16_49"])
def test_expected_joints_of_real_takes(take):
    home = shared_path("data/cmu_asfamc/subjects") / take[:2]
    skeleton = asf.parse((home / f"{take[:2]}.asf").read_text(), "asf")
    motion = amc.parse((home / f"{take}.amc").read_text(), skeleton, "amc")
    with np.load(home.parents[1] / "expected_joints.npz") as expected:
        assert len(motion.position) == expected[f"{take}/frames"]
        ends = kinematics.bone_ends(skeleton, motion)[::10]
        names = [bone.name for bone in skeleton.bones]
        order = [names.index(name) for name in expected[f"{take}/names"]]
        wanted = expected[f"{take}/end_points_mm"]
        np.testing.assert_allclose(ends[:, order], wanted, rtol=0, atol=0.01)
        joints = kinematics.joints(skeleton, ends, "asf")
        wanted = expected[f"{take}/h36m17_mm"]
        np.testing.assert_allclose(joints, wanted, rtol=0, atol=0.01)


def test_bone_ends_against_one_bone_after_the_other():
    """Axes, orders of rotation, subsets of angles and another order of bones."""
    ends = ends_of(ROWS)
    for frame, row in enumerate(ROWS):
        for name, end in cmu.slow_ends(row).items():
            np.testing.assert_allclose(ends[frame, PLACES[name]], end, atol=1e-6)


def test_order_of_the_root_s_numbers():
    order = "RZ TX RX TZ RY TY"
    skeleton = asf.parse(cmu.asf_text(root_order=order), "01.asf")
    ends = ends_of(ROWS, skeleton)
    for name, end in cmu.slow_ends(ROWS[5], order).items():
        np.testing.assert_allclose(ends[5, PLACES[name]], end, atol=1e-6)


def test_all_angles_zero_is_the_skeleton_at_rest():
    ends = ends_of(np.zeros((1, cmu.WIDTH)))[0]
    for name, parent, direction, length, *_ in cmu.BONES:
        bone = ends[PLACES[name]] - ends[PLACES[parent]]
        expected = length * 25.4 / 0.45 * np.asarray(direction)
        np.testing.assert_allclose(bone, expected, atol=1e-9)


numbers = st.lists(
    st.floats(-180, 180, allow_subnormal=False), min_size=cmu.WIDTH, max_size=cmu.WIDTH
)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(numbers)
def test_bones_are_rigid(row):
    ends = ends_of(np.asarray([row, np.zeros(cmu.WIDTH)]))
    for name, parent, *_ in cmu.BONES:
        lengths = np.linalg.norm(
            ends[:, PLACES[name]] - ends[:, PLACES[parent]], axis=1
        )
        assert lengths[0] == pytest.approx(lengths[1], abs=1e-6)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(numbers, st.tuples(*[st.floats(-50, 50, allow_subnormal=False)] * 3))
def test_moving_the_root_moves_every_bone_alike(row, step):
    moved = np.asarray(row)
    moved[:3] += step
    ends = ends_of(np.asarray([row, moved]))
    expected = np.broadcast_to(cmu.UNIT * np.asarray(step), ends[0].shape)
    np.testing.assert_allclose(ends[1] - ends[0], expected, atol=1e-6)


def test_joints_are_a_person():
    joints = kinematics.joints(SKELETON, ends_of(np.zeros((1, cmu.WIDTH))), "x")[0]
    at = dict(zip(H36M_JOINTS, joints, strict=True))
    up = ("RFoot", "RKnee", "RHip", "Spine", "Thorax", "Nose", "Head")
    heights = [at[name][1] for name in up]
    assert heights == sorted(heights)
    for name in ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist"):
        assert at["L" + name][0] > 0 > at["R" + name][0]  # it looks along z
    np.testing.assert_allclose(at["Hip"], (at["LHip"] + at["RHip"]) / 2, atol=1e-9)
    lengths = [np.linalg.norm(joints[child] - joints[p]) for p, child in H36M_BONES]
    assert 60 < min(lengths) and max(lengths) < 500


def test_a_skeleton_without_a_needed_bone():
    bones = [bone for bone in cmu.BONES if bone[0] not in ("head", "lwrist")]
    skeleton = asf.parse(cmu.asf_text(bones), "01.asf")
    ends = np.zeros((1, len(skeleton.bones), 3))
    with pytest.raises(DataFileError, match=r"01\.asf.*lacks head, lwrist"):
        kinematics.joints(skeleton, ends, "01.asf")


ASF_DAMAGE = {
    "another kind of file": (lambda text: "hello\n", "no ASF skeleton"),
    "empty": (lambda text: "", "no ASF skeleton"),
    "truncated": (lambda text: text[: text.index(":hierarchy")], "no :hierarchy"),
    "half the bones": (
        lambda t: t[: t.rindex("  begin", 0, 2000)] + t[t.index(":hierarchy") :],
        "unknown bone",
    ),
    "radians": (lambda text: text.replace("angle deg", "angle rad"), "01.asf:7"),
    "no angle": (lambda text: text.replace("angle deg", ""), "no angle"),
    "unit of no length": (lambda t: t.replace("length 0.45", "length 0"), "01.asf:6"),
    "inches": (lambda t: t.replace("length 0.45", "length 1"), "femur.*unit"),
    "millimetres": (lambda t: t.replace("length 0.45", "length 25.4"), "femur.*unit"),
    "unknown dof": (lambda t: t.replace("dof ry rz", "dof ry l", 1), "not l; got"),
    "dof twice": (lambda t: t.replace("dof ry rz", "dof ry ry", 1), "each angle once"),
    "no direction": (
        lambda t: re.sub(r"direction .*\n", "\n", t, count=1),
        "no direction of lhip",
    ),
    "word for a number": (
        lambda t: t.replace("length 7.6", "length long", 1),
        "01.asf:.*1 numbers",
    ),
    "NaN": (lambda t: t.replace("length 7.6", "length nan", 1), "finite"),
    "order of rotation": (lambda t: t.replace("ZYX", "ZYY"), "order of rotation"),
    "root order": (lambda t: t.replace("TX TY TZ", "TX TY TY"), "in any order"),
    "bone without a parent": (
        lambda t: t.replace("    lradius lwrist\n", ""),
        "no parent of lwrist",
    ),
    "circle": (lambda t: t.replace("ltibia lfoot", "ltibia lfemur"), "lfemur twice"),
}


@pytest.mark.parametrize("damage", ASF_DAMAGE)
def test_damaged_skeletons(damage):
    edit, message = ASF_DAMAGE[damage]
    with pytest.raises(DataFileError, match=message) as raised:
        asf.parse(edit(cmu.asf_text()), "01.asf")
    assert "01.asf" in str(raised.value)


def with_line(number, edit):
    """Edits a line, counted from 1."""

    def change(text):
        lines = text.splitlines()
        lines[number - 1] = edit(lines[number - 1])
        return "\n".join(line for line in lines if line is not None)

    return change


# The third frame's lines; its bones come in reverse.
THIRD = HEADER + 2 * LINES_IN_FRAME + 1
AMC_DAMAGE = {
    "another kind of file": (lambda text: "hello\n", "no AMC motion"),
    "empty": (lambda text: "", "no AMC motion"),
    "header alone": (lambda text: "\n".join(text.splitlines()[:3]), "no AMC motion"),
    "radians": (lambda text: text.replace(":DEGREES", ":RADIANS"), "x.amc:3"),
    "truncated in a line": (
        lambda text: text[:-60].rsplit(" ", 1)[0],
        "x.amc.*(truncated|values)",
    ),
    "truncated after a line": (
        lambda text: "\n".join(text.splitlines()[:-3]),
        "truncated: it ends in frame 12",
    ),
    "truncated in the first frame": (
        lambda text: "\n".join(text.splitlines()[:9]),
        "x.amc:4: this frame lacks lower",
    ),
    "value missing": (
        with_line(THIRD + 1, lambda line: line.rsplit(" ", 1)[0]),
        f"x.amc:{THIRD + 1}: expected root with 6 values",
    ),
    "value too many": (
        with_line(THIRD + 2, lambda line: line + " 1.0"),
        f"x.amc:{THIRD + 2}: expected rwrist with 1 values",
    ),
    "word for a number": (
        with_line(THIRD + 3, lambda line: "rradius one"),
        f":{THIRD + 3}:.*no number",
    ),
    "NaN": (with_line(THIRD + 3, lambda line: "rradius nan"), f":{THIRD + 3}: rradius"),
    "infinite": (with_line(THIRD + 2, lambda line: "rwrist 1e999"), "rwrist is not"),
    "missing bone": (with_line(THIRD + 2, lambda line: None), f"x.amc:{THIRD + 2}"),
    "missing bone at first": (with_line(HEADER + 4, lambda line: None), "lacks rrad"),
    "unknown bone": (
        with_line(HEADER + 3, lambda line: "tail 1.0"),
        "x.amc:6.*got 'tail'",
    ),
    "bone that cannot turn": (
        with_line(HEADER + 3, lambda line: "lhipjoint 1.0"),
        "x.amc:6.*'lhipjoint'",
    ),
    "bone twice": (with_line(HEADER + 4, lambda line: "rwrist 1.0"), "rwrist twice"),
    "frame number": (with_line(THIRD, lambda line: "two"), f":{THIRD}: expected"),
    "binary": (lambda text: text[:300] + "\0\ufffd" * 40, "x.amc"),
}


@pytest.mark.parametrize("damage", AMC_DAMAGE)
def test_damaged_motions(damage):
    edit, message = AMC_DAMAGE[damage]
    with pytest.raises(DataFileError, match=message):
        amc.parse(edit(cmu.amc_text(ROWS)), SKELETON, "x.amc")


def test_line_ends_and_blank_lines_at_the_end_do_not_matter():
    text = cmu.amc_text(ROWS)
    plain = amc.parse(text, SKELETON, "x")
    other = amc.parse(text.replace("\n", "\r\n") + "\r\n \r\n\x1a", SKELETON, "x")
    np.testing.assert_array_equal(plain.angles, other.angles)
    np.testing.assert_array_equal(plain.position, other.position)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.data())
def test_whatever_a_file_holds_it_is_read_or_refused(data):
    """Cut and overwritten files: a motion of finite numbers or a ``DataFileError``."""
    text = cmu.amc_text(ROWS[:3])
    place = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 60))
    text = text[:place] + data.draw(st.text(max_size=12)) + text[place + length :]
    try:
        motion = amc.parse(text, SKELETON, "x")
    except DataFileError:
        return
    assert motion.angles.shape[1:] == (len(SKELETON.bones), 3)
    assert np.isfinite(motion.angles).all() and np.isfinite(motion.position).all()
