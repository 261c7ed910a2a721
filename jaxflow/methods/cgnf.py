"""A conditional graph normalizing flow (Pierzchlewicz et al., 2022).

    z = f_n(...f_1(u; c)...; c) ~ N(0, I),  u: 15 joints relative to the hip

A layer scales and shifts each coordinate for all joints alike (ActNorm), then one of
the three by sigmoid(s + 2) + 0.001 and t, which a graph net tells from the two others:
two graph layers, in each of which a joint adds up what it hears of itself, along its
bones, of its detection and, at the root, of the hip. Detections first hear each other
through a learned matrix. Those less sure than 5 heatmap px along their longer axis are
heard by nobody, which is how occlusion enters; in training, so are further ones: a
share of 0, 20, 40, 60 or 80 %. The loss is, by joint,

    -log p(u | c) / 2 - log p(u) / 2 + 0.1 x the error, mm, of the pose of z = 0

with nothing heard in the second. As published: ten layers (`NetConfig.depth`), 100
wide, Adam at 1e-3, batches of 200, 200 epochs. Temperature scales z.

Changed for the harness: the left hip stands for both, which lie opposite to each other
about the root, so that u has a pose's 45 degrees of freedom; it is measured from the
mean pose; detections tell their whole condition, the head's the nose, too; a frame
draws one share, and each detection by chance; ActNorm starts as the identity, not from
a batch; the error is of triples of numbers, where the released code pairs them; the
rate does not fall where the loss stays. Source: Pierzchlewicz et al. (2022) and their
released code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.gaussians import ellipses
from jaxflow.gaussians.condition import PER_JOINT, SIGMA_UNIT
from jaxflow.maths import geometry
from jaxflow.maths.layers import product
from jaxflow.methods import denoiser, graph_mdn, trunk, whitening
from jaxflow.methods.supervised import ADAM, CONSTANT_RATE, Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.skeleton import (
    CONDITIONED_MPII,
    H36M_JOINTS,
    H36M_PARENTS,
    HIP,
    LEFT_HIP,
    MPII_JOINTS,
    MPII_TO_H36M,
    RIGHT_HIP,
)
from jaxflow.types import Params

# H36M-17 joints of the graph, coordinates behind them.
NODES = tuple(i for i in range(len(H36M_JOINTS)) if i not in (HIP, RIGHT_HIP))
_UNIT = 1 / 3.6  # metres
_EMBEDDING, _EMBEDDED = 128, 10  # numbers of a detection: within, and for the nodes
_DROPPED = (0.0, 0.2, 0.4, 0.6, 0.8)
_MODE_WEIGHT = 0.1


class Losses(NamedTuple):
    """Without weights.

    Attributes:
      likelihood: mean negative log-density by joint, nats.
      prior: the same where nothing is heard.
      mode: distance of a joint in the pose of z = 0, mm.
    """

    likelihood: jax.Array
    prior: jax.Array
    mode: jax.Array


def _node(joint: int) -> int:
    """Of an H36M-17 joint; of the right hip, the node that stands for both."""
    return NODES.index(LEFT_HIP if joint == RIGHT_HIP else joint)


def bones() -> np.ndarray:
    """(15, 15) whether a bone joins two nodes."""
    joined = np.zeros((len(NODES), len(NODES)))
    for joint in NODES:
        parent = H36M_PARENTS[joint]
        if parent != HIP:
            pair = _node(joint), _node(parent)
            joined[pair] = joined[pair[::-1]] = 1
    return joined


def detection_edges() -> np.ndarray:
    """(15, 16) which detections a node hears: its own, and the nose the head's."""
    heard = np.zeros((len(NODES), len(MPII_JOINTS)))
    for i, joint in enumerate(MPII_TO_H36M):
        if joint != HIP:
            heard[_node(joint), i] = 1
    heard[_node(H36M_JOINTS.index("Nose")), MPII_JOINTS.index("Head")] = 1
    return heard


def at_root() -> np.ndarray:
    """(15, 1) whether a bone joins a node to the hip."""
    return np.array([[float(H36M_PARENTS[joint] == HIP)] for joint in NODES])


def sure(cond: jax.Array) -> jax.Array:
    """(..., 16) 1 where a detection is heard, 0 where it is too unsure.

    Args:
      cond: (..., 78).
    """
    numbers = cond.reshape(*cond.shape[:-1], len(CONDITIONED_MPII), PER_JOINT)
    covariance = ellipses.symmetric(*(numbers[..., i] for i in (3, 4, 5)))
    longer = ellipses.sigma_theta(covariance)[0][..., 0] * SIGMA_UNIT / 2
    heard = jnp.ones((*cond.shape[:-1], len(MPII_JOINTS)), cond.dtype)
    unsure = longer > ellipses.AMBIGUOUS_SIGMA
    return heard.at[..., CONDITIONED_MPII].set(jnp.where(unsure, 0.0, 1.0))


def net(key: jax.Array, config: NetConfig) -> Params:
    """What detections tell each other, and the layers, stacked along a first axis."""
    keys = jax.random.split(key, 5)
    sizes = ((graph_mdn.PER_NODE, _EMBEDDING), (_EMBEDDING, _EMBEDDED))
    joints = len(MPII_JOINTS)
    detections: Params = {"between": jnp.ones((joints, joints))}
    for i, (inputs, outputs) in enumerate(sizes):
        detections[f"own{i}"] = trunk.dense_init(keys[2 * i], inputs, outputs)
        others = trunk.dense_init(keys[2 * i + 1], inputs, outputs)
        detections[f"others{i}"] = others["kernel"]
    layer = jax.vmap(lambda key: _layer_init(key, config.width))
    layers = layer(jax.random.split(keys[4], config.depth))
    return {"net": {"detections": detections, "layers": layers}}


def _layer_init(key: jax.Array, width: int) -> Params:
    keys = jax.random.split(key, 3)
    return {
        "log_scale": jnp.zeros(3),
        "shift": jnp.zeros(3),
        "first": _graph_init(keys[0], (2, _EMBEDDED), width, width, 1.0),
        "detection": trunk.dense_init(keys[1], _EMBEDDED, width),
        "second": _graph_init(keys[2], (width, width), width, 2, 0.1),
    }


def _graph_init(
    key: jax.Array, inputs: tuple[int, int], width: int, outputs: int, gain: float
) -> Params:
    """Of so many numbers of a node and of a detection."""
    keys = jax.random.split(key, 4)
    return {
        "own": trunk.dense_init(keys[0], inputs[0], width, 1.0),
        "bones": trunk.dense_init(keys[1], inputs[0], width, 1.0),
        "detection": trunk.dense_init(keys[2], inputs[1], width, 1.0),
        "root": jnp.zeros(width),
        "out": trunk.dense_init(keys[3], width, outputs, gain),
    }


def embedded(layers: Params, detections: jax.Array, heard: jax.Array) -> jax.Array:
    """Detections that have heard each other (GraphSAGE), two layers.

    Args:
      layers: of the net.
      detections: (..., 16, 10).
      heard: (..., 16) 1 or 0.
    """
    weights = layers["between"] * heard[..., None, :] * heard[..., None]
    weights = weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), 1)
    h = detections
    for i in range(2):
        others = product(product(weights, h), layers[f"others{i}"])
        h = trunk.dense(layers[f"own{i}"], h) + others
        h = jax.nn.relu(h) if i == 0 else h
    return h


class Shares(NamedTuple):
    """What nodes hear from outside the graph, (L, ..., 15, W) each, once a pose."""

    first: jax.Array
    second: jax.Array


def shares(net: Params, inputs: jax.Array, heard: jax.Array) -> Shares:
    """In both graph layers of all L layers.

    Args:
      net: from `net`.
      inputs: (..., I), see `Seen`.
      heard: (..., 16) 1 or 0, see `sure`.
    """
    detections = embedded(net["detections"], graph_mdn.nodes(inputs), heard)
    edges = jnp.asarray(detection_edges(), inputs.dtype) * heard[..., None, :]
    root = jnp.asarray(at_root(), inputs.dtype)

    def share(graph: Params, detections: jax.Array) -> jax.Array:
        message = jax.nn.relu(trunk.dense(graph["detection"], detections))
        return product(edges, message) + root * graph["root"]

    def of_layer(layer: Params) -> Shares:
        later = jax.nn.relu(trunk.dense(layer["detection"], detections))
        return Shares(share(layer["first"], detections), share(layer["second"], later))

    return jax.vmap(of_layer)(net["layers"])


def _graph(graph: Params, x: jax.Array, share: jax.Array) -> jax.Array:
    """One graph layer of (..., 15, I)."""
    own = jax.nn.relu(trunk.dense(graph["own"], x))
    along = jax.nn.relu(trunk.dense(graph["bones"], x))
    summed = own + product(jnp.asarray(bones(), x.dtype), along) + share
    return trunk.dense(graph["out"], summed)


def _scale_shift(
    layer: Params, share: Shares, u: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Of the first coordinate, (..., 15) each, from the two others."""
    h = _graph(layer["first"], u[..., 1:], share.first)
    out = _graph(layer["second"], h, share.second)
    return jax.nn.sigmoid(out[..., 0] + 2) + 0.001, out[..., 1]


def forward(layers: Params, share: Shares, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nodes u (..., 15, 3) to z (..., 15, 3) and log|det dz/du| (...).

    Args:
      layers: of the net.
      share: from `shares`.
      u: metres, in units.
    """

    def step(carried: Any, given: Any) -> tuple[Any, None]:
        (u, log_det), (layer, share) = carried, given
        u = jnp.exp(layer["log_scale"]) * u + layer["shift"]
        scale, shift = _scale_shift(layer, share, u)
        u = u.at[..., 0].set(scale * u[..., 0] + shift)
        log_det += jnp.sum(jnp.log(scale), axis=-1)
        log_det += len(NODES) * jnp.sum(layer["log_scale"])
        # The next layer's turn is the next coordinate's.
        return (jnp.roll(u, -1, axis=-1), log_det), None

    start = u, jnp.zeros(u.shape[:-2], u.dtype)
    return jax.lax.scan(step, start, (layers, share))[0]


def inverse(layers: Params, share: Shares, z: jax.Array) -> jax.Array:
    """From z (..., 15, 3) back to nodes u (..., 15, 3)."""

    def step(u: jax.Array, given: Any) -> tuple[jax.Array, None]:
        layer, share = given
        u = jnp.roll(u, 1, axis=-1)
        scale, shift = _scale_shift(layer, share, u)
        u = u.at[..., 0].set((u[..., 0] - shift) / scale)
        return (u - layer["shift"]) * jnp.exp(-layer["log_scale"]), None

    return jax.lax.scan(step, z, (layers, share), reverse=True)[0]


def to_nodes(pose3d: jax.Array) -> jax.Array:
    """Poses (..., 48) to nodes relative to the hip (..., 15, 3), in units."""
    return geometry.with_hip(pose3d)[..., NODES, :] / _UNIT


def to_pose(u: jax.Array) -> jax.Array:
    """The inverse, centred: (..., 15, 3) -> (..., 48)."""
    joints = jnp.zeros((*u.shape[:-2], len(H36M_JOINTS), 3), u.dtype)
    joints = joints.at[..., NODES, :].set(_UNIT * u)
    joints = joints.at[..., RIGHT_HIP, :].set(-joints[..., LEFT_HIP, :])[..., 1:, :]
    return geometry.to_vector(joints - jnp.mean(joints, axis=-2, keepdims=True))


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """How unlikely poses are, detections heard and not, and the mode's error."""
    del config

    def kept(key: jax.Array) -> tuple[jax.Array, ...]:
        share_key, each_key = jax.random.split(key)
        dropped = jax.random.choice(share_key, jnp.asarray(_DROPPED))
        return (jax.random.bernoulli(each_key, 1 - dropped, (len(MPII_JOINTS),)),)

    heard = jnp.where(denoiser.draws(lesson, kept)[0], sure(lesson.batch.cond), 0)
    both = jnp.concatenate([heard, jnp.zeros_like(heard)])
    told = shares(net, jnp.tile(lesson.seen.inputs, (2, 1)), both)
    u = to_nodes(lesson.batch.pose3d - lesson.params["whitening"]["pose"]["place"])
    z, log_det = forward(net["layers"], told, jnp.tile(u, (2, 1, 1)))
    density = jnp.mean(_of_normal(z, log_det).reshape(2, -1), axis=-1) / len(NODES)
    with_context = jax.tree.map(lambda share: share[:, : len(u)], told)
    mode = inverse(net["layers"], with_context, jnp.zeros_like(u))
    distance = jnp.sqrt(jnp.sum((mode - u) ** 2, axis=-1) + 1e-12)
    losses = Losses(-density[0], -density[1], 1000 * _UNIT * jnp.mean(distance))
    total = (losses.likelihood + losses.prior) / 2 + _MODE_WEIGHT * losses.mode
    return total, Learned(losses)


def _of_normal(z: jax.Array, log_det: jax.Array) -> jax.Array:
    return jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=(-2, -1)) + log_det


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    del config
    key, temperature, num_hypotheses = how
    z = temperature * jax.random.normal(key, (num_hypotheses, len(NODES), 3))
    u = inverse(
        params["net"]["layers"], shares(params["net"], seen.inputs, sure(seen.cond)), z
    )
    return params["whitening"]["pose"]["place"] + to_pose(u)


def density(params: Params, pose3d: jax.Array, seen: Seen) -> jax.Array:
    """See `Supervised`."""
    u = to_nodes(pose3d - params["whitening"]["pose"]["place"])
    shared = shares(params["net"], seen.inputs, sure(seen.cond))
    z, log_det = forward(params["net"]["layers"], shared, u)
    return _of_normal(z, log_det) + _log_det_of_nodes()


def _log_det_of_nodes() -> float:
    """log|det du/dpose| on the 45-dimensional space of centred poses."""
    with jax.ensure_compile_time_eval():
        rows = to_nodes(jnp.asarray(whitening.basis().T, jnp.float32))
    return float(np.linalg.slogdet(np.asarray(rows, np.float64).reshape(45, 45))[1])


PUBLISHED: dict[str, Any] = {
    "width": 100,
    "depth": 10,
    "batch_size": 200,
    "epochs": 200,
    **ADAM,
    **CONSTANT_RATE,
}

METHOD = Supervised("cgnf", Losses, net, loss, draw, density, PUBLISHED)
