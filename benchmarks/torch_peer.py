"""The same work in eager PyTorch, the way the released code does it.

A block's net gets the latent half and the encoded condition joined, so the condition is
repeated for every hypothesis and multiplied anew; blocks are a Python loop; all
hypotheses of a batch are one long batch; one backward pass holds all activations. It is
written plainly, with nothing that slows it down, and checked against jaxflow's numbers
by the benchmarks that use it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jaxflow import critic, flow
from jaxflow.config import TrainConfig
from jaxflow.gaussians.condition import SIGMA_UNIT, UNCERTAIN_SIGMA
from jaxflow.losses import METRES_PER_PIXEL
from jaxflow.skeleton import CONDITIONED_H36M_16, LEFT_HIP_16, RIGHT_HIP_16
from jaxflow.types import Params

SCALES = (0.0025, 0.04, 0.81)


def _linear(kernel: Any, bias: Any) -> nn.Linear:
    layer = nn.Linear(*kernel.shape)
    layer.weight.data = torch.from_numpy(np.array(np.asarray(kernel).T))
    layer.bias.data = torch.from_numpy(np.array(bias))
    return layer


class Flow(nn.Module):
    """The encoder and eight coupling blocks, with jaxflow's parameters."""

    def __init__(self, params: Params):
        """Copies the parameters."""
        super().__init__()
        encoder = params["encoder"]
        self.encoder = nn.Sequential(
            _linear(**encoder["Dense_0"]), nn.ReLU(), _linear(**encoder["Dense_1"])
        )
        self.net1, self.net2 = nn.ModuleList(), nn.ModuleList()
        blocks = params["blocks"]
        count = blocks["net1"]["output"]["bias"].shape[0]
        for block in range(count):
            for name, nets in (("net1", self.net1), ("net2", self.net2)):
                net = blocks[name]
                first = np.vstack(
                    [
                        net["features"]["kernel"][block],
                        net["condition"]["kernel"][block],
                    ]
                )
                output = net["output"]
                nets.append(
                    nn.Sequential(
                        _linear(first, net["condition"]["bias"][block]),
                        nn.ReLU(),
                        _linear(output["kernel"][block], output["bias"][block]),
                    )
                )
        perms = flow.permutations(count, 48)
        self.perms = [torch.from_numpy(perm).long() for perm in perms]
        self.undo = [torch.argsort(perm) for perm in self.perms]

    def forward(self, pose3d: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 48), (B, 78) -> z (B, 16), pose2d (B, 32)."""
        h, u = self.encoder(cond), pose3d
        for net1, net2, perm in zip(self.net1, self.net2, self.perms, strict=True):
            u1, u2 = u.split(24, dim=1)
            s, t = net2(torch.cat([u2, h], 1)).split(24, dim=1)
            v1 = u1 * torch.exp(_clamp(s)) + t
            s, t = net1(torch.cat([v1, h], 1)).split(24, dim=1)
            v2 = u2 * torch.exp(_clamp(s)) + t
            u = torch.cat([v1, v2], 1)[:, perm]
        return u[:, :16], u[:, 16:]

    def inverse(self, z: Tensor, pose2d: Tensor, cond: Tensor) -> Tensor:
        """(B, 16), (B, 32), (B, 78) -> (B, 48)."""
        h, v = self.encoder(cond), torch.cat([z, pose2d], 1)
        stages = list(zip(self.net1, self.net2, self.undo, strict=True))
        for net1, net2, undo in reversed(stages):
            v1, v2 = v[:, undo].split(24, dim=1)
            s, t = net1(torch.cat([v1, h], 1)).split(24, dim=1)
            u2 = (v2 - t) * torch.exp(-_clamp(s))
            s, t = net2(torch.cat([u2, h], 1)).split(24, dim=1)
            v = torch.cat([(v1 - t) * torch.exp(-_clamp(s)), u2], 1)
        return v

    def hypotheses(self, z: Tensor, pose2d: Tensor, cond: Tensor) -> Tensor:
        """Z (M, B, 16), pose2d (B, 32), cond (B, 78) -> (M, B, 48)."""
        count = z.shape[0]
        poses = self.inverse(
            z.reshape(-1, 16), pose2d.repeat(count, 1), cond.repeat(count, 1)
        )
        return poses.reshape(count, -1, 48)


def _clamp(s: Tensor) -> Tensor:
    return 2 * 0.636 * torch.atan(s / 2)


class Critic(nn.Module):
    """The critic, with jaxflow's parameters."""

    def __init__(self, params: Params):
        """Copies the parameters."""
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: _linear(**layer) for name, layer in params.items()}
        )
        self.matrix = torch.from_numpy(critic.kcs_matrix())

    def forward(self, pose3d: Tensor) -> Tensor:
        """(B, 48) -> (B,)."""
        fc, lrelu = self.layers, nn.functional.leaky_relu
        a = lrelu(fc["fc1"](pose3d))
        p = fc["fc4"](lrelu(fc["fc3"](lrelu(fc["fc2"](a))) + a))
        bones = pose3d.reshape(-1, 3, 16) @ self.matrix
        q = lrelu(fc["fc5"]((bones.transpose(1, 2) @ bones).reshape(-1, 256)))
        r = fc["fc7"](lrelu(fc["fc6"](q))) + q
        return fc["fc9"](lrelu(fc["fc8"](torch.cat([p, r], 1))))[:, 0]


class Trainer:
    """Both networks with their optimisers."""

    def __init__(self, flow_params: Params, critic_params: Params, config: TrainConfig):
        """Copies the parameters."""
        self.flow, self.critic = Flow(flow_params), Critic(critic_params)
        adam = {"lr": 1e-4, "betas": (0.5, 0.9), "eps": 1e-8}
        self.flow_adam = torch.optim.Adam(self.flow.parameters(), **adam)
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), **adam)
        self.updates = config.critic_updates

    def iteration(self, batches: Any, noise: Any) -> dict[str, float]:
        """One training iteration; jaxflow's arrays, as tensors."""
        values = {"critic": 0.0}
        for i in range(self.updates):
            pose2d, cond = batches.pose2d[2 * i + 1], batches.cond[2 * i + 1]
            with torch.no_grad():
                fake = self.flow.inverse(noise.critic_z[i], pose2d, cond)
            loss = self._critic_loss(batches.pose3d[2 * i], fake, noise.mix[i])
            self.critic_adam.zero_grad()
            loss.backward()
            self.critic_adam.step()
            values["critic"] += loss.item() / self.updates
        terms = self._flow_terms(
            batches.pose3d[-1], batches.pose2d[-1], batches.cond[-1], noise
        )
        weights = {"mmd": 10, "det": 4, "best_of_m": 4, "heatmap": 750}
        total = sum(weights.get(name, 1) * term for name, term in terms.items())
        self.flow_adam.zero_grad()
        total.backward()
        blocks = [*self.flow.net1.parameters(), *self.flow.net2.parameters()]
        nn.utils.clip_grad_value_(blocks, 15)
        self.flow_adam.step()
        return values | {name: term.item() for name, term in terms.items()}

    def _critic_loss(self, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        between = (mix * real + (1 - mix) * fake).requires_grad_()
        score = self.critic(between).sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
        penalty = 10 * ((slope.norm(dim=1) - 1) ** 2).mean()
        return self.critic(fake).mean() - self.critic(real).mean() + penalty

    def _flow_terms(
        self, pose3d: Tensor, pose2d: Tensor, cond: Tensor, noise: Any
    ) -> dict[str, Tensor]:
        z, predicted = self.flow(pose3d, cond)
        joint = torch.cat([z, predicted.detach()], 1)
        decoded = self.flow.inverse(z.detach(), pose2d, cond)
        drawn = self.flow.inverse(noise.generator_z, pose2d, cond)
        hypotheses = self.flow.hypotheses(noise.hypothesis_z, pose2d, cond)
        return {
            "l2d": (predicted - pose2d).abs().mean(),
            "mmd": _mmd(joint, torch.cat([noise.mmd_z, pose2d], 1)),
            "det": (decoded - pose3d).abs().mean(),
            "gen": -self.critic(drawn).mean(),
            "best_of_m": _best_of_m(hypotheses, pose3d),
            "heatmap": _heatmap(hypotheses, cond),
        }


def _mmd(x: Tensor, y: Tensor) -> Tensor:
    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
        return sum(scale / (scale + squared) for scale in SCALES)

    return (kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)).mean()


def _with_hip(vectors: Tensor) -> Tensor:
    """(..., 48) -> (..., 3, 17), the hip first and at 0."""
    pose = vectors.reshape(*vectors.shape[:-1], 3, 16)
    hip = (pose[..., RIGHT_HIP_16] + pose[..., LEFT_HIP_16])[..., None] / 2
    return torch.cat([torch.zeros_like(hip), pose - hip], -1)


def _best_of_m(hypotheses: Tensor, pose3d: Tensor, k: int = 5) -> Tensor:
    drawn, target = _with_hip(hypotheses), _with_hip(pose3d)
    errors = (drawn - target).detach().norm(dim=-2).mean(-1)
    best = errors.topk(k, dim=0, largest=False).indices
    chosen = torch.gather(drawn, 0, best[..., None, None].expand(-1, -1, 3, 17))
    return (chosen.mean(0) - target).abs().mean()


def _heatmap(hypotheses: Tensor, cond: Tensor) -> Tensor:
    unit = (METRES_PER_PIXEL * SIGMA_UNIT) ** 2
    c00, c01, c11 = (cond.reshape(-1, 13, 6) * unit)[..., 3:].unbind(-1)
    joints = [joint + 1 for joint in CONDITIONED_H36M_16]
    x, y = _with_hip(hypotheses)[..., :2, joints].unbind(-2)
    x, y = x - x.mean(0), y - y.mean(0)
    count = len(hypotheses) - 1
    xx, xy, yy = ((a * b).sum(0) / count for a, b in ((x, x), (x, y), (y, y)))
    threshold = (UNCERTAIN_SIGMA * METRES_PER_PIXEL) ** 2
    squared = torch.relu(c00 - xx) ** 2 + torch.relu(c11 - yy) ** 2 + (c01 - xy) ** 2
    counted = (c00 > threshold) | (c11 > threshold)
    return torch.where(counted, torch.sqrt(squared + 1e-30), 0.0).mean()
