"""Many iterations per dispatch, data-parallel over devices by `jax.pmap`.

    state, data on every device, count -> state, losses of each iteration

The data set lies on the devices, or what a dispatch sees of it; batches are gathered
there in an order that follows from the seed and the epoch alone (`epochs`). The state
keeps no device axis: it goes in and comes out replicated. The number of iterations is a
run-time argument of one compiled program, so a trajectory does not depend on how it is
cut into dispatches.

The devices may belong to several processes. Each then passes its own devices' rows of a
batch and gets the state and losses on its own devices.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import OptimizerConfig, TrainConfig
from jaxflow.runs.errors import UserError
from jaxflow.training import augmentation, epochs
from jaxflow.training.method import Method
from jaxflow.types import Batch, Grouped, Held, RawFrames

AXIS = "devices"
# XLA's newer code generator for CPUs keeps half a megabyte for each of the iteration's
# thousand fused loops until all are compiled. Its older one does not; it is the faster
# one for the hypotheses and the slower one for the critic's Adam (20 ms an iteration),
# which even out near so many hypotheses.
_LEAN = {"xla_cpu_use_fusion_emitters": False}
_LEAN_FROM = 150
_Tree = TypeVar("_Tree")


def check_divides(config: TrainConfig, devices: int) -> None:
    """Refuses a batch that cannot be split evenly.

    Raises:
      UserError: names the batch size and the number of devices.
    """
    if config.batch_size % devices:
        raise UserError(
            f"batch_size = {config.batch_size} does not divide over {devices} devices; "
            f"take a multiple of {devices}, or fewer devices"
        )


def choose(config: TrainConfig, wanted: int = 0) -> tuple[jax.Device, ...]:
    """The devices of a run, of all processes, the first process's first.

    Args:
      config: its batch must divide over them.
      wanted: of each process; 0: all.

    Raises:
      UserError: there are not so many, or the batch does not divide over them.
    """
    available = jax.local_devices()
    if wanted > len(available):
        raise UserError(
            f"devices = {wanted}, but this machine has {len(available)}: {available}"
        )
    devices: list[jax.Device] = []
    for process in range(jax.process_count()):
        of_process = jax.local_devices(process_index=process)
        devices += of_process[: wanted or len(of_process)]
    check_divides(config, len(devices))
    return tuple(devices)


def own(devices: Sequence[jax.Device]) -> tuple[jax.Device, ...]:
    """Those of the devices that belong to this process."""
    return tuple(d for d in devices if d.process_index == jax.process_index())


def replicate(tree: _Tree, devices: Sequence[jax.Device]) -> _Tree:
    """Puts arrays whole on each of this process's devices, once."""
    mesh = jax.sharding.Mesh(np.asarray(own(devices)), (AXIS,))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.device_put(tree, everywhere)


def joined(shards: Sequence[_Tree], devices: Sequence[jax.Device]) -> _Tree:
    """Arrays (1, ...), one on each of this process's devices, as arrays (devices, ...).

    Nothing is moved: it is what `make_run` wants of data that each device has its own
    part of.
    """
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))

    def join(*arrays: jax.Array) -> jax.Array:
        shape = len(arrays), *arrays[0].shape[1:]
        return jax.make_array_from_single_device_arrays(shape, spread, arrays)

    return jax.tree.map(join, *shards)


@functools.lru_cache(maxsize=8)
def make_run(
    config: TrainConfig,
    devices: tuple[jax.Device, ...],
    most: int,
    method: Method,
    frames: int = 0,
) -> Callable[[Any, Held | Batch, jax.Array], tuple[Any, Any]]:
    """Compiles, on first use, ``run(state, data, count)``; the same call, the same run.

    Args:
      config: static.
      devices: each takes an equal part of every batch.
      most: the largest count of one call.
      method: what an iteration does.
      frames: of the whole data set, where ``data`` is not all of it but what the call's
        iterations see; each array then has an axis of this process's devices before its
        own, and room for ``most`` iterations.

    Returns:
      A function of the state (donated), the replicated data set, raw where frames are
      changed on the way (`augmentation`), and the number of iterations, which gives the
      new state and losses of shape (most,), NaN beyond the iterations done. It stops by
      itself after an iteration with a loss that is not finite.

    Raises:
      UserError: the batch does not divide over the devices; at the first call, when
        an epoch has not even one iteration.
    """
    run: Any = mapped(config, devices, most, method, frames)
    on_cpu = devices[0].platform == "cpu" and jax.process_count() == 1
    many = config.loss.any_hypotheses and config.hypotheses >= _LEAN_FROM
    if on_cpu and many and method.name == "flow":
        run = compiled_with(_LEAN, run)
    # Each device's rows of a batch, the one argument that differs between devices.
    examples = np.arange(config.batch_size, dtype=np.int32).reshape(len(devices), -1)
    local = [device in own(devices) for device in devices]
    rows: Any = examples[local]
    if all(local):  # put there once, so that a call sends nothing
        mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
        spread = jax.sharding.PartitionSpec(AXIS)
        rows = jax.device_put(rows, jax.sharding.NamedSharding(mesh, spread))
    return lambda state, data, count: run(state, data, count, rows)


def mapped(
    config: TrainConfig,
    devices: tuple[jax.Device, ...],
    most: int,
    method: Method,
    frames: int = 0,
) -> Any:
    """What `make_run` compiles: pmap's function of (state, data, count, rows).

    ``rows`` (devices, B / devices) are each device's numbers of a batch. It can be
    lowered for devices that are not at hand.

    Raises:
      UserError: the batch does not divide over the devices.
    """
    check_divides(config, len(devices))
    run = functools.partial(
        iterations, method=method, config=config, most=most, frames=frames
    )
    return jax.pmap(
        run,
        axis_name=AXIS,
        in_axes=(None, 0 if frames else None, None, 0),
        out_axes=None,
        devices=devices,
        donate_argnums=0,
    )


def compiled_with(options: dict[str, bool], run: Any) -> Callable[..., Any]:
    """``run``, as `jax.pmap` gave it, compiled with options that pmap does not take.

    Of one process alone: a program compiled ahead does not join several ones' arrays.
    """
    programs: dict[Any, Callable[..., Any]] = {}

    def call(*arguments: Any) -> Any:
        shapes = tuple(jnp.shape(leaf) for leaf in jax.tree.leaves(arguments))
        if shapes not in programs:
            lowered = run.lower(*arguments)
            try:
                programs[shapes] = lowered.compile(compiler_options=options)
            except jax.errors.JaxRuntimeError as error:
                if "No such compile option" not in str(error):
                    raise
                programs[shapes] = lowered.compile()  # a compiler that has no choice
        return programs[shapes](*arguments)

    return call


def make_map(
    function: Callable[[Any, Any], Any], devices: tuple[jax.Device, ...]
) -> Callable[[Any, Any], Callable[[], Any]]:
    """Compiles ``function(shared, rows)``, each device on its own part of the rows.

    Args:
      function: of anything, whole on every device, and of arrays (n, ...), whose rows
        it must treat alike; gives arrays (n, ...).
      devices: of this process; each takes an equal part of the rows.

    Returns:
      A function of the same arguments, with (N, ...) rows where N is a multiple of the
      devices, which starts the work and gives a function that waits for it: that one
      gives host arrays (N, ...).
    """
    mapped = jax.pmap(function, axis_name=AXIS, in_axes=(None, 0), devices=devices)

    def split(array: Any) -> Any:
        return array.reshape(len(devices), -1, *array.shape[1:])

    def joined(array: Any) -> Any:
        return np.asarray(array).reshape(-1, *array.shape[2:])

    def call(shared: Any, rows: Any) -> Callable[[], Any]:
        results = mapped(shared, jax.tree.map(split, rows))
        return lambda: jax.tree.map(joined, results)

    return call


def make_vote(devices: tuple[jax.Device, ...]) -> Callable[[Sequence[int]], jax.Array]:
    """Compiles ``vote(numbers)``: the largest of each number that any process gives.

    The result is a device array that need not be waited for: a vote is queued behind
    what the devices are doing.
    """
    vote = jax.pmap(
        lambda numbers: jax.lax.pmax(numbers, AXIS),
        axis_name=AXIS,
        out_axes=None,
        devices=devices,
    )
    count = len(own(devices))
    return lambda numbers: vote(np.tile(np.asarray(numbers, np.int32), (count, 1)))


def iterations(
    state: Any,
    data: Held | Batch,
    count: jax.Array,
    examples: jax.Array,
    *,
    config: TrainConfig,
    most: int,
    method: Method,
    frames: int = 0,
) -> tuple[Any, Any]:
    """Iterations of one device: what `make_run` compiles.

    An iteration's frames are made at the end of the one before. So what makes them is
    compiled apart from what learns of them, which has the same bits wherever they lay.
    """
    data = data if isinstance(data, Held) else Held(data)
    total = frames or len(data.frames.pose3d)
    per_epoch = epochs.iterations_per_epoch(total, config, method)
    noise_key = epochs.seeds(config.seed).noise
    make = _maker(data, state.step, examples, config, most, method, frames)

    def more(carry: Any) -> jax.Array:
        done, _, _, history = carry
        last = jnp.stack([term[done - 1] for term in history])
        return (done < count) & ((done == 0) | jnp.all(jnp.isfinite(last)))

    def body(carry: Any) -> Any:
        done, state, seen, history = carry
        key = jax.random.fold_in(noise_key, state.step)
        state, losses = method.iteration(
            state,
            seen,
            method.draw_noise(key, config, examples),
            config,
            rate_scale=rate_scale(
                config.optimizer, state.step // per_epoch, state.step
            ),
            axis_name=AXIS,
        )
        history = jax.tree.map(lambda all, new: all.at[done].set(new), history, losses)
        return done + 1, state, make(jnp.minimum(done + 1, count - 1)), history

    empty = jnp.full(most, jnp.nan, data.frames.pose3d.dtype)
    history = method.losses(*(empty for _ in method.losses._fields))
    first = jnp.zeros((), jnp.int32)
    start = first, state, make(first), history
    _, state, _, history = jax.lax.while_loop(more, body, start)
    return state, history


def _maker(
    data: Held,
    begun: jax.Array,
    examples: jax.Array,
    config: TrainConfig,
    most: int,
    method: Method,
    frames: int,
) -> Callable[[jax.Array], Batch | Grouped]:
    """What makes the frames of a dispatch's iterations, by the number done before."""
    total, batches = frames or len(data.frames.pose3d), method.batches(config)
    if frames:  # they lie in the order of use
        all_rows = _numbered(most, batches, len(examples))
        lending = _numbered(*all_rows.shape, len(augmentation.GROUPS))
    else:
        all_rows = epochs.rows(begun + jnp.arange(most), total, config, method)

    def make(done: jax.Array) -> Batch | Grouped:
        mine = all_rows[done] if frames else all_rows[done][:, examples]
        seen, group = jax.tree.map(lambda array: array[mine], (data.frames, data.group))
        if isinstance(seen, RawFrames):
            noise = epochs.seeds(config.seed).noise
            key = epochs.change_key(jax.random.fold_in(noise, begun + done))
            each = augmentation.frame_keys(key, batches, examples)
            lenders = None
            if config.augment.recombined:
                known = data.frames.pose3d if data.others is None else data.others
                row = lending[done] if frames else augmentation.others(each, total)
                lenders = known[row]
            assert data.up is not None
            seen = augmentation.batches(seen, each, data.up, lenders, config.augment)
        return seen if group is None else Grouped(seen, group)

    return make


def _numbered(*shape: int) -> jax.Array:
    """Where things lie that were laid down in order."""
    return jnp.arange(math.prod(shape)).reshape(shape)


def rate_scale(config: OptimizerConfig, epoch: jax.Array, step: jax.Array) -> jax.Array:
    """1, less during warm-up, and 0.5 once ``halve_after_epoch`` epochs are done."""
    late = jnp.where(epoch >= config.halve_after_epoch, 0.5, 1.0)
    if not config.warmup:
        return late
    return late * jnp.minimum(1.0, (step.astype(jnp.float32) + 1) / config.warmup)
