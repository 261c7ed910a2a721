"""launch/pretrained: from data to a file, in order; its model keeps to 6 MB."""

import shlex

import jax
import pytest
from absl.testing import flagsaver

from jaxflow import train
from jaxflow.flow import checkpoint
from tests.helpers.training import REPOSITORY
from tests.launch.launch_test import run


def planned(*arguments, **variables):
    """The words of each command that it would run."""
    status, output, complaint = run(
        "pretrained", *arguments, JAXFLOW_DRY_RUN="1", **variables
    )
    assert status == 0, complaint
    return [shlex.split(line) for line in output.splitlines()]


def test_from_data_to_a_file(tmp_path):
    *builds, training, calibration, test, export = planned(
        "a b", "--iterations=9", cwd=tmp_path, MOCAP="raw"
    )
    folder = f"{tmp_path}/a b"
    data, raw = f"--data_dir={folder}/data", f"--manual_dir={tmp_path}/raw"
    made, checkpoint = f"--workdir={folder}/run", f"--checkpoint={folder}/run"
    module = ["python", "-m"]
    assert builds == [
        [*module, "data_builders.build", f"cmu_mocap_lift/{name}", data, raw]
        for name in ("wild", *(f"seed{seed}-test3+5+9" for seed in range(3)))
    ]
    flagfile = "--flagfile=launch/flags/pretrained.flags"
    assert training == [
        *module, "jaxflow.train", flagfile, data, "--iterations=9", made
    ]  # fmt: skip
    wild = "--dataset=cmu_mocap_lift/wild"
    calibrated = "jaxflow.calibrate", checkpoint, data, wild, "--limbs=0.25"
    assert calibration == [*module, *calibrated]
    figures = f"{folder}/evaluation.json"
    assert test == [
        *module, "jaxflow.evaluate", checkpoint, data, wild, "--temperature=fitted",
        f"--out={figures}",
    ]  # fmt: skip
    assert export[:4] == [*module, "jaxflow.export", checkpoint]
    assert {"--format=weights", f"--out={folder}/cmu.npz", f"--figures={figures}"} < {
        *export
    }


def test_other_data_under_another_name():
    build, *_, test, export = planned(
        "/x", "--dataset=synthetic_lift", NAME="me", LINE="L"
    )
    assert build[3:] == ["synthetic_lift", "--data_dir=/x/data"]
    assert "--dataset=synthetic_lift" in test
    assert "--out=/x/me.npz" in export and "--line=L" in export


def test_files_of_each_data_set():
    both = "--dataset=cmu_mocap_lift/wild,human36m_lift/wild"
    first, second, *_ = planned("/x", both, MOCAP="/m", POSES="/p q")
    assert first[3:] == ["cmu_mocap_lift/wild", "--data_dir=/x/data", "--manual_dir=/m"]
    assert planned("/x", both, DATA="/d")[0][4:] == ["--data_dir=/d"]
    assert second[3:] == [
        "human36m_lift/wild",
        "--data_dir=/x/data",
        "--manual_dir=/p q",
    ]


@pytest.fixture
def config():
    known = train.flags.FLAGS
    saved = flagsaver.save_flag_values(known)
    path = REPOSITORY / "launch/flags/pretrained.flags"
    known(["train", "--workdir=w", f"--flagfile={path}"])
    train.take_presets()
    yield train.config_from_flags()
    flagsaver.restore_flag_values(saved, known)


def test_its_flags_make_a_model_of_at_most_6_mb(config):
    leaves = jax.tree.leaves(checkpoint.flow_shapes(config.train.flow))
    assert 2 * sum(leaf.size for leaf in leaves) < 5.9e6  # and its config
    assert config.train.loss.energy_weight and config.train.held_out
    assert config.data.dataset.startswith("cmu_mocap_lift/wild,cmu_mocap_lift/seed0-")
