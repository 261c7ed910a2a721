"""What an iteration refuses: arrays that are not one iteration's, by name."""

import jax
import numpy as np
import pytest

from jaxflow.training import step
from jaxflow.types import Batch
from tests.training.step_test import CONFIG, ITERATIONS, start


@pytest.mark.parametrize(
    "change",
    [
        {"pose3d": (11, 4, 51)},
        {"cond": (11, 4, 65)},
        {"pose2d": (9, 4, 32)},
        {"pose3d": (9, 4, 48), "pose2d": (9, 4, 32), "cond": (9, 4, 78)},
        {"critic_z": (4, 4, 16)},
        {"mix": (5, 4, 2)},
        {"mix": (4, 4, 1)},
        {"mmd_z": (3, 16)},
        {"generator_z": (4, 15)},
        {"hypothesis_z": (8, 3, 16)},
        {"hypothesis_z": (4, 8, 16)},
    ],
    ids=str,
)
def test_bad_shapes_are_named(change):
    """Whatever is wrong is refused while tracing, by its name and both shapes."""
    part, noise = ITERATIONS[0]
    arrays = {**dict(zip(Batch._fields, part, strict=True)), **noise}
    for name, shape in change.items():
        arrays[name] = np.zeros(shape, np.float32)
    batches = Batch(**{name: arrays[name] for name in Batch._fields})
    drawn = step.Noise(**{name: arrays[name] for name in step.Noise._fields})
    name, shape = next(iter(change.items()))
    with pytest.raises(ValueError) as caught:
        jax.eval_shape(
            lambda b, n: step.iteration(start(), b, n, CONFIG), batches, drawn
        )
    assert name in str(caught.value) and str(shape) in str(caught.value)
