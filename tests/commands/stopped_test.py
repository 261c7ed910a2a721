"""Ctrl-C at any command: one line, status 130, nothing half written."""

import signal

import pytest

from data_builders import registry
from data_builders.synthetic_lift import synthetic_lift_dataset_builder
from jaxflow import config, data, report, sample_set
from jaxflow.commands import STOPPED, build_data
from jaxflow.evaluation import protocol
from jaxflow.flow import checkpoint
from jaxflow.prediction import set_sampling
from tests.helpers import flows, in_process
from tests.helpers.evaluation import records

SMALL = config.FlowConfig(blocks=1, hidden=8, encoder_hidden=4, encoded=3)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A checkpoint, and frames that every data set has."""
    folder = tmp_path / "model"
    checkpoint.save_params(folder, flows.some(SMALL), SMALL)
    monkeypatch.setattr(data, "load_records", lambda *_, **__: records())
    monkeypatch.setattr(data, "splits", lambda *_: ("train", "test"))
    return folder


def interrupted(*arguments, **options):
    raise KeyboardInterrupt


def told(capsys):
    """What the command said of it: all lines but progress bars, each behind ``\\r``."""
    lines = capsys.readouterr().err.split("\n")
    return [line for line in lines if line and "\r" not in line]


def test_a_build(tmp_path, monkeypatch, capsys):
    """In the middle of the examples: of TFDS's unfinished folder nothing stays."""
    made = synthetic_lift_dataset_builder.Builder.splits

    def some(self, folder):
        def examples(whole):
            for number, example in whole:
                if number == 20:
                    raise KeyboardInterrupt
                yield number, example

        return {name: examples(each) for name, each in made(self, folder).items()}

    monkeypatch.setattr(synthetic_lift_dataset_builder.Builder, "splits", some)
    status = in_process.run(
        build_data,
        f"--data_dir={tmp_path}",
        "--train_frames=40",
        "--test_frames=10",
        words=["synthetic_lift"],
    )
    assert status == STOPPED
    (line,) = told(capsys)
    assert line.endswith(": stopped")
    left = [path.name for path in tmp_path.rglob("*")]
    assert not [name for name in left if "record" in name or "incomplete" in name]
    assert not registry.builder(
        "synthetic_lift/seed0-train40-test10", tmp_path
    ).is_prepared()


def test_a_report(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(protocol, "evaluate", interrupted)
    out = tmp_path / "out"
    flags = f"--checkpoint={saved}", f"--out={out}", "--timing=off"
    assert in_process.run(report, *flags) == STOPPED
    (line,) = told(capsys)
    assert line.endswith(": stopped") and not list(out.iterdir())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_set_s_samples(saved, tmp_path, monkeypatch, capsys, at_once):
    """A first signal stops behind the batch under way, a second one at once."""
    drawer = set_sampling._drawer

    def signalled(*arguments):
        draw = drawer(*arguments)

        def drawn(*inputs, **options):
            for _ in range(1 + at_once):
                signal.raise_signal(signal.SIGINT)
            return draw(*inputs, **options)

        return drawn

    monkeypatch.setattr(set_sampling, "_drawer", signalled)
    out = tmp_path / "out"
    flags = [f"--checkpoint={saved}", f"--out={out}", "--batch_size=2"]
    flags += ["--shard_size=4", "--num_hypotheses=3", "--devices=1"]
    assert in_process.run(sample_set, *flags) == STOPPED
    (line,) = told(capsys)
    hint = "" if at_once else "; the same command goes on where it was"
    assert line.endswith(f": stopped{hint}")
    assert {path.name for path in out.iterdir()} == {"lock", "manifest.json"}
