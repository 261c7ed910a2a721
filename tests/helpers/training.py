"""A run so small that it compiles and trains in seconds."""

import os
import pathlib
import subprocess
import sys

from jaxflow.config import DataConfig, FlowConfig, LoopConfig, RunConfig, TrainConfig
from jaxflow.methods import flow
from jaxflow.training import loop
from tests.helpers import quick

DATASET = "synthetic_lift/seed0-train300-test40"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

TINY = TrainConfig(
    batch_size=8,
    hypotheses=6,
    critic_hidden=16,
    iterations=12,
    flow=FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6),
)


def run_config(data_dir, train=TINY, **loop) -> RunConfig:
    """A whole run on one device with frequent checkpoints."""
    options = {"log_every": 3, "checkpoint_every": 4, "validate_every": 0, "devices": 1}
    return RunConfig(
        train=train,
        data=DataConfig(dataset=DATASET, data_dir=str(data_dir)),
        loop=LoopConfig(**(options | loop)),
    )


def command(
    *flags: str, module: str = "jaxflow.train", cwd: object = None, **variables: str
):
    """Starts a command of the package as its own process, output to a pipe."""
    environment = {**os.environ, "XLA_FLAGS": quick.XLA_FLAGS, **variables}
    environment["PYTHONPATH"] = str(REPOSITORY)
    return subprocess.Popen(
        [sys.executable, "-m", module, *flags],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_and_evaluate(config, workdir, **options):
    """A run of the paper's flow."""
    return loop.train_and_evaluate(config, workdir, flow, **options)


def checkpoints_of(workdir, config=TINY, **options):
    """The checkpoints of a run of the paper's flow."""
    return loop.checkpointer(workdir, config, flow, **options)
