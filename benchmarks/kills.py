"""Kills a training run again and again, and asks for the bits of an unkilled one.

    python benchmarks/kills.py [--kills=20] [--seed=0] [--folder=DIR]

A small run is killed (SIGKILL) in turn while it compiles, while it writes a checkpoint
and between two checkpoints, each time at a random moment, and started again each time
by the same command, without a compilation cache. In the end every array of its last
checkpoint must be, bit for bit, that of the same run left alone. Prints a line for each
kill; exits with 1 where a bit differs. On a CPU; 20 kills take some minutes.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from jaxflow import data
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.training import state

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
DATASET = "synthetic_lift/seed0-train300-test40"
PHASES = ("compiling", "saving", "between saves")
EVERY = 5  # iterations between checkpoints


class Run:
    """The command that is killed and started again."""

    def __init__(self, workdir: pathlib.Path, data_dir: pathlib.Path, iterations: int):
        self.workdir = workdir
        self._command = [
            sys.executable,
            "-m",
            "jaxflow.train",
            f"--workdir={workdir}",
            f"--dataset={DATASET}",
            f"--data_dir={data_dir}",
            "--batch_size=8",
            "--hypotheses=6",
            "--blocks=2",
            "--hidden=16",
            "--validate_every=0",
            f"--iterations={iterations}",
            f"--checkpoint_every={EVERY}",
            "--log_every=10",
            "--devices=1",
        ]

    def start(self) -> subprocess.Popen[str]:
        """The process, its words in a pipe."""
        environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        return subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )

    def finish(self) -> None:
        """Runs to the end.

        Raises:
          RuntimeError: with what it said, if it failed.
        """
        process = self.start()
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the run failed ({process.returncode}):\n{output}")

    def newest(self) -> int:
        """Step of the newest complete checkpoint, 0 if there is none."""
        try:
            return int(store.find(self.workdir).name)
        except store.CheckpointError:
            return 0

    def logs(self) -> int:
        """How many times the run has begun to write logs."""
        return len(list((self.workdir / "tensorboard").glob("*")))

    def saving(self) -> bool:
        """Whether a checkpoint is being written."""
        folder = self.workdir / store.FOLDER
        return any("tmp" in path.name for path in folder.glob("*"))


def kill(run: Run, phase: str, rng: random.Random) -> tuple[int, bool]:
    """Starts the run and kills it once, in the phase.

    Returns:
      The newest step after it, and whether a half-written checkpoint was left.

    Raises:
      RuntimeError: the run ended before it could be killed; says what it said.
    """
    logs, before = run.logs(), run.newest()
    process = run.start()
    if phase == "compiling":
        # The log is opened right before the first iteration is compiled.
        while process.poll() is None and run.logs() == logs:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 4))
    else:
        # A save under way is short: look often. What earlier kills left half-written
        # is cleared away before the first save.
        while process.poll() is None and run.newest() == before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        while phase == "saving" and process.poll() is None and not run.saving():
            time.sleep(0.0005)
    if process.poll() is not None:
        raise RuntimeError(f"the run ended by itself:\n{process.communicate()[0]}")
    process.kill()
    process.communicate()
    return run.newest(), run.saving()


def arrays(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    """Every array of the newest checkpoint: parameters, optimisers, step."""
    folder = store.find(workdir)
    config = checkpoint.load_config(folder)
    target = jax.eval_shape(lambda: state.init(jax.random.key(0), config))
    fields = target._asdict().items()  # no average is kept here
    rest = {name: tree for name, tree in fields if name != "flow" and tree is not None}
    whole = {
        "params": store.restore_tree(folder / "params", target.flow),
        "training": store.restore_tree(folder / "training", rest),
    }
    leaves = jax.tree_util.tree_leaves_with_path(whole)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def differing(ours: pathlib.Path, theirs: pathlib.Path) -> list[str]:
    """Names of the arrays that are not the same bits."""
    left, right = arrays(ours), arrays(theirs)
    return [
        name for name in left if left[name].tobytes() != right[name].tobytes()
    ] + sorted(set(left) ^ set(right))


def main() -> int:
    """Kills, finishes, compares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default=None, help="default: a temporary one")
    options = parser.parse_args()
    folder = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="kills-"))
    data.load_records(DATASET, "train", folder / "data")
    iterations = 3 * EVERY * (options.kills + 1)
    alone = Run(folder / "alone", folder / "data", iterations)
    killed = Run(folder / "killed", folder / "data", iterations)
    alone.finish()
    rng, half = random.Random(options.seed), 0
    for number in range(options.kills):
        phase = PHASES[number % len(PHASES)]
        step, left = kill(killed, phase, rng)
        half += left
        print(
            f"kill {number + 1} of {options.kills}, {phase}: newest checkpoint {step} "
            f"of {iterations}{', a half-written one left' if left else ''}",
            flush=True,
        )
    killed.finish()
    found = differing(killed.workdir, alone.workdir)
    print(
        f"{options.kills} kills, {half} left a half-written checkpoint; "
        f"{len(arrays(alone.workdir))} arrays after {iterations} iterations: "
        + (f"{len(found)} differ: {found[:5]}" if found else "all bit-identical")
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
