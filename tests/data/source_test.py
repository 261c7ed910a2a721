"""Frames read by their rows are those that TFDS decodes; reading ahead ends."""

import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders.features import TEXT_FIELDS, lift_features
from data_builders.files import DataFileError
from jaxflow import data
from jaxflow.data import examples, records, source
from jaxflow.runs.errors import UserError
from tests.helpers.training import DATASET

WANTED = {"pose3d": 51, "pose2d": 32, "gaussfit": 112, "camera": examples.TEXT}


@pytest.fixture(scope="module")
def both(data_dir):
    """The same split, whole and by rows."""
    whole = data.load_records(DATASET, "train", data_dir)
    return whole, source.Source(DATASET, "train", data_dir)


def test_rows_in_any_order_are_those_of_the_whole(both):
    whole, ours = both
    rows = np.random.default_rng(0).integers(0, len(whole), 50)
    assert len(ours) == len(whole)
    expected = whole.take(rows)
    names = [*records.ARRAYS, *TEXT_FIELDS]
    for name, found in zip(names, ours.columns(rows, names), strict=True):
        np.testing.assert_array_equal(found, getattr(expected, name))
    for name, column in ours.records(rows).columns().items():
        np.testing.assert_array_equal(column, expected.columns()[name])


def serialised(number, camera):
    """An example whose numbers and text are told by its number, as TFDS writes it."""
    rng = np.random.default_rng(number)
    arrays = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in records.ARRAYS.items()
    }
    texts = {"subject": "S1", "action": "A", "subaction": str(number)}
    example = {**arrays, **texts, "camera": camera, "frame": number}
    return arrays, lift_features().serialize_example(example)


def test_examples_of_any_lengths_keep_their_order():
    cameras = ["", "left", "", "right", "über", "left", "x" * 300]
    arrays, raw = zip(*map(serialised, range(7), cameras), strict=True)
    found = examples.columns(raw, WANTED)
    assert np.char.decode(found["camera"], "utf-8").tolist() == cameras
    for name in records.ARRAYS:
        expected = np.stack([array[name].ravel() for array in arrays])
        np.testing.assert_array_equal(found[name], expected)
    empty = examples.columns([], WANTED)
    assert empty["pose3d"].shape == (0, 51) and empty["camera"].shape == (0,)


def test_examples_of_one_length_may_be_laid_out_differently():
    """Features in another order, which Protocol Buffers allow."""
    (_, first), (arrays, second) = serialised(1, "left"), serialised(2, "left")
    ((_, begin, end),) = examples._fields(second, 0, len(second))
    entries = [second[a:c] for a, _, c in examples._fields(second, begin, end)]
    turned = second[:begin] + b"".join(reversed(entries))
    assert len(turned) == len(second) == len(first)
    found = examples.columns([first, turned, second], WANTED)
    np.testing.assert_array_equal(found["pose3d"][1], arrays["pose3d"].ravel())
    np.testing.assert_array_equal(found["gaussfit"][1], found["gaussfit"][2])


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({"pose4d": 51}, "expected a feature pose4d; got"),
        ({"pose3d": 50}, "expected pose3d of 50 numbers; got 204 bytes"),
        ({"pose3d": examples.TEXT}, "pose3d is not of the kind expected"),
        ({"frame": examples.TEXT}, "frame is not of the kind expected"),
        ({"frame": 2 * examples.WHOLE}, "expected 2 whole numbers"),
    ],
)
def test_other_examples_are_refused(wanted, message):
    with pytest.raises(examples.LayoutError, match=message):
        examples.columns([serialised(1, "left")[1]], wanted)


FEATURES = lift_features(
    score=tfds.features.Scalar(np.float32),
    cut=tfds.features.Tensor(shape=(16,), dtype=np.bool_),
    setting=tfds.features.Text(),
)


def of_every_kind(number, frame):
    """As TFDS writes it, and as it decodes it again."""
    rng = np.random.default_rng(number)
    example = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in records.ARRAYS.items()
    }
    example |= dict.fromkeys(TEXT_FIELDS, f"S{number % 3}") | {"frame": frame}
    example |= {"score": rng.normal(), "cut": rng.random(16) < 0.5, "setting": "\u00fc"}
    raw = FEATURES.serialize_example(example)
    return raw, FEATURES.deserialize_example_np(raw)


def test_every_kind_of_feature_as_tfds_decodes_it():
    frames = [0, 1, 127, 128, 300, 2**20, 2**31 - 1, -1, -300]
    raw, decoded = zip(*map(of_every_kind, range(9), frames), strict=True)
    found = records.of_examples(raw, FEATURES, "made").columns()
    assert found["frame"].tolist() == frames
    assert found["cut"].dtype == bool and found["score"].shape == (9,)
    for name, column in found.items():
        expected = np.asarray([example[name] for example in decoded])
        if expected.dtype.kind in "SO":
            expected = np.char.decode(expected.astype("S"), "utf-8")
        np.testing.assert_array_equal(column, expected)


def test_examples_that_cannot_be_cut_are_decoded(monkeypatch):
    raw, _ = zip(*map(of_every_kind, range(3), range(3)), strict=True)
    cut = records.of_examples(raw, FEATURES, "made").columns()

    def refused(*arguments):
        raise examples.LayoutError("of another writer")

    monkeypatch.setattr(examples, "columns", refused)
    for name, column in records.of_examples(raw, FEATURES, "made").columns().items():
        np.testing.assert_array_equal(column, cut[name])


@pytest.mark.parametrize("cut", [1, 2, 40, 400])
def test_broken_bytes_are_refused(cut):
    with pytest.raises(examples.LayoutError):
        examples.columns([serialised(1, "left")[1][:-cut]], WANTED)


def test_what_is_not_there_is_said(data_dir, both):
    with pytest.raises(UserError, match="expected a split of .*; got 'half'"):
        source.Source(DATASET, "half", data_dir)
    _, ours = both
    with pytest.raises(DataFileError, match="cannot be read .*remove the folder"):
        ours.columns(np.asarray([10**6]), ["pose3d"])


def reading():
    return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


def test_items_come_in_order_from_threads_that_end():
    before = set(reading())
    ahead = source.Ahead(lambda i: (time.sleep(0.01 * (i % 3)), i)[1], 20, 6, 3)
    assert [next(ahead) for _ in range(7)] == list(range(7))
    ours = set(reading()) - before
    assert len(ours) == 3
    ahead.close()
    for thread in ours:
        thread.join(5)
        assert not thread.is_alive()
    assert list(source.Ahead(lambda i: i, 5, 2)) == list(range(5))


def test_what_reading_raises_is_raised():
    def read(number):
        if number == 3:
            raise DataFileError("the disk has gone")
        return number

    ahead = source.Ahead(read, 9, 4, 2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataFileError, match="^the disk has gone$"):
        next(ahead)
    ahead.close()
