"""The train command as a user runs it: real processes, really killed."""

import json
import signal
import time

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from jaxflow import data, train
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.runs import writer
from tests.helpers import in_process
from tests.helpers.training import DATASET, command

ITERATIONS = 60


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """Flags of a small run, and a compilation cache that its processes share."""
    folder = tmp_path_factory.mktemp("train")
    data.load_records(DATASET, "train", folder / "data")
    flags = (
        f"--dataset={DATASET}",
        f"--data_dir={folder / 'data'}",
        "--batch_size=8",
        "--hypotheses=6",
        "--blocks=2",
        "--hidden=16",
        "--critic_hidden=16",
        f"--iterations={ITERATIONS}",
        "--log_every=5",
        "--checkpoint_every=4",
        "--validate_every=0",
    )
    cache = {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return flags, cache


def start(common, workdir, *more):
    flags, cache = common
    return command(*flags, f"--workdir={workdir}", *more, **cache)


def newest(workdir):
    """Step of the newest complete checkpoint, -1 if there is none yet."""
    try:
        return int(store.find(workdir).name)
    except store.CheckpointError:
        return -1


def wait_for_step(process, workdir, step):
    deadline = time.monotonic() + 300
    while newest(workdir) < step:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def uninterrupted(common, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    process = start(common, workdir)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return workdir, output


@pytest.mark.slow
def test_it_says_what_it_did(common, uninterrupted):
    (_, data_dir, *_), workdir, output = common[0], *uninterrupted
    assert f"trained {ITERATIONS} iterations" in output
    following = f"next: python -m jaxflow.evaluate --checkpoint={workdir} "
    assert f"{following}--dataset={DATASET} {data_dir}" in output
    assert "poses/s" in output and "l2d" in output
    assert newest(workdir) == ITERATIONS


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_bits(common, uninterrupted, tmp_path):
    """SIGKILL soon after a checkpoint, SIGTERM later, then to the end."""
    process = start(common, tmp_path)
    wait_for_step(process, tmp_path, 8)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 8 <= newest(tmp_path) < ITERATIONS

    process = start(common, tmp_path)
    wait_for_step(process, tmp_path, newest(tmp_path) + 4)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 128 + signal.SIGTERM), output
    if process.returncode:
        assert "resuming from step" in output and "the same command goes on" in output

    process = start(common, tmp_path)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    ours, theirs = (
        jax.tree.leaves(checkpoint.load_params(folder))
        for folder in (tmp_path, uninterrupted[0])
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    lines = [
        json.loads(line)
        for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps)) and steps[-1] == ITERATIONS


@pytest.mark.slow
def test_flags_txt_repeats_the_run(uninterrupted):
    workdir, _ = uninterrupted
    flags = (workdir / "flags.txt").read_text().split()
    assert f"--dataset={DATASET}" in flags and "--hidden=16" in flags
    # A finished run, started again from its own flagfile, has nothing left to do.
    process = command(f"--flagfile={workdir / 'flags.txt'}", f"--workdir={workdir}")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert newest(workdir) == ITERATIONS


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--workdir=w", "--no_such_flag=1"], "Unknown command line flag"),
        ([], "--workdir"),
        (["--workdir=w", "--flagfile=missing.flags"], "missing.flags"),
    ],
)
def test_flags_that_are_none_are_one_clear_line(flags, expected, tmp_path):
    process = command(*flags, cwd=tmp_path, JAX_PLATFORMS="cpu")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert expected in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "flags, words, expected",
    [
        (["--batch_size=0"], [], "batch_size must be at least 1, not 0"),
        ([], ["word"], "expected flags only, got 'word'"),
        (["--dataset=h37m"], [], "got 'h37m'"),
        (["--dataset=human36m_lift", "--data_dir=d"], [], "needs raw files"),
        (
            ["--ablation=k10", "--best_k=5"],
            [],
            "--ablation=k10 means best_k = 10, but --best_k=5 was given",
        ),
    ],
)
def test_mistakes_are_one_clear_line(
    flags, words, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert in_process.run(train, "--workdir=w", *flags, words=words) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert expected in line


@pytest.fixture
def understood(capsys):
    """What was printed of given flags, and what flags.txt would have of them."""
    shared, own = flags.FLAGS, train.flags.FLAGS
    before = [flagsaver.save_flag_values(each) for each in (shared, own)]

    def understand(*given):
        own(shared(["train", "--workdir=w", *given], known_only=True))
        train.take_presets()
        train.config_from_flags()
        written = train.flags.as_flagfile(train._flag_names())
        return capsys.readouterr().out, written.split()

    yield understand
    for each, values in zip((shared, own), before, strict=True):
        flagsaver.restore_flag_values(values, each)


def test_an_ablation_sets_its_flags(understood):
    """flags.txt says what was run, however it was asked for."""
    said, written = understood("--ablation=no_condition")
    assert not said
    assert "--nouse_condition" in written and "--gen_weight=1.0" in written
    assert not [flag for flag in written if "ablation" in flag]


def test_a_recipe_gives_way_to_flags_and_says_so(understood):
    """And without L_MB its k asks for no hypotheses."""
    said, written = understood("--recipe=sharp", "--det_weight=2", "--hypotheses=4")
    assert said == "recipe sharp, but with --det_weight=2.0\n"
    for flag in ("--energy_weight=16.0", "--best_of_m_weight=0.0", "--det_weight=2.0"):
        assert flag in written
    assert not [flag for flag in written if "recipe" in flag]


@pytest.mark.parametrize("held", [(), ("--hold_out=S6,S7",)])
def test_a_choice_on_the_test_set_is_told(understood, capsys, held):
    understood("--keep_best", "--validate_every=5", *held)
    train.tell_of_choice(train.config_from_flags())
    assert ("no subject is held out" in capsys.readouterr().out) == (not held)


@pytest.mark.parametrize(("epochs", "iterations"), [((), 4000), (("--epochs=3",), 0)])
def test_epochs_that_are_asked_for_go_before_a_method_s_iterations(
    understood, epochs, iterations
):
    _, written = understood("--method=generator", *epochs)
    assert f"--iterations={iterations}" in written and {*epochs} <= {*written}


def test_recipe_and_ablation_go_together_and_a_trace_is_of_one_call(understood):
    """The precision belongs to a run and is repeated; to trace it is asked anew."""
    _, written = understood(
        "--recipe=sharp",
        "--ablation=no_gen",
        "--precision=high",
        "--profile=traces",
        "--compilation_cache=off",
    )
    assert "--energy_weight=16.0" in written and "--gen_weight=0.0" in written
    assert "--precision=high" in written and "--compilation_cache=off" in written
    assert not [flag for flag in written if "profile" in flag]


def test_help_teaches():
    process = command("--help")
    output, _ = process.communicate(timeout=120)
    for part in (
        "--flagfile",
        "best_k",
        "released code",
        "\nlosses:\n",
        "Default: 64.",
    ):
        assert part in output
    unwrapped = " ".join(output.split())
    for part in ("no critic is trained", "none are drawn", "no_condition:"):
        assert part in unwrapped


@pytest.mark.slow
def test_the_paper_s_sizes_need_less_than_a_gibibyte(tmp_path):
    """With the first compilation, which needs the most."""
    dataset = "synthetic_lift/seed0-train800-test40"
    data.load_records(dataset, "train", tmp_path / "data")
    process = command(
        f"--dataset={dataset}",
        f"--data_dir={tmp_path / 'data'}",
        f"--workdir={tmp_path / 'run'}",
        "--iterations=3",
        "--validate_every=0",
        "--compilation_cache=off",
    )
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    (line,) = (line for line in writer.read(tmp_path / "run") if line["step"] == 3)
    assert 300 < line["host_peak_mib"] < 1024
