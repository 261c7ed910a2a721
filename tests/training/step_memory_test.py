"""What an iteration holds in memory: few hypotheses at once, one state."""

import jax
import jax.numpy as jnp
import pytest

from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.training import state, step
from jaxflow.types import Batch

KEY = jax.random.key(5)


def iteration_memory(batch, hypotheses):
    """Temporary bytes of a compiled iteration of a tenth of the width."""
    flow_config = FlowConfig(blocks=2, hidden=103)
    config = TrainConfig(
        batch_size=batch, hypotheses=hypotheses, critic_updates=1, flow=flow_config
    )
    start = jax.eval_shape(lambda: state.init(KEY, config))
    noise = jax.eval_shape(lambda: step.draw_noise(KEY, config))
    batches = Batch(
        *(jax.ShapeDtypeStruct((3, batch, n), jnp.float32) for n in (48, 32, 78))
    )
    lowered = jax.jit(step.iteration, static_argnums=3, donate_argnums=0).lower(
        start, batches, noise, config
    )
    analysis = lowered.compile().memory_analysis()
    return analysis.temp_size_in_bytes, analysis.alias_size_in_bytes, start


@pytest.mark.slow
def test_an_iteration_s_memory_does_not_grow_with_its_hypotheses():
    few, _, _ = iteration_memory(16, 100)
    many, reused, start = iteration_memory(16, 400)
    assert many <= 1.3 * few
    # The state is updated in place: its buffers were given away.
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(start))
    assert reused >= 0.99 * size
