"""The skeleton's graph: its bones, what nodes see, and densities at both levels."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.methods import graph_mdn, whitening
from jaxflow.methods.graph_mdn import Mixture
from jaxflow.skeleton import CONDITIONED_MPII, MPII_JOINTS, MPII_MIRRORED

J, K = 16, 3


def test_fifteen_bones_that_left_and_right_share():
    edges = graph_mdn.edges()
    assert edges.sum() == 16 + 2 * 15
    np.testing.assert_array_equal(edges, edges.T)
    mirrored = edges[np.ix_(MPII_MIRRORED, MPII_MIRRORED)]
    np.testing.assert_array_equal(mirrored, edges)
    head, thorax = MPII_JOINTS.index("Head"), MPII_JOINTS.index("Thorax")
    assert edges[head, thorax] and edges[head].sum() == 2


def test_nodes_see_their_own_numbers():
    inputs = np.arange(whitening.inputs(), dtype=np.float32)
    nodes = np.asarray(graph_mdn.nodes(jnp.asarray(inputs)))
    assert nodes.shape == (J, graph_mdn.PER_NODE)
    wrist = MPII_JOINTS.index("LWrist")
    row = CONDITIONED_MPII.index(wrist)
    cond, logs = 32 + 6 * row, 32 + 78 + 2 * row
    expected = [wrist, 16 + wrist, *range(cond, cond + 6), logs, logs + 1]
    np.testing.assert_array_equal(nodes[wrist], expected)
    np.testing.assert_array_equal(nodes[MPII_JOINTS.index("Hip"), 2:], 0)


@pytest.mark.parametrize("each", [False, True])
def test_density_of_poses_and_of_joints(each):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(J if each else 1, K))
    pi = np.broadcast_to(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), (J, K))
    mu, sigma = rng.normal(size=(J, K, 3)), rng.uniform(0.5, 2, size=(J, K))
    y = rng.normal(size=(J, 3))
    square = np.sum((y[:, None] - mu) ** 2, axis=-1) / sigma**2
    joints = np.exp(-square / 2) / (np.sqrt(2 * np.pi) * sigma) ** 3
    if each:
        expected = np.log((pi * joints).sum(-1)).sum()
    else:
        expected = np.log((pi[0] * joints.prod(0)).sum())
    rows = (jnp.asarray(a, jnp.float32) for a in (np.log(pi), mu, sigma))
    found = graph_mdn.log_density(Mixture(*rows), jnp.asarray(y, jnp.float32), each)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
