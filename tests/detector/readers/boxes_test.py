"""Files that say who is where."""

import json

import numpy as np
import pytest

from jaxflow.detector.readers import boxes
from tests.helpers.cases import case


def write(path, text):
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_csv(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "picture,frame,id,x,y,w,h\n"
        "day/one.jpg,,7,1,2,30,40\n"
        "day/one.jpg,,anna,5.5,6,7,8\n"
        "walk.mp4,12,,0,0,10,20\n",
    )
    table = boxes.read_boxes(path)
    assert len(table) == 3 and not table.skipped
    first, second = table.of("/data/day/one.jpg")
    assert (first.person_id, second.person_id) == (7, "anna")
    np.testing.assert_array_equal(first.box, [1, 2, 30, 40])
    assert table.of("/data/night/one.jpg") == []
    assert table.of("walk.mp4") == [] and table.of("walk.mp4", 12)[0].person_id == 0
    assert table.join(["/data/day/one.jpg", "walk.mp4"]) == []


def test_json_in_coco_s_words(tmp_path):
    entries = [
        {"image_id": "one.jpg", "bbox": [1, 2, 3, 4], "score": 0.9, "track_id": 5},
        {"file_name": "two.jpg", "bbox": [1, 2, 3, 4]},
        {"image": "two.jpg", "left": 1, "top": 2, "width": 3, "height": 4},
    ]
    table = boxes.read_boxes(write(tmp_path / "a.json", entries))
    assert table.of("x/one.jpg")[0].person_id == 5
    assert table.join(["x/one.jpg"]) == [
        "boxes of pictures that are no inputs: two.jpg"
    ]
    assert [box.person_id for box in table.of("two.jpg")] == [0, 1]


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"picture": "b.jpg", "x": 1, "y": 2, "w": 0, "h": 4}, "w and h positive"),
        ({"picture": "b.jpg", "x": 1, "y": 2, "w": 3}, "expected x, y, w and h"),
        ({"picture": "b.jpg", "box": [1, 2, float("nan"), 4]}, "finite"),
        ({"x": 1, "y": 2, "w": 3, "h": 4}, "expected a picture"),
        ({"picture": "b.jpg", "box": [0.4, 0.3, 0.2, 0.5]}, "multiply"),
        ({"picture": "b.jpg", "box": [1, 2, 1e30, 4]}, "expected pixels of a picture"),
        ({"picture": "b.jpg", "box": [1, 2, 3, 4], "frame": "1.5"}, "a whole number"),
        ({"picture": "b.jpg", "box": [1, 2, "wide", 4]}, "could not convert"),
        ({"picture": "b.jpg", "box": [1, 2, True, 4]}, "true or false"),
        ({"picture": "b.jpg", "box": [1, 2, 3, 4], "score": True}, "true or false"),
        ({"picture": "b.jpg", "box": [1, 2, 3, 4], "score": 87}, "divide percents"),
        ({"picture": "b.jpg", "box": [1, 2, 3, 4], "frame": True}, "a whole number"),
        ({"picture": "b.jpg", "bbox": "1234"}, "or four numbers as bbox"),
        (3, "expected an object"),
    ],
)
def test_a_damaged_entry_does_not_concern_the_others(tmp_path, spoilt, reason):
    good = {"picture": "a.jpg", "x": 1, "y": 2, "w": 3, "h": 4}
    table = boxes.read_boxes(write(tmp_path / "a.json", [good, spoilt, good]))
    assert len(table) == 2
    (skipped,) = table.skipped
    assert "a.json: entry 1: " in skipped.reason and reason in skipped.reason


def test_files_without_boxes(tmp_path):
    with pytest.raises(ValueError, match=r"no box .*a\.csv: it is empty"):
        boxes.read_boxes(write(tmp_path / "a.csv", ""))
    with pytest.raises(ValueError, match=r"b\.csv: line 2: expected a picture"):
        boxes.read_boxes(write(tmp_path / "b.csv", "a,b\n1,2\n"))
    with pytest.raises(ValueError, match=r"\.json or \.csv"):
        boxes.read_boxes(write(tmp_path / "a.txt", ""))
    with pytest.raises(FileNotFoundError, match="no such file"):
        boxes.read_boxes(tmp_path / "none.csv")


def test_more_than_memory_should_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(boxes, "_MOST", 8)
    monkeypatch.setattr(boxes, "_MOST_SKIPPED", 2)
    lines = ["picture,x,y,w,h", "a.jpg,0,0,9,9", *["a.jpg,0,0,0,0"] * 5]
    table = boxes.read_boxes(write(tmp_path / "a.csv", "\n".join(lines)))
    assert len(table) == 1 and len(table.skipped) == 3
    assert "a.csv: and 3 more that could not be used" in table.skipped[-1].reason
    path = write(tmp_path / "b.csv", "\n".join([lines[0], *[lines[1]] * 9]))
    with pytest.raises(ValueError, match=r"b\.csv: more than 8 boxes"):
        boxes.read_boxes(path)


class TestPeople:
    """Which of the boxes are people's, and whose picture they are in."""

    @pytest.mark.parametrize(
        "name",
        [
            "coco_instances_results.json",
            "all_classes_by_name.json",
            "coco_dataset.json",
        ],
    )
    def test_one_person(self, name):
        picture = case("boxes/val/000000000139.jpg")
        table = boxes.read_boxes(case(f"boxes/{name}"))
        (person,) = table.of(picture)
        np.testing.assert_array_equal(person.box, [100, 60, 120, 300])
        notes = table.join([picture])
        if "dataset" not in name:
            assert "2 boxes of other categories (62, 72) were not used" in notes[1]
            assert "1 boxes of a score below 0.3" in notes[0]
            assert len(boxes.read_boxes(case(f"boxes/{name}"), 0.01)) == 2

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("yolo_normalised.json", "entry 0: expected pixels; multiply"),
            ("huge.csv", "line 2: expected pixels of a picture"),
        ],
    )
    def test_no_pixels(self, name, reason):
        with pytest.raises(ValueError, match=reason):
            boxes.read_boxes(case(f"boxes/{name}"))

    def test_names_that_match_nothing(self, tmp_path):
        text = "picture,x,y,w,h\nfoto1.jpg,1,2,30,40\nb.jpg,1,2,30,40\n"
        table = boxes.read_boxes(write(tmp_path / "a.csv", text))
        with pytest.raises(
            ValueError, match="no box .* of b.jpg, foto1.jpg; .* photo1"
        ):
            table.join(["x/photo1.jpg"])
        with pytest.raises(ValueError, match="the inputs are no pictures"):
            table.join([])
        assert table.join(["x/b.jpg", "x/photo1.jpg"]) == [
            "no box belongs to photo1.jpg: nobody is looked for",
            "boxes of pictures that are no inputs: foto1.jpg",
        ]

    @pytest.mark.parametrize(
        ("kinds", "people"),
        [
            ([{"category_id": 0}, {"category_id": 1}], 1),  # counted from 0
            ([{"category_id": 1}, {"category_id": 2}], 1),
            ([{"category_id": 5}, {"category_id": 5}], 2),  # of people alone
            ([{"class": 0}, {"class": 1}], 1),
            (
                [{"class": 1}, {"class_id": "2"}, {"class_id": "0"}],
                1,
            ),  # YOLO's bicycles
            ([{"label": "Person"}, {"label": "dog"}], 1),
            ([{"iscrowd": 1}, {"iscrowd": 0}], 1),
            ([{"confidence": 0.1}, {"confidence": "0.9"}], 1),
            ([{"score": float("nan")}, {"score": 1}], 1),
        ],
    )
    def test_categories_and_scores(self, tmp_path, kinds, people):
        entries = [
            {"picture": "a.jpg", "bbox": [1, 2, 30, 40], **kind} for kind in kinds
        ]
        table = boxes.read_boxes(write(tmp_path / "a.json", entries))
        assert len(table) == people
        assert [box.person_id for box in table.of("a.jpg")] == list(range(people))

    def test_none_of_a_person(self, tmp_path):
        entries = [{"picture": "a.jpg", "bbox": [1, 2, 30, 40], "label": "chair"}]
        with pytest.raises(ValueError, match=r"no box .* 1 boxes .*\(chair\)"):
            boxes.read_boxes(write(tmp_path / "a.json", entries))
        entries = [{"picture": "a.jpg", "bbox": [1, 2, 30, 40], "class": 1}]
        with pytest.raises(ValueError, match=r"no box .* 1 boxes .*\(class 1\)"):
            boxes.read_boxes(write(tmp_path / "a.json", entries))

    def test_equal_ids(self, tmp_path):
        text = "picture,id,x,y,w,h\n" + "a.jpg,0,1,2,30,40\n" * 2
        table = boxes.read_boxes(write(tmp_path / "a.csv", text))
        assert [box.person_id for box in table.of("a.jpg")] == [0, 1]

    def test_names_of_coco_s_pictures(self, tmp_path):
        entries = [{"image_id": 139, "bbox": [1, 2, 30, 40], "score": 0.9}]
        table = boxes.read_boxes(write(tmp_path / "a.json", entries))
        assert len(table.of("COCO_val2014_000000000139.jpg")) == 1
        assert table.of("x/photo139.jpg") == []
