"""A small set of frames, and a test of it that takes seconds."""

import numpy as np

from jaxflow.evaluation import protocol
from jaxflow.types import PoseRecords

TEST = protocol.EvaluationConfig(stride=4, num_hypotheses=5, batch_size=8)


def records(seed=0, count=40):
    """Frames of six takes of two actions, a few of them ambiguous."""
    rng = np.random.default_rng(seed)
    fit = np.ones((count, 16, 7), np.float32)
    fit[..., 1:3] = rng.uniform(20, 40, (count, 16, 2))
    fit[..., [3, 5]] = 2
    fit[::9, 4, 3] = 6
    text = np.array(["S9"] * count)
    return PoseRecords(
        pose3d=(rng.normal(size=(count, 17, 3)) * 300 + 3000).astype(np.float32),
        pose2d=rng.uniform(0, 256, (count, 16, 2)).astype(np.float32),
        gaussfit=fit,
        subject=text,
        action=np.array(["Walking", "Eating"])[np.arange(count) % 2],
        subaction=np.array([str(i // 2 % 3) for i in range(count)]),
        camera=text,
        frame=np.arange(count, dtype=np.int32),
    )
