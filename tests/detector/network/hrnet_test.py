"""HRNet against a plain PyTorch one: outputs, statistics, gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.detector.network import blocks, hrnet, weights
from jaxflow.detector.network.hrnet import TINY, HRNetConfig
from tests.helpers.compiled import optimised
from tests.helpers.hrnet import state_of

SMALL = HRNetConfig(
    width=4,
    joints=3,
    stem=8,
    bottlenecks=2,
    blocks=2,
    stage3_modules=2,
    stage4_modules=2,
)
# Two branches only, with both kinds of scan: gradients of more take long to compile.
SHORT = dataclasses.replace(
    SMALL, bottlenecks=1, stage2_modules=2, stage3_modules=0, stage4_modules=0
)

compiled = jax.jit(hrnet.heatmaps, static_argnums=2, static_argnames="dtype")


@pytest.fixture(scope="module")
def peer():
    """A function that makes the PyTorch network of a configuration."""
    pytest.importorskip("torch", reason="needs the extra 'torch'")
    from tests.oracles import hrnet_torch

    def make(config, seed):
        network = hrnet_torch.HRNet(
            config.width,
            config.joints,
            config.stem,
            config.bottlenecks,
            config.blocks,
            config.modules,
        )
        return hrnet_torch.randomize(network, seed).eval()

    return make


def pictures(batch, height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, height, width, 3)).astype(np.float32)


def to_torch(images):
    import torch

    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def assert_close(got, want, tolerance=1e-5):
    """Within a share of the largest number there is."""
    want = np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * np.abs(want).max())


@pytest.fixture(scope="module")
def small(peer):
    network = peer(SMALL, 1)
    return network, weights.from_state(state_of(network), SMALL)[0]


@pytest.fixture(scope="module")
def short(peer):
    network = peer(SHORT, 3)
    return network, weights.from_state(state_of(network), SHORT)[0]


def test_default_has_the_published_number_of_parameters():
    shapes = hrnet.shapes(HRNetConfig())
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    assert count == 28_536_080


def test_a_start_is_the_key_s_and_of_the_network_s_scale():
    variables = hrnet.init(jax.random.key(0), SMALL)
    jax.tree.map(
        lambda leaf, like: np.testing.assert_equal(leaf.shape, like.shape),
        variables,
        dict(hrnet.shapes(SMALL)),
    )
    kernels = np.concatenate(
        [
            np.ravel(leaf) * np.sqrt(np.prod(leaf.shape[-4:-1]) / 2)
            for path, leaf in jax.tree.leaves_with_path(variables)
            if path[-1].key == "kernel" and path[-2].key != "final"
        ]
    )
    np.testing.assert_allclose(kernels.std(), 1, rtol=0.02)
    assert 0 < np.abs(variables["params"]["final"]["kernel"]).max() < 0.005
    assert np.unique(kernels).size > 0.99 * kernels.size  # no layer repeats another
    norm = variables["batch_stats"]["stage3"]["branch2"]["conv1"]["norm"]
    assert norm["mean"].shape == (2, 2, 16)  # modules, blocks, channels
    assert np.all(norm["var"] == 1) and np.all(norm["mean"] == 0)
    same = hrnet.init(jax.random.key(0), SMALL)
    jax.tree.map(np.testing.assert_array_equal, variables, same)


def test_the_published_network_is_recognised(peer):
    state = state_of(peer(HRNetConfig(), 0))
    assert len(state) == 1754
    assert weights.from_state(state)[1] == HRNetConfig()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (256, 256)], ids=str)
def test_the_whole_network_equals_pytorch_s(peer, size):
    """Random weights and random statistics, at full width, within 1e-4 of the peak."""
    import torch

    network = peer(HRNetConfig(), 0)
    state = state_of(network)
    assert len(state) == 1754
    variables, config = weights.from_state(state)
    assert config == HRNetConfig()
    images = pictures(1, *size)
    with torch.no_grad():
        want = network(to_torch(images)).numpy()
    got = compiled(variables, images, config)
    assert got.shape == (1, 16, size[0] // 4, size[1] // 4)
    assert_close(got, want)


PARTS = {
    "layer1_first": lambda network: network.layer1[0],
    "transition2_0": lambda network: network.transition1[0],
    "transition2_1": lambda network: network.transition1[1],
    "transition3_2": lambda network: network.transition2[2],
    "transition4_3": lambda network: network.transition3[3],
    "last": lambda network: network.stage4[-1],
    "final": lambda network: network.final_layer,
}


def test_each_part_equals_pytorch_s(small):
    """Where the whole network differs, this names the first part that does."""
    import torch

    network, variables = small
    wanted, hooks = {}, []
    for name, find in PARTS.items():

        def keep(module, inputs, output, name=name):
            wanted[name] = output[0] if isinstance(output, list) else output

        hooks.append(find(network).register_forward_hook(keep))
    images = pictures(2, 64, 96)
    with torch.no_grad():
        network(to_torch(images))
    for hook in hooks:
        hook.remove()

    def capture(module, method):
        return len(module.path) == 1 and method == "__call__"

    _, captured = jax.jit(
        lambda v, x: hrnet.HRNet(SMALL).apply(
            v, x, False, capture_intermediates=capture, mutable=["intermediates"]
        )
    )(variables, images)
    for name in PARTS:
        got = captured["intermediates"][name]["__call__"][0]
        got = got[0] if isinstance(got, list | tuple) else got
        np.testing.assert_allclose(
            np.moveaxis(np.asarray(got), -1, 1), wanted[name], atol=1e-4, err_msg=name
        )


@pytest.mark.slow  # a quarter of a minute of compiling
@optimised()
def test_training_moves_the_statistics_as_pytorch_does(short):
    """Outputs, running means, unbiased running variances, and gradients.

    Compiled with little optimisation the gradients differ by a hundredth.
    """
    import torch

    network, variables = short
    images, weight = pictures(3, 64, 64), pictures(3, 16, 16, seed=1)
    network.train()
    before = state_of(network)
    network.double()  # whose gradients do not depend on the processor
    want = network(to_torch(images).double())
    (want * to_torch(weight).double()).mean().backward()
    updated = state_of(network)
    gradients = {
        name: leaf.grad.numpy().astype(np.float32)
        for name, leaf in network.named_parameters()
    }
    network.float().load_state_dict({k: torch.from_numpy(v) for k, v in before.items()})
    network.eval()

    def objective(params):
        output, stats = hrnet.train_heatmaps(
            {**variables, "params": params}, images, SHORT
        )
        return jnp.mean(output * weight.transpose(0, 3, 1, 2)), (output, stats)

    (_, (output, stats)), gradient = jax.jit(
        jax.value_and_grad(objective, has_aux=True)
    )(variables["params"])
    assert_close(output, want.detach().numpy())
    expected, _ = weights.from_state(updated, SHORT)
    jax.tree.map(
        lambda got, wanted: np.testing.assert_allclose(got, wanted, atol=1e-5),
        dict(stats),
        expected["batch_stats"],
    )
    moved = {
        k: v for k, v in updated.items() if "running" not in k and "num_b" not in k
    }
    assert set(moved) == set(gradients)
    wanted, _ = weights.from_state({**updated, **gradients}, SHORT)
    largest = max(np.abs(leaf).max() for leaf in gradients.values())
    jax.tree.map(
        lambda got, wanted: np.testing.assert_allclose(
            got, wanted, atol=1e-4 * largest
        ),
        gradient,
        wanted["params"],
    )


def test_bfloat16_is_close(short):
    _, variables = short
    images = pictures(1, 64, 64)
    exact = compiled(variables, images, SHORT)
    rounded = compiled(variables, images, SHORT, dtype=jnp.bfloat16)
    assert rounded.dtype == jnp.float32
    assert 1e-4 < np.abs(rounded - exact).max() / np.abs(exact).max() < 0.1


def test_upsampling_is_nearest():
    got = blocks.upsample(jnp.arange(4.0).reshape(1, 2, 2, 1), 2)[0, ..., 0]
    np.testing.assert_array_equal(got, np.kron([[0, 1], [2, 3]], np.ones((2, 2))))


@pytest.mark.parametrize(
    ("images", "error", "said"),
    [
        (np.zeros((1, 64, 48, 3), np.float32), ValueError, "multiples of 32.*64 x 48"),
        (np.zeros((1, 0, 64, 3), np.float32), ValueError, "multiples of 32"),
        (
            np.zeros((1, 3, 64, 64), np.float32),
            ValueError,
            "images of shape.*3, 64, 64",
        ),
        (np.zeros((64, 64, 3), np.float32), ValueError, "images of shape"),
        (np.zeros((1, 64, 64, 3), np.uint8), TypeError, "floating point; got uint8"),
    ],
)
def test_other_images_are_refused(images, error, said):
    with pytest.raises(error, match=said):
        jax.eval_shape(lambda x: hrnet.heatmaps(hrnet.shapes(TINY), x, TINY), images)


def test_a_batch_without_variance_is_refused():
    images = np.zeros((1, 32, 32, 3), np.float32)
    with pytest.raises(ValueError, match="more than one value a channel"):
        hrnet.train_heatmaps(hrnet.shapes(SMALL), images, SMALL)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"stage3_modules": 0}, "only if the one before"),
        ({"stage2_modules": 0}, "expected modules in stage 2"),
    ],
)
def test_sizes_without_a_network_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        HRNetConfig(**sizes)
