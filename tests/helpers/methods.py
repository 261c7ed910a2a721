"""Small members of `METHODS` to ask and to train, and a posterior that is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import made_up
from jaxflow import methods
from jaxflow.config import FlowConfig, NetConfig, OptimizerConfig, TrainConfig
from jaxflow.maths import geometry
from jaxflow.methods import whitening
from jaxflow.training.method import shown_params
from jaxflow.types import Batch, Grouped
from tests.helpers import flows

FLOW = FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
NET = NetConfig(width=16, depth=1, dropout=0.1, components=3, steps=2, features=12)
TINY = TrainConfig(
    batch_size=8,
    hypotheses=6,
    critic_hidden=16,
    iterations=12,
    flow=FLOW,
    net=NET,
    optimizer=OptimizerConfig(learning_rate=3e-3, average_decay=0.9),
)
TOY = dataclasses.replace(
    TINY,
    batch_size=64,
    iterations=200,
    net=dataclasses.replace(NET, width=32),
    optimizer=OptimizerConfig(
        learning_rate=5e-3, beta1=0.9, beta2=0.999, average_decay=0.98
    ),
)
OTHERS = [name for name in methods.METHODS if name != "flow"]
# Of the toy: how far its two modes lie from the middle, and how wide each is.
APART, WIDE = 1.5, 0.3
KEY = jax.random.key(1)


def model(name, config=TINY):
    """A small model of any parameters, the same each time."""
    method = methods.METHODS[name]
    if name == "flow":
        return method.model(flows.some(FLOW), config)
    params = shown_params(method, method.init(jax.random.key(0), config))
    rng = np.random.default_rng(0)
    net = jax.tree.map(
        lambda leaf: leaf + 0.05 * jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype),
        params["net"],
    )
    mean = 0.05 * rng.normal(size=params["whitening"]["mean"].shape)
    whitened = {**params["whitening"], "mean": jnp.asarray(mean, jnp.float32)}
    return method.model({**params, "net": net, "whitening": whitened}, config)


def batches(method, config=TINY, seed=0):
    """An iteration's, of made-up frames."""
    count = method.batches(config)
    data = made_up(count * config.batch_size)
    shaped = jax.tree.map(lambda a: a.reshape(count, config.batch_size, -1), data)
    if not method.groups:
        return shaped
    group = np.random.default_rng(seed).integers(
        method.groups, size=shaped[0].shape[:2]
    )
    return Grouped(shaped, jnp.asarray(group, jnp.int32))


def toy(key, size):
    """Poses of two modes, whatever is seen: r = +-APART along the first axis + noise.

    Returns:
      ``Grouped`` batches (1, size, ...) in an untrained model's whitened coordinates.
    """
    sign_key, noise_key, pose2d_key = jax.random.split(key, 3)
    sign = jax.random.rademacher(sign_key, (size,), jnp.float32)
    r = WIDE * jax.random.normal(noise_key, (size, whitening.SIZE))
    r = r.at[:, 0].add(APART * sign)
    factor = whitening.init(jax.random.key(0), 1)["factor"]
    pose2d = jax.random.normal(pose2d_key, (size, 32))
    cond = jnp.broadcast_to(made_up(1).cond, (size, 78))
    frames = Batch(*(a[None] for a in (r @ factor.T, pose2d, cond)))
    return Grouped(frames, jnp.zeros((1, size), jnp.int32))


def learned(name, config, iterations):
    """A model trained on the toy."""
    method = methods.METHODS[name]
    state = method.init(jax.random.key(0), config)

    def one(state, step):
        toy_key, noise_key = jax.random.split(jax.random.fold_in(KEY, step))
        noise = method.draw_noise(noise_key, config)
        return method.iteration(state, toy(toy_key, config.batch_size), noise, config)

    run = jax.jit(lambda state: jax.lax.scan(one, state, jnp.arange(iterations)))
    state, losses = run(state)
    return method.model(shown_params(method, state), config), losses


def residuals(model, frames=8, count=125):
    """(frames * count, 45) whitened, of what the model draws for frames of the toy."""
    seen = jax.tree.map(lambda a: a[0], toy(KEY, frames).frames)
    poses = model.sample(seen.pose2d, seen.cond, KEY, num_hypotheses=count)
    vectors = geometry.normalize_pose3d(poses).reshape(-1, 48)
    whitened = model.parameters()["whitening"]
    return np.asarray(whitening.residual(whitened, vectors, jnp.zeros(48)))
