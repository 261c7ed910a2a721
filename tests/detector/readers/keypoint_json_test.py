"""What files say of their joints, nobody in a frame, equal ids, damaged entries."""

import numpy as np
import pytest

from jaxflow.detector.readers import keypoint_json
from jaxflow.detector.readers.records import Seen, Skipped
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import H36M_JOINTS
from tests.detector.readers.joint_orders_test import H36M
from tests.detector.readers.people_test import figures, joint, read, write
from tests.helpers.cases import case


class TestNamesOfJoints:
    """What a file says of its joints goes before their number."""

    @pytest.mark.parametrize("name", ["mmpose_h36m.json", "coco_h36m.json"])
    def test_human36m(self, name):
        path = case(f"keypoints/{name}")
        (told,), (asked,) = read(path), read(path, "h36m_17")
        np.testing.assert_array_equal(told.fit, asked.fit)
        np.testing.assert_allclose(joint(told, "LWrist"), (366, 290), rtol=1e-6)
        with pytest.raises(ValueError, match="the file says they are h36m_17's"):
            read(path, "coco_17")

    def test_in_another_order(self, tmp_path):
        (numbers,) = figures(1, confidence=2)
        names = H36M[::-1]
        person = {
            "image_id": 1,
            "category_id": 3,
            "keypoints": numbers.ravel().tolist(),
        }
        data = {"annotations": [person], "categories": [{"id": 3, "keypoints": names}]}
        (told,) = read(write(tmp_path / "a.json", data))
        place = numbers[16 - H36M_JOINTS.index("LWrist"), :2]
        np.testing.assert_allclose(joint(told, "LWrist"), place, rtol=1e-6)

    @pytest.mark.parametrize(
        "meta",
        [
            {"dataset_name": "tigers", "keypoint_id2name": {"0": "tail", "1": "nose"}},
            {"dataset_name": "posetrack18"},
        ],
    )
    def test_unknown_ones_are_refused_unless_it_is_said_whose(self, tmp_path, meta):
        (numbers,) = figures(1)
        one = {
            "keypoints": numbers[:, :2].tolist(),
            "keypoint_scores": numbers[:, 2].tolist(),
        }
        data = {"meta_info": meta, "instance_info": [{"instances": [one]}]}
        path = write(tmp_path / "a.json", data)
        with pytest.raises(
            ValueError, match=r"a\.json: .*no skeleton known.*--skeleton"
        ):
            read(path)
        assert isinstance(read(path, "h36m_17")[0], Seen)

    def test_columns_of_a_table(self, tmp_path):
        """Seventeen of Human3.6M's names are not COCO's seventeen joints."""
        (numbers,) = figures(1)
        heads = [f"{joint}_{axis}" for joint in H36M_JOINTS for axis in "xyc"]
        row = map(str, numbers.ravel())
        path = tmp_path / "a.csv"
        path.write_text(f"{','.join(heads)}\n{','.join(row)}\n")
        (person,) = read(path)
        place = numbers[H36M_JOINTS.index("RFoot"), :2]
        np.testing.assert_allclose(joint(person, "RFoot"), place, rtol=1e-6)
        with pytest.raises(ValueError, match="the file says they are h36m_17's"):
            read(path, "coco_17")

    def test_whole_bodies_by_name(self, tmp_path):
        (numbers,) = figures(1, 133)
        entry = {"image_id": 1, "keypoints": numbers.ravel().tolist()}
        path = write(tmp_path / "a.json", [entry])
        (asked,), (told,) = read(path, "wholebody_133"), read(path)
        np.testing.assert_array_equal(asked.fit, told.fit)

    def test_original_mpii(self, tmp_path):
        """The thorax stands where this project has the spine."""
        (numbers,) = figures(1, 16)
        entry = {"image_id": 1, "keypoints": numbers.ravel().tolist()}
        (person,) = read(write(tmp_path / "a.json", [entry]), "mpii_original_16")
        np.testing.assert_allclose(joint(person, "Thorax"), numbers[7, :2], rtol=1e-6)
        middle = numbers[6:8, :2].mean(0)
        np.testing.assert_allclose(joint(person, "Spine"), middle, rtol=1e-5)


class TestCases:
    def test_three_dimensions_are_no_pixels(self):
        (skipped,) = read(case("keypoints/mmpose_3d.json"))
        assert "keypoints in 3D" in skipped.reason

    def test_normalised_coordinates_are_refused(self):
        (skipped,) = read(case("keypoints/normalised_0_1.json"))
        assert "multiply numbers from 0 to 1 by the picture's" in skipped.reason
        (lifted,) = read(case("keypoints/normalised_in_pixels.json"))
        assert isinstance(lifted, Seen)

    def test_equal_ids_of_alphapose(self):
        found = read(case("keypoints/alphapose_equal_idx.json"))
        places = [(person.file, person.person) for person in found]
        assert places == [("0.jpg", 0), ("0.jpg", 1), ("1.jpg", 0), ("1.jpg", 1)]

    @pytest.mark.parametrize(("which", "good"), [("first", (1, 2)), ("last", (0, 1))])
    def test_a_damaged_entry_wherever_it_is(self, which, good):
        found = read(case(f"keypoints/{which}_entry_damaged.json"))
        seen = [person.frame for person in found if isinstance(person, Seen)]
        (skipped,) = [person for person in found if isinstance(person, Skipped)]
        assert tuple(seen) == good and "50 numbers" in skipped.reason

    @pytest.mark.parametrize(
        "name",
        [
            "alphapose_nobody.json",
            "coco_nobody.json",
            "mmpose_empty_frame.json",
            "mmpose_nobody.json",
            "no_version.json",
            "clip/walk_000000000001_keypoints.json",
        ],
    )
    def test_nobody(self, name):
        assert read(case(f"keypoints/openpose_empty/{name}")) == []

    def test_an_object_without_keys_is_not_nobody(self, tmp_path):
        path = tmp_path / "poses.json"
        path.write_text("{}")
        with pytest.raises(UserError, match="got an object of no keys"):
            list(keypoint_json.read(path))

    def test_nobody_in_a_frame_of_a_clip(self):
        found = read(case("keypoints/openpose_empty/clip"))
        assert [(one.file, one.frame) for one in found] == [("walk", 0), ("walk", 2)]


class TestKinds:
    """More of what the cases are instances of."""

    def test_nobody_in_tables(self, tmp_path):
        heads = ",".join(f"x{i},y{i}" for i in range(17))
        (tmp_path / "a.csv").write_text(f"{heads}\n")
        np.savez(tmp_path / "a.npz", keypoints=np.zeros((0, 17, 2)))
        np.savez(tmp_path / "b.npz", keypoints=np.zeros((5, 0, 17, 2)))
        assert all(read(tmp_path / name) == [] for name in ("a.csv", "a.npz", "b.npz"))

    @pytest.mark.parametrize("end", [60, 75, 135])
    def test_a_table_cut_within_its_head_is_not_nobody(self, tmp_path, end):
        heads = ",".join(f"x{i},y{i},c{i}" for i in range(17))
        (tmp_path / "a.csv").write_text(heads[:end])
        with pytest.raises(ValueError, match=r"a\.csv: .* ends within its first line"):
            read(tmp_path / "a.csv")

    @pytest.mark.parametrize("key", ["person_id", "track_id"])
    def test_equal_ids_elsewhere(self, tmp_path, key):
        bodies = figures(3, 25)
        if key == "person_id":
            entries = [
                {"pose_keypoints_2d": one.ravel().tolist(), key: [4]} for one in bodies
            ]
            data = {"people": entries}
        else:
            entries = [
                {"keypoints": one[:, :2].tolist(), "keypoint_scores": [1] * 25, key: 4}
                for one in bodies
            ]
            data = [{"frame_id": 0, "instances": entries}]
        assert [one.person for one in read(write(tmp_path / "a.json", data))] == [
            4,
            0,
            1,
        ]

    def test_a_first_entry_of_another_skeletons_length(self, tmp_path):
        """One joint too few makes sixteen, a number that other skeletons have."""
        entries = [
            {"image_id": i, "keypoints": one.ravel().tolist()}
            for i, one in enumerate(figures(3))
        ]
        entries[0]["keypoints"] = entries[0]["keypoints"][:48]
        found = read(write(tmp_path / "a.json", entries))
        assert [type(one) for one in found] == [Skipped, Seen, Seen]

    def test_a_damaged_instance_of_a_frame(self, tmp_path):
        entries = [
            {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist()}
            for one in figures(3)
        ]
        entries[0]["keypoint_scores"] = "none"
        data = [{"frame_id": 0, "instances": entries}]
        found = read(write(tmp_path / "a.json", data))
        assert [type(one) for one in found] == [Skipped, Seen, Seen]

    @pytest.mark.parametrize(
        ("key", "value", "reason"),
        [
            ("keypoints", True, "got true or false"),
            ("image_id", True, "a whole number for image_id; got True"),
            ("image_id", 1.5, "a whole number for image_id; got 1.5"),
            ("idx", False, "a whole number for an id; got False"),
            ("idx", [0.5], "a whole number for an id; got 0.5"),
        ],
    )
    def test_what_python_alone_takes_for_a_number(self, tmp_path, key, value, reason):
        entries = [
            {"image_id": i, "keypoints": one.ravel().tolist(), "idx": 3}
            for i, one in enumerate(figures(2))
        ]
        if key == "keypoints":
            entries[1][key][4] = value
        else:
            entries[1][key] = value
        found = read(write(tmp_path / "a.json", entries))
        assert [type(one) for one in found] == [Seen, Skipped]
        assert reason in found[1].reason

    @pytest.mark.parametrize("key", ["keypoints", "keypoint_scores"])
    def test_the_same_of_an_instance(self, tmp_path, key):
        entries = [
            {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist()}
            for one in figures(2)
        ]
        entries[0][key][1] = True if key == "keypoint_scores" else [True, 2]
        data = [{"frame_id": 2**53 + 1, "instances": entries}]
        found = read(write(tmp_path / "a.json", data))
        assert [type(one) for one in found] == [Skipped, Seen]
        assert "true or false" in found[0].reason and found[1].frame == 2**53 + 1

    def test_a_frame_of_a_number_without_measure(self, tmp_path):
        entries = [
            {"image_id": 10**30 * i, "keypoints": one.ravel().tolist()}
            for i, one in enumerate(figures(2))
        ]
        found = read(write(tmp_path / "a.json", entries))
        assert [type(one) for one in found] == [Seen, Skipped]
        assert "a number of a frame" in found[1].reason
