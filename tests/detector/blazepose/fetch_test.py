"""The cache of BlazePose's networks: what is taken into it, and what is refused."""

import concurrent.futures
import hashlib
import io
import json
import sys
import tarfile
import zipfile

import pytest

from jaxflow.detector.blazepose import fetch
from jaxflow.runs.errors import UserError
from tests.helpers import served

POSE, HEAVY = "pose_landmark_full.tflite", "pose_landmark_heavy.tflite"
FINDER = "pose_detection.tflite"
CONTENT = {POSE: b"pose", HEAVY: b"heavy", FINDER: b"finder"}


@pytest.fixture(autouse=True)
def networks(monkeypatch, tmp_path):
    """Small files in place of the networks, and a cache of their own."""
    sums = {name: (hashlib.sha256(c).hexdigest(),) for name, c in CONTENT.items()}
    monkeypatch.setattr(fetch, "CHECKSUMS", sums)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def wheel(path, content=CONTENT):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(f"mediapipe/modules/{name}", data)
    return path


def tarball(path):
    packed = {**CONTENT, "pose_solution_packed_assets.data": CONTENT[FINDER]}
    del packed[FINDER]
    with tarfile.open(path, "w:gz") as file:
        link = tarfile.TarInfo("package/README.md")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere.md"
        file.addfile(link)
        for name, data in packed.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def program(monkeypatch, tmp_path, text):
    """Another program in pip's place."""
    path = tmp_path / "pip.py"
    path.write_text(text)
    monkeypatch.setattr(fetch, "_pip", lambda: [sys.executable, str(path)])


def kept():
    """What the cache has, but for the lock of those who fetch."""
    return {path.name for path in fetch.cache().iterdir()} - {".lock"}


@pytest.mark.parametrize("make, size", [(wheel, "full"), (tarball, "heavy")])
def test_a_package_that_is_there(tmp_path, make, size):
    package = make(tmp_path / ("p.whl" if make is wheel else "p.tgz"))
    files = fetch.ready(size, package)
    assert files.finder.read_bytes() == b"finder"
    assert files.pose.read_bytes() == CONTENT[files.pose.name]
    assert fetch.ready(size, offline=True) == files  # from now on it is in the cache


def test_a_damaged_file_in_the_cache_does_not_count(tmp_path):
    files = fetch.ready("full", wheel(tmp_path / "p.whl"))
    files.pose.write_bytes(b"pos")
    with pytest.raises(
        UserError, match=r"are not in .*\n  pip download .*\n.*--networks"
    ):
        fetch.ready("full", offline=True)


def test_packages_that_are_none(tmp_path):
    other = wheel(tmp_path / "other.whl", {POSE: b"another", FINDER: b"finder"})
    with pytest.raises(UserError, match=rf"{POSE} is not in it with the checksum"):
        fetch.ready("full", other)
    whole = wheel(tmp_path / "whole.whl").read_bytes()
    (tmp_path / "cut.whl").write_bytes(whole[:-40])
    with pytest.raises(UserError, match=r"cut.whl: damaged or cut short"):
        fetch.ready("full", tmp_path / "cut.whl")
    (tmp_path / "cut.tgz").write_bytes(tarball(tmp_path / "p.tgz").read_bytes()[:90])
    with pytest.raises(UserError, match=r"cut.tgz: damaged or cut short"):
        fetch.ready("heavy", tmp_path / "cut.tgz")
    with pytest.raises(UserError, match=r"no such package of blazepose: nowhere.whl"):
        fetch.ready("full", "nowhere.whl")
    with pytest.raises(UserError, match=r"ends in .whl or .tgz; got a.zip"):
        fetch.ready("full", "a.zip")
    with pytest.raises(UserError, match=r"expected blazepose of full, lite, heavy"):
        fetch.ready("huge")


def test_pip_fetches(monkeypatch, tmp_path, capfd):
    wheel(tmp_path / "mediapipe.whl")
    text = (
        "import shutil, sys\n"
        "if sys.argv[1] == 'install': sys.exit('no such option: --report')\n"
        "folder = sys.argv[-1].removeprefix('--dest=')\n"
        f"shutil.copy({str(tmp_path / 'mediapipe.whl')!r}, folder)\n"
        "print('pip shows how far it is')\n"
    )
    program(monkeypatch, tmp_path, text)
    files = fetch.ready("full")
    assert files.pose.read_bytes() == b"pose"
    assert kept() == {*CONTENT}
    told = capfd.readouterr()
    assert "once: mediapipe==0.10.21, 35.6 MB" in told.err
    assert "pip shows how far it is" in told.err and not told.out


def test_what_pip_cannot_fetch(monkeypatch, tmp_path):
    text = "import sys\nsys.exit('WARNING: Retrying\\nERROR: No route to the index')\n"
    program(monkeypatch, tmp_path, text)
    with pytest.raises(UserError, match=r"mediapipe==0.10.21: ERROR: No route.*") as e:
        fetch.ready("full")
    assert len(str(e.value).splitlines()) == 3 and "--networks=FILE" in str(e.value)
    assert not list(fetch.cache().glob("*.tflite"))


def test_the_program_is_asked_where_the_package_lies(monkeypatch, tmp_path, capfd):
    with served.file(wheel(tmp_path / "mediapipe.whl").read_bytes()) as server:
        report = {"install": [{"download_info": {"url": server.address}}]}
        program(monkeypatch, tmp_path, f"print({json.dumps(json.dumps(report))})")
        assert fetch.ready("full").pose.read_bytes() == b"pose"
    assert len(server.asked) == 1 and "fetching: 100%" in capfd.readouterr().err
    assert kept() == {*CONTENT}


def test_of_several_who_want_it_one_fetches(monkeypatch, tmp_path):
    with served.file(wheel(tmp_path / "mediapipe.whl").read_bytes()) as server:
        report = {"install": [{"download_info": {"url": server.address}}]}
        program(monkeypatch, tmp_path, f"print({json.dumps(json.dumps(report))})")
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            each = list(threads.map(fetch.ready, ["full"] * 3))
    assert len(server.asked) == 1 and len({*each}) == 1
    assert each[0].pose.read_bytes() == b"pose" and kept() == {*CONTENT}


def test_a_fetch_that_was_killed_goes_on(monkeypatch, tmp_path):
    content = wheel(tmp_path / "mediapipe.whl").read_bytes()
    with served.file(content) as server:
        report = {"install": [{"download_info": {"url": server.address}}]}
        program(monkeypatch, tmp_path, f"print({json.dumps(json.dumps(report))})")
        (fetch.cache() / ".fetching").mkdir(parents=True)
        (fetch.cache() / ".fetching" / "package.whl.part").write_bytes(content[:50])
        assert fetch.ready("full").pose.read_bytes() == b"pose"
    assert server.asked == ["bytes=50-"]


def test_where_the_package_cannot_be_had_the_program_fetches(
    monkeypatch, tmp_path, capfd
):
    wheel(tmp_path / "mediapipe.whl")
    with served.file(b"", status=401) as server:
        report = {"install": [{"download_info": {"url": server.address}}]}
        text = (
            "import shutil, sys\n"
            "if sys.argv[1] == 'install':\n"
            f"    print({json.dumps(json.dumps(report))})\n"
            "    sys.exit()\n"
            "folder = sys.argv[-1].removeprefix('--dest=')\n"
            f"shutil.copy({str(tmp_path / 'mediapipe.whl')!r}, folder)\n"
        )
        program(monkeypatch, tmp_path, text)
        assert fetch.ready("full").pose.read_bytes() == b"pose"
    told = capfd.readouterr().err
    assert "401" in told and "; by pip:" in told


@pytest.mark.parametrize("size, name", [("full", "pip"), ("heavy", "npm")])
def test_without_the_program(monkeypatch, size, name):
    monkeypatch.setattr(fetch, f"_{name}", lambda: None)
    with pytest.raises(UserError, match=rf"fetched by {name} .*, which is not inst"):
        fetch.ready(size)
