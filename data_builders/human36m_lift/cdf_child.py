"""The process that reads files of 3D poses for ``cdf``; it may take little memory.

It stands alone: NumPy and cdflib, nothing of this project. In, on standard input: paths
as JSON, one a line; its argument is the memory in bytes. Out, on standard output: for
each a line of JSON, ``{"error": text}`` or the array's ``{"dtype": ..., "shape": ...}``
with its bytes behind it.
"""

import contextlib
import json
import os
import pathlib
import sys

import cdflib
import numpy as np

WIDTH = 32 * 3
WORDS = {bytes.fromhex("cdf30001"): 8, bytes.fromhex("cdf26002"): 4}  # bytes a word
PLAIN = bytes.fromhex("0000ffff")  # of a file that is not packed as a whole


def pose(path: str) -> np.ndarray:
    """The variable 'Pose', (frames, 96) floating-point numbers.

    Raises:
      ValueError: the file ends early, or the variable has another shape or kind.
      Exception: whatever cdflib says of a damaged file.
    """
    check_end(pathlib.Path(path).read_bytes())
    with cdflib.CDF(path) as file:
        variable = file.varinq("Pose")
        shape = (variable.Last_Rec + 1, *map(int, variable.Dim_Sizes))
        if len(shape) != 3 or shape[0] != 1 or shape[1] < 1 or shape[2] != WIDTH:
            raise ValueError(
                f"expected Pose of shape (1, frames, {WIDTH}), 32 joints; got {shape}"
            )
        array = np.asarray(file.varget("Pose")).reshape(shape[1:])
    if array.dtype.kind != "f":
        raise ValueError(f"expected Pose to be floating point; got {array.dtype}")
    return array


def check_end(content: bytes) -> None:
    """Refuses a file that ends early: cdflib makes up what is missing.

    The first record, behind 8 bytes, says where the global one lies, and that where the
    file ends. What is packed as a whole has a sum instead, which cdflib checks.
    """
    w = WORDS.get(content[:4])
    if w is None:
        raise ValueError("it does not begin as a CDF file of version 2.6 or later")
    if content[4:8] == PLAIN:
        at = 4 * w + 4 + int.from_bytes(content[12 + w : 12 + 2 * w], "big")
        if max(at, int.from_bytes(content[at : at + w], "big")) > len(content):
            raise ValueError(f"it is truncated: it has {len(content):,} bytes")


if __name__ == "__main__":
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # Windows has no such limit

        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints is no answer
    for line in sys.stdin:
        try:
            array = pose(json.loads(line))
            answer = {"dtype": array.dtype.str, "shape": array.shape}
            content = array.tobytes()
        # The library reads what it is led to; damage shows as almost any exception.
        except Exception as error:
            answer, content = {"error": f"{type(error).__name__}: {error}"}, b""
        output.write(json.dumps(answer).encode() + b"\n" + content)
        output.flush()
