"""A file of weights: what was put in comes out, and damage is found and named."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from jaxflow.runs import checkpoint, trees, weights_file
from jaxflow.runs.errors import CheckpointError, DamagedError

RNG = np.random.default_rng(0)
PARAMS = {
    "blocks": {
        "kernel": RNG.normal(size=(2, 3, 4)).astype(np.float32),
        "bias": RNG.normal(size=4).astype(np.float32),
    },
    "scale": np.asarray(0.1, np.float32),
}
ABOUT = {"method": "flow", "line": "a test", "step": 7}


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "tiny.npz"
    place.write_bytes(weights_file.to_bytes(PARAMS, ABOUT))
    return place


def rewritten(path, change):
    """The file again, each entry's content changed by its name."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in change(entries).items():
            archive.writestr(name, content)


def told(path, **changes):
    """The file with another config."""

    def change(entries):
        about = json.loads(entries["about.json"]) | changes
        return entries | {"about.json": json.dumps(about).encode()}

    rewritten(path, change)


def test_what_was_put_in_comes_out_to_half_a_thousandth(path):
    found = weights_file.read_params(path)
    assert not trees.differences(found, PARAMS)
    for name, leaf in trees.by_path(found).items():
        np.testing.assert_allclose(leaf, trees.by_path(PARAMS)[name], rtol=2**-11)
    about = weights_file.read_about(path)
    assert about.items() >= ABOUT.items()
    assert not trees.other_bits(found, about["checksums"]["params"])


def test_numpy_opens_it_without_pickle(path):
    with np.load(path, allow_pickle=False) as file:
        kernel = file["params/blocks/kernel"]
        assert json.loads(bytes(file["about.json"]))["line"] == "a test"
    assert kernel.dtype == np.float16
    np.testing.assert_array_equal(kernel, PARAMS["blocks"]["kernel"].astype(np.float16))


def test_the_same_model_gives_the_same_bytes(path):
    assert weights_file.to_bytes(PARAMS, ABOUT) == path.read_bytes()


def test_a_file_of_a_file_s_weights_is_the_same(path):
    again = weights_file.to_bytes(weights_file.read_params(path), ABOUT)
    assert again == path.read_bytes()


@pytest.mark.parametrize("number", [np.inf, np.nan, 7e4])
def test_what_float16_cannot_hold_is_refused(number):
    params = {"a": {"b": np.asarray([0.0, number], np.float32)}}
    with pytest.raises(CheckpointError, match="^a/b has numbers that float16 cannot"):
        weights_file.to_bytes(params, {})


def test_what_is_kept_as_it_is_may_be_larger_but_not_endless(tmp_path):
    params = {"a": {"b": np.asarray([0.1, -7e4], np.float32)}}
    place = tmp_path / "exact.npz"
    place.write_bytes(weights_file.to_bytes(params, {}, exact=["a"]))
    found = weights_file.read_params(place)["a"]["b"]
    np.testing.assert_array_equal(found, params["a"]["b"])
    params["a"]["b"][0] = np.inf
    with pytest.raises(CheckpointError, match="^a/b has numbers that are not finite:"):
        weights_file.to_bytes(params, {}, exact=["a"])


def test_every_damaged_byte_of_an_array_is_found(path):
    content = bytearray(path.read_bytes())
    place = content.find(PARAMS["blocks"]["bias"].astype(np.float16).tobytes())
    content[place + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="tiny.npz is damaged: Bad CRC-32"):
        weights_file.read_params(path)


def test_other_arrays_than_the_config_tells_of_are_found(path):
    """Exchanged in a ZIP that is whole: the recorded checksum tells."""

    def exchanged(entries):
        other = io.BytesIO()
        np.save(other, np.zeros(4, np.float16))
        return entries | {"params/blocks/bias.npy": other.getvalue()}

    rewritten(path, exchanged)
    with pytest.raises(DamagedError, match="checksum differs of\n  blocks/bias"):
        checkpoint.restore_tree(path / "params", PARAMS)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_what_is_no_such_file(tmp_path, content):
    place = tmp_path / "other.npz"
    place.write_bytes(content)
    with pytest.raises(DamagedError, match="other.npz is no file of weights"):
        checkpoint.read_about(place)


def test_another_npz_is_no_such_file(tmp_path):
    np.savez(tmp_path / "poses.npz", poses=np.zeros(3))
    with pytest.raises(DamagedError, match="no item named 'about.json'"):
        checkpoint.read_about(tmp_path / "poses.npz")


def test_a_later_format_says_so(path):
    told(path, format=2, jaxflow="9.1")
    with pytest.raises(CheckpointError, match="format 2, written by jaxflow 9.1; this"):
        checkpoint.read_about(path)


def test_nothing_in_it_is_run(path):
    """An array of objects would be unpickled."""
    objects = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    np.lib.format.write_array_header_1_0(objects, header)
    objects.write(pickle.dumps([1]))
    rewritten(path, lambda entries: entries | {"params/x.npy": objects.getvalue()})
    with pytest.raises(DamagedError, match="Python objects, not numbers"):
        weights_file.read_params(path)


def test_what_unpacks_to_more_than_it_is_long_is_refused(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("params/bomb.npy", bytes(1000))
    with pytest.raises(DamagedError, match="bomb.npy is compressed"):
        weights_file.read_params(path)


def test_a_header_that_promises_too_much_is_refused(path):
    header = io.BytesIO()
    shape = {"descr": "<f2", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, shape)
    rewritten(path, lambda entries: entries | {"params/x.npy": header.getvalue()})
    with pytest.raises(DamagedError, match="promises"):
        weights_file.read_params(path)
