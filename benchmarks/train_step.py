"""Times training iterations as the train command runs them, on made-up data.

    python -m benchmarks.train_step [--hypotheses 25 200] [--peer=torch]
    python -m benchmarks.train_step --hypotheses 200 --recipes=losses,paper,sharp
    python -m benchmarks.train_step --hypotheses 25 --frames 20000 200000 2000000

For each number of hypotheses: seconds an iteration (five critic updates and one flow
update), the floor (its bare matrix products at the speed that a large product has here)
and the ratio, the first call's time, the compiled program's own memory, page faults.
With --peer=torch the same iteration the released code's way, and how far its losses
differ. --recipes takes turns with several recipes in one run and prints what each costs
beside the first: the median over rounds of the ratio within a round, which other work
on the machine meets alike; an affine layer's own stage is left out. The recipe "losses"
is sharp as it began, without that layer and with frames as they are. --frames does so
for data sets of several sizes. `benchmarks.curves` goes through L and devices and
`benchmarks.memory` through the stages of a run.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common
from jaxflow.config import AugmentConfig, FlowConfig, TrainConfig
from jaxflow.methods import flow
from jaxflow.training import epochs, parallel, presets, state, step
from jaxflow.types import Batch, Held

ITERATIONS = 4  # of a dispatch


class Run:
    """A run under way: calling it does some iterations."""

    def __init__(self, config: TrainConfig, devices: int = 1, frames: int = 0):
        """Compiles, and does one iteration; by default four iterations' frames."""
        chosen = tuple(jax.local_devices()[:devices])
        config = dataclasses.replace(config, affine_iterations=0)
        count = frames or 4 * config.frames_per_iteration
        data = Held(common.made_up(count))
        if config.augment.any:
            data = Held(common.made_up_raw(count), up=np.float32([0, -1, 0]))
        self._data = parallel.replicate(data, chosen)
        start = state.init(epochs.seeds(config.seed).init, config)
        self._state = parallel.replicate(start, chosen)
        self._run = parallel.make_run(config, chosen, ITERATIONS, flow)
        began = time.perf_counter()
        self(1)
        self.first = time.perf_counter() - began

    def __call__(self, count: int = ITERATIONS) -> None:
        """Waits for the iterations."""
        self._state, losses = self._run(self._state, self._data, jnp.int32(count))
        jax.block_until_ready((self._state, losses))


class Peer:
    """The same iterations in eager PyTorch."""

    def __init__(self, config: TrainConfig):
        """Both start from the same parameters, batches and noise."""
        import torch

        from benchmarks import torch_peer

        start = state.init(jax.random.key(0), config)
        # Half of the initial weights: poses of a size, so that losses compare.
        self.state = start._replace(flow=jax.tree.map(lambda a: a / 2, start.flow))
        frames = common.made_up(config.frames_per_iteration)
        shape = (config.batches_per_iteration, config.batch_size)
        self.batches = Batch(*(array.reshape(*shape, -1) for array in frames))
        self.noise = step.draw_noise(jax.random.key(1), config)
        self._tensors: Any = [
            type(tree)(*(torch.from_numpy(np.array(leaf)) for leaf in tree))
            for tree in (self.batches, self.noise)
        ]
        self._trainer = torch_peer.Trainer(self.state.flow, self.state.critic, config)

    def __call__(self) -> dict[str, float]:
        """One iteration's losses."""
        losses: dict[str, float] = self._trainer.iteration(*self._tensors)
        return losses


def difference(peer: Peer, config: TrainConfig) -> float:
    """The largest relative difference of a loss in the first iteration."""
    iterate = jax.jit(step.iteration, static_argnums=3)
    _, ours = iterate(peer.state, peer.batches, peer.noise, config)
    theirs = peer()
    return max(
        abs(float(getattr(ours, name)) - value) / abs(value)
        for name, value in theirs.items()
    )


def program_mib(config: TrainConfig) -> float:
    """Temporary memory of the compiled iteration, MiB."""
    start = jax.eval_shape(lambda: state.init(jax.random.key(0), config))
    count, size = config.batches_per_iteration, config.batch_size
    float32 = [
        jax.ShapeDtypeStruct((count, size, n), jnp.float32) for n in (48, 32, 78)
    ]
    noise = jax.eval_shape(lambda: step.draw_noise(jax.random.key(0), config))
    compiled = jax.jit(step.iteration, static_argnums=3, donate_argnums=0).lower(
        start, Batch(*float32), noise, config
    )
    return compiled.compile().memory_analysis().temp_size_in_bytes / 2**20


def row(config: TrainConfig, peer: Peer | None, repeats: int) -> list[str]:
    """The measurements of one number of hypotheses."""
    run, seconds, theirs, faults = Run(config), [], [], []
    machine = common.speed(5)
    for _ in range(repeats):
        if peer is not None:
            common.settle(run)
        before, began = common.faults(), time.perf_counter()
        run()
        seconds.append((time.perf_counter() - began) / ITERATIONS)
        faults.append((common.faults() - before) / ITERATIONS)
        if peer is not None:
            time.sleep(0.3)
            began = time.perf_counter()
            peer()
            theirs.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    floor = common.iteration_flops(config) / machine.flops
    cells = [
        f"{config.hypotheses}",
        f"{median:.3f} ({min(seconds):.3f})",
        f"{floor:.3f}",
        f"{median / floor:.2f}",
        f"{run.first:.1f}",
        f"{program_mib(config):.0f}",
        f"{statistics.median(faults):,.0f}",
    ]
    if peer is not None:
        slow = statistics.median(theirs)
        cells += [f"{slow:.2f}", f"{slow / median:.1f}"]
    return cells


def recipes(names: Sequence[str], config: TrainConfig, repeats: int) -> str:
    """Seconds an iteration under each recipe, and beside the first one's."""
    known = {**presets.RECIPES, "losses": _losses()}
    runs = {name: Run(presets.apply(config, known[name])) for name in names}
    return beside(f"recipe, L = {config.hypotheses}", runs, repeats)


def _losses() -> presets.Preset:
    """Of sharp what it had before its affine layer and changed frames."""
    layer = {field.name for field in dataclasses.fields(FlowConfig)}
    frames = {field.name for field in dataclasses.fields(AugmentConfig)}
    later = layer | frames | {"affine_iterations", "joint_rate"}
    values = presets.RECIPES["sharp"].values
    kept = {name: value for name, value in values.items() if name not in later}
    return presets.Preset("sharp's losses", kept)


def sizes(frames: Sequence[int], config: TrainConfig, repeats: int) -> str:
    """Seconds an iteration with data sets of so many frames."""
    runs = {f"{count:,}": Run(config, frames=count) for count in frames}
    return beside(f"frames, L = {config.hypotheses}", runs, repeats)


def beside(
    what: str, runs: Mapping[str, Callable[[], Any]], repeats: int, pause: float = 0.0
) -> str:
    """Runs in turn: seconds an iteration, and beside the first one's.

    Args:
      what: heads the column of the runs' names.
      runs: each call does `ITERATIONS` and waits for them.
      repeats: rounds.
      pause: seconds before each turn.
    """
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(repeats):
        # Each goes first in its turn, since the first of a round follows a pause.
        shift = number % len(names)
        for name in (*names[shift:], *names[:shift]):
            time.sleep(pause)
            taken = common.seconds_of(runs[name])
            seconds[name].append(taken / ITERATIONS)
    rows = []
    for name in names:
        pairs = zip(seconds[name], seconds[names[0]], strict=True)
        ratios = sorted(ours / first for ours, first in pairs)
        quarter = len(ratios) // 4
        rows.append(
            [
                name,
                f"{statistics.median(seconds[name]):.3f} ({min(seconds[name]):.3f})",
                f"{statistics.median(ratios):.3f}",
                f"{ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f}",
                f"{min(seconds[name]) / min(seconds[names[0]]):.3f}",
            ]
        )
    columns = [
        what,
        "s an iteration, median (min)",
        f"of {names[0]}, median",
        "middle half",
        "of minima",
    ]
    return common.markdown(columns, rows)


def main() -> None:
    """Prints one line for each number of hypotheses."""
    parser = common.parser(__doc__)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hypotheses", type=int, nargs="+", default=[25, 50, 200])
    parser.add_argument("--peer", choices=["torch"])
    parser.add_argument("--recipes", default="", help="names, the first is compared to")
    parser.add_argument("--frames", type=int, nargs="+", help="of the data set")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    base = TrainConfig(batch_size=options.batch_size)
    print(common.speed().text() + "\n")
    if options.recipes:
        config = dataclasses.replace(base, hypotheses=options.hypotheses[-1])
        print(recipes(options.recipes.split(","), config, 4 * options.repeats))
        return
    if options.frames:
        config = dataclasses.replace(base, hypotheses=options.hypotheses[-1])
        print(sizes(options.frames, config, 4 * options.repeats))
        return
    columns = [
        "L",
        "s an iteration, median (min)",
        "floor s",
        "ratio",
        "first call s",
        "program MiB",
        "page faults",
    ]
    columns += ["PyTorch s", "times as fast"] if options.peer else []
    rows, differences = [], []
    for hypotheses in options.hypotheses:
        config = dataclasses.replace(base, hypotheses=hypotheses)
        peer = Peer(config) if options.peer else None
        if peer is not None:
            differences.append(difference(peer, config))
        rows.append(row(config, peer, options.repeats))
    print(common.markdown(columns, rows))
    if differences:
        print(
            f"\nThe losses differ by {max(differences):.1e} at most, relatively. The "
            "released code itself, on two cores, L = 200: 2.2 to 2.6 s."
        )
    print(
        f"\nat most {common.peak_mib():.0f} MiB, PyTorch and compiling included; see "
        "`python -m benchmarks.memory`"
    )


if __name__ == "__main__":
    main()
