"""What weights to begin with are worth on little data of one's own.

    python -m benchmarks.fine_tuning --manual_dir=FOLDER [--init_from=cmu]

Of the training frames in FOLDER (Human3.6M's merged layout) evenly spaced ones stay,
2,000 by default. A model that begins with the weights and a fresh one of the same
architecture train on them in turn, as long by the clock, and both are tested on the
test subjects. Prints a Markdown table; nothing else should run on the machine.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks import common
from data_builders import restricted_pickle
from jaxflow import methods
from jaxflow.runs import checkpoint

_COLUMNS = "z0", "best", "mean", "worst"


def main() -> None:
    """Makes the set, trains, tests, prints."""
    parser = common.parser(__doc__)
    parser.add_argument("--manual_dir", type=pathlib.Path, required=True)
    parser.add_argument("--init_from", default="cmu")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    flow: Any = methods.load(options.init_from).config
    same = [
        f"--hidden={flow.hidden}",
        f"--blocks={flow.blocks}",
        f"--affine_hidden={flow.affine_hidden}",
        f"--affine_depth={flow.affine_depth}",
        f"--affine_symmetric={flow.affine_symmetric}",
    ]
    with tempfile.TemporaryDirectory(prefix="fine-tuning") as name:
        folder = pathlib.Path(name)
        _few(options.manual_dir, folder / "files", options.frames)
        data = ["--dataset=human36m_lift", f"--data_dir={folder / 'sets'}"]
        _command("data_builders.build", "human36m_lift", *data[1:], _manual(folder))
        rows = []
        for what, flags in (
            (f"from {options.init_from}", [f"--init_from={options.init_from}"]),
            ("fresh", same),
        ):
            workdir = folder / what.replace(" ", "_")
            iterations = _train(workdir, [*data, *flags], 60 * options.minutes)
            rows.append([what, f"{iterations:,}", *_test(workdir, data)])
    seconds = f"{options.minutes:g} min on {options.frames:,} frames"
    print(common.markdown([seconds, "iterations", *_COLUMNS], rows))


def _manual(folder: pathlib.Path) -> str:
    return f"--manual_dir={folder / 'files'}"


def _few(source: pathlib.Path, out: pathlib.Path, frames: int) -> None:
    """The training file with evenly spaced rows of each clip, and the test file."""
    out.mkdir()
    test, train = "testset_h36m.pickle", "trainset_h36m.pickle"
    (out / test).symlink_to((source / test).resolve())
    whole = restricted_pickle.load(source / train)
    step = max(1, round(_rows(whole) / frames))
    (out / train).write_bytes(pickle.dumps(_every(step, whole)))


def _rows(tree: Any) -> int:
    """Frames of all clips."""
    if "3d_gt" in tree:
        return len(tree["3d_gt"])
    return sum(map(_rows, tree.values()))


def _every(step: int, tree: Any) -> Any:
    """Each clip's first frame, and every so many after it."""
    if isinstance(tree, dict):
        return {key: _every(step, value) for key, value in tree.items()}
    return np.asarray(tree)[::step]


def _command(module: str, *flags: str) -> None:
    subprocess.run([sys.executable, "-m", module, *flags], check=True)


def _train(workdir: pathlib.Path, flags: list[str], seconds: float) -> int:
    """Trains for so long, counted from the first iteration's line; says how many."""
    command = [sys.executable, "-m", "jaxflow.train", *flags, f"--workdir={workdir}"]
    command += ["--recipe=sharp", "--hypotheses=50", "--iterations=1000000"]
    command += ["--validate_every=0", "--log_every=10"]
    process = subprocess.Popen(command)
    log = workdir / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        time.sleep(0.1)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGTERM)
    if process.wait() != 128 + signal.SIGTERM:
        raise SystemExit("training ended by itself; its error is above")
    return int(checkpoint.find(workdir).name)


def _test(workdir: pathlib.Path, data: list[str]) -> list[str]:
    """MPJPE of the test subjects in mm, temperature 1."""
    out = workdir / "evaluation.json"
    _command(
        "jaxflow.evaluate",
        f"--checkpoint={workdir}",
        *data,
        "--temperature=1",
        "--response_frames=0",
        f"--out={out}",
    )
    errors = json.loads(out.read_text())["test"]["average_over_actions"]["mpjpe_mm"]
    return [f"{errors[name]:.1f}" for name in _COLUMNS]


if __name__ == "__main__":
    main()
