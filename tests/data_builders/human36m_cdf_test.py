"""Files of 3D poses: which numbers are taken, and what a bad file says."""

import gzip
import re
import sys
import time

import numpy as np
import pytest

from data_builders import files
from data_builders.human36m_lift import cdf
from tests.helpers.human36m import poses, write_cdf

RNG = np.random.default_rng(0)
# The numbers of an unpacked file lie at fixed places (version 3 of the format).
GLOBAL, WORD = 8, 8
READER = cdf.Reader(seconds=20)


def written(tmp_path, frames=14, **options):
    pose = poses(RNG, frames)
    return write_cdf(tmp_path / "Walking 1.54138969.cdf", pose, **options), pose


def refusal(path, reader=READER):
    """What is said of a file that must not be read, beside its name."""
    with pytest.raises(files.DataFileError) as caught:
        reader.read(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("frames", [1, 3, 4, 14, 16, 19])
@pytest.mark.parametrize("kind, dtype", [(21, np.float32), (22, np.float64)])
@pytest.mark.parametrize("compressed", [0, 6])
def test_every_fourth_frame_and_17_joints(tmp_path, frames, kind, dtype, compressed):
    pose = poses(RNG, frames).astype(dtype)
    found = READER.read(
        write_cdf(tmp_path / "a.cdf", pose, kind, compressed=compressed)
    )
    assert found.video_frames == frames and found.pose3d.dtype == np.float32
    assert found.pose3d.shape == (frames // 4, 17, 3)
    kept = [f for f in range(frames) if f % 4 == 3]
    names = "0 1 2 3 6 7 8 12 13 14 15 17 18 19 25 26 27".split()
    for row, frame in enumerate(kept):
        for joint, number in enumerate(map(int, names)):
            np.testing.assert_array_equal(
                found.pose3d[row, joint],
                pose[0, frame, 3 * number : 3 * number + 3].astype(np.float32),
            )


def version_2(pose):
    """The same poses in the format of version 2, whose words have 4 bytes."""

    def numbers(*values):
        return b"".join(value.to_bytes(4, "big", signed=True) for value in values)

    def record(kind, content):
        return numbers(8 + len(content), kind) + content

    frames, end = pose.shape[1], 8 + 304 + 60 + 144 + 32 + 8 + pose.nbytes
    at = np.cumsum([8, 304, 60, 144, 32]).tolist()  # where the records begin
    little_endian, single_file, real4 = 6, 3, 21
    return b"".join(
        [
            bytes.fromhex("cdf260020000ffff"),
            record(1, numbers(at[1], 2, 7, little_endian, single_file) + bytes(276)),
            record(2, numbers(0, at[2], 0, end, 0, 0, -1, 0, 1, 0, 0, 0, 0)),
            record(
                8,
                numbers(0, real4, 0, at[3], at[3], 1, 0, 0, -1, -1, 1, 0, -1, 1)
                + b"Pose".ljust(64, b"\0")
                + numbers(2, frames, 96, -1, -1),
            )[:144],
            record(6, numbers(0, 1, 1, 0, 0, at[4])),
            record(7, pose.astype("<f4").tobytes()),
        ]
    )


def test_files_of_version_2(tmp_path):
    path, pose = tmp_path / "a.cdf", poses(RNG, 14)
    content = version_2(pose)
    path.write_bytes(content)
    kept = pose[0, 3::4].reshape(-1, 32, 3)[:, cdf.KEPT_JOINTS]
    np.testing.assert_array_equal(READER.read(path).pose3d, kept)
    packed = gzip.compress(content[8:])
    header = (20 + len(packed)).to_bytes(4, "big") + bytes(16)
    path.write_bytes(content[:4] + bytes.fromhex("cccc0001") + header + packed)
    assert "truncated, damaged or not" in refusal(path)  # packed as a whole
    path.write_bytes(content[:-8])
    assert "it is truncated" in refusal(path)


@pytest.mark.parametrize("compressed", [0, 6])
@pytest.mark.parametrize("share", [0, 0.001, 0.05, 0.3, 0.9, 0.999])
def test_truncated(tmp_path, share, compressed):
    path, _ = written(tmp_path, frames=40, compressed=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert re.search("or damaged|truncated", refusal(path))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04" + bytes(99), bytes(500), b"text\n" * 50]
)
def test_other_files(tmp_path, content):
    path = tmp_path / "Walking.54138969.cdf"
    path.write_bytes(content)
    assert "does not begin as a CDF file" in refusal(path)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((1, 14, 51), r"expected Pose of shape .*32 joints; got \(1, 14, 51\)"),
        ((1, 14, 128), r"got \(1, 14, 128\)"),
        ((2, 14, 96), r"got \(2, 14, 96\)"),
        ((14, 96), r"got \(14, 96\)"),
    ],
)
def test_wrong_number_of_joints(tmp_path, shape, message):
    path = write_cdf(tmp_path / "a.cdf", np.zeros(shape, np.float32))
    assert re.search(message, refusal(path))


def test_other_variables_and_types(tmp_path):
    pose = poses(RNG, 8)
    path = write_cdf(tmp_path / "a.cdf", pose, name="Angles")
    assert "'Pose' not found" in refusal(path)
    path = write_cdf(tmp_path / "b.cdf", pose.astype(np.int32), kind=4)
    assert "floating point; got int32" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite(tmp_path, value):
    pose = poses(RNG, 14).astype(np.float64)
    pose[0, 5, 40] = pose[0, 9, 2] = value  # in no kept frame: damage all the same
    path = write_cdf(tmp_path / "a.cdf", pose, kind=22)
    assert "Pose is not finite in 2 of 14 frames, first in frame 6" in refusal(path)


def altered(path, at, value, length=4):
    content = bytearray(path.read_bytes())
    content[at : at + length] = value.to_bytes(length, "big", signed=True)
    path.write_bytes(bytes(content))
    return path


def number(path, at, length=WORD):
    return int.from_bytes(path.read_bytes()[at : at + length], "big", signed=True)


@pytest.fixture(scope="module")
def small_reader():
    """What a file may cost is little here, so that tests are quick."""
    return cdf.Reader(seconds=1.5, memory=300 << 20)


def hostile(path, name):
    """Makes a count in a file huge, or its index follow itself."""
    at = GLOBAL + number(path, 8)
    variable = number(path, at + 20)
    index = number(path, variable + 28)
    if name == "circle":
        return altered(path, index + 12, index, WORD)
    place = {
        "r-variables": at + 44,
        "dimensions of r": at + 56,
        "elements": variable + 64,
        "dimensions": variable + 340,
        "frames": variable + 344,
        "index entries": index + 20,
        "used entries": index + 24,
    }[name]
    return altered(path, place, 2**31 - 1)


@pytest.mark.parametrize(
    "name",
    "r-variables, dimensions of r, elements, dimensions, frames, index entries, "
    "used entries, circle".split(", "),
)
def test_counts_that_lie_cost_little_and_spoil_nothing(tmp_path, small_reader, name):
    """Most of these send an unwary reader round for hours or fill the memory."""
    path, pose = written(tmp_path, frames=40, compressed=0)
    content = path.read_bytes()
    began = time.monotonic()
    assert "truncated, damaged or not" in refusal(hostile(path, name), small_reader)
    assert time.monotonic() - began < 20
    path.write_bytes(content)  # the next file is read as if nothing had been
    assert READER.read(path).video_frames == pose.shape[1]


def test_what_unpacks_to_too_much_is_refused(tmp_path, small_reader):
    bomb = gzip.compress(bytes(200 << 20), 1)
    path, _ = written(tmp_path, frames=400, compressed=0)
    content = bytearray(path.read_bytes())
    at = GLOBAL + number(path, 8)
    index = number(path, number(path, at + 20) + 28)
    entries = number(path, index + 20, 4)
    block = index + 28 + 8 * entries  # where the variable's only block lies
    content[block : block + 8] = len(content).to_bytes(8, "big")
    size = 24 + len(bomb)
    content += size.to_bytes(8, "big") + (13).to_bytes(4, "big") + bytes(4)
    content += len(bomb).to_bytes(8, "big") + bomb
    path.write_bytes(bytes(content))
    assert "MemoryError" in refusal(path, small_reader)


def test_large_files_are_refused_unread(tmp_path):
    path, _ = written(tmp_path)
    with open(path, "ab") as file:
        file.truncate(cdf.LARGEST + 1)
    assert "bytes are more than any recording has" in refusal(path)


def test_a_file_may_kill_its_reader_but_not_the_next(tmp_path, monkeypatch):
    path, pose = written(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(cdf, "CHILD", tmp_path / "child.py")
        (tmp_path / "child.py").write_text("import os; os.abort()")
        reader = cdf.Reader()
        assert "or too much memory" in refusal(path, reader)
    assert reader.read(path).video_frames == pose.shape[1]


def test_damage_within_what_is_packed(tmp_path):
    """Whichever byte is damaged: the poses come out unchanged, or an error."""
    path, _ = written(tmp_path, frames=12)
    content = path.read_bytes()
    good = READER.read(path).pose3d
    for place in RNG.integers(8, len(content), 150):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(bytes(damaged))
        try:
            found = READER.read(path).pose3d
        except files.DataFileError as error:
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(found, good)


def test_without_the_library(tmp_path, monkeypatch):
    path, _ = written(tmp_path)
    monkeypatch.setitem(sys.modules, "cdflib", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[data\]'"):
        READER.read(path)


def test_missing_file(tmp_path):
    assert "No such file" in refusal(tmp_path / "no.cdf")
