"""A download that breaks off, and what it goes on with."""

import pytest
import requests

from jaxflow.detector.blazepose import download
from tests.helpers import served

CONTENT = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No proxy of this machine's, no waiting between attempts, and small pieces."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_PIECE", 100)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)


def test_what_breaks_off_is_gone_on_with(tmp_path):
    with served.file(CONTENT, most=400) as server:
        download.fetch(server.address, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=400-", "bytes=800-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "held, asked",
    [
        (CONTENT[:300], ["bytes=300-"]),
        (CONTENT, ["bytes=1024-"]),  # killed before it took its name
        (CONTENT + b"more", ["bytes=1028-", ""]),  # of another file
    ],
)
def test_what_an_earlier_call_left(tmp_path, held, asked):
    (tmp_path / "file.part").write_bytes(held)
    with served.file(CONTENT) as server:
        download.fetch(server.address, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT and server.asked == asked


def test_from_who_serves_no_parts(tmp_path):
    (tmp_path / "file.part").write_bytes(b"anything")
    with served.file(CONTENT, ranges=False) as server:
        download.fetch(server.address, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_what_cannot_be_had(tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:9])
    with served.file(CONTENT, status=404, ranges=False) as server:
        with pytest.raises(requests.HTTPError, match="404"):
            download.fetch(server.address, tmp_path / "file")
    with served.file(CONTENT, most=0) as server:
        with pytest.raises(requests.RequestException):
            download.fetch(server.address, tmp_path / "file")
    assert len(server.asked) == 5
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:9]
