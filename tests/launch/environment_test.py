"""launch/environment: which Python makes which folder, and what it leaves alone."""

import os
import subprocess

import pytest

from tests.helpers.training import REPOSITORY
from tests.launch.launch_test import run

PYTHON = """#!/bin/sh
# Supported, but makes no environment: notes what it was asked for and fails.
case "$1" in
-c | --version) exit 0 ;;
esac
echo "$*" >>"{log}"
exit 3
"""


@pytest.fixture
def make(tmp_path):
    """Runs a script with VENV; returns its status, complaint and Python's words."""
    log = tmp_path / "log"
    python = tmp_path / "a folder" / "python"
    python.parent.mkdir()
    python.write_text(PYTHON.format(log=log))
    python.chmod(0o755)

    def call(venv, **variables):
        status, _, complaint = run(
            "quickstart",
            cwd=tmp_path,
            PYTHON=os.fspath(python),
            VENV=os.fspath(venv),
            **variables,
        )
        return status, complaint, log.read_text() if log.exists() else ""

    return call


def test_a_folder_of_something_else_is_left_alone(make, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    status, complaint, asked = make(tmp_path / "mine")
    assert status == 1 and not asked
    assert complaint.count("\n") == 1 and f"got {tmp_path / 'mine'}" in complaint


@pytest.mark.parametrize("content", [None, (), ("pyvenv.cfg", "lib")])
def test_new_empty_and_broken_environments_are_made(make, tmp_path, content):
    """By a Python in a folder whose name has a space."""
    venv = tmp_path / "venv"
    if content is not None:
        venv.mkdir()
    for name in content or ():
        (venv / name).touch()
    status, _, asked = make(venv)
    assert status == 3 and asked == f"-m venv --clear {venv}\n"


def test_cdpath_leads_nowhere_else(tmp_path):
    """A script called by a relative path goes to its own repository."""
    (tmp_path / "launch").mkdir()
    program = "source launch/environment; pwd -P"
    done = subprocess.run(
        ["bash", "-c", program],
        cwd=REPOSITORY,
        env=os.environ | {"CDPATH": os.fspath(tmp_path)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout == f"{REPOSITORY}\n"
