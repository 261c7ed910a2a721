"""Rows in blocks, buckets and tiles: none lost or reordered, few computed in vain."""

import threading

import jax
import numpy as np
import pytest

from jaxflow.maths import batching


def test_filled_repeats_the_last_row_of_every_array():
    arrays = {"a": np.arange(3), "b": [np.arange(6).reshape(3, 2)]}
    full = batching.filled(arrays, 5)
    np.testing.assert_array_equal(full["a"], [0, 1, 2, 2, 2])
    np.testing.assert_array_equal(full["b"][0][2:], [[4, 5]] * 3)
    np.testing.assert_array_equal(batching.filled(np.arange(3), 3), [0, 1, 2])


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (4, 4), (9, 4), (9, 1)])
def test_blocks_hold_every_row_once_and_are_full(count, size):
    held = []
    for rows, examples in batching.blocks(count, size):
        assert len(examples) == size and examples.max() < count
        own = np.arange(count)[rows]
        np.testing.assert_array_equal(examples[: len(own)], own)
        held += list(own)
    assert held == list(range(count))


@pytest.mark.parametrize("count", [1, 4, 9])
def test_batches_under_way_together_keep_their_order(count):
    """As many as are asked for, which wait for one another; none twice, none lost."""
    together = threading.Barrier(min(3, -(-count // 2)))
    began = []

    def double(numbers):
        began.append(len(numbers))
        if len(began) <= together.parties:
            together.wait(10)
        return (2 * numbers,)

    (got,) = batching.apply(double, (np.arange(count),), (2,), at_once=3)
    assert got.tolist() == [2 * i for i in range(count)]
    assert began == [2] * -(-count // 2)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_one_late_hands_over_what_the_next_has_followed(count):
    made = []

    def work():
        for i in range(count):
            made.append(i)
            yield i

    fetched = [(item, len(made)) for item in batching.one_late(work())]
    assert fetched == [(i, min(i + 2, count)) for i in range(count)]


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 6),
        (7, 8),
        (9, 12),
        (13, 16),
        (17, 24),
        (25, 32),
        (4096, 4096),
        (4097, 6144),
    ],
)
def test_buckets(batch, size):
    assert batching.bucket(batch) == size
    assert batch <= size < 1.5 * batch + 1
    assert batching.bucket(size) == size


@pytest.mark.parametrize(("count", "most"), [(1, 8), (8, 8), (9, 8), (64, 8), (65, 8)])
def test_even_parts(count, most):
    parts, size = batching.even_parts(count, most)
    assert size <= most and (parts - 1) * size < count <= parts * size


def test_applying_in_sizes_keeps_order_and_waste_little():
    seen = []

    def double(x):
        seen.append(len(x))
        return (2 * x, x)

    for count in range(1, 30):
        seen.clear()
        twice, same = batching.apply(double, (np.arange(count),), (1, 4, 16))
        np.testing.assert_array_equal(twice, 2 * np.arange(count))
        np.testing.assert_array_equal(same, np.arange(count))
        assert set(seen) <= {1, 4, 16} and sum(seen) < 2 * count


def test_tiles_are_of_the_platform_that_is_asked_for(monkeypatch):
    """A CPU beside an accelerator, as an array's device or by its name."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    most = batching.rows_per_tile()
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    bulk = batching.rows_per_tile()
    assert bulk < most
    for device in (jax.local_devices(backend="cpu")[0], "cpu"):
        with jax.default_device(device):
            assert batching.platform() == "cpu" and batching.rows_per_tile() < bulk
    assert batching.platform() == "tpu"


@pytest.mark.parametrize(
    "batch, hypotheses, tile",
    [
        (64, 200, 8),
        (64, 50, 32),
        (13, 200, 13),
        (61, 200, 1),
        (6, 200, 6),
        (26, 200, 13),
    ],
)
def test_a_training_tile_divides_the_batch_and_is_no_sliver(
    monkeypatch, batch, hypotheses, tile
):
    monkeypatch.setattr(batching, "rows_per_tile", lambda: 1600)
    assert batching.dividing_tile(batch, hypotheses) == tile
