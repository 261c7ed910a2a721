"""Checkpoints: what is saved comes back, and nothing else is taken for it."""

import dataclasses
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.config import FlowConfig, TrainConfig
from jaxflow.flow import checkpoint, stack
from jaxflow.runs import checkpoint as store
from jaxflow.runs import plain_config
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.training import state
from tests.helpers.training import TINY, checkpoints_of


@pytest.fixture(scope="module")
def trained():
    """A state whose every leaf differs from a fresh one."""
    fresh = state.init(jax.random.key(3), TINY)
    rng = np.random.default_rng(0)

    def other(leaf):
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return leaf + 7
        return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(other, fresh)


def saved(workdir, states, **options):
    checkpointer = checkpoints_of(workdir, TINY, **options)
    for one in states:
        checkpointer.save(one)
    checkpointer.close()


def assert_same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_the_whole_state_comes_back(trained, tmp_path):
    saved(tmp_path, [trained])
    checkpointer = checkpoints_of(tmp_path, TINY)
    assert checkpointer.latest_step() == 7
    assert_same(checkpointer.restore(), trained)
    checkpointer.close()
    assert_same(checkpoint.load_params(tmp_path), trained.flow)
    assert checkpoint.load_config(tmp_path) == TINY


def test_only_the_newest_are_kept(trained, tmp_path):
    states = [trained._replace(step=jnp.int32(step)) for step in (1, 2, 3, 4)]
    saved(tmp_path, states, keep=2)
    folders = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert folders == ["3", "4"]


def test_one_checkpoint_or_its_folder_will_do(trained, tmp_path):
    saved(tmp_path, [trained, trained._replace(step=jnp.int32(9))])
    for place in ("", "checkpoints", "checkpoints/7"):
        found = store.find(tmp_path / place)
        assert found.name == ("7" if place.endswith("7") else "9")
        assert_same(checkpoint.load_params(found), trained.flow)


def test_parameters_alone(trained, tmp_path):
    checkpoint.save_params(tmp_path, trained.flow, TINY.flow)
    assert_same(checkpoint.load_params(tmp_path), trained.flow)
    assert checkpoint.load_config(tmp_path).flow == TINY.flow
    with pytest.raises(CheckpointError, match="exists already"):
        checkpoint.save_params(tmp_path, trained.flow, TINY.flow)
    with pytest.raises(CheckpointError, match="blocks/net1.*expected float32"):
        checkpoint.save_params(tmp_path / "b", trained.flow, FlowConfig())
    with pytest.raises(CheckpointError, match="not of the given configuration"):
        checkpoint.save_params(tmp_path / "b", trained.flow)
    with pytest.raises(CheckpointError, match="a folder to save to; got .*x.npz"):
        checkpoint.save_params(tmp_path / "x.npz", trained.flow, TINY.flow)
    with pytest.raises(TypeError, match="a TrainConfig or FlowConfig; got 'tiny'"):
        checkpoint.save_params(tmp_path / "b", trained.flow, "tiny")


def test_separate_blocks_are_saved_as_well(trained, tmp_path):
    checkpoint.save_params(tmp_path, stack.separate(trained.flow), TINY.flow)
    assert_same(checkpoint.load_params(tmp_path), trained.flow)


def test_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        checkpoint.load_params(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="holds no complete checkpoint"):
        checkpoint.load_params(tmp_path)


def test_a_half_written_checkpoint_is_never_loaded(trained, tmp_path):
    saved(tmp_path, [trained])
    folder = tmp_path / "checkpoints"
    half = folder / "9.orbax-checkpoint-tmp"
    shutil.copytree(folder / "7", half)
    shutil.rmtree(half / "training")
    assert store.find(tmp_path).name == "7"
    checkpointer = checkpoints_of(tmp_path, TINY)
    assert int(checkpointer.restore().step) == 7
    checkpointer.close()
    assert not half.exists()


def test_another_run_is_refused(trained, tmp_path):
    saved(tmp_path, [trained], fingerprint={"frames": 5, "crc32": 1})
    other = dataclasses.replace(TINY, batch_size=4, seed=1)
    with pytest.raises(CheckpointError) as refused:
        checkpoints_of(tmp_path, other, fingerprint={"frames": 6, "crc32": 1})
    message = str(refused.value)
    for line in ("batch_size: 4 here, 8 there", "seed: 1 here", "frames: 6 here, 5"):
        assert line in message
    assert "hypotheses" not in message
    # Longer is no other run.
    longer = dataclasses.replace(TINY, iterations=999, epochs=1)
    checkpoints_of(tmp_path, longer, fingerprint={"frames": 5, "crc32": 1}).close()


def test_another_architecture_is_refused(trained, tmp_path):
    """Even where the recorded configuration says otherwise."""
    saved(tmp_path, [trained])
    folder = store.find(tmp_path)
    wider = dataclasses.replace(TINY, flow=FlowConfig(blocks=2, hidden=32))
    shutil.rmtree(folder / "config")
    checkpoint.save_params(
        tmp_path / "other", state.init(jax.random.key(0), wider).flow, wider
    )
    shutil.copytree(tmp_path / "other/checkpoints/0/config", folder / "config")
    with pytest.raises(CheckpointError) as refused:
        checkpoint.load_params(tmp_path)
    assert "blocks/net1/output/kernel is float32(2, 16, 48)" in str(refused.value)
    assert "expected float32(2, 32, 48)" in str(refused.value)


def test_another_dtype_is_refused(trained, tmp_path):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), trained.flow)
    with pytest.raises(CheckpointError, match="bfloat16.*expected float32"):
        checkpoint.save_params(tmp_path, half, TINY)


@pytest.mark.parametrize("part", ["params", "training", "config"])
def test_damage_is_an_error_that_names_the_folder(trained, tmp_path, part):
    saved(tmp_path, [trained])
    folder = tmp_path / "checkpoints" / "7" / part
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 0:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        checkpoints_of(tmp_path, TINY).restore()


def test_no_disk_space_is_an_error_and_loses_nothing(trained, tmp_path):
    """A limit on the size of files stands in for a full disk: the write fails."""
    saved(tmp_path, [trained])
    checkpointer = checkpoints_of(tmp_path, TINY)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError) as refused:
            checkpointer.save(trained._replace(step=jnp.int32(9)))
            checkpointer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for part in ("could not be written", str(tmp_path), "step 7", "free disk space"):
        assert part in str(refused.value)
    assert_same(checkpoint.load_params(tmp_path), trained.flow)
    again = checkpoints_of(tmp_path, TINY)
    assert_same(again.restore(), trained)
    again.save(trained._replace(step=jnp.int32(9)))
    again.close()
    assert store.find(tmp_path).name == "9"


def test_configurations_survive_the_round_trip():

    odd = TrainConfig(batch_size=3, flow=FlowConfig(exact_clamp=True, hidden=1024))
    assert plain_config.from_dict(TrainConfig, plain_config.to_dict(odd)) == odd
