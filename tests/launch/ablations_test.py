"""launch/ablations with a Python that only notes what it is asked to do."""

import os
import pathlib
import stat
import subprocess
import sys

import pytest

from jaxflow.training import presets

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = """#!/bin/sh
# Answers questions, but trains and tests nothing.
if [ "$1" = "-c" ]; then PYTHONPATH={root} exec {python} "$@"; fi
if [ "$2" = "pip" ]; then exit 0; fi
echo "$*" >>"{log}"
for word; do
    case "$word" in --workdir=*) folder="${{word#--workdir=}}" ;; esac
done
if [ -n "$folder" ]; then
    mkdir -p "$folder"
    printf '%s\\n' --dataset=x --batch_size=1 --data_dir=y --manual_dir= \\
        >"$folder/flags.txt"
fi
"""


@pytest.fixture
def launch(tmp_path):
    """Runs the script; returns the lines of what its Python was asked to do."""
    venv, log = tmp_path / "venv", tmp_path / "log"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(PYTHON.format(root=ROOT, python=sys.executable, log=log))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)

    def run(*arguments, **variables):
        done = subprocess.run(
            [ROOT / "launch" / "ablations", *arguments],
            cwd=tmp_path,
            check=False,
            env={**os.environ, "VENV": str(venv), **variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return log.read_text().splitlines(), done.stdout

    return run


def test_every_ablation_is_trained_with_every_seed(launch, tmp_path):
    lines, output = launch("study", "--iterations=7", SEEDS="0 4")
    *trainings, comparison = lines
    folder = tmp_path / "study"
    assert trainings == [
        f"-m jaxflow.train --iterations=7 --ablation={name} --seed={seed} "
        f"--workdir={folder}/{name}/seed{seed}"
        for name in presets.ABLATIONS
        for seed in (0, 4)
    ]
    assert "16/16 k50, seed 4" in output
    wanted = [
        f"--checkpoints={name}={folder}/{name}/seed0,{folder}/{name}/seed4"
        for name in presets.ABLATIONS
    ]
    words = comparison.split()
    assert words[:3] == ["-m", "jaxflow.compare", f"--flagfile={folder}/data.flags"]
    assert words[3:] == [*wanted, f"--out={folder}/comparison"]
    data = (folder / "data.flags").read_text().split()
    assert data == ["--dataset=x", "--data_dir=y", "--manual_dir="]


def test_without_arguments_the_small_study(launch, tmp_path):
    lines, _ = launch(str(tmp_path / "own"))
    assert len(lines) == len(presets.ABLATIONS) + 1
    flags = f"--flagfile=launch/flags/ablations.flags --data_dir={tmp_path}/own/data"
    assert lines[0].startswith(f"-m jaxflow.train {flags} --ablation=full --seed=0 ")
