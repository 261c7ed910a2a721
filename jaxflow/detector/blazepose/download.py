"""A large file over HTTP, which goes on where it was broken off, even by a kill.

    fetch(address, path) -> the file at ``path``, once it is whole

What has come of it lies beside it until then.
"""

from __future__ import annotations

import pathlib
import time

import requests
import tqdm

_SECONDS = 30  # without a byte
_ATTEMPTS = 5  # in a row that bring nothing
_PIECE = 2**16  # bytes


def fetch(address: str, path: pathlib.Path) -> None:
    """Downloads, behind a progress bar.

    What is there of the file lies in ``path`` with ``.part`` added until it is whole;
    the next call asks for the rest. Whether both are of one file is for the caller to
    see, by a checksum.

    Args:
      address: of the file.
      path: what it becomes; its folder is there.

    Raises:
      OSError: it could not be fetched, what came stays; or the disk is full.
    """
    part = path.with_name(path.name + ".part")
    with tqdm.tqdm(
        unit="B", unit_scale=True, unit_divisor=1000, desc="fetching"
    ) as bar:
        failures = 0
        while not path.exists():
            before = _size(part)
            try:
                _rest(address, part, bar)
            except requests.RequestException as error:
                refused = error.response is not None
                failures = 0 if _size(part) > before else failures + 1
                if refused or failures == _ATTEMPTS:
                    raise
                time.sleep(failures)
            else:
                part.replace(path)


def _rest(address: str, part: pathlib.Path, bar: tqdm.tqdm) -> None:
    """What is not there yet of the file, until the other side has no more."""
    begun = _size(part)
    # Compressed anew on the way, bytes could not be counted.
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    with requests.get(address, headers=headers, stream=True, timeout=_SECONDS) as came:
        if came.status_code == requests.codes.requested_range_not_satisfiable:
            if came.headers.get("Content-Range") == f"bytes */{begun}":
                return  # killed when all was there
            part.unlink()
            raise requests.ConnectionError("what was there is no part of it")
        came.raise_for_status()
        goes_on = came.status_code == requests.codes.partial_content
        length = came.headers.get("Content-Length")
        whole = int(length) + goes_on * begun if length else None
        bar.total = whole
        bar.n = bar.initial = goes_on * begun
        with part.open("ab" if goes_on else "wb") as file:
            for piece in came.iter_content(_PIECE):
                file.write(piece)
                bar.update(len(piece))
    if whole is not None and _size(part) != whole:
        raise requests.ConnectionError(f"{_size(part)} of {whole} bytes came")


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0
