"""Videos from files, a frame at a time, through the ffmpeg of imageio-ffmpeg.

    path -> VideoFrame, VideoFrame, ...; a last Skipped where the video is damaged

ffmpeg decodes, turns frames as their metadata say and writes them to a pipe as PPM
pictures, which carry their sizes. Pixels that are not square become so, in width, and a
cover picture is no film. No more than one frame is in memory beside what the
decoder holds. A video that ends within a frame gives the frames before.
"""

from __future__ import annotations

import functools
import os
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import MEGAPIXELS, MIN_SIDE, Picture
from jaxflow.detector.readers.records import Skipped
from jaxflow.runs.errors import UserError, missing

SUFFIXES = tuple(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .wmv .flv .ogv .3gp".split()
)

# A playlist must not make ffmpeg fetch from the network.
_LOCAL = ("-protocol_whitelist", "file,pipe,crypto,data")


class VideoError(UserError):
    """A file that is no video, or one of which nothing can be read."""


class VideoInfo(NamedTuple):
    """What a video says about itself.

    Attributes:
      width: of a frame as stored, px; if its pixels are not square, as it is shown.
      height: of a frame as stored, px.
      fps: frames a second; 0 if it does not say.
      seconds: how long it is; 0 if it does not say.
      stretched: whether its pixels are not square as stored.
    """

    width: int
    height: int
    fps: float
    seconds: float
    stretched: bool = False


class VideoFrame(NamedTuple):
    """A frame.

    Attributes:
      number: within the video, from 0.
      picture: the frame, upright.
    """

    number: int
    picture: Picture


def info(path: str | os.PathLike[str]) -> VideoInfo:
    """What a video's header says.

    Raises:
      FileNotFoundError: no such file.
      ImportError: imageio-ffmpeg is not installed.
      VideoError: no video, or one without its header.
    """
    path = pathlib.Path(path)
    # ffmpeg describes what it opens, and then complains that it is to write nothing.
    command = [_ffmpeg(path), "-nostdin", "-hide_banner", *_LOCAL, "-i", _address(path)]
    said = subprocess.run(command, capture_output=True).stderr.decode(errors="replace")
    films = [line for line in said.splitlines() if _is_film(line)]
    film = films[0] if films else ""
    size = re.search(r" ([0-9]+)x([0-9]+)[ ,\n]", f"{film}\n")
    if size is None:
        reason = _reason(said) or "it has no pictures"
        raise VideoError(f"{path}: no video that can be read ({reason})")
    fps = re.search(r" ([0-9.]+)(k?) fps", film)
    time = re.search(r"Duration: ([0-9]+):([0-9]+):([0-9.]+)", said)
    hours, minutes, seconds = map(float, time.groups()) if time else (0, 0, 0)
    rate = float(fps[1]) * (1000 if fps[2] else 1) if fps else 0.0
    total = 3600 * hours + 60 * minutes + seconds
    width = max(1, round(int(size[1]) * _aspect(film)))
    return VideoInfo(width, int(size[2]), rate, total, _aspect(film) != 1)


def _is_film(line: str) -> bool:
    """Whether a line of ffmpeg's description is of moving pictures."""
    still = "(attached pic)" in line or "(timed thumbnails)" in line
    return "Stream #" in line and " Video: " in line and not still


def _aspect(film: str) -> float:
    """How wide a stored pixel is shown, beside its height."""
    shape = re.search(r"SAR ([0-9]+):([0-9]+)", film)
    return int(shape[1]) / int(shape[2]) if shape and "0" not in shape.groups() else 1.0


def frames(
    path: str | os.PathLike[str],
    every: int = 1,
    *,
    start: int = 0,
    megapixels: float = MEGAPIXELS,
) -> Iterator[VideoFrame | Skipped]:
    """The frames start, start + every, start + 2 every, ... of a video.

    Args:
      path: anything that ffmpeg reads.
      every: one in so many frames.
      start: the first frame. Those before are decoded, which is quick beside what is
        done with a frame: to jump would not find the same frame in every format.
      megapixels: of a frame, at most.

    Yields:
      VideoFrame; at last a Skipped if ffmpeg complained, because the video ends within
      a frame or is damaged elsewhere.

    Raises:
      FileNotFoundError: no such file.
      ImportError: imageio-ffmpeg is not installed.
      UserError: ``every`` is below 1, or ``start`` below 0.
      VideoError: no video, frames too large, or not one frame in it.
    """
    path = pathlib.Path(path)
    if every < 1:
        raise UserError(f"expected one in 1 or more frames; got one in {every}")
    if start < 0:
        raise UserError(f"expected to start at frame 0 or later; got {start}")
    about = info(path)
    size = f"{path}: frames of {about.width} x {about.height} px"
    if about.width * about.height > megapixels * 1e6:
        raise VideoError(f"{size}; the limit is {megapixels:g} megapixels")
    if min(about.width, about.height) < MIN_SIDE:
        raise VideoError(f"{size}; expected at least {MIN_SIDE} x {MIN_SIDE}")
    number = start
    with tempfile.TemporaryFile() as complaints:
        for picture in _decode(path, every, start, about.stretched, complaints):
            yield VideoFrame(number, picture)
            number += every
        complaints.seek(0)
        reason = _reason(complaints.read(1 << 16).decode(errors="replace"))
    if not number:
        raise VideoError(f"{path}: no frame that can be read ({reason})")
    if reason:
        kind = f"the video is damaged or ends within a frame ({reason})"
        yield Skipped(str(path), number, None, f"{kind}; what was whole was read")


def _decode(
    path: pathlib.Path, every: int, start: int, stretched: bool, complaints: IO[bytes]
) -> Iterator[Picture]:
    """The frames that ffmpeg writes, until it ends or nobody asks for more."""
    filters = []
    if every > 1 or start:
        filters.append(f"select=gte(n\\,{start})*not(mod(n-{start}\\,{every}))")
    if stretched:
        filters.append("scale=round(iw*sar):ih,setsar=1")
    program = _ffmpeg(path)
    command = [
        *(program, "-nostdin", "-loglevel", "error"),
        # V: of the streams of pictures those that are no cover.
        *(*_LOCAL, "-i", _address(path), "-map", "0:V:0"),
        *(["-vf", ",".join(filters)] if filters else []),
        *(*every_frame(program), "-pix_fmt", "rgb24"),
        *("-f", "image2pipe", "-vcodec", "ppm", "-"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
    assert process.stdout is not None
    try:
        while (picture := _read_ppm(process.stdout)) is not None:
            yield picture
        process.wait()
    finally:
        process.kill()  # nothing if it has ended
        process.stdout.close()
        process.wait()


@functools.cache
def every_frame(program: str) -> tuple[str, str]:
    """What has ffmpeg write each frame once; 5.1 gave the option its present name."""
    said = subprocess.run([program, "-version"], capture_output=True).stdout
    version = re.match(rb"ffmpeg version n?([0-9]+)\.([0-9]+)", said)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 1)
    return ("-vsync" if old else "-fps_mode"), "passthrough"


def _read_ppm(stream: IO[bytes]) -> Picture | None:
    """The next picture; None where the stream ends."""
    header = [stream.readline(32) for _ in range(3)]
    if header[0] != b"P6\n" or header[2] != b"255\n":
        return None
    width, height = map(int, header[1].split())
    content = stream.read(width * height * 3)
    if len(content) < width * height * 3:
        return None
    return pictures.from_array(
        np.frombuffer(content, np.uint8).reshape(height, width, 3)
    )


def _ffmpeg(path: pathlib.Path) -> str:
    """The program, once the file is known to be there."""
    if not path.is_file():
        raise FileNotFoundError(f"no such video: {path}")
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise missing(f"reading {path}", "imageio-ffmpeg", "detector") from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _address(path: pathlib.Path) -> str:
    """The file for ffmpeg, whatever characters its name has."""
    return f"file:{path.absolute()}"


def _reason(output: str) -> str:
    """The line of ffmpeg's output that says most, without its addresses in memory."""
    lines = [line.partition("] ")[2] or line for line in output.splitlines()]
    for sign in ("moov atom", "Invalid", "prematurely", "corrupt", "rror"):
        for line in lines:
            if sign in line and "===" not in line:
                return line.strip()[:200]
    return lines[0].strip()[:200] if lines else ""
