"""An evaluation in eager PyTorch, the way the released code goes about it.

The condition is repeated for every hypothesis and joined to its input (`torch_peer`),
poses are compared one joint at a time, protocol 2 aligns by a batched SVD, and CPS
counts the aligned errors at each threshold. Written plainly; `benchmarks.evaluate`
checks its figures against jaxflow's of the same hypotheses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks import torch_peer
from jaxflow.metrics.errors import CPS_THRESHOLDS, PCK_THRESHOLD
from jaxflow.skeleton import CPS_JOINTS, PCK_JOINTS

BATCH = 512  # poses at a time, as the released evaluation has them


def figures(poses: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Of hypotheses (M, B, 17, 3) and targets (B, 17, 3), metres: (B,) each.

    The best MPJPE and PA-MPJPE in mm, the best share of PCK's joints, CPS in mm.
    """
    target = target.expand(len(poses), *target.shape)
    errors = 1000 * (poses - target).norm(dim=-1)
    aligned = 1000 * (align(poses, target) - target).norm(dim=-1)
    right = (errors[..., list(PCK_JOINTS)] <= PCK_THRESHOLD).float().mean(-1)
    worst = aligned[..., list(CPS_JOINTS)].amax(-1).amin(0)
    within = (worst[:, None] <= torch.tensor(CPS_THRESHOLDS)).float()
    ends = (within[:, 0] + within[:, -1]) / 2
    return {
        "mpjpe": errors.mean(-1).amin(0),
        "pa_mpjpe": aligned.mean(-1).amin(0),
        "pck": right.amax(0),
        "cps": within.sum(1) - ends,
    }


def align(points: Tensor, target: Tensor) -> Tensor:
    """The similarity of least squared distance, by a batched SVD."""
    centre = target.mean(-2, keepdim=True)
    moved = points - points.mean(-2, keepdim=True)
    u, s, vt = torch.linalg.svd(moved.transpose(-1, -2) @ (target - centre))
    flip = torch.ones_like(s)
    flip[..., -1] = torch.sign(torch.linalg.det(u @ vt))
    scale = (s * flip).sum(-1) / (moved**2).sum((-2, -1))
    return scale[..., None, None] * moved @ (u * flip[..., None, :] @ vt) + centre


def with_hip(vectors: Tensor) -> Tensor:
    """The network's poses (..., 48) -> (..., 17, 3), hip at 0, camera frame."""
    pose = torch_peer._with_hip(vectors).transpose(-1, -2)
    return pose * torch.tensor([1.0, -1.0, -1.0])


def evaluate(
    model: torch_peer.Flow, pose2d: Tensor, cond: Tensor, target: Tensor, count: int
) -> dict[str, float]:
    """Means over all poses of the figures of ``count`` hypotheses each."""
    found = []
    with torch.no_grad():
        for start in range(0, len(pose2d), BATCH):
            rows = slice(start, start + BATCH)
            z = torch.randn(count, len(pose2d[rows]), 16)
            poses = with_hip(model.hypotheses(z, pose2d[rows], cond[rows]))
            found.append(figures(poses, target[rows]))
    return {
        name: torch.cat([f[name] for f in found]).mean().item() for name in found[0]
    }
