"""Tables of keypoints with gaps: what is no number was not found."""

import numpy as np
import pytest

from jaxflow.runs.errors import UserError
from jaxflow.skeleton import H36M_JOINTS, MPII_JOINTS
from tests.conftest import shared_path
from tests.detector.readers.people_test import figures, read


@pytest.mark.parametrize("column", [0, 1, 2])
def test_what_is_no_number_was_not_found(column, tmp_path):
    numbers = figures(1, 16)
    numbers[0, MPII_JOINTS.index("Head"), column] = np.nan
    np.savez(tmp_path / "a.npz", keypoints=numbers)
    (person,) = read(tmp_path / "a.npz")
    assert person.note == "not found: Head"


def test_an_empty_cell_was_not_found(tmp_path):
    (numbers,) = figures(1, 16)
    names = [f"{name}{i}" for i in range(16) for name in "xyc"]
    cells = [f"{value:.1f}" for value in numbers.ravel()]
    cells[3 * MPII_JOINTS.index("Head")] = ""
    text = f"frame,person,{','.join(names)}\n7.0,3.0,{','.join(cells)}\n"
    (tmp_path / "A.CSV").write_text(text)
    (person,) = read(tmp_path / "A.CSV")
    assert (person.note, person.frame, person.person) == ("not found: Head", 7, 3)


@pytest.mark.parametrize("frame", ["1.5", "inf", "nan", "one", "1e400"])
def test_a_frame_that_is_no_number_is_said(frame, tmp_path):
    (numbers,) = figures(1, 16)
    names = [f"{name}{i}" for i in range(16) for name in "xyc"]
    cells = ",".join(map(str, numbers.ravel()))
    path = tmp_path / "a.csv"
    path.write_text(f"frame,{','.join(names)}\n{frame},{cells}\n0.0,{cells}\n")
    bad, good = read(path)
    assert f"expected a whole number for frame; got '{frame}'" in bad.reason
    assert good.frame == 0


def test_the_case_of_nan_points():
    path = shared_path("cases/keypoints/nan_points.npz")
    one_nan, all_nan, whole = read(path, "h36m_17")
    joint = H36M_JOINTS[4]
    assert len(one_nan.note.split(",")) == 1 and joint[1:] in one_nan.note
    assert "nobody was found" in all_nan.reason and whole.note == ""


def test_confidences_of_some_joints_alone_are_refused(tmp_path):
    (numbers,) = figures(1, 16)
    names = [f"{name}{i}" for i in range(16) for name in "xyc"]
    names[names.index("c11")] = "b11"
    path = tmp_path / "a.csv"
    path.write_text(f"{','.join(names)}\n{','.join(map(str, numbers.ravel()))}\n")
    with pytest.raises(UserError, match="confidences, but none beside x11"):
        read(path)


def test_persons_of_an_npz_file_may_have_names(tmp_path):
    numbers = figures(2, 16)[None]
    np.savez(tmp_path / "a.npz", keypoints=numbers, person=["left", "7"])
    assert [one.person for one in read(tmp_path / "a.npz")] == ["left", 7]
