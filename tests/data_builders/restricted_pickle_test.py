"""The unpickler reads arrays and containers, and refuses everything else unrun."""

import codecs
import collections
import os
import pathlib
import pickle
import sys

import numpy as np
import pytest

from data_builders import restricted_pickle
from data_builders.files import DataFileError


class Payload:
    """Runs a function when an ordinary unpickler reads it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def written(tmp_path, content, protocol=pickle.HIGHEST_PROTOCOL):
    path = tmp_path / "set.pickle"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


CONTENT = {
    "S9": {
        "Walking": [np.arange(12.0, dtype=np.float32).reshape(3, 4), ("a", 1, None)]
    },
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.zeros((0, 51), np.float32),
    "big endian": np.arange(3, dtype=">i4"),
    "names": np.asarray(["/S9/4.jpg", "/S9/8.jpg"]),
    "number": np.float32(2.5),
    "bytes": [b"", b"xyz"],
    "flag": True,
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back(tmp_path, protocol):
    loaded = restricted_pickle.load(written(tmp_path, CONTENT, protocol))
    assert list(loaded) == list(CONTENT)
    np.testing.assert_array_equal(
        loaded["S9"]["Walking"][0], CONTENT["S9"]["Walking"][0]
    )
    assert loaded["S9"]["Walking"][1] == ("a", 1, None)
    for name in ("fortran", "empty", "big endian", "names", "number"):
        np.testing.assert_array_equal(loaded[name], CONTENT[name])
        # NumPy gives old formats this machine's byte order.
        assert loaded[name].dtype.newbyteorder("=") == CONTENT[name].dtype.newbyteorder(
            "="
        )
    assert loaded["bytes"] == [b"", b"xyz"]


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_old_and_new_numpy_names(tmp_path, core):
    data = pickle.dumps(np.arange(5.0), 2)
    for name in (b"numpy._core", b"numpy.core"):
        data = data.replace(name + b".multiarray", core.encode() + b".multiarray")
    path = tmp_path / "array.pickle"
    path.write_bytes(data)
    np.testing.assert_array_equal(restricted_pickle.load(path), np.arange(5.0))


def test_python_2_pickles(tmp_path):
    """Python 2 wrote an array's bytes as text: opcode SHORT_BINSTRING."""
    array = np.asarray([1.5, -2.0])
    path = tmp_path / "old.pickle"
    path.write_bytes(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        b"U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10"
        + array.tobytes()
        + b"tb."
    )
    np.testing.assert_array_equal(restricted_pickle.load(path), array)


def test_a_call_to_the_system_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    path = written(tmp_path, {"S9": Payload(os.system, f"touch {trace}")})
    with pytest.raises(DataFileError, match=r"set\.pickle.*(posix|nt)\.system"):
        restricted_pickle.load(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the payload is real: elsewhere it does run
    assert trace.exists()


@pytest.mark.parametrize(
    "payload, name",
    [
        (Payload(eval, "1 + 1"), "builtins.eval"),
        (Payload(getattr, "text", "upper"), "builtins.getattr"),
        (Payload(pathlib.Path, "x"), "Path"),
        (Payload(np.load, "x.npy"), "numpy"),
        (Payload(codecs.decode, b"x", "rot13"), "_codecs.decode"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        ({1, 2}, None),  # a set has an opcode of its own: a plain container
        (Payload(bytes, 10**9), "bytes with arguments"),
        (np.asarray([None, "x"], object), "type 'O8'"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), "type 'V8'"),
        (np.ma.masked_array([1.0]), "numpy.ma"),
        (np.datetime64("2020-01-01"), "type 'M8'"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path, payload, name):
    path = written(tmp_path, payload)
    if name is None:
        assert restricted_pickle.load(path) == payload
        return
    with pytest.raises(DataFileError, match="is refused") as caught:
        restricted_pickle.load(path)
    assert name in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    "state", ["}X\x01\x00\x00\x00aK\x01s", "N}X\x05\x00\x00\x00_callK\x01s\x86"]
)
def test_what_may_be_called_cannot_be_changed(tmp_path, state):
    """Attributes would outlive the file; a state that is a pair sets slots."""
    path = tmp_path / "set.pickle"
    head = "\x80\x02cnumpy.core.multiarray\n_reconstruct\n"
    path.write_bytes((head + state + "b.").encode("latin1"))
    with pytest.raises(DataFileError, match="is refused: it wants to change"):
        restricted_pickle.load(path)


@pytest.mark.parametrize(
    "state",
    [
        "(K\x01(K\x7fK\x7ftcnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x08aaaaaaaatb.",
        "(K\x01(J\xff\xff\xff\xfftcnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x00tb.",
        "(K\x01(K\x01tK\x05\x89C\x08aaaaaaaatb.",
    ],
)
def test_arrays_that_lie_about_themselves(tmp_path, state):
    """A shape larger than the data, a negative one, and no type at all."""
    head = (
        "\x80\x04cnumpy.core.multiarray\n_reconstruct\n"
        "cnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    )
    path = tmp_path / "lie.pickle"
    path.write_bytes((head + state).encode("latin1"))
    with pytest.raises(DataFileError, match="lie.pickle"):
        restricted_pickle.load(path)


def test_bytes_are_not_taken_for_addresses(tmp_path):
    """NumPy's own reconstruction takes them, and reading the array ends the process."""

    forged = Payload(np.dtype, "O", False, True)
    # An object that says it is none.
    forged.call += ((3, "|", None, None, None, -1, -1, 0),)
    assert not pickle.loads(pickle.dumps(forged)).hasobject
    rebuild, arguments, _ = np.zeros(0).__reduce__()
    array = Payload(rebuild, *arguments)
    array.call += ((1, (1,), forged, False, bytes(range(8))),)
    with pytest.raises(DataFileError, match="array of type 'O'"):
        restricted_pickle.load(written(tmp_path, array))


def test_a_pickle_cannot_make_uninitialised_arrays(tmp_path):
    path = tmp_path / "leak.pickle"
    path.write_bytes(b"\x80\x04cnumpy\nndarray\nK\x40\x85\x85R.")
    with pytest.raises(DataFileError, match="leak.pickle"):
        restricted_pickle.load(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_files(tmp_path, share):
    path = written(tmp_path, CONTENT)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataFileError, match=r"set\.pickle is truncated"):
        restricted_pickle.load(path)


def test_random_damage_is_an_error_or_data_but_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    data = np.frombuffer(pickle.dumps(CONTENT), np.uint8)
    path = tmp_path / "damaged.pickle"
    for _ in range(300):
        damaged = data.copy()
        damaged[rng.integers(len(data), size=3)] = rng.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            restricted_pickle.load(path)
        except DataFileError as error:
            assert "damaged.pickle" in str(error)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.pickle", tmp_path):
        with pytest.raises(DataFileError, match="does not exist or is not a file"):
            restricted_pickle.load(path)


def test_reading_imports_nothing(tmp_path):
    """Not even a module that the pickle names."""
    path = tmp_path / "import.pickle"
    path.write_bytes(b"\x80\x04cthis\ns\n.")
    with pytest.raises(DataFileError, match=r"this\.s"):
        restricted_pickle.load(path)
    assert "this" not in sys.modules
