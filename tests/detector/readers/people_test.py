"""Other detectors' keypoint files, through to what the flow takes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
from jaxflow.detector.crops import crop
from jaxflow.detector.readers import people
from jaxflow.detector.readers.records import Seen, Skipped
from jaxflow.gaussians import keypoints as detections
from jaxflow.gaussians.skeletons import BODY_25, COCO_17, HALPE_26
from jaxflow.skeleton import MPII_JOINTS


def figures(count, joints=17, seed=0, confidence=0.8):
    """(count, joints, 3): x, y and confidence of persons in a picture."""
    rng = np.random.default_rng(seed)
    points = 300 + 80 * rng.normal(size=(count, joints, 2))
    return np.concatenate([points, np.full((count, joints, 1), confidence)], -1)


def write(path, data):
    path.write_text(json.dumps(data))
    return path


def read(path, skeleton=None):
    return list(people.read_people(path, skeleton))


def joint(person, name):
    return person.pose2d[MPII_JOINTS.index(name)]


def fits_of(numbers):
    """The fits (B, 16, 7) of BODY_25 keypoints (B, 25, 3), all of them found."""
    points, confidence = numbers[..., :2], numbers[..., 2]
    body = detections.from_sigma(points, jnp.zeros_like(points))
    corner, pixel = detections.crop_of(detections.to_mpii(body, "body_25"))
    keypoints = detections.from_confidence(points, confidence, pixel)
    keypoints = detections.to_mpii(keypoints, "body_25")
    return detections.to_fits(keypoints, corner, pixel).as_array()


class TestPersons:
    def test_pixels_fits_and_box_belong_together(self, tmp_path):
        (numbers,) = figures(1)
        found = [{"image_id": "a.jpg", "keypoints": numbers.ravel().tolist()}]
        (person,) = read(write(tmp_path / "a.json", found))
        assert isinstance(person, Seen) and person.file == "a.jpg"
        wrist = numbers[COCO_17.joints.index("LeftWrist"), :2]
        np.testing.assert_allclose(joint(person, "LWrist"), wrist, atol=1e-4)
        back = crop.heatmap_to_image(person.fit[:, 1:3], person.square)
        np.testing.assert_allclose(back, person.pose2d, atol=1e-3)
        np.testing.assert_allclose(  # a joint of its own: sigma by its confidence
            person.fit[MPII_JOINTS.index("LWrist"), [0, 3, 5]],
            [0.8, 2 / 0.8**0.5, 2 / 0.8**0.5],
            rtol=1e-4,
        )
        assert person.note == ""
        assert np.isfinite(jaxflow.normalize_pose2d(person.pose2d)).all()
        assert np.isfinite(jaxflow.condition(person.fit)).all()

    def test_as_the_fitting_stage_makes_them(self, tmp_path):
        numbers = figures(3, 25).astype(np.float32)
        folder = tmp_path / "openpose"
        folder.mkdir()
        for i, one in enumerate(numbers):
            each = {"pose_keypoints_2d": one.ravel().tolist(), "person_id": [-1]}
            write(folder / f"v_{i:012d}_keypoints.json", {"people": [each]})
        found = read(folder)
        assert [(one.file, one.frame) for one in found] == [("v", i) for i in range(3)]
        fits = jax.jit(fits_of)(numbers)
        assert len(BODY_25.joints) == 25
        made = np.stack([one.fit for one in found])
        np.testing.assert_allclose(made, fits, atol=2e-3)

    def test_far_away_nothing_is_rounded_off(self, tmp_path):
        (numbers,) = figures(1)
        far = numbers + [29000, 29000, 0]
        for name, one in (("near", numbers), ("far", far)):
            found = [{"image_id": 7, "keypoints": one.ravel().tolist()}]
            write(tmp_path / f"{name}.json", found)
        (near,), (away,) = read(tmp_path / "near.json"), read(tmp_path / "far.json")
        np.testing.assert_allclose(near.fit, away.fit, atol=1e-5)
        assert away.frame == 7 and away.file.endswith("far.json")

    def test_many_persons_keep_their_order_and_ids(self, tmp_path):
        numbers = figures(300, 16)
        entries = [
            {"image_id": i // 3, "keypoints": one.ravel().tolist(), "track_id": 50 - i}
            for i, one in enumerate(numbers)
        ]
        entries[7]["keypoints"] = [0] * 48
        found = read(write(tmp_path / "a.json", entries))
        assert [one[2] for one in found] == [50 - i for i in range(300)]
        assert [one.frame for one in found] == [i // 3 for i in range(300)]
        assert [i for i, one in enumerate(found) if isinstance(one, Skipped)] == [7]
        np.testing.assert_allclose(found[299].pose2d, numbers[299, :, :2], 1e-5)

    def test_joints_that_were_not_found_are_named(self, tmp_path):
        numbers = figures(1, 16)
        numbers[0, MPII_JOINTS.index("Head"), 2] = 0
        numbers[0, MPII_JOINTS.index("Head"), :2] = np.nan
        path = tmp_path / "a.npz"
        np.savez(path, keypoints=numbers)
        (person,) = read(path)
        assert person.note == "not found: Head"
        assert np.isfinite(person.fit).all()


class TestSkipped:
    """One that cannot be used does not concern the others."""

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda k: k * 0, "all keypoints are zero"),
            (lambda k: np.where([1, 1, 0], k, 0), "all keypoints are zero"),
            (lambda k: np.where([0, 1, 1], k, np.nan), "no numbers: nobody was found"),
            (lambda k: np.where([1, 1, 0], k, np.nan), "no numbers: nobody was found"),
            (lambda k: k * [1e9, 1, 1], "expected image pixels"),
            (lambda k: k[:16], "expected 17 joints for coco_17; got 16"),
            (lambda k: np.where(np.arange(17)[:, None] < 2, k, 0), "0 joints found"),
            (lambda k: np.where([0, 0, 1], k, 50), "at one place"),
            (lambda k: k * [1, 1, 100], "confidences up to 80; .* divide percents"),
            (lambda k: k * [1, 1, 1e300], "confidences up to 8e"),
        ],
    )
    def test_one_of_three(self, tmp_path, spoil, reason):
        numbers = list(figures(3))
        numbers[1] = spoil(numbers[1])
        instances = [
            {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist()}
            for one in numbers
        ]
        path = write(tmp_path / "a.json", [{"frame_id": 4, "instances": instances}])
        first, second, third = read(path)
        assert isinstance(first, Seen) and isinstance(third, Seen)
        assert (second.frame, second.person_id) == (4, 1)
        assert second.reason.startswith(f"{path}: frame 4, person 1: ")
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(second.reason)

    def test_a_damaged_file_in_a_folder(self, tmp_path):
        body = {"pose_keypoints_2d": figures(1, 25).ravel().tolist()}
        write(tmp_path / "a_keypoints.json", {"people": [body, body]})
        (tmp_path / "b_keypoints.json").write_text('{"people": [{"pose')
        write(tmp_path / "c_keypoints.json", {"people": []})
        found = read(tmp_path)
        assert [type(one) for one in found] == [Seen, Seen, Skipped]
        assert [one.person for one in found[:2]] == [0, 1]
        assert "b_keypoints.json" in found[2].reason

    def test_entries_that_are_damaged(self, tmp_path):
        (numbers,) = figures(1)
        good = {"image_id": 1, "keypoints": numbers.ravel().tolist()}
        entries = [good, {"image_id": 2, "keypoints": [1, 2]}, {"image_id": 3}, good]
        found = read(write(tmp_path / "a.json", entries))
        assert [type(one) for one in found] == [Seen, Skipped, Skipped, Seen]
        assert "entry 1" in found[1].reason and "2 numbers" in found[1].reason
        assert "an object of image_id" in found[2].reason


class TestRefusals:
    def test_nothing_that_is_known(self, tmp_path):
        path = write(tmp_path / "a.json", {"shapes": [{"label": "dog"}]})
        with pytest.raises(ValueError, match=r"a\.json: expected COCO.*got .*shapes"):
            read(path)
        path = write(tmp_path / "b.json", [{"label": "dog"}])
        with pytest.raises(ValueError, match=r"b\.json: entry 0.*got an object of lab"):
            read(path)

    def test_numbers_of_joints_that_tell_no_skeleton(self, tmp_path):
        numbers = figures(1, 19)
        path = write(
            tmp_path / "a.json",
            [{"image_id": 1, "keypoints": numbers.ravel().tolist()}],
        )
        (skipped,) = read(path)
        assert "17 (coco_17)" in skipped.reason and "got 19" in skipped.reason
        with pytest.raises(ValueError, match="a skeleton among"):
            read(path, "dog")

    def test_other_files(self, tmp_path):
        with pytest.raises(ValueError, match=r"expected one of \.json, \.csv, \.npz"):
            read(tmp_path / "a.txt")
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(tmp_path / "a.json")
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileNotFoundError, match="no keypoint files"):
            read(tmp_path / "empty")


class TestJson:
    def test_human36m_by_name_whole_bodies_by_number(self, tmp_path):
        (numbers,) = figures(1, 133)
        entry = {"image_id": 1, "keypoints": numbers.ravel().tolist()}
        (whole,) = read(write(tmp_path / "a.json", [entry]))
        entry["keypoints"] = numbers[:17].ravel().tolist()
        (body,) = read(write(tmp_path / "b.json", [entry]))
        np.testing.assert_array_equal(whole.fit, body.fit)
        (h36m,) = read(tmp_path / "b.json", "h36m_17")
        np.testing.assert_allclose(joint(h36m, "Hip"), numbers[0, :2], rtol=1e-5)

    def test_a_coco_data_set(self, tmp_path):
        numbers = figures(2, confidence=2)
        numbers[0, COCO_17.joints.index("LeftWrist"), 2] = 1  # hidden
        data = {
            "info": {"year": 2020},
            "annotations": [
                {"image_id": 9, "id": 70 + i, "keypoints": one.ravel().tolist()}
                for i, one in enumerate(numbers)
            ],
            "images": [{"id": 9, "file_name": "street.jpg"}],
            "categories": [{"name": "person"}],
        }
        first, second = read(write(tmp_path / "a.json", data))
        assert (first.file, first.frame, first.person) == ("street.jpg", 0, 70)
        assert second.person == 71
        amplitude = first.fit[:, 0]
        np.testing.assert_allclose(amplitude[MPII_JOINTS.index("LWrist")], 0.5, 1e-4)
        np.testing.assert_allclose(amplitude[MPII_JOINTS.index("RWrist")], 1, 1e-4)

    def test_alphapose(self, tmp_path):
        (numbers,) = figures(1, 26)
        entry = {
            "image_id": "12.jpg",
            "keypoints": numbers.ravel().tolist(),
            "score": 2.9,
            "idx": [3.0],
        }
        (person,) = read(write(tmp_path / "a.json", [entry]))
        assert (person.file, person.person) == ("12.jpg", 3)
        head = numbers[HALPE_26.joints.index("Head"), :2]
        np.testing.assert_allclose(joint(person, "Head"), head, rtol=1e-5)

    def test_mmpose_s_three_layouts(self, tmp_path):
        numbers = figures(2)
        instances = [
            {
                "keypoints": one[:, :2].tolist(),
                "keypoint_scores": one[:, 2].tolist(),
                "bbox": [[0, 0, 9, 9]],
                "bbox_score": 0.9,
            }
            for one in numbers
        ]
        frames = [{"frame_id": 5 + i, "instances": [instances[i]]} for i in range(2)]
        meta = {"dataset_name": "coco", "keypoint_id2name": {"0": "nose"}}
        one = read(write(tmp_path / "a.json", instances))
        two = read(write(tmp_path / "b.json", frames))
        three = read(
            write(tmp_path / "c.json", {"meta_info": meta, "instance_info": frames})
        )
        assert [(p.frame, p.person) for p in one] == [(0, 0), (0, 1)]
        assert [(p.frame, p.person) for p in two] == [(5, 0), (6, 0)]
        for a, b, c in zip(one, two, three, strict=True):
            np.testing.assert_array_equal(a.fit, b.fit)
            np.testing.assert_array_equal(a.fit, c.fit)


class TestTables:
    def test_csv_by_number_and_by_name(self, tmp_path):
        numbers = figures(2, 16)
        for name, axes in (("number", "xyc"), ("name", "xyc")):
            heads = [
                f"{a}{i}" if name == "number" else f"{joint}_{a}"
                for i, joint in enumerate(MPII_JOINTS)
                for a in axes
            ]
            rows = [
                ["a.jpg", 3, person, *map(str, one.ravel())]
                for person, one in zip(("left", 8), numbers, strict=True)
            ]
            lines = [["picture", "frame", "person", *heads], *rows]
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (tmp_path / f"{name}.csv").write_text(text)
        first, second = read(tmp_path / "number.csv")
        assert first[:3] == ("a.jpg", 3, "left") and second.person == 8
        np.testing.assert_allclose(second.pose2d, numbers[1, :, :2], rtol=1e-5)
        named = read(tmp_path / "name.csv")
        np.testing.assert_array_equal(named[0].fit, first.fit)

    def test_csv_that_is_damaged(self, tmp_path):
        heads = ",".join(f"x{i},y{i}" for i in range(16))
        row = ",".join(str(10 * i) for i in range(32))
        path = tmp_path / "a.csv"
        path.write_text(f"{heads}\n{row}\n{row.replace('50', 'fifty')}\n{row[:40]}\n")
        good, letters, short = read(path)
        assert isinstance(good, Seen) and good.person == 0
        assert "line 3: expected a number for y2; got 'fifty'" in letters.reason
        assert "line 4" in short.reason
        path.write_text("a,b\n1,2\n")
        with pytest.raises(ValueError, match=r"a\.csv: no table .* got a, b"):
            read(path)

    @pytest.mark.parametrize("other", ["score{}", "conf_{}", "likelihood{}"])
    def test_csv_whose_confidences_are_called_otherwise(self, tmp_path, other):
        """Without a word they would be left out, and every joint be sure."""
        heads = ",".join(f"x{i},y{i},{other.format(i)}" for i in range(16))
        path = tmp_path / "a.csv"
        path.write_text(f"{heads}\n{','.join(str(10 * i) for i in range(48))}\n")
        with pytest.raises(ValueError, match=r"confidences in columns c0, c1, \.\.\."):
            read(path)
        heads = ",".join(f"{j}_x,{j}_y,{j}_score" for j in MPII_JOINTS)
        path.write_text(f"{heads}\n{','.join(str(10 * i) for i in range(48))}\n")
        with pytest.raises(ValueError, match="in columns RFoot_c, "):
            read(path)
        path.write_text(path.read_text().replace("_score", "_said") + "\n")
        assert len(read(path)) == 1  # not a joint's, as far as anybody knows

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_npz(self, tmp_path, save):
        numbers = figures(600 * 2, 16).reshape(600, 2, 16, 3).astype("f4")
        path = tmp_path / "a.npz"
        save(path, keypoints=numbers, frame=np.arange(100, 700), person=[4, 9])
        found = read(path)
        assert len(found) == 1200
        assert (found[1199].frame, found[1199].person) == (699, 9)
        np.testing.assert_allclose(found[777].pose2d, numbers[388, 1, :, :2], rtol=1e-5)

    def test_npz_with_standard_deviations(self, tmp_path):
        numbers = figures(1, 16)[..., :2]
        path = tmp_path / "a.npz"
        np.savez(path, keypoints=numbers, sigma=np.full((1, 16), 6.0))
        (person,) = read(path)
        pixel = person.square.side / 64
        np.testing.assert_allclose(
            person.fit[:, 3], np.sqrt(4 + (6 / pixel) ** 2), rtol=1e-4
        )

    def test_npz_that_is_damaged(self, tmp_path):
        path = tmp_path / "a.npz"
        np.savez(path, poses=np.zeros(3))
        with pytest.raises(ValueError, match=r"a\.npz: expected an array keypoints"):
            read(path)
        np.savez(path, keypoints=np.zeros((3, 16)))
        with pytest.raises(ValueError, match=r"joints, 2 or 3\); got \(3, 16\)"):
            read(path)
        np.savez(path, keypoints=np.zeros((3, 16, 2)), sigma=np.zeros((2, 16)))
        with pytest.raises(ValueError, match=r"sigma of shape \(3, 16\) or"):
            read(path)
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(ValueError, match=r"a\.npz: damaged"):
            read(path)
