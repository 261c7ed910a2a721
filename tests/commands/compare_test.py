"""The compare command: what it prints, writes and refuses."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from jaxflow import compare, config
from jaxflow.evaluation import comparison, protocol
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.methods import samplers
from jaxflow.runs.errors import UserError
from tests.helpers import flows, in_process, quick
from tests.helpers.training import REPOSITORY

SMALL = config.FlowConfig(hidden=8, blocks=2)
# The command on frames of numbers, since a data set would have to be built.
PROGRAM = (
    "import sys\n"
    "from jaxflow import commands, compare, data\n"
    "from tests.helpers.evaluation import records\n"
    "data.load_records = lambda *given: records()\n"
    "commands.run(compare.main)"
)


def run(*flags):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *flags],
        cwd=REPOSITORY,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
        env={**os.environ, "XLA_FLAGS": quick.XLA_FLAGS},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    params = flows.some(SMALL)
    checkpoint.save_params(place, params, config.TrainConfig(flow=SMALL))
    return place


def test_it_prints_and_writes(folder, tmp_path):
    out = tmp_path / "out"
    done = run(
        f"--checkpoints=full={folder},{folder}",
        f"--checkpoints=mine={folder}",
        "--stride=4",
        "--num_hypotheses=5",
        "--batch_size=8",
        f"--out={out}",
    )
    assert done.returncode == 0, done.stderr
    for part in ("Models compared: 10 test frames", "Ambiguous subset: 5", "171.0"):
        assert part in done.stdout
    assert f"written: {out / 'comparison.md'}" in done.stdout
    document = json.loads((out / "comparison.json").read_text())
    assert [one["name"] for one in document["models"]] == ["full", "mine"]
    assert document["models"][0]["test"]["P1 best"]["standard_deviation"] == 0


def test_a_damaged_calibration_is_told_before_anything_is_tested(folder, tmp_path):
    """Also where a number is asked for: error against ECE is drawn from it."""
    shutil.copytree(folder, tmp_path / "mine")
    place = calibration_file.place(tmp_path / "mine") / calibration_file.NAME
    place.write_text("junk")
    entry = comparison.Entry("mine", (str(tmp_path / "mine"),))
    with pytest.raises(UserError, match="calibration.json is damaged"):
        comparison.check([entry], protocol.EvaluationConfig(), samplers.load)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--checkpoints=full=nowhere"], "nowhere does not exist"),
        (["--checkpoints=nowhere"], "expected NAME=[SAMPLER:]DIR[,DIR...]"),
    ],
)
def test_mistakes_are_one_line(flags, message, capsys):
    assert in_process.run(compare, *flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error" in line and message in line
