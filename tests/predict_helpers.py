"""Drawn people, a detector and a flow that have learned them in seconds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image, ImageDraw

import jaxflow
from data_builders.synthetic_lift.generation import generate
from jaxflow.detector import checkpoint, hrnet, learning
from jaxflow.detector.examples import Example
from jaxflow.skeleton import MPII_BONES

NETWORK = dataclasses.replace(hrnet.TINY, stage3_modules=0)
FLOW = jaxflow.FlowConfig(blocks=4, hidden=96, encoder_hidden=48, encoded=24)
_GROUND, _LIMB = (110, 110, 110), (80, 80, 80)
# Of the joints, as far apart as sixteen can be: a small network tells them in seconds.
_COLOURS = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255),
    (255, 255, 255), (0, 0, 0), (255, 128, 0), (128, 0, 255), (0, 128, 255),
    (128, 255, 0), (255, 0, 128), (0, 255, 128), (128, 0, 0), (0, 0, 128),
)  # fmt: skip


def draw(points, size=256, ground=_GROUND):
    """A picture (size, size, 3) of joints (16, 2) px, each of its own colour."""
    image = Image.new("RGB", (size, size), ground)
    pen = ImageDraw.Draw(image)
    for start, end in MPII_BONES:
        pen.line([*points[start], *points[end]], fill=_LIMB, width=7)
    for (x, y), colour in zip(points, _COLOURS, strict=True):
        pen.ellipse([x - 6, y - 6, x + 6, y + 6], fill=colour)
    return np.asarray(image)


def people(split, count, seed=0):
    """Frames of the synthetic data set whose joints are where they seem to be."""
    records = generate(split, count, seed)
    return dataclasses.replace(records, pose2d=records.extra["pose2d_true"])


def train_detector(folder, steps=100, size=128, batch=6):
    """Learns to find the joints' colours, in crops of half the size."""
    points = people("train", steps * batch).pose2d / 2
    state = learning.start(hrnet.init(jax.random.key(0), NETWORK))
    for step in range(steps):
        some = points[step * batch : (step + 1) * batch]
        crops = np.stack([draw(one, size) for one in some])
        weight = np.ones(some.shape[:2], np.float32)
        rate = np.float32(3e-3 if step < 0.7 * steps else 6e-4)
        state, _ = learning.step(
            state, Example(crops, some.astype(np.float32), weight), rate, NETWORK
        )
    checkpoint.save(folder, state.variables, NETWORK)


def train_flow(folder, steps=600, batch=128, frames=4000):
    """A small flow fitted by maximum likelihood, so that its spread is about right."""
    records = generate("train", frames, 0)
    fits = jnp.asarray(records.gaussfit)
    data = (
        jaxflow.normalize_pose3d(jnp.asarray(records.pose3d / 1000)),
        jaxflow.normalize_pose2d(jnp.asarray(records.pose2d)),
        jaxflow.condition(fits),
    )
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    @jax.jit
    def fit(params):
        def loss(params, rows):
            pose3d, pose2d, cond = (array[rows] for array in data)
            density = jaxflow.log_prob(
                params, pose3d, pose2d, cond, observation_scale=0.05
            )
            return -jnp.mean(density)

        def step(carry, rows):
            params, moments = carry
            value, gradient = jax.value_and_grad(loss)(params, rows)
            with jax.numpy_dtype_promotion("standard"):  # optax promotes
                change, moments = adam.update(gradient, moments, params)
            return (optax.apply_updates(params, change), moments), value

        rows = jax.random.randint(jax.random.key(2), (steps, batch), 0, frames)
        (params, _), losses = jax.lax.scan(step, (params, adam.init(params)), rows)
        return params, losses

    params, losses = fit(jaxflow.init(jax.random.key(1), FLOW))
    config = jaxflow.TrainConfig(flow=FLOW)
    jaxflow.save_params(folder, params, config)
    return losses
