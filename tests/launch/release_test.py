"""What a release promises: its bounds, its licences, and one way to say its version."""

import configparser
import re

import jaxflow
from tests.helpers.training import REPOSITORY

METADATA = configparser.ConfigParser()
METADATA.read(REPOSITORY / "setup.cfg")


def requirements(text):
    return [line for line in text.strip().splitlines() if line]


def test_every_requirement_has_a_lower_bound():
    """Which launch/release takes for its lowest versions."""
    wanted = {"base": METADATA["options"]["install_requires"]}
    wanted |= dict(METADATA["options.extras_require"])
    for extra, text in wanted.items():
        for line in requirements(text):
            assert re.fullmatch(r"[\w-]+(\[\w+\])?>=[\d.]+", line), (extra, line)


def test_one_library_has_one_bound():
    bounds = {}
    for text in METADATA["options.extras_require"].values():
        for line in requirements(text):
            name, _, bound = line.partition(">=")
            assert bounds.setdefault(name, bound) == bound, name


def test_pythons_are_those_that_are_named():
    named = re.findall(r"Python :: (3\.\d+)", METADATA["metadata"]["classifiers"])
    assert METADATA["options"]["python_requires"] == f">={named[0]},<3.14"
    assert named == ["3.11", "3.12", "3.13"]
    environment = (REPOSITORY / "launch/environment").read_text()
    assert "(3, 11) <= sys.version_info < (3, 14)" in environment


def test_one_version_is_told_everywhere():
    citation = (REPOSITORY / "CITATION.cff").read_text()
    assert f"\nversion: {jaxflow.__version__}\n" in citation
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changes, re.M)[1] == jaxflow.__version__


def test_licence_files_are_there():
    for name in requirements(METADATA["metadata"]["license_files"]):
        assert (REPOSITORY / name).read_text()
    notice = (REPOSITORY / "NOTICE").read_text()
    for model in (REPOSITORY / "jaxflow/methods/pretrained").glob("*.npz"):
        assert model.name in notice
