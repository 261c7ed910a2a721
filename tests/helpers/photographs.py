"""Photographs that installed packages carry for their own examples, where they lie."""

import importlib.util
import pathlib

import pytest

from jaxflow.detector.readers import pictures
from jaxflow.detector.readers.pictures import Picture

_OPENCV = pathlib.Path("/usr/share/doc/opencv-doc/examples/data")
PEOPLE = (
    ("matplotlib/mpl-data/sample_data", "grace_hopper.jpg"),
    ("skimage/data", "astronaut.png"),
    ("ultralytics/assets", "bus.jpg"),
    ("opencv", "messi5.jpg"),
)


def read(folder: str, name: str) -> Picture:
    """One of a package, or of Debian's opencv-doc; skips where it is not installed."""
    for path in _places(folder, name):
        if path.is_file():
            return pictures.read(path)
    pytest.skip(f"{folder}/{name} is not installed")


def installed() -> list[Picture]:
    """Those of people that are there, perhaps none."""
    places = [path for place in PEOPLE for path in _places(*place)]
    return [pictures.read(path) for path in places if path.is_file()]


def _places(folder: str, name: str) -> list[pathlib.Path]:
    if folder == "opencv":
        return [_OPENCV / name]
    package, _, rest = folder.partition("/")
    found = importlib.util.find_spec(package)
    roots = found.submodule_search_locations if found else []
    return [pathlib.Path(root) / rest / name for root in roots or []]
