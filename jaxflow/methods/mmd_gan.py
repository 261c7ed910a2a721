"""A generator that sees no pairs of 2D and 3D poses (Li and Lee, BMVC 2020).

    x = G(c, z),  z ~ N(0, I);    MMD^2(x, poses of the data set) by a critic's numbers

Poses of the data set say what people look like, never which belongs to a 2D pose: that
a hypothesis answers its own, only its projection says. The generator's loss is

    MMD^2 + 10 reprojection + 7.5 diversity + 10 encoding

with the mean distance from the 2D pose; how much nearer two hypotheses lie than their
z; and the error of z as an encoder reads it from x. The critic sees the pose and its
bones' inner products, gives 8 numbers and learns by -MMD^2 and a penalty on its slope.
As published: 1,024 wide, Adam at 1e-4 (0.5, 0.9), 64 poses with two z each, 50 epochs;
the real poses are another batch's.

Temperature scales z.

Changed for the harness: poses are in the camera's frame, so that the projection leaves
out depth and no camera is predicted; its scale is the best one for each pose, as 2D
poses have none. Critic and generator step at once, from the same parameters; the critic
sees 16 bones, the nose's among them; the rate does not fall by 6 % an epoch; a pass
over the frames shows half of them as 2D poses and half as 3D, hence 100 epochs. Source:
Li and Lee (BMVC 2020) and their released code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import critic
from jaxflow.config import NetConfig, TrainConfig
from jaxflow.maths import geometry
from jaxflow.maths.layers import product
from jaxflow.methods import denoiser, trunk, whitening
from jaxflow.methods.supervised import CONSTANT_RATE, Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.skeleton import MPII_JOINTS, MPII_TO_H36M
from jaxflow.types import Params

_ALPHAS, _LINEAR = (0.1, 1.0, 10.0), 10.0
_REPROJECTION, _DIVERSITY, _ENCODING, _PENALTY = 10.0, 7.5, 10.0, 0.1
_NUMBERS, _POSE_WIDTH, _SLOPE = 8, 128, 0.2
# Joints that detector and data set understand in different ways count less.
_WEIGHTS = {"Hip": 0.0, "Thorax": 0.1, "Head": 0.1}
_BONES = 10.0  # brings squared metres near 1


class Losses(NamedTuple):
    """Without weights; see above. Poses in deviations of the data set."""

    mmd: jax.Array
    reprojection: jax.Array
    diversity: jax.Array
    encoding: jax.Array
    penalty: jax.Array


def _layers_init(key: jax.Array, inputs: int, width: int, blocks: int) -> Params:
    keys = jax.random.split(key, 1 + 2 * blocks)
    sizes = [inputs, *[width] * (2 * blocks)]
    return {
        f"layer{i}": trunk.dense_init(each, size, width)
        for i, (each, size) in enumerate(zip(keys, sizes, strict=True))
    }


def _active(layer: Params, x: jax.Array) -> jax.Array:
    return jax.nn.leaky_relu(trunk.dense(layer, x), _SLOPE)


def _layers(net: Params, x: jax.Array, added: float | jax.Array = 0.0) -> jax.Array:
    """A dense layer, then blocks of two that are added to what they get."""
    h = _active(net["layer0"], x) + added
    for i in range(1, len(net), 2):
        h = h + _active(net[f"layer{i + 1}"], _active(net[f"layer{i}"], h))
    return h


def net(key: jax.Array, config: NetConfig) -> Params:
    """Generator, encoder and critic."""
    keys = jax.random.split(key, 9)
    width, small = config.width, min(config.width, _POSE_WIDTH)
    bones = critic.kcs_matrix().shape[1] ** 2
    return {
        "net": {
            "trunk": _layers_init(keys[0], whitening.inputs(), width, 1),
            "join": trunk.dense_init(keys[1], 2 * width, width),
            "joined": _layers_init(keys[2], width, width, 1),
            "pose": trunk.dense_init(keys[3], width, whitening.POSE, gain=1.0),
            "encoder": _layers_init(keys[4], whitening.POSE, width, 1),
            "z": trunk.dense_init(keys[5], width, width, gain=1.0),
            "critic": {
                "pose": _layers_init(keys[6], whitening.POSE, small, 2),
                "bones": _layers_init(keys[7], bones, width, 2),
                "out": trunk.dense_init(keys[8], small + width, _NUMBERS, gain=1.0),
            },
        }
    }


def _generated(net: Params, inputs: jax.Array, z: jax.Array) -> jax.Array:
    """Standardised poses (..., 48), mean 0 along each axis, of z (..., W)."""
    seen = _layers(net["trunk"], inputs)
    rows = jnp.broadcast_to(seen, (*z.shape[:-1], seen.shape[-1]))
    h = _active(net["join"], jnp.concatenate([rows, z], axis=-1))
    return trunk.dense(net["pose"], _layers(net["joined"], h, added=seen))


def _metres(standard: jax.Array, units: Params) -> jax.Array:
    """Poses (..., 48), centred."""
    pose = units["place"] + units["scale"] * standard
    axes = pose.reshape(*pose.shape[:-1], 3, -1)
    return (axes - jnp.mean(axes, axis=-1, keepdims=True)).reshape(pose.shape)


def _judged(net: Params, pose3d: jax.Array, units: Params) -> jax.Array:
    """The critic's numbers (..., 8) of poses (..., 48), metres."""
    standard = (pose3d - units["place"]) / units["scale"]
    bones = _BONES * critic.kcs(pose3d)
    paths = [
        _layers(net["pose"], standard),
        _layers(net["bones"], bones.reshape(*bones.shape[:-2], -1)),
    ]
    return trunk.dense(net["out"], jnp.concatenate(paths, axis=-1))


def kernel(a: jax.Array, b: jax.Array) -> jax.Array:
    """(N, D), (K, D) -> (N, K): rational quadratic ones, and a linear one."""
    square = jnp.sum((a[:, None] - b[None]) ** 2, axis=-1)
    mixed = sum((1 + square / (2 * alpha)) ** -alpha for alpha in _ALPHAS)
    return mixed + _LINEAR * product(a, b.T)


def mmd(fake: jax.Array, real: jax.Array) -> jax.Array:
    """Squared MMD of rows (N, D) and (K, D), the diagonal left out."""

    def within(rows: jax.Array) -> jax.Array:
        count = len(rows)
        off = jnp.where(jnp.eye(count, dtype=bool), 0, kernel(rows, rows))
        return jnp.sum(off) / (count * (count - 1))

    return within(fake) + within(real) - 2 * jnp.mean(kernel(fake, real))


def reprojection(pose3d: jax.Array, pose2d: jax.Array) -> jax.Array:
    """Distances (..., 32) of projections of poses (..., 48) from 2D poses (..., 32)."""
    joints = geometry.with_hip(pose3d)[..., MPII_TO_H36M, :2]
    flat = jnp.swapaxes(joints - jnp.mean(joints, axis=-2, keepdims=True), -1, -2)
    flat = flat.reshape(*flat.shape[:-2], -1)
    square = jnp.maximum(jnp.sum(flat**2, axis=-1), 1e-6)
    scale = jnp.maximum(jnp.sum(flat * pose2d, axis=-1) / square, 0)
    weights = np.tile([_WEIGHTS.get(name, 1.0) for name in MPII_JOINTS], 2)
    return jnp.asarray(weights, flat.dtype) * jnp.abs(scale[..., None] * flat - pose2d)


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """Both losses: each stands still for the other's parameters."""
    units, width = lesson.params["whitening"]["pose"], config.net.width
    z, mix = denoiser.draws(
        lesson,
        lambda key: (
            jax.random.normal(key, (2, width)),
            jax.random.uniform(jax.random.fold_in(key, 0)),
        ),
    )
    z = jnp.swapaxes(z, 0, 1)
    standard = _generated(net, lesson.seen.inputs, z)
    fake, real = _metres(standard, units), lesson.others
    assert real is not None  # as the method is unpaired
    encoded = trunk.dense(net["z"], _layers(net["encoder"], standard))
    near = jnp.mean(jnp.abs(standard[0] - standard[1]), axis=-1)
    near = near / jnp.mean(jnp.abs(z[0] - z[1]), axis=-1)
    still = jax.tree.map(jax.lax.stop_gradient, net["critic"])
    told = _apart(still, fake, real, units, lesson.axis_name)
    fixed = jax.lax.stop_gradient(fake)
    judged = _apart(net["critic"], fixed, real, units, lesson.axis_name)
    penalty = _slope(net["critic"], fixed, real, mix, units, lesson.axis_name)
    losses = Losses(
        told,
        jnp.mean(reprojection(fake, lesson.batch.pose2d)),
        jnp.mean(jax.nn.relu(1 - near)),
        jnp.mean(jnp.abs(encoded - z)),
        penalty,
    )
    total = told + _REPROJECTION * losses.reprojection
    total += _DIVERSITY * losses.diversity + _ENCODING * losses.encoding
    return total - judged + _PENALTY * penalty, Learned(losses)


def _together(rows: jax.Array, axis_name: str | None) -> jax.Array:
    """Those of all devices that share a batch."""
    if axis_name is None:
        return rows
    return jax.lax.all_gather(rows, axis_name, axis=0, tiled=True)


def _numbers(
    net: Params, fake: jax.Array, real: jax.Array, units: Params, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    flat = fake.reshape(-1, fake.shape[-1])
    both = (_judged(net, rows, units) for rows in (flat, real))
    one, other = (_together(rows, axis_name) for rows in both)
    return one, other


def _apart(net: Params, *given: Any) -> jax.Array:
    return mmd(*_numbers(net, *given))


def _slope(
    net: Params,
    fake: jax.Array,
    real: jax.Array,
    mix: jax.Array,
    units: Params,
    axis_name: str | None,
) -> jax.Array:
    """Mean (|grad| - 1)^2 of what tells the sets apart, between both."""
    ours, theirs = _numbers(net, fake, real, units, axis_name)

    def witness(standard: jax.Array) -> jax.Array:
        told = _judged(net, units["place"] + units["scale"] * standard, units)[None]
        return jnp.mean(kernel(told, ours)) - jnp.mean(kernel(told, theirs))

    between = real + mix[:, None] * (fake[0] - real)
    slopes = jax.vmap(jax.grad(witness))((between - units["place"]) / units["scale"])
    norm = jnp.sqrt(jnp.sum(slopes**2, axis=-1) + 1e-12)
    return jnp.mean((norm - 1) ** 2)


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    key, temperature, num_hypotheses = how
    z = temperature * jax.random.normal(key, (num_hypotheses, config.width))
    standard = _generated(params["net"], seen.inputs, z)
    return _metres(standard, params["whitening"]["pose"])


PUBLISHED: dict[str, Any] = {
    "width": 1024,
    "batch_size": 64,
    "epochs": 100,
    "learning_rate": 1e-4,
    "beta1": 0.5,
    "beta2": 0.9,
    **CONSTANT_RATE,
}

METHOD = Supervised(
    "mmd_gan", Losses, net, loss, draw, published=PUBLISHED, unpaired=True
)
