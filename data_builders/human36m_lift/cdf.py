"""Files of 3D poses, ``D3_Positions_mono/*.cdf``.

In: a Common Data Format file whose variable 'Pose' is (1, F, 96): F video frames of 32
joints in mm, camera frame, joint by joint. Out: the 17 joints of every 4th frame, those
with index 3, 7, 11, ... (the pictures 4, 8, 12, ...).

Needs the package cdflib. It runs nothing that a file says, but believes the counts and
sizes in it: a damaged file makes it loop for hours or fill the memory. So it works in a
process of its own, ``cdf_child``, with limits of memory (not on Windows) and time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import threading
from typing import NamedTuple

import numpy as np

from data_builders.files import DataFileError
from data_builders.human36m_lift import recordings
from jaxflow.runs.errors import UserError, missing

JOINTS_IN_FILE = 32
# Joints of the 32 in H36M-17 order; the others are doubles, toes and finger tips.
KEPT_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)

LARGEST = 32 << 20  # bytes of a file and of its poses, more than any recording has
MEMORY = 1 << 30  # bytes; NumPy and cdflib alone take a tenth
SECONDS = 60.0  # for a file; a hundredth of a second is usual

CHILD = pathlib.Path(__file__).with_name("cdf_child.py")


class Positions(NamedTuple):
    """A recording's 3D poses.

    Attributes:
      pose3d: (F // 4, 17, 3) float32, mm, camera frame, H36M-17 order.
      video_frames: F, how many frames the file holds.
    """

    pose3d: np.ndarray
    video_frames: int


class Reader:
    """Reads files in one process, which starts with the first; if it dies, in another.

    Args:
      seconds: that the reading of a file may take.
      memory: bytes that the process may take.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        self._child: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """Ends the process, if there is one; the next file starts another."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
        self._child = None

    __del__ = close

    def read(self, path: pathlib.Path) -> Positions:
        """The kept frames of a file.

        Raises:
          DataFileError: the file is missing, truncated, no such file, takes too long or
            too much memory, has another number of joints or a number that is not
            finite. The message names file and frame.
          ImportError: cdflib is not installed.
        """
        require_library()
        try:
            if (size := path.stat().st_size) > LARGEST:
                raise UserError(f"{size:,} bytes are more than any recording has")
            pose = self._pose(path)
        except (OSError, ValueError) as error:
            raise DataFileError(
                f"{path} is truncated, damaged or not a D3_Positions_mono file: "
                + " ".join(str(error).split())
            ) from None
        with np.errstate(over="ignore"):  # becomes infinite, which is reported by frame
            pose = pose.astype(np.float32)
        recordings.check_finite(str(path), "Pose", pose, np.arange(1, len(pose) + 1))
        joints = pose.reshape(-1, JOINTS_IN_FILE, 3)
        kept = joints[recordings.FRAME_STEP - 1 :: recordings.FRAME_STEP, KEPT_JOINTS]
        return Positions(kept, len(pose))

    def _pose(self, path: pathlib.Path) -> np.ndarray:
        """(F, 96), as the child answers; an error it answers is a ValueError."""
        child = self._child = self._child or _started(self._memory)
        assert child.stdin is not None and child.stdout is not None
        timer = threading.Timer(self._seconds, child.kill)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it died: no answer comes
                child.stdin.write(json.dumps(str(path.absolute())).encode() + b"\n")
                child.stdin.flush()
            answer = json.loads(child.stdout.readline() or "{}")
            if "error" in answer:
                raise UserError(answer["error"])
            if answer:
                count = np.prod(answer["shape"]) * np.dtype(answer["dtype"]).itemsize
                content = child.stdout.read(min(count, LARGEST))
                if len(content) == count:
                    return np.frombuffer(content, answer["dtype"]).reshape(-1, 96)
        finally:
            timer.cancel()
        self.close()
        raise UserError(
            f"reading it took more than {self._seconds:g} seconds or too much memory"
        )


def require_library() -> None:
    """Refuses to begin without cdflib.

    Raises:
      ImportError: it is not installed; says how to install it.
    """
    if importlib.util.find_spec("cdflib") is None:
        raise missing("reading D3_Positions_mono files", "cdflib", "data")


def _started(memory: int) -> subprocess.Popen[bytes]:
    """The child, which finds the libraries that this process finds."""
    places = os.pathsep.join(place for place in sys.path if place)
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", str(CHILD), str(memory)],
        env={**os.environ, **threads, "PYTHONPATH": places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
