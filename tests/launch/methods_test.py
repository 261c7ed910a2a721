"""launch/methods with a Python that only notes what it is asked to do."""

import os
import stat
import subprocess
import sys

import pytest

from jaxflow.methods import METHODS
from tests.launch.ablations_test import PYTHON, ROOT

# Name -> what it sets beside what a method does.
VARIANTS = {
    "flow_sharp": "--method=flow --recipe=sharp",
    "cvae_elbo": "--method=cvae --elbo",
    "mdn_200": "--method=mdn --components=200",
    "graph_mdn_joint": "--method=graph_mdn --joint_level",
    "generator_winner": "--method=generator --winner",
}


@pytest.fixture
def launch(tmp_path):
    """Runs the script; returns its status and the lines its Python was asked."""
    venv, log = tmp_path / "venv", tmp_path / "log"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(PYTHON.format(root=ROOT, python=sys.executable, log=log))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)

    def run(*arguments):
        done = subprocess.run(
            [ROOT / "launch" / "methods", *arguments],
            cwd=tmp_path,
            check=False,
            env={**os.environ, "VENV": str(venv)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        lines = log.read_text().splitlines() if log.exists() else []
        return done, lines

    return run


def test_each_is_trained_calibrated_and_compared(launch, tmp_path):
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "petaflop").write_text("0.5\n")
    done, lines = launch("zoo", "--only=mdn,flow_sharp", "--dataset=d", "--log_every=9")
    assert done.returncode == 0, done.stdout
    best = "--keep_best --patience=8 --validate_every=500"
    data = "--hold_out=S6,S7 --dataset=d --log_every=9"
    common = f"--petaflop=0.5 --seed=0 {best} {data}"
    one, other = folder / "mdn", folder / "flow_sharp"
    assert lines == [
        f"-m jaxflow.train --method=mdn {common} --workdir={one}",
        f"-m jaxflow.calibrate --checkpoint={one} --frames=512 --dataset=d",
        f"-m jaxflow.train --method=flow --recipe=sharp {common} --workdir={other}",
        f"-m jaxflow.calibrate --checkpoint={other} --frames=512 --dataset=d",
        f"-m jaxflow.compare --checkpoints=mdn={one} "
        f"--checkpoints=mdn_means=means:{one} --checkpoints=flow_sharp={other} "
        f"--dataset=d --out={folder}/comparison",
        f"-m jaxflow.compare --checkpoints=mdn={one} --checkpoints=flow_sharp={other} "
        f"--dataset=d --temperature=fitted --out={folder}/comparison_fitted",
    ]


@pytest.mark.parametrize("name", [*METHODS, *VARIANTS])
def test_names_and_what_they_train(launch, tmp_path, name):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "petaflop").write_text("0.5\n")
    _, (training, *_) = launch("zoo", f"--only={name}")
    flags = VARIANTS.get(name, f"--method={name}")
    assert training.startswith(f"-m jaxflow.train {flags} --petaflop=0.5 ")


@pytest.mark.parametrize(
    "name, every, frames",
    [
        ("cvae", 25, 48),
        ("cvae_elbo", 250, 96),
        ("diffusion", 250, 32),
        ("cgnf", 250, 48),
        ("mmd_gan", 500, 64),
        ("graph_mdn", 500, 256),
    ],
)
def test_long_iterations_are_validated_often(launch, tmp_path, name, every, frames):
    """And what samples slowly is calibrated on few frames."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "petaflop").write_text("0.5\n")
    _, (training, calibration, *_) = launch("zoo", f"--only={name}")
    assert f" --validate_every={every} " in training
    assert calibration.endswith(f" --frames={frames}")


def test_mistakes_are_one_line(launch):
    done, lines = launch("--only=mdn")
    assert done.returncode == 1 and "expected a folder first" in done.stdout
    done, lines = launch("zoo", "--only=wings")
    assert done.returncode == 1 and not lines
    assert (
        f"expected some of {', '.join([*METHODS, *VARIANTS])}; got wings" in done.stdout
    )
