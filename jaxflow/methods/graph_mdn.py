"""A mixture density network on the skeleton's graph (Oikarinen et al., IJCNN 2021).

    log sum_k pi_k prod_j N(y_j; mu_jk, sigma_jk^2 I),  y_j (3,) of joint j

Nodes are the detector's 16 joints, bones its edges. A graph layer (SemGCN) mixes a
node's own features and its neighbours' by two matrices and learned weights of edges;
between its residual blocks, non-local blocks let all nodes look at all. Each joint gets
K means, deviations (elu + 1) and logits; those are averaged over the joints, so that a
component is a whole pose. With `NetConfig.joint_level`, as released by default, every
joint has a mixture of its own: log pi_jk stands within the sum over joints, and what is
drawn tears limbs. As published: 128 wide, four blocks, K = 5, Adam at 1e-3, batches of
64, 30 epochs.

Temperature as in `mdn`. The published hypotheses are the means.

Changed for the harness: joints are measured from the regression in units of what it
leaves along each axis, not in metres through tanh; the nose, which the graph lacks, is
told by the head's node; nodes see the condition, too. Source: Oikarinen et al. (IJCNN
2021); what the paper leaves open is as in their released settings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.maths.layers import product
from jaxflow.methods import trunk, whitening
from jaxflow.methods.supervised import ADAM, CONSTANT_RATE, Learned, Lesson, Supervised
from jaxflow.methods.whitening import Asked, Seen
from jaxflow.skeleton import (
    CONDITIONED_MPII,
    H36M_JOINTS,
    H36M_PARENTS,
    MPII_JOINTS,
    MPII_TO_H36M,
)
from jaxflow.types import Params

NODES, PER_NODE = len(MPII_JOINTS), 10
_JOINTS = len(H36M_JOINTS) - 1
_HEAD = MPII_JOINTS.index("Head")
_LEAST_SIGMA = 1e-3


class Losses(NamedTuple):
    """Mean negative log-density by number of a pose, nats."""

    likelihood: jax.Array


class Mixture(NamedTuple):
    """Of each joint, leading axes shared.

    Attributes:
      log_pi: (..., 16, K) logarithms of the weights, the same for all joints unless
        each has its own.
      mu: (..., 16, K, 3) deviations from the regression.
      sigma: (..., 16, K).
    """

    log_pi: jax.Array
    mu: jax.Array
    sigma: jax.Array


def edges() -> np.ndarray:
    """(16, 16) bool: bones between nodes, and each node with itself."""
    found = np.eye(NODES, dtype=bool)
    for node, joint in enumerate(MPII_TO_H36M):
        parent = H36M_PARENTS[joint]
        if parent >= 0 and parent not in MPII_TO_H36M:  # the nose
            parent = H36M_PARENTS[parent]
        if parent >= 0:
            other = MPII_TO_H36M.index(parent)
            found[node, other] = found[other, node] = True
    return found


def net(key: jax.Array, config: NetConfig) -> Params:
    """Layers in the order that they are run, and what they need of batches."""
    keys = iter(jax.random.split(key, 9 + 8 * config.depth))
    width, layers = config.width, {}
    layers["graph0"] = _graph_init(keys, PER_NODE, width)
    layers["all0"] = _all_init(keys, width)
    for i in range(1, 1 + config.depth):
        for side in "ab":
            layers[f"graph{i}{side}"] = _graph_init(keys, width, width)
        layers[f"all{i}"] = _all_init(keys, width)
    statistics = {
        name: {"mean": jnp.zeros(width), "square": jnp.ones(width)} for name in layers
    }
    numbers = 5 * config.components
    layers["out"] = _graph_init(keys, width, numbers)
    layers["out"]["bias"] = layers["out"].pop("norm")["bias"]
    layers["nose"] = trunk.dense_init(next(keys), width, numbers, 0.5)
    return {"net": layers, "statistics": statistics}


def _norms(net: Params) -> Params:
    return {name: layer["norm"] for name, layer in net.items() if "norm" in layer}


def _graph_init(keys: Any, inputs: int, outputs: int) -> Params:
    gain = float(np.sqrt(2 * 2 * inputs / (inputs + outputs)))  # Xavier's, times 1.414
    own, others = (trunk.dense_init(next(keys), inputs, outputs, gain) for _ in "ab")
    return {
        "own": own["kernel"],
        "others": others["kernel"],
        "edges": jnp.ones((NODES, NODES)),
        "norm": {"scale": jnp.ones(outputs), "bias": jnp.zeros(outputs)},
    }


def _all_init(keys: Any, width: int) -> Params:
    half = max(1, width // 2)
    three = {
        name: trunk.dense_init(next(keys), width, half, 1.0) for name in ("g", "to")
    }
    return {
        **three,
        "of": trunk.dense_init(next(keys), width, half, 1.0),
        "told": trunk.dense_init(next(keys), half, width, 1.0),
        "affinity": jnp.full((2, half), 1 / np.sqrt(half)),
        "norm": {"scale": jnp.zeros(width), "bias": jnp.zeros(width)},
    }


def _graph(layer: Params, x: jax.Array) -> jax.Array:
    """One graph layer: (..., 16, I) -> (..., 16, O)."""
    weights = jnp.where(edges(), layer["edges"], -jnp.inf)
    weights = jax.nn.softmax(weights, axis=-1)
    own = jnp.diagonal(weights)[:, None] * product(x, layer["own"])
    between = jnp.where(np.eye(NODES, dtype=bool), 0.0, weights)
    return own + product(between, product(x, layer["others"]))


def _all(layer: Params, x: jax.Array) -> jax.Array:
    """What a node hears from pairs of nodes: (..., 16, W) -> (..., 16, W).

    Neighbours in the detector's order are pairs along a limb or across the body.
    """
    g, to = (_paired(trunk.dense(layer[name], x)) for name in ("g", "to"))
    mine = product(trunk.dense(layer["of"], x), layer["affinity"][0])
    theirs = product(to, layer["affinity"][1])
    affinity = jax.nn.relu(mine[..., :, None] + theirs[..., None, :])
    return trunk.dense(layer["told"], product(affinity / g.shape[-2], g))


def _paired(x: jax.Array) -> jax.Array:
    """(..., 16, W) -> (..., 8, W) the larger of two."""
    return jnp.max(x.reshape(*x.shape[:-2], NODES // 2, 2, -1), axis=-2)


def nodes(inputs: jax.Array) -> jax.Array:
    """(..., I) -> (..., 16, 10): place, fitted Gaussian, logarithms of its variances.

    The three joints at the root have no Gaussian in the condition.
    """
    rows = inputs.shape[:-1]
    place, rest = jnp.split(inputs, [whitening.POSE2D], axis=-1)
    cond, logs = jnp.split(rest, [whitening.CONDITION], axis=-1)
    known = [a.reshape(*rows, len(CONDITIONED_MPII), -1) for a in (cond, logs)]
    gaussian = jnp.concatenate(known, axis=-1)
    all_nodes = jnp.zeros((*rows, NODES, gaussian.shape[-1]), inputs.dtype)
    all_nodes = all_nodes.at[..., CONDITIONED_MPII, :].set(gaussian)
    place = jnp.swapaxes(place.reshape(*rows, 2, NODES), -1, -2)
    return jnp.concatenate([place, all_nodes], axis=-1)


def mixture(net: Params, norm: trunk.Norm, inputs: jax.Array, each: bool) -> Mixture:
    """Of inputs (..., I).

    Args:
      net: layers.
      norm: normalises what a layer gives, see `trunk`.
      inputs: see `Seen`.
      each: whether joints have weights of their own.
    """
    h = norm.activated("graph0", _graph(net["graph0"], nodes(inputs)))
    h = h + norm.normalised("all0", _all(net["all0"], h))
    for i in range(1, sum(name.startswith("all") for name in net)):
        inner = h
        for name in (f"graph{i}a", f"graph{i}b"):
            inner = norm.activated(name, _graph(net[name], inner))
        h = h + inner
        h = h + norm.normalised(f"all{i}", _all(net[f"all{i}"], h))
    out = _graph(net["out"], h) + net["out"]["bias"]
    nose = trunk.dense(net["nose"], h[..., _HEAD, :])
    joints = jnp.zeros((*out.shape[:-2], 1 + _JOINTS, out.shape[-1]), out.dtype)
    joints = joints.at[..., H36M_JOINTS.index("Nose"), :].set(nose)
    joints = joints.at[..., MPII_TO_H36M, :].set(out)[..., 1:, :]
    count = out.shape[-1] // 5
    mu, sigma, logits = jnp.split(joints, [3 * count, 4 * count], axis=-1)
    if not each:
        mean = jnp.mean(logits, axis=-2, keepdims=True)
        logits = jnp.broadcast_to(mean, logits.shape)
    return Mixture(
        jax.nn.log_softmax(logits),
        mu.reshape(*mu.shape[:-1], count, 3),
        jax.nn.elu(sigma) + 1 + _LEAST_SIGMA,
    )


def log_density(of: Mixture, y: jax.Array, each: bool) -> jax.Array:
    """(...) of joints (..., 16, 3)."""
    normal = jax.scipy.stats.norm.logpdf(
        y[..., None, :], loc=of.mu, scale=of.sigma[..., None]
    )
    joints = jnp.sum(normal, axis=-1)
    if each:
        return jnp.sum(jax.nn.logsumexp(of.log_pi + joints, axis=-1), axis=-1)
    poses = of.log_pi[..., 0, :] + jnp.sum(joints, axis=-2)
    return jax.nn.logsumexp(poses, axis=-1)


def _units(whitened: Params) -> jax.Array:
    """(48,) metres: deviation of what the regression leaves, by number of a pose."""
    return jnp.sqrt(jnp.sum(whitened["factor"] ** 2, axis=1))


def loss(net: Params, lesson: Lesson, config: TrainConfig) -> tuple[jax.Array, Learned]:
    """How unlikely the batch is."""
    norm = trunk.InTraining.of(_norms(net), lesson, config)
    each = config.net.joint_level
    found = mixture(net, norm, lesson.seen.inputs, each)
    y = lesson.batch.pose3d - lesson.seen.centre
    y = (y / _units(lesson.params["whitening"])).reshape(-1, 3, _JOINTS)
    density = log_density(found, jnp.swapaxes(y, -1, -2), each)
    likelihood = -jnp.mean(density) / whitening.POSE
    return likelihood * whitening.POSE, Learned(Losses(likelihood), norm.after)


def _seen_mixture(params: Params, seen: Seen, config: NetConfig) -> Mixture:
    net = params["net"]
    norm = trunk.Trained(_norms(net), params["statistics"])
    return mixture(net, norm, seen.inputs, config.joint_level)


def _poses(params: Params, y: jax.Array, seen: Seen) -> jax.Array:
    """(N, 48) of joints (N, 16, 3)."""
    flat = jnp.swapaxes(y, -1, -2).reshape(-1, whitening.POSE)
    return seen.centre + _units(params["whitening"]) * flat


def draw(params: Params, seen: Seen, how: Asked, config: NetConfig) -> jax.Array:
    """See `Supervised`."""
    key, temperature, num_hypotheses = how
    found = _seen_mixture(params, seen, config)
    choice_key, noise_key = jax.random.split(key)
    joints = _JOINTS if config.joint_level else 1
    size = (num_hypotheses, joints, config.components)
    gumbel = temperature * jax.random.gumbel(choice_key, size)
    chosen = jnp.argmax(found.log_pi + gumbel, axis=-1)
    rows = np.arange(_JOINTS)
    noise = jax.random.normal(noise_key, (num_hypotheses, _JOINTS, 3))
    y = found.mu[rows, chosen]
    y += temperature * found.sigma[rows, chosen][..., None] * noise
    return _poses(params, y, seen)


def means(params: Params, seen: Seen, config: NetConfig) -> jax.Array:
    """The components' means (K, 48), the heaviest first."""
    found = _seen_mixture(params, seen, config)
    order = jnp.argsort(-jnp.mean(found.log_pi, axis=0))
    return _poses(params, jnp.swapaxes(found.mu, 0, 1)[order], seen)


PUBLISHED: dict[str, Any] = {
    "width": 128,
    "depth": 4,
    "dropout": 0.1,
    "components": 5,
    "batch_size": 64,
    "epochs": 30,
    **ADAM,
    **CONSTANT_RATE,
}

METHOD = Supervised(
    "graph_mdn", Losses, net, loss, draw, published=PUBLISHED, means=means
)
