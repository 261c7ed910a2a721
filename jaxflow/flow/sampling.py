"""Hypotheses: draw latents, invert the flow, put the hip back.

    pose2d (..., 32), cond (..., 78), key -> (..., M, 17, 3), log-density (..., M)

Paper section 3: repeatedly drawing z ~ N(0, I) and inverting approximates the posterior
over 3D poses. The condition's share of every net is computed once per pose; poses go
through the flow in tiles that fit the cache (`batching`).

A program is compiled for a few numbers of poses (`batching.bucket`) and others are
filled up to one of them; `sample_blocks` draws for any number of poses in bounded
memory.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.typing
import numpy as np
import numpy.typing as npt

from jaxflow.config import RELEASED_CLAMP, SoftClamp
from jaxflow.flow import drawing, kept_blocks
from jaxflow.flow.drawing import hypotheses as hypotheses
from jaxflow.maths import checks, keys
from jaxflow.maths.batching import bucket
from jaxflow.types import Params, Sampled


def sample(
    params: Params,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    temperature: float | jax.Array = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> jax.Array:
    """Draws 3D hypotheses for each 2D pose.

    Pure, compiled once per number of hypotheses and bucket of poses; works under jit,
    vmap and grad. The hypotheses of an example depend on its own key, not on its
    neighbours or on the devices.

    Args:
      params: from `jaxflow.init` or `jaxflow.load_params`.
      pose2d: (..., 32) from `jaxflow.normalize_pose2d`.
      cond: (..., 78) from `jaxflow.condition`.
      key: one typed key, of which example i of the batch uses ``fold_in(key, i)``, or
        one key per example.
      num_hypotheses: M, static.
      temperature: scales the latents; 0 gives the z = 0 pose, the latents' mode.
      clamp: the soft clamp the parameters were trained with.

    Returns:
      (..., M, 17, 3) metres, H36M-17 order, hip at the origin, camera frame (x right,
      y down, z away from the camera).

    Raises:
      TypeError: not floating point, or a legacy key.
      ValueError: wrong sizes, leading shapes that differ, or no hypotheses asked for.

    Source: paper section 3.1; 200 hypotheses as in its section 4.3.
    """
    inputs = _checked(pose2d, cond, key, temperature, num_hypotheses)
    return _bucketed(drawing.poses, params, inputs, clamp)


def sample_bfloat16(
    params: Params,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    **options: Any,
) -> jax.Array:
    """`sample` computed in bfloat16, returned in float32.

    Half the memory and, where the device has units for it, several times the speed, for
    hypotheses that no longer meet the 2D pose exactly. The latents are drawn in
    bfloat16, too, and so are others. Arguments and errors as of `sample`.
    """

    def rough(array: jax.typing.ArrayLike) -> jax.Array:
        return jnp.asarray(array).astype(jnp.bfloat16)

    poses = sample(
        jax.tree.map(rough, params), rough(pose2d), rough(cond), key, **options
    )
    return poses.astype(jnp.float32)


def sample_with_log_density(
    params: Params,
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    temperature: float | jax.Array = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
) -> Sampled:
    """The poses of `sample`, bit for bit, and the log-density of each.

        log N(z; 0, I) - log|det J|,    J of the inverse map [z, pose2d] -> pose3d

    Every hypothesis meets the observed 2D pose exactly, so that of the three terms of
    `jaxflow.log_prob` the observation's is the same for all; this is the sum of the
    others: the log-density over the 48 numbers of the network's pose up to a constant,
    which ranks the hypotheses of one 2D pose whatever the observation's noise. The
    z = 0 pose is the latents' mode; where the flow stretches space there, others are
    denser. The density is the model's at temperature one, whatever temperature the
    latents were drawn at.

    Costs as much as sampling twice: a program that returns the log-determinant as well
    rounds the poses differently, and `sample` should stay what it is.

    Args, errors and source as for `sample`.
    """
    inputs = _checked(pose2d, cond, key, temperature, num_hypotheses)
    poses = _bucketed(drawing.poses, params, inputs, clamp)
    return Sampled(poses, _bucketed(drawing.log_densities, params, inputs, clamp))


def sample_blocks(
    params: Params,
    pose2d: npt.ArrayLike,
    cond: npt.ArrayLike,
    key: jax.Array,
    *,
    num_hypotheses: int = 200,
    temperature: float = 1.0,
    clamp: SoftClamp = RELEASED_CLAMP,
    block: int = 256,
) -> Iterator[tuple[slice, np.ndarray]]:
    """The poses of `sample`, for any number of examples, a block at a time.

    One program serves all blocks, and the next block is computed while the caller works
    on the last one: memory holds two of them, however many examples there are.

    Args:
      params: from `jaxflow.init` or `jaxflow.load_params`.
      pose2d: (N, 32), as for `sample`; may be mapped from a file.
      cond: (N, 78), as for `sample`.
      key: one typed key, or N.
      num_hypotheses: M.
      temperature: scales the latents.
      clamp: the soft clamp the parameters were trained with.
      block: examples that are computed together.

    Yields:
      The rows that a block holds, and its poses (rows, M, 17, 3) on the host.

    Raises:
      TypeError: not floating point, or a legacy key.
      ValueError: wrong sizes, or a block of no examples.

    Source: paper section 3.1.
    """
    pose2d, cond = np.asarray(pose2d), np.asarray(cond)
    if block < 1 or pose2d.ndim != 2:
        raise ValueError(
            "expected pose2d (N, 32) and blocks of at least one example; got "
            f"{pose2d.shape} and block = {block}"
        )
    keys.check_key(key)
    waiting: tuple[slice, jax.Array] | None = None
    for start in range(0, len(pose2d), block):
        rows = slice(start, min(start + block, len(pose2d)))
        # The last block repeats the last example, so that one program serves all.
        examples = np.minimum(np.arange(start, start + block), len(pose2d) - 1)
        own = key[examples] if key.shape else _keys(key, examples)
        poses = sample(
            params,
            pose2d[examples],
            cond[examples],
            own,
            clamp=clamp,
            num_hypotheses=num_hypotheses,
            temperature=temperature,
        )
        if waiting is not None:
            yield _fetched(*waiting)
        waiting = rows, poses
    if waiting is not None:
        yield _fetched(*waiting)


_keys = jax.jit(keys.per_example)


def _fetched(rows: slice, poses: jax.Array) -> tuple[slice, np.ndarray]:
    return rows, np.asarray(poses)[: rows.stop - rows.start]


class _Inputs(NamedTuple):
    """What is drawn for, checked; B examples.

    Attributes:
      pose2d: (..., 32).
      cond: (..., 78).
      key: one key, or one an example (...).
      temperature: a scalar.
      num_hypotheses: M.
    """

    pose2d: jax.Array
    cond: jax.Array
    key: jax.Array
    temperature: jax.Array | np.ndarray
    num_hypotheses: int


def _checked(
    pose2d: jax.typing.ArrayLike,
    cond: jax.typing.ArrayLike,
    key: jax.Array,
    temperature: float | jax.Array,
    num_hypotheses: int,
) -> _Inputs:
    """The inputs as arrays; see `sample` for what is refused."""
    pose2d = checks.floating("pose2d", pose2d, (32,))
    cond = checks.floating("cond", cond, (78,))
    batch_shape = checks.same_batch(pose2d=pose2d.shape[:-1], cond=cond.shape[:-1])
    keys.check_batch(key, batch_shape)
    num_hypotheses = operator.index(num_hypotheses)
    if num_hypotheses < 1:
        raise ValueError(f"num_hypotheses must be at least 1, not {num_hypotheses}")
    # A number stays NumPy's, and is converted where the rest is.
    array = (
        temperature if isinstance(temperature, jax.Array) else np.asarray(temperature)
    )
    return _Inputs(pose2d, cond, key, array.astype(pose2d.dtype), num_hypotheses)


def _bucketed(
    draw: Callable[..., jax.Array], params: Params, inputs: _Inputs, clamp: SoftClamp
) -> jax.Array:
    """``draw`` of all examples, filled up to a number that is compiled for."""
    params = kept_blocks.separate(params)
    batch_shape = inputs.pose2d.shape[:-1]
    count = math.prod(batch_shape)
    size = bucket(count)
    if size == count or not count or not _on_one_device(inputs):
        return draw(params, *inputs, clamp)
    # Rows are repeated by NumPy, which compiles nothing for another number of them.
    rows = np.minimum(np.arange(size), count - 1)
    pose2d = jnp.asarray(np.asarray(inputs.pose2d).reshape(count, -1)[rows])
    cond = jnp.asarray(np.asarray(inputs.cond).reshape(count, -1)[rows])
    key = inputs.key
    if key.shape:
        data = np.asarray(jax.random.key_data(key)).reshape(count, -1)[rows]
        key = jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(key))
    drawn = draw(params, pose2d, cond, key, *inputs[3:], clamp)
    return drawn[:count].reshape(*batch_shape, *drawn.shape[1:])


def _on_one_device(inputs: _Inputs) -> bool:
    """Whether these are numbers, not traced, and not spread over devices."""
    arrays = inputs.pose2d, inputs.cond, inputs.key
    if any(isinstance(array, jax.core.Tracer) for array in arrays):
        return False
    return all(array.is_fully_addressable for array in arrays) and all(
        len(array.devices()) == 1 for array in arrays
    )
