"""The scripts in launch/: what they would run, and one that really runs."""

import os
import pathlib
import shlex
import stat
import subprocess
import sys

import pytest

from jaxflow.runs import checkpoint
from tests.helpers.training import DATASET, REPOSITORY

LAUNCH = REPOSITORY / "launch"
SOURCED = ("environment", "training")
SCRIPTS = sorted(
    path
    for path in LAUNCH.iterdir()
    if path.is_file() and path.read_text()[:2] == "#!" or path.name in SOURCED
)
PYTHON = """#!/bin/sh
# The environment's Python, but for what would be installed.
if [ "$2" = "pip" ]; then exit 0; fi
PYTHONPATH="{root}" exec "{python}" "$@"
"""


def run(script, *arguments, cwd=REPOSITORY, **variables):
    """Status, what it printed, and what it complained of."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM", "ACCELERATOR", "JAXFLOW"))
    }
    done = subprocess.run(
        [LAUNCH / script, *arguments],
        cwd=cwd,
        env=clean | variables,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def planned(script, *arguments, **variables):
    """The words of the command that it would run."""
    status, output, complaint = run(
        script, *arguments, JAXFLOW_DRY_RUN="1", **variables
    )
    assert status == 0, complaint
    assert output.count("\n") == 1
    return shlex.split(output)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(path):
    subprocess.run(["bash", "-n", path], check=True)
    executable = bool(path.stat().st_mode & stat.S_IXUSR)
    assert executable == (path.name not in SOURCED)


def test_local_trains_on_this_machine(tmp_path):
    words = planned("local.sh", "runs/a b", "--seed=1", cwd=tmp_path)
    assert words[:3] == ["python", "-m", "jaxflow.train"]
    assert words[3:] == ["--seed=1", f"--workdir={tmp_path}/runs/a b"]
    (default,) = planned("local.sh", "/x")[3:-1]
    assert (REPOSITORY / default.removeprefix("--flagfile=")).is_file()


def test_flags_name_files_from_where_one_is(tmp_path):
    """Those that are there; the repository's flagfiles do without their path."""
    (tmp_path / "my raw").mkdir()
    (tmp_path / "own.flags").touch()
    flags = ["--manual_dir=my raw", "--flagfile=own.flags", "--data_dir=sets"]
    shipped = "--flagfile=launch/flags/paper.flags"
    (tmp_path / "run").mkdir()
    flags += ["--init_from=run", "--init_from=cmu"]  # a folder, and a model's name
    words = planned("local.sh", "x", *flags, shipped, "--data_dir=/a", cwd=tmp_path)
    here = [f"--manual_dir={tmp_path}/my raw", f"--flagfile={tmp_path}/own.flags"]
    here += ["--data_dir=sets", f"--init_from={tmp_path}/run", "--init_from=cmu"]
    assert words[3:-1] == [*here, shipped, "--data_dir=/a"]
    words = planned("local.sh", "x", shipped)
    assert words[3] == shipped


def test_tpu_hosts_train_together():
    words = planned("tpu_vm.sh", "/runs/x", "--seed=1")
    assert words[3:] == ["--seed=1", "--multihost", "--workdir=/runs/x"]


def test_slurm_starts_one_process_a_task(tmp_path):
    """Slurm runs a copy of the script, from somewhere else."""
    copy = tmp_path / "spooled"
    copy.write_bytes((LAUNCH / "slurm.sbatch").read_bytes())
    copy.chmod(0o755)
    words = planned(copy, "runs/x", "--seed=1", SLURM_SUBMIT_DIR=os.fspath(REPOSITORY))
    assert words[:5] == [
        "srun",
        "--kill-on-bad-exit=1",
        "python",
        "-m",
        "jaxflow.train",
    ]
    assert words[5:] == ["--seed=1", "--multihost", f"--workdir={REPOSITORY}/runs/x"]
    lines = (LAUNCH / "slurm.sbatch").read_text().splitlines()
    options = [line.split()[1] for line in lines if line.startswith("#SBATCH")]
    assert "--signal=TERM@60" in options and "--open-mode=append" in options
    # Slurm stops reading its options at the first command.
    command = next(i for i, line in enumerate(lines) if line[:1] not in ("#", ""))
    assert all("#SBATCH --" not in line for line in lines[command:])


def test_those_that_train_can_read_every_data_set(tmp_path):
    """Two of Human3.6M's three forms want what the extra `data` brings."""
    log = tmp_path / "log"
    (tmp_path / "venv/bin").mkdir(parents=True)
    python = tmp_path / "venv/bin/python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] || {{ echo "$*" >>"{log}"; exit 3; }}\n'
    )
    python.chmod(0o755)
    venv = os.fspath(tmp_path / "venv")
    for script, accelerator, extras in (
        ("local.sh", "cpu", "report,data"),
        ("local.sh", "cuda", "report,data,cuda"),
        ("ablations", "", "report,data"),
        ("methods", "", "report,data"),
    ):
        log.write_text("")
        run(script, str(tmp_path / "x"), VENV=venv, ACCELERATOR=accelerator)
        assert log.read_text().endswith(f"--editable .[{extras}]\n"), script
    assert "[report,pictures,data]" in (LAUNCH / "colab_tpu.ipynb").read_text()


@pytest.mark.parametrize(
    "script, arguments, variables, words",
    [
        ("local.sh", [], {}, "expected a folder for the run first, got ''"),
        ("tpu_vm.sh", ["--seed=1"], {}, "first, got '--seed=1'"),
        ("local.sh", ["x"], {"ACCELERATOR": "gpu"}, "cpu, cuda or tpu, not 'gpu'"),
        ("ablations", ["--seed=1"], {}, "a folder first, got '--seed=1'"),
        ("quickstart", ["--seed=1"], {}, "expected a folder, got '--seed=1'"),
        ("quickstart", [""], {}, "expected a folder, got ''"),
        ("slurm.sbatch", ["x"], {}, "is for Slurm: sbatch"),
        ("slurm.sbatch", ["x"], {"SLURM_SUBMIT_DIR": "/"}, "from the repository"),
    ],
)
def test_mistakes_are_one_clear_line(script, arguments, variables, words):
    status, output, complaint = run(script, *arguments, **variables)
    assert status == 1 and words in complaint and not output
    assert complaint.count("\n") == 1


def test_flagfiles_are_those_of_the_readme():
    """And each is read by the command it is for."""
    text = (LAUNCH / "README.md").read_text()
    for path in (LAUNCH / "flags").iterdir():
        assert f"`{path.name}`" in text
    for path in LAUNCH.iterdir():
        if path.name not in (*SOURCED, "README.md"):
            assert path.name in text, path.name
    flagfile = "launch/flags/accelerator.flags"
    program = (
        "import sys; from jaxflow import train;"
        "train.flags.FLAGS(sys.argv); config = train.config_from_flags();"
        "print(config.train.epochs, config.loop.keep_best, config.train.batch_size)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"--flagfile={flagfile}", "--workdir=x"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.fspath(REPOSITORY)},
        text=True,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["155", "False", "64"]


@pytest.mark.slow
def test_local_really_trains(tmp_path):
    """On two virtual devices, from another folder, with nothing to install."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python: pathlib.Path = venv / "bin" / "python"
    python.write_text(PYTHON.format(root=REPOSITORY, python=sys.executable))
    python.chmod(0o755)
    status, output, complaint = run(
        "local.sh",
        "run",
        f"--dataset={DATASET}",
        f"--data_dir={tmp_path / 'data'}",
        "--batch_size=8",
        "--hypotheses=6",
        "--blocks=2",
        "--hidden=16",
        "--critic_hidden=16",
        "--iterations=2",
        "--validate_every=0",
        "--gen_weight=0",
        cwd=tmp_path,
        VENV=os.fspath(venv),
        ACCELERATOR="cpu",
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert status == 0, complaint
    assert "trained 2 iterations" in output
    assert checkpoint.find(tmp_path / "run").name == "2"
