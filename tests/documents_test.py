"""What the documents say of the repository is so: paths, rooms, and names in them."""

import importlib
import json
import pathlib
import re

import numpy as np
import pytest

from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers.records import Seen
from jaxflow.methods import METHODS
from jaxflow.prediction import document
from jaxflow.prediction.records import STORED, Lifted
from jaxflow.training import presets

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("launch/*.md"),
    *ROOT.glob("data_builders/*/README.md"),
    *ROOT.glob("jaxflow/**/*.md"),
]
TOP = "jaxflow|data_builders|launch|tests|benchmarks|docs"
PATH = re.compile(rf"(?<![\w/.-])(?:{TOP})/[\w./-]*\w")
# Of poses.npz, besides what is kept of each person.
COLUMNS = "source frame person square joints joints2d about".split()
PLACEHOLDER = re.compile("NAME|ROOM")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_paths_in_documents_exist(path):
    if path.name == "CHANGELOG.md":  # tells of what was
        return
    named = {name for name in PATH.findall(path.read_text()) if "NAME" not in name}
    missing = {
        name
        for name in named
        if not PLACEHOLDER.search(name) and not (ROOT / name).exists()
    }
    assert not missing


def section(heading):
    text = (ROOT / "README.md").read_text()
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_the_table_of_rooms_is_the_house():
    rooms = re.findall(r"^\| `(\w+)/` \|", section("How it is built"), re.M)
    folders = [path.parent.name for path in ROOT.glob("jaxflow/*/__init__.py")]
    assert sorted(rooms) == sorted(folders)


def test_the_three_walks_end_where_they_say():
    """From this one document to the line: two files opened for each."""
    places = re.findall(
        r"`(jaxflow/[\w/]+\.py)`\s+\(`(\w+)`\)", section("How it is built")
    )
    assert len(places) == 3
    for path, name in places:
        assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text(), re.M), name


def test_the_hooks_are_the_checks_of_launch_test():
    entries = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    checks = [entry.replace(" --force-exclude", "") for entry in entries]
    script = (ROOT / "launch/test").read_text().splitlines()
    assert len(checks) == 3
    for check in checks:
        assert check in script or f"{check} ." in script


def test_the_page_on_choosing_a_method_has_them_all():
    text = (ROOT / "docs/howto/methods.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == {*METHODS}


def test_the_page_on_choosing_a_method_says_what_each_sets():
    text = (ROOT / "docs/howto/methods.md").read_text()
    told = dict(re.findall(r"^\| `(--(?:recipe|method)=\w+)` \| (.*) \|$", text, re.M))
    sets = {f"--method={name}": method.published for name, method in METHODS.items()}
    for name, recipe in presets.RECIPES.items():
        sets[f"--recipe={name}"] = recipe.values

    def flag_of(name, value):
        return f"`--{name}`" if value is True else f"`--{name}={value:g}`"

    assert told == {
        flag: " ".join(flag_of(*setting) for setting in values.items())
        for flag, values in sets.items()
        if values
    }


def test_the_page_on_predictions_has_every_field_that_is_written():
    text = (ROOT / "docs/howto/predict.md").read_text().split("## What is written\n")[1]
    cells = re.findall(r"^\| ([^|]*) \|", text, re.M)
    told = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    square = Crop(np.zeros(2), np.ones(()))
    person = Lifted(
        Seen("film.mp4", 0, 0, square, note="barely seen"),
        hypotheses=np.zeros((2, 17, 3)),
        chosen=np.zeros((17, 3)),
        mode=np.zeros((17, 3)),
        spread=np.zeros((17, 3)),
        log_density=np.zeros(2),
        pose2d=np.zeros((16, 2)),
        fit=np.zeros((16, 7)),
    )
    assert told == {*json.loads(document.line(person, 1)), *STORED, *COLUMNS}


def test_every_method_is_a_module_of_the_room_or_an_object_of_one():
    for name, method in METHODS.items():
        module = getattr(method, "loss", method)
        module = importlib.import_module(
            getattr(module, "__module__", f"jaxflow.methods.{name}")
        )
        assert method is module or method in vars(module).values(), name
        assert module.__name__.startswith("jaxflow.methods.")
        assert method.name == name
