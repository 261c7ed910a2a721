"""The programs that a user of this package waits for, lowered for any devices.

name -> devices -> the lowered program, its operations by hand, and what it repeats
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import common
from jaxflow import flow, metrics
from jaxflow.config import RELEASED_CLAMP, FlowConfig, TrainConfig
from jaxflow.detector.network import hrnet
from jaxflow.flow import sampling
from jaxflow.gaussians import fitting
from jaxflow.maths import batching
from jaxflow.methods import flow as flow_method
from jaxflow.training import parallel, state, step
from jaxflow.types import Batch

FRAMES = 312_188  # about as many as Human3.6M has to train on


class Program(NamedTuple):
    """A program for a target.

    Attributes:
      lowered: by JAX.
      flops: of its matrix products where each is done once; 0 where nobody counted.
      state: bytes that it is given and gives back in the same place.
    """

    lowered: Any
    flops: float = 0.0
    state: int = 0


Devices = Sequence[Any]
Make = Callable[[Devices], Program]


def sampler(
    poses: int, hypotheses: int = 200, config: FlowConfig = FlowConfig()
) -> Make:
    """`jaxflow.sample`."""

    def make(devices: Devices) -> Program:
        params = jax.eval_shape(lambda: flow.init(jax.random.key(0), config))
        key, shaped = jax.eval_shape(lambda: jax.random.key(0)), jax.ShapeDtypeStruct
        vectors = [shaped((poses, n), jnp.float32) for n in (32, 78)]
        arguments = (*vectors, key, shaped((), jnp.float32))

        def draw(params: Any, *arrays: Any) -> jax.Array:
            return sampling.draw(
                *arrays,
                params=params,
                decode=sampling.poses,
                num_hypotheses=hypotheses,
                clamp=RELEASED_CLAMP,
            )

        flops = common.sampling_flops(config, poses, hypotheses)
        return Program(_lowered(draw, devices, (params, *arguments)), flops)

    return make


def iteration(config: TrainConfig = TrainConfig()) -> Make:
    """`training.step.iteration` by itself."""

    def make(devices: Devices) -> Program:
        start, count = _start(config), config.batches_per_iteration
        batch = Batch(*_vectors(count, config.batch_size))
        noise = jax.eval_shape(lambda: step.draw_noise(jax.random.key(0), config))
        run = functools.partial(step.iteration, config=config)
        lowered = _lowered(run, devices, (start, batch, noise), donate_argnums=0)
        return Program(lowered, common.iteration_flops(config), _bytes(start))

    return make


def dispatch(
    config: TrainConfig = TrainConfig(),
    frames: int = FRAMES,
    most: int = 100,
    read: bool = False,
) -> Make:
    """The program that trains: many iterations, over devices.

    Args:
      config: of the run.
      frames: of the data set.
      most: iterations of a dispatch.
      read: whether the devices hold the dispatch's frames alone (--stream).
    """

    def make(devices: Devices) -> Program:
        start, data = _start(config), _placed(Batch(*_vectors(frames)), devices)
        part = frames if read else 0
        run = parallel.mapped(config, tuple(devices), most, flow_method, part)
        rows = (len(devices), config.batch_size // len(devices))
        if read:
            room = most * config.frames_per_iteration // len(devices)
            data = Batch(*_vectors(len(devices), room, sharding=_spread(devices)))
        count = jax.ShapeDtypeStruct((), jnp.int32)
        lowered = run.lower(
            _placed(start, devices),
            data,
            _placed(count, devices),
            jax.ShapeDtypeStruct(rows, jnp.int32, sharding=_spread(devices)),
        )
        flops = common.iteration_flops(config) / len(devices)
        return Program(lowered, flops, _bytes(start))

    return make


def fits(count: int) -> Make:
    """`jaxflow.fit_gaussians`."""

    def make(devices: Devices) -> Program:
        maps = jax.ShapeDtypeStruct((count, 64, 64), jnp.float32)
        return Program(_lowered(fitting.fit_gaussians, devices, (maps,)))

    return make


def detector(batch: int, dtype: Any) -> Make:
    """HRNet-W32."""

    def make(devices: Devices) -> Program:
        variables = hrnet.shapes(hrnet.HRNetConfig())
        images = jax.ShapeDtypeStruct((batch, 256, 256, 3), jnp.float32)
        run = functools.partial(hrnet.heatmaps, dtype=dtype)
        return Program(_lowered(run, devices, (variables, images)))

    return make


def errors(poses: int, hypotheses: int = 200) -> Make:
    """All figures of an evaluation's batch."""

    def make(devices: Devices) -> Program:
        shapes = (poses, hypotheses, 17, 3), (poses, 17, 3), (poses, 17, 3)
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        return Program(_lowered(metrics.of_example, devices, tuple(arrays)))

    return make


TINY = TrainConfig(batch_size=8, hypotheses=6, flow=FlowConfig(blocks=2, hidden=16))
PROGRAMS: dict[str, Make] = {
    "sampler-tiny": sampler(1, config=TINY.flow),
    "sampler-1": sampler(1),
    "sampler-64": sampler(64),
    "sampler-512": sampler(512),
    "iteration": iteration(),
    "dispatch": dispatch(),
    "dispatch-read": dispatch(most=61, read=True),
    "dispatch-tiny": dispatch(TINY, frames=4096),
    "fits-16": fits(16),
    "fits-1024": fits(1024),
    "hrnet-8": detector(8, jnp.float32),
    "hrnet-8-bfloat16": detector(8, jnp.bfloat16),
    "metrics-64": errors(64),
}


def make(name: str, devices: Devices) -> Program:
    """The named program, traced as on a machine with such devices."""
    with jax.default_device(devices[0]):
        assert batching.platform() == devices[0].platform
        return PROGRAMS[name](devices)


def _lowered(
    run: Callable[..., Any], devices: Devices, arguments: tuple[Any, ...], **jit: Any
) -> Any:
    return jax.jit(run, **jit).lower(*_placed(arguments, devices[:1]))


def _placed(tree: Any, devices: Devices) -> Any:
    """Shapes, whole on each device."""
    mesh = jax.sharding.Mesh(list(devices), (parallel.AXIS,))
    where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    if len(devices) == 1:
        where = jax.sharding.SingleDeviceSharding(devices[0])

    def place(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    return jax.tree.map(place, tree)


def _spread(devices: Devices) -> jax.sharding.Sharding:
    mesh = jax.sharding.Mesh(list(devices), (parallel.AXIS,))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(parallel.AXIS))


def _vectors(*shape: int, **placed: Any) -> list[jax.ShapeDtypeStruct]:
    shapes = [(*shape, size) for size in (48, 32, 78)]
    return [jax.ShapeDtypeStruct(one, jnp.float32, **placed) for one in shapes]


def _start(config: TrainConfig) -> state.TrainState:
    return jax.eval_shape(lambda: state.init(jax.random.key(0), config))


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
