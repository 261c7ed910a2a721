"""Videos as frames: streamed, thinned out, damaged."""

import os
import subprocess

import numpy as np
import pytest

from jaxflow.detector.readers import videos
from jaxflow.detector.readers.records import Skipped
from tests.helpers.cases import case

ffmpeg = pytest.importorskip("imageio_ffmpeg")
try:
    PROGRAM = ffmpeg.get_ffmpeg_exe()
except RuntimeError as missing:
    pytest.skip(
        f"imageio-ffmpeg has no ffmpeg here: {missing}", allow_module_level=True
    )

WIDTH, HEIGHT, COUNT = 64, 48, 12


def write_video(path, *options, count=COUNT):
    """Frame i is of grey 20 i, with a bright upper left corner; lossless."""
    pixels = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = 20 * np.arange(count)[:, None, None, None]
    pixels[:, :8, :8] = 255
    subprocess.run(
        [
            PROGRAM,
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{WIDTH}x{HEIGHT}",
            "-r",
            "10",
            "-i",
            "/dev/stdin",
            *options,
            str(path),
        ],
        input=pixels.tobytes(),
        check=True,
    )
    return path


def raw_avi(path):
    return write_video(path, "-vcodec", "rawvideo", "-pix_fmt", "bgr24")


def greys(found):
    return [int(frame.picture.pixels[-1, -1, 0]) for frame in found]


def test_every_frame_in_order(tmp_path):
    path = raw_avi(tmp_path / "a.avi")
    found = list(videos.frames(path))
    assert [frame.number for frame in found] == list(range(COUNT))
    assert greys(found) == [20 * i for i in range(COUNT)]
    assert found[0].picture.pixels.shape == (HEIGHT, WIDTH, 3)
    about = videos.info(path)
    assert (about.width, about.height, about.fps) == (WIDTH, HEIGHT, 10)
    assert about.seconds == pytest.approx(1.2)


def test_one_in_five(tmp_path):
    found = list(videos.frames(raw_avi(tmp_path / "a.avi"), every=5))
    assert [frame.number for frame in found] == [0, 5, 10]
    assert greys(found) == [0, 100, 200]
    with pytest.raises(ValueError, match="1 or more"):
        next(videos.frames(tmp_path / "a.avi", every=0))


def test_turned_as_the_metadata_say(tmp_path):
    path = write_video(tmp_path / "a.mp4", "-vcodec", "libx264", "-crf", "0")
    turned = tmp_path / "turned.mp4"
    subprocess.run(
        [
            PROGRAM,
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-display_rotation",
            "90",
            "-i",
            str(path),
            "-c",
            "copy",
            str(turned),
        ],
        check=True,
    )
    first = next(videos.frames(turned)).picture.pixels
    assert first.shape == (WIDTH, HEIGHT, 3)
    assert first[-4, 4].min() > 200  # turned against the clock, the corner is below
    assert first[4, 4].max() < 60


def test_a_video_that_ends_within_a_frame_gives_those_before(tmp_path):
    path = raw_avi(tmp_path / "a.avi")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    *found, last = videos.frames(path)
    assert 4 <= len(found) <= 6
    assert greys(found) == [20 * i for i in range(len(found))]
    assert isinstance(last, Skipped) and last.frame == len(found)
    assert "ends within a frame" in last.reason and str(path) == last.source


def test_a_reader_that_stops_early_leaves_no_ffmpeg(tmp_path):
    path = write_video(tmp_path / "a.avi", "-vcodec", "rawvideo", count=200)
    frames = videos.frames(path)
    next(frames)
    (child,) = _children()
    frames.close()
    assert child not in _children()


def _children():
    own = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
    )
    if own.returncode not in (0, 1):
        pytest.skip("ps cannot list processes here")
    return [line.split()[0] for line in own.stdout.splitlines() if "ffmpeg" in line]


def test_files_that_are_no_video(tmp_path):
    text = tmp_path / "note.avi"
    text.write_text("not a video at all")
    with pytest.raises(videos.VideoError, match=r"note\.avi: no video .*Invalid data"):
        next(videos.frames(text))
    with pytest.raises(FileNotFoundError, match="no such video"):
        next(videos.frames(tmp_path / "none.mp4"))


def test_an_mp4_cut_before_its_index(tmp_path):
    path = write_video(tmp_path / "a.mp4", "-vcodec", "libx264")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(videos.VideoError, match=r"a\.mp4: no (video|frame) that can"):
        list(videos.frames(path))


def test_frames_that_are_too_large(tmp_path):
    with pytest.raises(videos.VideoError, match="64 x 48 px; the limit is 0.001"):
        next(videos.frames(raw_avi(tmp_path / "a.avi"), megapixels=0.001))


def test_names_that_look_like_options(tmp_path, monkeypatch):
    path = raw_avi(tmp_path / "a.avi")
    path.rename(tmp_path / "-i%d:.avi")
    monkeypatch.chdir(tmp_path)
    assert len(list(videos.frames("-i%d:.avi"))) == COUNT


class TestFilms:
    def test_a_cover_is_no_film(self):
        """Whichever stream comes first, and when only some frames are wanted."""
        for options in ({}, {"every": 3, "start": 1}):
            plain, cover = (
                list(videos.frames(case(f"videos/{name}.mp4"), **options))
                for name in ("plain", "cover_first")
            )
            assert len(plain) == len(cover) == (3 if options else 10)
            for a, b in zip(plain, cover, strict=True):
                np.testing.assert_array_equal(a.picture.pixels, b.picture.pixels)
            assert (a.picture.width, a.picture.height) == (192, 128)
        info = videos.info(case("videos/cover_first.mp4"))
        assert info[:3] == (192, 128, 10) and info.seconds == pytest.approx(1)

    def test_a_cover_alone_is_refused(self, tmp_path):
        path = tmp_path / "a.mp4"
        cover = "-map", "0", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic"
        write_video(path, "-frames:v", "1", *cover, count=1)
        with pytest.raises(videos.VideoError, match=r"a\.mp4: no video"):
            list(videos.frames(path))

    @pytest.mark.parametrize("shape", ["4/3", "8/9"])
    def test_pixels_that_are_not_square(self, tmp_path, shape):
        path = tmp_path / "a.mkv"
        write_video(path, "-vf", f"setsar={shape}", "-c:v", "ffv1")
        width, height = map(int, shape.split("/"))
        shown = round(WIDTH * width / height)
        frames = list(videos.frames(path, 2))
        assert len(frames) == COUNT // 2
        assert frames[1].picture.pixels.shape == (HEIGHT, shown, 3)
        assert abs(int(frames[1].picture.pixels[-1, -1, 0]) - 40) <= 1
        assert videos.info(path)[:2] == (shown, HEIGHT)

    @pytest.mark.parametrize(
        ("said", "option"),
        [
            ("ffmpeg version 4.2.2-static https", "-vsync"),
            ("ffmpeg version n5.0.1 Copyright", "-vsync"),
            ("ffmpeg version 5.1.2 Copyright", "-fps_mode"),
            ("ffmpeg version N-12345-gabc", "-fps_mode"),
        ],
    )
    def test_old_programs_know_the_old_option(self, tmp_path, said, option):
        program = tmp_path / "ffmpeg"
        program.write_text(f"#!/bin/sh\necho '{said}'\n")
        program.chmod(0o755)
        assert videos.every_frame(str(program)) == (option, "passthrough")
