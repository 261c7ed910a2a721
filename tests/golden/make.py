"""Makes the golden files beside it: numbers that the package must go on giving.

    python tests/golden/make.py

Everything but training.npz comes from the slow float64 references of tests/oracles.
training.npz comes from this package's own iteration run in float64: the references hold
its gradients (step_test), the file holds the whole. Weights follow from a seed by
NumPy's frozen legacy generator, so the files hold only inputs and results.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.oracles import critic, flow, losses, preprocessing  # noqa: E402

SIZES = {"hidden": 16, "encoder_hidden": 12, "encoded": 8}
# Roughly a standing person, H36M-17 order, metres, camera frame.
STANDING = np.array(
    [
        (0, 0, 4),
        (-0.13, 0, 4),
        (-0.13, 0.45, 4),
        (-0.13, 0.9, 4),
        (0.13, 0, 4),
        (0.13, 0.45, 4),
        (0.13, 0.9, 4),
        (0, -0.24, 4),
        (0, -0.5, 4),
        (0, -0.6, 3.9),
        (0, -0.7, 4),
        (0.15, -0.45, 4),
        (0.2, -0.2, 4),
        (0.2, 0.05, 4),
        (-0.15, -0.45, 4),
        (-0.2, -0.2, 4),
        (-0.2, 0.05, 4),
    ]
)
MPII_TO_H36M = [3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13]


def flow_state(seed, blocks=8, joints=16, condition=78, scale=0.15, **sizes):
    """Weights of a small flow by the released code's names, float32."""
    sizes = {**SIZES, **sizes}
    rng = np.random.RandomState(seed)
    size = 3 * joints
    layers = {
        "cond_net.0": (sizes["encoder_hidden"], condition),
        "cond_net.2": (sizes["encoded"], sizes["encoder_hidden"]),
    }
    for block in range(blocks):
        for net in ("s1", "s2"):
            prefix = f"inn.module_list.{2 * block + 1}.{net}"
            layers[f"{prefix}.0"] = (sizes["hidden"], size // 2 + sizes["encoded"])
            layers[f"{prefix}.2"] = (size, sizes["hidden"])
    state = {}
    for name, shape in layers.items():
        bound = scale / np.sqrt(shape[1] / 16)
        state[f"{name}.weight"] = (bound * rng.randn(*shape)).astype(np.float32)
        state[f"{name}.bias"] = (bound * rng.randn(shape[0])).astype(np.float32)
    return state


def critic_state(seed):
    """Weights of a critic by the released code's names, float32."""
    rng = np.random.RandomState(seed)
    sizes = [
        (100, 48),
        (100, 100),
        (100, 100),
        (100, 100),
        (1000, 256),
        (1000, 1000),
        (1000, 1000),
        (100, 1100),
        (1, 100),
    ]
    state = {}
    for layer, (out, fan_in) in enumerate(sizes, start=1):
        bound = 1 / np.sqrt(fan_in)
        for kind, shape in (("weight", (out, fan_in)), ("bias", (out,))):
            drawn = rng.uniform(-bound, bound, shape)
            state[f"fc{layer}.{kind}"] = drawn.astype(np.float32)
    return state


def raw(seed, count):
    """Poses (N, 17, 3) m, pixels (N, 16, 2), fits (N, 16, 7) with hard cases."""
    rng = np.random.RandomState(seed)
    pose = STANDING + 0.08 * rng.randn(count, 17, 3)
    seen = pose[:, MPII_TO_H36M]
    pixels = 128 + 400 * seen[..., :2] / seen[..., 2:] + rng.randn(count, 16, 2)
    fits = np.empty((count, 16, 7))
    fits[..., 0] = rng.uniform(-0.1, 1.4, (count, 16))
    fits[..., 1:3] = pixels / 4 + 3 * rng.randn(count, 16, 2)
    fits[..., [3, 5]] = np.exp(rng.uniform(-2.5, 3, (count, 16, 2)))
    fits[..., 3] *= rng.choice([-1, 1, 1, 1], (count, 16))
    fits[..., 4] = rng.uniform(-7, 7, (count, 16))
    fits[..., 6] = 0.01
    return tuple(array.astype(np.float32) for array in (pose, pixels, fits))


def batch(seed, count):
    """pose3d (N, 48), pose2d (N, 32), cond (N, 78), float32."""
    functions = (
        preprocessing.normalize_pose3d,
        preprocessing.normalize_pose2d,
        preprocessing.condition,
    )
    return tuple(
        np.array([function(one) for one in array], np.float32)
        for function, array in zip(functions, raw(seed, count), strict=True)
    )


def make_preprocessing():
    pose, pixels, fits = raw(0, 8)
    return {
        "pose": pose,
        "pixels": pixels,
        "fits": fits,
        "pose3d": [preprocessing.normalize_pose3d(one) for one in pose],
        "pose2d": [preprocessing.normalize_pose2d(one) for one in pixels],
        "condition": [preprocessing.condition(one) for one in fits],
    }


def make_flow():
    pose3d, pose2d, cond = batch(1, 8)
    z = np.random.RandomState(2).randn(8, 16).astype(np.float32)
    state = flow_state(3)
    output, log_det = flow.forward(state, pose3d, cond)
    return {
        "pose3d": pose3d,
        "pose2d": pose2d,
        "condition": cond,
        "z": z,
        "encoded_condition": flow.encode(state, cond),
        "forward": output,
        "forward_log_det": log_det,
        "inverse": flow.inverse(state, np.hstack([z, pose2d]), cond),
        "permutations": [flow.permutation(block, 48) for block in range(8)],
        "log_prob": flow.log_prob(state, pose3d, pose2d, cond, 0.3),
    }


def make_critic():
    pose3d, fake = batch(4, 8)[0], batch(5, 8)[0]
    alpha = np.random.RandomState(6).uniform(size=(8, 1)).astype(np.float32)
    state = critic_state(7)
    return {
        "pose3d": pose3d,
        "fake": fake,
        "alpha": alpha,
        "kcs_matrix": critic.kcs_matrix(),
        "kcs": [critic.kcs(one) for one in pose3d],
        "score": [[critic.score(state, one)] for one in pose3d],
        "score_grad": [critic.score_gradient(state, one) for one in pose3d],
        "gradient_penalty": critic.gradient_penalty(state, pose3d, fake, alpha),
    }


def make_losses():
    pose3d, _, cond = batch(8, 6)
    rng = np.random.RandomState(9)
    spread = 0.06 * rng.randn(12, 6, 48)
    hypotheses = (pose3d + spread).astype(np.float32)
    x, y = (0.3 * rng.randn(10, 48).astype(np.float32) for _ in range(2))
    y[0] = x[0] + 1e-3  # a pair close enough for the narrow kernel to see
    return {
        "mmd_x": x,
        "mmd_y": y,
        "mmd": losses.mmd(x, y),
        "mmd_unbiased": losses.mmd(x, y, unbiased=True),
        "mmd_grad": losses.mmd_gradient(x, y),
        "hypotheses": hypotheses,
        "pose3d": pose3d,
        "condition": cond,
        "covariance_loss": losses.heatmap_covariance(hypotheses, cond),
        "covariance_loss_both": losses.heatmap_covariance(hypotheses, cond, True),
        **{f"best_of_m_k{k}": losses.best_of_m(hypotheses, pose3d, k) for k in (1, 5)},
    }


def training_case():
    """Two iterations' inputs: state_dicts, batches and noise of each, B = 4, L = 8."""
    pools = batch(10, 88)
    rng = np.random.RandomState(11)
    iterations = []
    for i in range(2):
        part = tuple(a[44 * i : 44 * (i + 1)].reshape(11, 4, -1) for a in pools)
        noise = {
            "critic_z": rng.randn(5, 4, 16),
            "mix": rng.uniform(size=(5, 4, 1)),
            "mmd_z": rng.randn(4, 16),
            "generator_z": rng.randn(4, 16),
            "hypothesis_z": rng.randn(8, 4, 16),
        }
        noise = {name: array.astype(np.float32) for name, array in noise.items()}
        iterations.append((part, noise))
    return flow_state(12), critic_state(13), iterations


def run_training(dtype):
    """Losses of each iteration and the flow's parameters after it, in this dtype."""
    import jax

    from jaxflow import torch_weights
    from jaxflow.config import FlowConfig, TrainConfig
    from jaxflow.training import state as state_lib
    from jaxflow.training import step
    from jaxflow.types import Batch

    config = TrainConfig(batch_size=4, hypotheses=8, flow=FlowConfig(**SIZES))
    flow_weights, critic_weights, iterations = training_case()
    with jax.enable_x64(dtype == np.float64):
        params = (
            torch_weights.params_from_state(flow_weights, config.flow),
            torch_weights.critic_params_from_state(critic_weights),
        )

        def cast(tree):
            return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), tree)

        state = state_lib.from_params(*cast(params), config)
        iterate = jax.jit(step.iteration, static_argnums=3)
        history = []
        for part, noise in iterations:
            arguments = Batch(*cast(part)), step.Noise(**cast(noise))
            # A traced rate, as training has it.
            state, terms = iterate(state, *arguments, config, rate_scale=dtype(1))
            history.append(terms._asdict())
        return jax.device_get((history, state.flow, state.critic))


def make_training():
    history, params, critic_params = run_training(np.float64)
    stored = {name: [terms[name] for terms in history] for name in history[0]}
    for net in ("net1", "net2"):
        for layer, leaves in params["blocks"][net].items():
            for name, leaf in leaves.items():
                stored[f"blocks/{net}/{layer}/{name}"] = leaf[[0, -1]]
    stored["encoder/Dense_1/kernel"] = params["encoder"]["Dense_1"]["kernel"]
    stored["critic/fc1/bias"] = critic_params["fc1"]["bias"]
    stored["critic/fc9/kernel"] = critic_params["fc9"]["kernel"]
    return stored


MAKERS = {
    "preprocessing": make_preprocessing,
    "flow": make_flow,
    "critic": make_critic,
    "losses": make_losses,
    "training": make_training,
}


def main():
    for name, maker in MAKERS.items():
        arrays = {key: np.asarray(value) for key, value in maker().items()}
        np.savez_compressed(HERE / f"{name}.npz", **arrays)
        print(f"{name}.npz: {(HERE / f'{name}.npz').stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
