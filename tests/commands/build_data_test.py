"""The build command as a user meets it, its inventory and its data card."""

import os
import pathlib
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from data_builders import registry
from jaxflow.commands import build_data
from jaxflow.reporting import inventory, tables
from jaxflow.reporting.figures import data_card
from jaxflow.types import PoseRecords
from tests.helpers import in_process

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def build(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "data_builders.build", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"MPLBACKEND": "Agg"},
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    arguments = (
        "synthetic_lift",
        "--train_frames=200",
        "--test_frames=100",
        "--seed=2",
        f"--data_dir={folder}",
    )
    return folder, arguments, build(*arguments)


def test_tells_what_was_built(built):
    folder, _, done = built
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first.startswith("built") and "frames/s" in first
    cells = [line.split() for line in lines]
    assert ["all", "200", "100"] in cells
    assert ["ambiguous", "14", "(7.0", "%)", "7", "(7.0", "%)"] in cells
    assert ["subject", "P09", "-", "50"] in cells
    assert "writing train" in done.stderr  # the progress bar
    set_folder = folder / "synthetic_lift" / "seed2-train200-test100" / "1.0.0"
    card = plt.imread(set_folder / "data_card.png")
    assert card.shape[0] > 500 and len(set(map(bytes, card.reshape(-1, 4)))) > 50
    assert f"data card: {set_folder / 'data_card.png'}" in done.stdout


def test_reuses_what_is_there(built, capsys):
    _, arguments, _ = built
    status, said, errors = in_process.told(capsys, build_data, *arguments, "--nocard")
    assert not status and said.startswith("reused")
    assert "writing" not in errors and "data card" not in said


def test_check_builds_nothing(tmp_path, capsys):
    arguments = "synthetic_lift", "--check", f"--data_dir={tmp_path}"
    status, said, _ = in_process.told(capsys, build_data, *arguments)
    assert not status and "needs no raw files" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags", [(), ("--check",)])
def test_says_what_is_missing(tmp_path, flags, capsys):
    folders = f"--data_dir={tmp_path}", f"--manual_dir={tmp_path}"
    status, _, errors = in_process.told(
        capsys, build_data, "human36m_lift", *folders, *flags
    )
    assert status == 1
    assert "trainset_h36m" in errors and str(tmp_path) in errors


def test_nothing_asked_for():
    """In a process of its own, as the user starts it."""
    done = build()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "expected one data set" in done.stdout + done.stderr


def test_one_at_a_time(capsys):
    status, _, errors = in_process.told(capsys, build_data, "synthetic_lift,mine")
    assert status == 1 and "one data set at a time; got synthetic_lift,mine" in errors


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("nothing",), "expected a data set of"),
        (("human36m_lift", "--seed=3"), "--seed are for synthetic_lift"),
        (("synthetic_lift", "--train_frames=0"), "at least one frame"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    status, said, errors = in_process.told(capsys, build_data, *arguments)
    assert status == 1
    assert message in said + errors


def records(frames, subjects, actions):
    def repeated(names):
        return np.resize(np.asarray(names), frames)

    fits = np.tile(np.array([1, 32, 32, 2, 0, 2, 0.01], np.float32), (frames, 16, 1))
    fits[0, 3, 5] = -5.5  # the sign of a sigma means nothing
    return PoseRecords(
        pose3d=np.random.default_rng(0).normal(size=(frames, 17, 3)).astype("f4"),
        pose2d=np.random.default_rng(1).normal(size=(frames, 16, 2)).astype("f4"),
        gaussfit=fits,
        subject=repeated(subjects),
        action=repeated(actions),
        subaction=repeated(["0"]),
        camera=repeated(["a"]),
        frame=np.arange(frames, dtype=np.int32),
    )


def test_inventory_counts():
    one = inventory.of(records(9, ["S9", "S11"], ["Walking", "Eating", "Eating"]))
    assert one == inventory.Inventory(
        9, 1, {"S9": 5, "S11": 4}, {"Eating": 6, "Walking": 3}
    )
    assert list(one.subjects) == ["S9", "S11"]
    table = inventory.table("set", {"test": one})
    assert table.rows[0].cells == ("subject S9", tables.count(5))
    last = [row.cells for row in table.rows[-2:]]
    assert last == [("ambiguous", "1 (11.1 %)"), ("all", tables.count(9))]


def test_card_of_one_frame():
    """As many samples as there are frames, and a bar for the one action."""
    figure = data_card.card("name", {"test": records(1, ["S1"], ["A"])})
    figure.canvas.draw()
    flat, solid, by_action, _ = figure.axes
    assert flat.get_title(loc="left") == "S1 A"
    assert solid.get_title(loc="left") == "test, frame 0"
    assert [bar.get_height() for bar in by_action.patches] == [1]
    plt.close(figure)


def test_card_of_many_subjects_with_odd_names():
    """The largest groups get bars; dollar signs are drawn as they stand."""
    splits = {
        "train": records(80, [f"{i:03d}" for i in range(40)], ["A"]),
        "test": records(2, ["$x_$"], ["$\\frac$"]),
    }
    figure = data_card.card("name", splits)
    figure.canvas.draw()
    *_, by_action, by_subject = figure.axes
    title = by_subject.get_title(loc="left")
    assert title == "Frames by subject (the 24 largest of 41)"
    assert len(by_subject.get_xticklabels()) == 24
    labels = [label.get_text() for label in by_action.get_xticklabels()]
    assert labels == ["A", "$\\frac$"]
    plt.close(figure)


def test_every_set_has_a_stride_and_a_way_to_its_files():
    for name in registry.NAMES:
        chosen = registry.builder(name)
        assert chosen.TEST_STRIDE >= 1
        assert chosen.RAW_FOLDER in ("none", "needed", "optional")
        if chosen.RAW_FOLDER == "needed":
            assert "README" in chosen.MANUAL_DOWNLOAD_INSTRUCTIONS
