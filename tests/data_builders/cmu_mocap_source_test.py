"""Where CMU takes come from: folders, archives, the download."""

import http.server
import json
import shutil
import threading
import zipfile

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.cmu_mocap_lift import download, recordings, source
from jaxflow import data
from tests.helpers import cmu as cmu

SET = "cmu_mocap_lift"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return cmu.write_database(tmp_path_factory.mktemp("cmu"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, database):
    folder = tmp_path_factory.mktemp("sets")
    builder = registry.prepare(SET, folder, database)
    return builder, {
        name: data.load_records(SET, name, folder) for name in data.splits(SET, folder)
    }


def packed(database, path, prefix="all_asfamc/"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for one in sorted(database.rglob("*.a[sm][fc]")):
            file.write(one, prefix + one.relative_to(database).as_posix())
    return path


@pytest.mark.parametrize("where", [".", "subjects", "all_asfamc/.."])
def test_folders_that_are_taken(database, tmp_path, where):
    if where.startswith("all"):
        shutil.copytree(database, tmp_path / "all_asfamc")
        database, where = tmp_path, "."
    with source.opened(database / where) as found:
        assert [(take.subject, take.number) for take in found.takes] == [
            (subject, take) for subject in ("01", "08", "31") for take in ("01", "02")
        ]
        assert len(found.files) == 9


def test_folders_that_are_refused(tmp_path):
    builder = registry.builder(SET, tmp_path)
    with pytest.raises(files.DataFileError, match="nowhere is not a folder"):
        builder.raw_files(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("not mocap")
    with pytest.raises(files.DataFileError, match="not the CMU database"):
        builder.raw_files(tmp_path)
    cmu.write_database(tmp_path, subjects=("01", "02"), takes=1, frames=2)
    with pytest.raises(files.DataFileError, match="no subject of the test split"):
        builder.raw_files(tmp_path)


def test_an_archive_is_as_good_as_its_files(built, database, tmp_path):
    _, splits = built
    packed(database, tmp_path / "allasfamc.zip")
    registry.prepare(SET, tmp_path / "sets", tmp_path)
    records = data.load_records(SET, "train", tmp_path / "sets")
    for name, column in records.columns().items():
        np.testing.assert_array_equal(column, splits["train"].columns()[name])


def test_hostile_archives(database, tmp_path):
    """Names that lead elsewhere are only names; damaged members are unreadable."""
    archive = packed(database, tmp_path / "allasfamc.zip")
    text = (database / "subjects/01/01_01.amc").read_text()
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../../03/03_01.amc", text)
        file.writestr("/etc/04/04_01.amc", text)
        file.writestr("all_asfamc/subjects/05/../../../run.sh", "touch owned")
        file.writestr("all_asfamc/subjects/01/06_01.amc", text)
    before = sorted(tmp_path.parent.rglob("*"))
    with source.opened(tmp_path) as found:
        assert found.others == 1
        reading = [(take.subject, take.skeleton) for take in found.takes[2:4]]
        assert reading == [("03", ""), ("04", "")]
        with pytest.raises(files.DataFileError, match=r"2 of 8 takes.*\n.*no skeleton"):
            recordings.read(found)
    assert sorted(tmp_path.parent.rglob("*")) == before
    content = bytearray(archive.read_bytes())
    place = content.index(b"subjects/08/08_02.amc") + 60
    content[place : place + 40] = bytes(40)
    archive.write_bytes(content)
    with source.opened(tmp_path) as found:
        with pytest.raises(files.DataFileError, match=r"08_02\.amc cannot be read"):
            found.read("all_asfamc/subjects/08/08_02.amc")


def test_an_oversized_member_is_not_read(database, tmp_path, monkeypatch):
    packed(database, tmp_path / "allasfamc.zip")
    monkeypatch.setattr(source, "_LIMIT", 1000)
    for folder in (tmp_path, database):
        with source.opened(folder) as found:
            with pytest.raises(files.DataFileError, match="more than any take has"):
                found.read(found.takes[0].motion)


def test_what_is_no_archive(tmp_path):
    (tmp_path / "allasfamc.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(files.DataFileError, match=r"allasfamc\.zip cannot be read"):
        registry.builder(SET, tmp_path).raw_files(tmp_path)


@pytest.fixture
def server(tmp_path, monkeypatch, database):
    """A web server with the archive, and what it has been asked for."""
    home = tmp_path / "served"
    home.mkdir()
    packed(database, home / "allasfamc.zip")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=home)

        def log_message(self, *arguments):
            asked.append(self.command)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        url = f"http://127.0.0.1:{running.server_port}/allasfamc.zip"
        monkeypatch.setattr(download, "URL", url)
        yield home / "allasfamc.zip", asked
        running.shutdown()


def test_download_and_its_checksum(server, built, tmp_path):
    served, asked = server
    _, splits = built
    builder = registry.prepare(SET, tmp_path)
    assert asked == ["HEAD", "GET"]
    records = data.load_records(SET, "test", tmp_path)
    np.testing.assert_array_equal(records.pose3d, splits["test"].pose3d)
    (record,) = tmp_path.rglob(download.CHECKSUM)
    digest, name = record.read_text().split()
    raw = json.loads((builder.data_path / "metadata.json").read_text())["raw_files"]
    assert raw[name]["sha256"] == digest
    assert raw[name]["bytes"] == served.stat().st_size
    registry.prepare(f"{SET}/seed1", tmp_path)
    assert len(asked) == 2  # kept
    (record.parent / name).write_bytes(packed_differently(served))
    with pytest.raises(files.DataFileError, match=f"first download had {digest}"):
        registry.prepare(f"{SET}/seed2", tmp_path)


def packed_differently(archive):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("new.txt", "changed")
    return archive.read_bytes()


def test_a_download_that_breaks_off_is_not_kept(server, tmp_path):
    served, asked = server
    whole = served.read_bytes()
    served.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(files.DataFileError, match="no complete archive"):
        registry.prepare(SET, tmp_path)
    assert not list(tmp_path.rglob(download.CHECKSUM))
    served.write_bytes(whole)
    registry.prepare(SET, tmp_path)
    assert asked.count("GET") == 2


def test_no_network(tmp_path, monkeypatch, server):
    served, asked = server
    served.unlink()
    with pytest.raises(files.DataFileError, match=r"404.*--manual_dir"):
        registry.prepare(SET, tmp_path)
    monkeypatch.setattr(download, "URL", "http://127.0.0.1:9/allasfamc.zip")
    with pytest.raises(files.DataFileError, match=r"127\.0\.0\.1:9.*--manual_dir"):
        registry.prepare(SET, tmp_path)
