"""Small files that people have, which lie in a folder beside the repository."""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parents[3] / "shared" / "cases"


def case(name):
    """The path of a case; skips the test where the shared folder is missing."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"../shared/cases/{name} is not there")
    return path
