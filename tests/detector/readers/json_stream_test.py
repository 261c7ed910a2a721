"""JSON files an element at a time: the same as whole, in little memory, or refused."""

import itertools
import json
import tracemalloc

import numpy as np
import pytest

from jaxflow.detector.readers import json_stream


def write(path, data):
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    "data",
    [
        [],
        [1, 2.5, "a, ]", None, [1, [2]], {"a": []}],
        {"a": [1, 2], "b": {"c": [3]}, "d": [], "e": 1e-10},
    ],
)
def test_every_split_gives_the_same(tmp_path, data, monkeypatch):
    path = write(tmp_path / "a.json", data)
    expected = list(json_stream.items(path))
    plain = data.items() if isinstance(data, dict) else [(None, data)]
    assert expected == [
        (key, element)
        for key, value in plain
        for element in (value if isinstance(value, list) else [value])
    ]
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(json_stream, "_CHUNK", size)
        assert list(json_stream.items(path)) == expected


@pytest.mark.parametrize(
    "text", ["", "3", "[1, 2", "[1 2]", '{"a" 1}', "{3: 4}", "[1] 2", "[nul]", "[" * 9]
)
def test_what_is_no_json(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(json_stream.JsonError, match=r"a\.json: .*near character"):
        list(json_stream.items(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[NaN]", [np.nan]),
        ("[1e999, -Infinity]", [np.inf, -np.inf]),
        ("[" + "9" * 40 + "]", [10**40 - 1]),
        ('[{"a": 1, "a": 2}]', [{"a": 2}]),
    ],
)
def test_what_other_programs_write(tmp_path, text, value):
    """Not a number, beyond all numbers, whole and long, and a key given twice."""
    path = tmp_path / "a.json"
    path.write_text(text)
    elements = [element for _, element in json_stream.items(path)]
    assert str(elements) == str(value)


def test_what_is_no_text_or_too_deep(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'["\xff\xfe"]')
    with pytest.raises(json_stream.JsonError, match="not UTF-8"):
        list(json_stream.items(path))
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(json_stream.JsonError, match="too deep"):
        list(json_stream.items(path))


def test_long_files_take_no_more_memory(tmp_path):
    """The reader holds one element and a chunk, however many there are."""
    numbers = np.random.default_rng(0).normal(size=51)
    entry = json.dumps({"image_id": 1, "keypoints": numbers.tolist()})
    path = tmp_path / "long.json"
    with open(path, "w") as file:
        file.write("[" + ",".join(itertools.repeat(entry, 4_000)) + "]")
    assert path.stat().st_size > 3e6
    tracemalloc.start()
    count = sum(1 for _ in json_stream.items(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 4_000 and peak < 1e6


def test_one_long_element_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "MEGABYTES", 0.5)
    path = write(tmp_path / "a.json", [{"keypoints": [0.25] * 300_000}])
    with pytest.raises(json_stream.JsonError, match="longer than 0.5 MB"):
        list(json_stream.items(path))
