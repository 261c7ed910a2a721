"""BlazePose's networks in the user's cache: fetched once, from whoever ships them.

    size -> Files: the paths of two .tflite files whose checksums are known

They are in no package that could be a dependency, but in files that pip and npm can
download from any Python: ``full`` in the wheel of PyPI's mediapipe 0.10.21 (35.6 MB),
all three sizes in the tarball of npm's @mediapipe/pose (41 MB), under the Apache
License 2.0. Their programs are asked where the file lies, which is then fetched in
parts that outlive a kill; where that fails the programs fetch it themselves. Of such a
file, fetched or given, only those members are read whose SHA-256 is pinned here; each
takes its name in the cache when it is whole. Nothing of either package is installed or
run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import filelock
import requests

from jaxflow.detector.blazepose import download
from jaxflow.runs import files
from jaxflow.runs.compilation_cache import user_folder
from jaxflow.runs.errors import UserError, reason

SIZES = ("full", "lite", "heavy")
SUFFIXES = (".whl", ".tgz")
_WHEEL, _TARBALL = "mediapipe==0.10.21", "@mediapipe/pose@0.5.1675469404"
_EXACTLY = (
    *("--no-deps", "--only-binary=:all:", "--python-version=3.11"),
    *("--platform=manylinux_2_28_x86_64", "--implementation=cp", _WHEEL),
)
_PIP = ("download", *_EXACTLY)
# What would be installed, and from where: a report, and nothing else.
_WHERE = (
    "install",
    "--dry-run",
    "--ignore-installed",
    "--quiet",
    "--report=-",
    "--retries=1",
)
_MEGABYTES = {_WHEEL: 35.6, _TARBALL: 41.0}
# Attempts to go on with a download that broke off, of a pip that can (25.1 and later).
_PATIENCE = {"PIP_RESUME_RETRIES": "5", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
_FINDER = "pose_detection.tflite"
# Name in the cache -> SHA-256; the two packages' person detectors have equal weights.
CHECKSUMS = {
    _FINDER: (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
    ),
    "pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    "pose_landmark_lite.tflite": (
        "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    ),
    "pose_landmark_heavy.tflite": (
        "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    ),
}
_PACKED = "pose_solution_packed_assets.data"  # what npm calls the person detector
_LARGEST = 2**25  # bytes of a member


class Files(NamedTuple):
    """Where the networks of one size are.

    Attributes:
      pose: the pose network.
      finder: the person detector.
    """

    pose: pathlib.Path
    finder: pathlib.Path


def cache() -> pathlib.Path:
    """The folder of the networks."""
    return user_folder() / "blazepose"


def ready(
    size: str = "full",
    package: str | os.PathLike[str] | None = None,
    *,
    offline: bool = False,
) -> Files:
    """The networks, fetched if they are not there.

    Args:
      size: of `SIZES`.
      package: a wheel (.whl) or tarball (.tgz) that was downloaded before.
      offline: whether to fetch nothing.

    Raises:
      UserError: they are not there and cannot be fetched, or a package lacks them; says
        what can be done.
      OSError: the cache cannot be written.
    """
    check_size(size)
    names = f"pose_landmark_{size}.tflite", _FINDER
    if package is not None:
        _take(pathlib.Path(package), names)
    elif any(not is_whole(name) for name in names):
        what = _WHEEL if size == "full" else _TARBALL
        if offline:
            raise UserError(f"blazepose's networks are not in {cache()}. {_way(what)}")
        _fetch(what, names)
    return Files(*(cache() / name for name in names))


def check_size(size: str) -> None:
    """Refuses a size that there is not."""
    if size not in SIZES:
        raise UserError(f"expected blazepose of {', '.join(SIZES)}; got {size!r}")


def is_whole(name: str) -> bool:
    """Whether a network is in the cache, undamaged."""
    try:
        content = (cache() / name).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() in CHECKSUMS[name]


def _fetch(what: str, names: tuple[str, ...]) -> None:
    """Gets networks out of a package that is fetched first, by one process at a time.

    What came of a package that broke off is left for the next time.
    """
    folder = cache() / ".fetching"
    cache().mkdir(parents=True, exist_ok=True)
    # Beside the folder, which goes while others wait.
    with filelock.FileLock(cache() / ".lock"):
        if all(is_whole(name) for name in names):
            return  # another process fetched them meanwhile
        folder.mkdir(exist_ok=True)
        package = _downloaded(what, folder)
        try:
            _take(package, names)
        finally:
            package.unlink()
        shutil.rmtree(folder, ignore_errors=True)


def _take(package: pathlib.Path, names: tuple[str, ...]) -> None:
    """Copies the networks out of a package into the cache."""
    missing = {*names}
    try:
        for name, content in _members(package):
            if hashlib.sha256(content).hexdigest() in CHECKSUMS[name]:
                files.write_bytes(cache() / name, content)
                missing.discard(name)
    except FileNotFoundError:
        raise UserError(f"no such package of blazepose: {package}") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise UserError(f"{package}: damaged or cut short ({reason(error)})") from error
    if missing:
        raise UserError(
            f"{package}: {', '.join(sorted(missing))} is not in it with the checksum "
            f"that is expected; {_WHEEL}'s wheel has full, {_TARBALL}'s tarball all"
        )


def _members(package: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Names in the cache and contents of what a package has of the networks."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            for member in wheel.infolist():
                name = pathlib.PurePosixPath(member.filename).name
                if name in CHECKSUMS and member.file_size <= _LARGEST:
                    yield name, wheel.read(member)
    elif package.suffix == ".tgz":
        with tarfile.open(package, "r:gz") as tarball:
            for entry in tarball:
                name = pathlib.PurePosixPath(entry.name).name
                name = _FINDER if name == _PACKED else name
                if name in CHECKSUMS and entry.isfile() and entry.size <= _LARGEST:
                    content = tarball.extractfile(entry)
                    assert content is not None  # as of folders and devices
                    yield name, content.read()
    else:
        known = " or ".join(SUFFIXES)
        raise UserError(f"expected a package that ends in {known}; got {package}")


def _downloaded(what: str, folder: pathlib.Path) -> pathlib.Path:
    """The package, from where the program says that packages of its kind lie."""
    command = _pip() if what == _WHEEL else _npm()
    if command is None:
        program = "pip (python -m ensurepip)" if what == _WHEEL else "npm (Node.js)"
        raise UserError(
            f"blazepose's networks are fetched by {program}, which is not installed. "
            + _way(what)
        )
    print(
        f"fetching blazepose's networks, once: {what}, {_MEGABYTES[what]} MB",
        file=sys.stderr,
        flush=True,
    )
    package = folder / ("package.whl" if what == _WHEEL else "package.tgz")
    if address := _address(what, command, folder):
        try:
            download.fetch(address, package)
        except requests.RequestException as error:
            # The program may know a proxy, a certificate or a password.
            print(f"{reason(error)}; by {_called(command)}:", file=sys.stderr)
    if not package.exists():
        _by_program(what, command, folder).replace(package)
    return package


def _address(what: str, command: list[str], folder: pathlib.Path) -> str | None:
    """Where a package lies, if the program can tell."""
    if what == _WHEEL:
        # For another platform pip wants a target, which it does not touch.
        asked = [*command, *_WHERE, f"--target={folder / 'nothing'}", *_EXACTLY]
    else:
        asked = [*command, "view", what, "dist.tarball"]
    told = subprocess.run(
        asked, capture_output=True, env=os.environ | _PATIENCE, check=False
    )
    try:
        text = told.stdout.decode()
        if what == _WHEEL:
            text = json.loads(text)["install"][0]["download_info"]["url"]
    except (ValueError, LookupError, TypeError):
        return None  # an older pip, or none that reaches an index
    return text.strip() if text.startswith(("https://", "http://")) else None


def _by_program(what: str, command: list[str], folder: pathlib.Path) -> pathlib.Path:
    """The package, fetched whole by the program."""
    arguments: list[str] = (
        [*command, *_PIP, "--retries=2", f"--dest={folder}"]
        if what == _WHEEL
        else [*command, "pack", what, f"--pack-destination={folder}"]
    )
    done = subprocess.run(
        arguments,
        stdout=sys.stderr.fileno(),
        stderr=subprocess.PIPE,
        env=os.environ | _PATIENCE,
        check=False,
    )
    suffix = ".whl" if what == _WHEEL else ".tgz"
    package = next(folder.glob(f"*{suffix}"), None)
    if done.returncode or package is None:
        told = done.stderr.decode(errors="replace").splitlines()
        told = [line for line in told if "rror" in line or "ERR" in line] or ["no file"]
        said = files.printable(told[-1])[:200]
        raise UserError(f"could not fetch {what}: {said}. {_way(what)}")
    return package


def _called(command: list[str]) -> str:
    return "pip" if command[-1] == "pip" else pathlib.Path(command[-1]).stem


def _pip() -> list[str] | None:
    """This Python's pip, or else any: what it downloads is named to the last detail."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    other = shutil.which("pip3") or shutil.which("pip")
    return [other] if other else None


def _npm() -> list[str] | None:
    program = shutil.which("npm")
    return [program] if program else None


def _way(what: str) -> str:
    """How to get a package onto a machine that cannot fetch it."""
    command = f"pip {' '.join(_PIP)}" if what == _WHEEL else f"npm pack {what}"
    return f"Run on a machine with a network\n  {command}\nand give --networks=FILE"
