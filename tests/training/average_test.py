"""The running average of the flow's parameters, and the learning rate's warm-up."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxflow.config import OptimizerConfig
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.training import parallel, state, updates
from tests.helpers.training import TINY, run_config, train_and_evaluate

DECAY = 0.3
AVERAGED = dataclasses.replace(
    TINY, iterations=8, optimizer=OptimizerConfig(average_decay=DECAY, warmup=5)
)


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    """Eight iterations, every one of them saved."""
    workdir = tmp_path_factory.mktemp("run")
    train_and_evaluate(
        run_config(data_dir, AVERAGED, checkpoint_every=1, keep=9), workdir
    )
    return workdir


def saved(workdir, number):
    """The parameters that were trained, and those to sample with."""
    folder = workdir / "checkpoints" / str(number)
    target = jax.eval_shape(lambda: state.init(jax.random.key(0), AVERAGED))
    fields = {
        name: leaf for name, leaf in target._asdict().items() if name != "average"
    }
    rest = store.restore_tree(folder / "training", fields)
    return rest["flow"], checkpoint.load_params(folder)


def test_checkpoints_hold_the_average_for_sampling(trained):
    """Against the definition: the first steps forget faster than DECAY says."""
    _, expected = saved(trained, 1)
    for number in range(2, 9):
        flow, shown = saved(trained, number)
        decay = min(DECAY, number / (9 + number))
        expected = jax.tree.map(
            lambda old, new, d=decay: d * np.asarray(old) + (1 - d) * np.asarray(new),
            expected,
            flow,
        )
        for one, other in zip(
            jax.tree.leaves(shown), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    away = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), flow, shown)
    assert max(jax.tree.leaves(away)) > 1e-5


def test_a_resumed_run_ends_with_the_same_bits(trained, data_dir, tmp_path):
    for iterations in (5, 8):
        config = dataclasses.replace(AVERAGED, iterations=iterations)
        train_and_evaluate(run_config(data_dir, config, checkpoint_every=1), tmp_path)
    for ours, theirs in zip(saved(tmp_path, 8), saved(trained, 8), strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_warm_up_grows_linearly_and_then_stays():
    config = OptimizerConfig(warmup=4, halve_after_epoch=2)
    scales = [
        float(parallel.rate_scale(config, np.int32(0), np.int32(i))) for i in range(6)
    ]
    assert scales == [0.25, 0.5, 0.75, 1, 1, 1]
    assert float(parallel.rate_scale(config, np.int32(2), np.int32(9))) == 0.5
    plain = OptimizerConfig(halve_after_epoch=2)
    assert float(parallel.rate_scale(plain, np.int32(0), np.int32(0))) == 1


@pytest.mark.parametrize(
    ("step", "share"), [(0, 1), (5, 1), (6, 0.1), (7, 0.2), (30, 0.2)]
)
def test_after_the_layers_stage_the_rate_is_less_and_rises_anew(step, share):
    config = dataclasses.replace(
        TINY,
        affine_iterations=6,
        flow=dataclasses.replace(TINY.flow, affine_hidden=4),
        optimizer=OptimizerConfig(
            learning_rate=1.0, joint_rate=0.2, warmup=2, beta1=0.0, beta2=0.0
        ),
    )
    params = {"encoder": {}, "blocks": {}, "affine": {"bias": np.ones(3, np.float32)}}
    start = state.from_params(params, {}, config)._replace(step=np.int32(step))
    after = updates.flow_update(start, params, config, 1.0)
    # Adam without moments goes by its rate, whatever the gradient is.
    np.testing.assert_allclose(after.flow["affine"]["bias"], 1 - share, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"average_decay": 1.0},
        {"average_decay": -0.1},
        {"warmup": -1},
        {"joint_rate": -1.0},
    ],
)
def test_settings_without_a_meaning_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OptimizerConfig(**wrong)
