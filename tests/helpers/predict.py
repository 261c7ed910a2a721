"""Drawn people, a detector and a flow that have learned them in seconds."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image, ImageDraw

import jaxflow
from data_builders.synthetic_lift.generation import generate
from jaxflow.detector.learning import step as learning
from jaxflow.detector.learning.examples import Example
from jaxflow.detector.network import checkpoint, hrnet
from jaxflow.detector.network.loading import Detector
from jaxflow.methods.flow import FlowModel
from jaxflow.prediction import inputs as prediction_inputs
from jaxflow.prediction import run as prediction_run
from jaxflow.prediction import sources, stream
from jaxflow.prediction.files import Output
from jaxflow.prediction.lifter import Lifter
from jaxflow.runs.profiling import Clock
from jaxflow.skeleton import MPII_BONES
from tests.helpers import flows
from tests.helpers.compiled import optimised

NETWORK = dataclasses.replace(hrnet.TINY, stage3_modules=0)
FLOW = jaxflow.FlowConfig(blocks=4, hidden=96, encoder_hidden=48, encoded=24)
QUICK_FLOW = jaxflow.FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
_GROUND, _LIMB = (110, 110, 110), (80, 80, 80)
# Of the joints, as far apart as sixteen can be: a small network tells them in seconds.
_COLOURS = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
    (0, 0, 0),
    (255, 128, 0),
    (128, 0, 255),
    (0, 128, 255),
    (128, 255, 0),
    (255, 0, 128),
    (0, 255, 128),
    (128, 0, 0),
    (0, 0, 128),
)


def draw(points, size=256, ground=_GROUND):
    """A picture (size, size, 3) of joints (16, 2) px, each of its own colour."""
    image = Image.new("RGB", (size, size), ground)
    pen = ImageDraw.Draw(image)
    for start, end in MPII_BONES:
        pen.line([*points[start], *points[end]], fill=_LIMB, width=7)
    for (x, y), colour in zip(points, _COLOURS, strict=True):
        pen.ellipse([x - 6, y - 6, x + 6, y + 6], fill=colour)
    return np.asarray(image)


def colour_detector():
    """A detector that knows each joint by its colour, with nothing to compile."""
    colours = np.array(_COLOURS, np.float32)

    def network(crops):
        pixels = crops[:, ::4, ::4].astype(np.float32)
        maps = [np.exp(-np.square(pixels - one).sum(-1) / 60**2) for one in colours]
        return np.stack(maps, axis=1)

    return Detector(network, "colours", flip_test=False)


def quick_lifter(**options):
    """The colour detector and a fresh flow of the smallest size."""
    params = flows.some(QUICK_FLOW)
    return Lifter(
        FlowModel.of(params, QUICK_FLOW),
        detector=colour_detector(),
        num_hypotheses=8,
        sizes=stream.SIZES,
        **options,
    )


def write_clip(path, frames, fps=5):
    """A video of frames (T, H, W, 3), without loss."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="extra 'detector'")
    size = frames[0].shape[1::-1]
    writer = ffmpeg.write_frames(
        str(path), size, fps=fps, codec="rawvideo", pix_fmt_out="bgr24"
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return path


def run(inputs, lifter, out, reading=None, about=None, **options):
    """A run, and the number of frames that its progress bar ends with."""
    found = sources.find(inputs)
    steps = []
    output = Output(out, **options)
    plan = prediction_run.plan(found, output, about or {"rule": "z0"})
    outcome = prediction_run.predict(
        plan,
        prediction_run.Task(
            lifter, reading or prediction_inputs.Reading(), output, Clock()
        ),
        steps.append,
    )
    return outcome, plan.frames() + sum(steps)


def write_long_json(path, joints, megabytes):
    """A COCO data set, nearly all of it outlines, of 20 people's keypoints."""
    people = 20
    outline = ", ".join(["123.25"] * int(megabytes * 1e6 / people / 8))
    keypoints = np.c_[joints, np.full(16, 2)].ravel().tolist()
    with open(path, "w") as file:
        file.write('{"images": [{"id": 5, "file_name": "x.jpg"}], "annotations": [')
        for i in range(people):
            entry = {"image_id": 5, "id": i, "keypoints": keypoints}
            text = json.dumps(entry)[:-1] + f', "segmentation": [{outline}]}}'
            file.write(", " * bool(i) + text)
        file.write("]}")


def peak_of(call):
    """What the call gives, and by how many MB it raised the process's memory."""
    status, peak = (
        pathlib.Path("/proc/self/status"),
        pathlib.Path("/proc/self/clear_refs"),
    )
    try:
        peak.write_text("5")  # starts the peak anew
    except OSError:
        pytest.skip("peak memory cannot be told here: no /proc/self/clear_refs")

    def kilobytes(name):
        lines = status.read_text().splitlines()
        return next(int(one.split()[1]) for one in lines if one.startswith(name))

    before = kilobytes("VmRSS")
    result = call()
    return result, (kilobytes("VmHWM") - before) / 1e3


def contents(folder):
    """Every file below the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def people(split, count, seed=0):
    """Frames of the synthetic data set whose joints are where they seem to be."""
    records = generate(split, count, seed)
    return dataclasses.replace(records, pose2d=records.extra["pose2d_true"])


@optimised()
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


@optimised()
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
