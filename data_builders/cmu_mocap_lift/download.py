"""The official archive, through the TFDS download manager.

The server speaks plain HTTP and publishes no checksum, so the archive's SHA-256 is
recorded beside the first download; a later one must have the same.
"""

from __future__ import annotations

import pathlib
import sys
import urllib.error
import urllib.request
import zipfile

import tensorflow_datasets as tfds
import tqdm

from data_builders import files
from data_builders.files import DataFileError
from jaxflow.runs.files import write_text

URL = "http://mocap.cs.cmu.edu/allasfamc.zip"
CHECKSUM = "allasfamc.zip.sha256"


def fetch(downloads: tfds.download.DownloadManager) -> pathlib.Path:
    """The folder that holds the archive, downloaded unless it is there.

    Raises:
      DataFileError: it cannot be downloaded, is no archive, or is another one than was
        downloaded at first. What is no archive is removed, so that the next attempt
        downloads it anew.
    """
    kept = pathlib.Path(downloads.download_dir).glob("*/*allasfamc*.zip")
    tfds.display_progress_bar(True)
    try:
        if not any(kept):
            _reach()
        path = pathlib.Path(downloads.download(URL))
    except (OSError, ValueError, tfds.download.DownloadError) as error:
        raise DataFileError(
            f"{URL} cannot be downloaded ({error}). Fetch it some other way and give "
            "the folder that it lies in as --manual_dir"
        ) from error
    finally:
        tfds.display_progress_bar(False)
    if not zipfile.is_zipfile(path):
        size = path.stat().st_size
        for one in path.parent.glob(f"{path.name}*"):  # with what TFDS notes of it
            one.unlink()
        raise DataFileError(
            f"{URL} gave {size:,} bytes that are no complete archive; they are removed"
        )
    _check(path, path.parent / CHECKSUM)
    return path.parent


def _reach() -> None:
    """Asks the server for an answer, since TFDS tries for minutes where there is none.

    Raises:
      OSError: there is none within 20 seconds.
    """
    tqdm.tqdm.write(f"downloading {URL}", file=sys.stderr)
    try:
        request = urllib.request.Request(URL, method="HEAD")
        urllib.request.urlopen(request, timeout=20).close()
    except urllib.error.HTTPError:
        pass  # an answer, whatever it is: the download itself decides


def _check(path: pathlib.Path, record: pathlib.Path) -> None:
    """Compares with the recorded checksum, or records it."""
    found = files.fingerprint([path], path.parent)[path.name]["sha256"]
    if not record.exists():
        write_text(record, f"{found}  {path.name}\n")  # as sha256sum -c reads it
        return
    words = record.read_text().split()
    if words[:1] != [found]:
        raise DataFileError(
            f"{path} has SHA-256 {found}; the first download had "
            f"{words[0] if words else 'none'} ({record}). Remove the record only if "
            "you know why the archive has changed"
        )
