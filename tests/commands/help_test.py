"""What a user types first: the list of commands, --help, and a flag left out."""

import os
import subprocess
import sys

import pytest

from jaxflow import (
    calibrate,
    commands,
    compare,
    evaluate,
    fit,
    report,
    sample_set,
    train,
)
from jaxflow.commands import __main__ as door
from jaxflow.commands import _help, build_data
from tests.commands.flags_test import PATHS
from tests.helpers.training import REPOSITORY


def run(*words, check=True):
    """Standard output and error of the package run as a program, elsewhere."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=check,
    )


def test_the_list_needs_neither_jax_nor_numpy():
    program = (
        "import sys, runpy; sys.argv = ['jaxflow']\n"
        "try: runpy.run_module('jaxflow', run_name='__main__', alter_sys=True)\n"
        "finally: assert not {'jax', 'numpy', 'absl'} & set(sys.modules)"
    )
    done = run("-c", program, check=False)
    assert done.returncode == 0, done.stderr
    for command, line in door.names().items():
        assert command in done.stdout and line in done.stdout and line.endswith(".")
    assert "--flag" in done.stdout and "_flags" not in done.stdout


def test_every_command_is_listed():
    assert sorted(door.names()) == sorted(m.__name__.split(".")[-1] for m in PATHS)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["trian"], "did you mean train?"), (["--nothing"], "no command")],
)
def test_another_command_is_one_line(monkeypatch, capsys, words, said):
    monkeypatch.setattr(sys, "argv", ["jaxflow", *words])
    assert door.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_what_is_missing_is_one_line_with_the_way_out():
    """By the package's door, as the console script goes."""
    done = run("-m", "jaxflow", "fit", "--heatmaps=x", check=False)
    assert done.returncode == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line == (
        "jaxflow.fit: error: missing --out=PATH: The .npz file to write "
        "(python -m jaxflow.fit --help tells more)"
    )


def test_a_flagfile_that_is_not_there_says_where_it_was_looked_for(
    monkeypatch, capsys, tmp_path
):
    """In another folder than the checkout, as documents' commands may be typed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        commands._parse(["train", "--flagfile=launch/flags/paper.flags"], ())
    (line,) = capsys.readouterr().err.splitlines()
    assert "No such file" in line and f"seen from {tmp_path}" in line
    assert "launch/flags/ is in the checkout" in line and "ERROR" not in line


@pytest.mark.parametrize("module", PATHS, ids=lambda module: module.__name__)
def test_the_use_and_required_flags_stand_first_and_an_example_last(module):
    flags = module.flags
    said = _help.text(
        module.__doc__, [flags.FLAGS[f] for f in flags.FLAGS], flags.required
    )
    opening, _, rest = said.partition("required:\n" if flags.required else "options:\n")
    use, _, about, *_ = opening.splitlines()
    assert (
        use.startswith("usage: python -m ") and about == module.__doc__.splitlines()[0]
    )
    places = [rest.index(f"--{name}=") for name in flags.required]
    others = [rest.find(f"  --{n}=") for n in flags.FLAGS if n not in flags.required]
    assert max(places, default=-1) < min(place for place in others if place >= 0)
    name = module.__name__.replace("jaxflow.commands.build_data", "data_builders.build")
    _, _, example = rest.partition("\nexample:\n  ")
    assert f"python -m {name}" in example


@pytest.mark.parametrize("module", PATHS, ids=lambda module: module.__name__)
def test_the_flags_of_every_command_are_shown(module):
    assert commands.__name__ in module.flags.adopted


def test_they_are_shown_where_the_command_is_imported():
    said = run("-m", "data_builders.build", "--help").stdout
    _, _, rest = said.partition("\nof every command:\n")
    assert "--[no]debug" in rest and "--precision=" in rest and "--seed" not in rest


@pytest.mark.parametrize("module", [calibrate, compare, evaluate, report, sample_set])
def test_the_data_set_is_the_checkpoint_s_own(module):
    said = _help.told(module.flags.FLAGS["dataset"])
    assert "the set that the checkpoint was trained on" in said
    assert _help.told(train.flags.FLAGS["dataset"]).endswith("Default: synthetic_lift.")


def test_a_flag_says_what_it_takes():
    flags = fit.flags.FLAGS
    assert _help.spelled(flags["clamp"]) == "--[no]clamp"
    assert _help.spelled(flags["maps"]) == "--maps=probability|logits|0..255"
    assert _help.spelled(flags["figure_maps"]) == "--figure_maps=INTEGER"
    assert _help.told(flags["figure_maps"]).endswith("the first ones. Default: 16.")
    assert _help.told(flags["starts"]).endswith("default the maxima.")
    train_groups = _help.groups([train.flags.FLAGS["seed"]], [])
    assert list(train_groups) == ["training"]
    assert not build_data.flags.required
