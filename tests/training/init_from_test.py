"""A run that begins with the weights of a trained model and nothing else of it."""

import dataclasses

import jax
import numpy as np
import pytest
from absl.testing import flagsaver

from jaxflow import train
from jaxflow.config import LossConfig
from jaxflow.flow import checkpoint, stack
from jaxflow.methods import weights
from jaxflow.runs import checkpoint as store
from jaxflow.runs import released, writer
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.runs.errors import UserError
from jaxflow.training import dispatch, loop, state, validation
from tests.helpers import methods as small
from tests.helpers import training
from tests.helpers.refusals import contents
from tests.helpers.training import run_config, train_and_evaluate

# The least that there is to compile.
ONLY_2D = LossConfig(
    gen_weight=0, mmd_weight=0, det_weight=0, best_of_m_weight=0, heatmap_weight=0
)
ONE_BLOCK = dataclasses.replace(training.TINY.flow, blocks=1)
TINY = dataclasses.replace(training.TINY, loss=ONLY_2D, flow=ONE_BLOCK)
FINE = dataclasses.replace(TINY, iterations=2, seed=4)
WATCHED = {
    "checkpoint_every": 1,
    "validate_every": 2,
    "validation_frames": 8,
    "validation_hypotheses": 4,
    "keep_best": True,
}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A model's checkpoint."""
    folder = tmp_path_factory.mktemp("before")
    params = state.init(jax.random.key(8), TINY).flow
    checkpoint.save_params(folder, params, TINY)
    return folder


@pytest.fixture(scope="module")
def beginning(before):
    params = jax.device_get(checkpoint.load_params(before))
    return loop.Beginning(str(before), params)


SEEN = []  # models that were validated


def looked_at(model, records, config):
    """In place of a validation, which takes its time: the best is what was first."""
    SEEN.append(jax.device_get(model.parameters()))
    values = {"mpjpe_best": 50.0, "mpjpe_z0": 60.0, "energy_score": 40.0 + len(SEEN)}
    return validation.Validation(values, np.ones(3), np.ones(2))


@pytest.fixture(scope="module")
def run(beginning, data_dir, tmp_path_factory):
    """A run of two iterations that began with them."""
    workdir = tmp_path_factory.mktemp("fine")
    config = run_config(data_dir, FINE, **WATCHED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "validate", looked_at)
        train_and_evaluate(config, workdir, beginning=beginning)
    return workdir


def same(one, other):
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


def test_the_first_validation_is_of_what_was_there(run, beginning):
    lines = [line for line in writer.read(run) if line["kind"] == "validation"]
    assert [line["step"] for line in lines] == [0, 2]
    first, last = SEEN
    assert same(first, beginning.params) and not same(last, beginning.params)


def test_the_best_kept_may_be_what_was_there(run, before, beginning):
    folder = run / "checkpoints" / "0"
    assert same(checkpoint.load_params(folder), beginning.params)
    assert "figure" in store.read_about(folder)


def test_starts_before_the_first_checkpoint_are_told_once(
    beginning, data_dir, tmp_path, monkeypatch
):
    """Or each would count among those that brought nothing better."""
    monkeypatch.setattr(validation, "validate", looked_at)
    monkeypatch.setattr(dispatch.Plan, "stopping", True)
    watched = run_config(data_dir, FINE, validate_every=2, patience=1)
    for _ in range(2):
        assert train_and_evaluate(watched, tmp_path, beginning=beginning).step == 0
    assert [line["step"] for line in writer.read(tmp_path)] == [0]


def test_parameters_are_theirs_and_all_else_is_new(beginning):
    fresh = state.init(jax.random.key(4), FINE)
    begun = state.init(jax.random.key(4), FINE, beginning.params)
    for name in ("step", "critic", "flow_optimizer", "critic_optimizer"):
        assert same(getattr(fresh, name), getattr(begun, name))
    assert same(begun.flow, beginning.params)


def test_the_same_command_goes_on(run, beginning, data_dir, monkeypatch):
    """Also where the weights lie elsewhere now; with others it is another run."""
    longer = run_config(data_dir, dataclasses.replace(FINE, iterations=3), **WATCHED)
    before = contents(run)
    for other, message in (
        (None, "init_from_crc32: None here"),
        (
            beginning._replace(params=jax.tree.map(lambda x: x + 1, beginning.params)),
            "init_from_crc32: .* here, .* there",
        ),
    ):
        with pytest.raises(CheckpointError, match=message):
            train_and_evaluate(longer, run, beginning=other)
    assert {**before, "lock": b""} == {**contents(run), "lock": b""}
    monkeypatch.setattr(validation, "validate", looked_at)
    moved = beginning._replace(name="elsewhere")
    assert train_and_evaluate(longer, run, beginning=moved).step == 3
    steps = [line["step"] for line in writer.read(run) if line["kind"] == "validation"]
    assert steps == [0, 2, 3]


def test_parameters_of_another_size_are_refused(beginning, data_dir, tmp_path):
    wide = dataclasses.replace(TINY.flow, hidden=24)
    config = run_config(data_dir, dataclasses.replace(FINE, flow=wide))
    with pytest.raises(CheckpointError, match="is not this model:\n.*net1"):
        train_and_evaluate(config, tmp_path, beginning=beginning)


def test_a_file_of_it_says_what_it_began_with_but_not_where(run, tmp_path):
    (tmp_path / "fine.npz").write_bytes(weights.to_bytes(run))
    begun = store.read_about(tmp_path / "fine.npz")["begun_with"]
    assert begun["init_from_crc32"] and "/" not in begun["init_from"]


@pytest.fixture
def given():
    """Gives flags to the command as its line would."""
    known = train.flags.FLAGS
    saved = flagsaver.save_flag_values(known)

    def give(*flags):
        known(["train", "--workdir=w", *flags])
        train.take_presets()
        return train.take_weights()

    yield give
    flagsaver.restore_flag_values(saved, known)


def test_the_architecture_is_that_of_the_weights(given, before, monkeypatch, tmp_path):
    (tmp_path / "small.npz").write_bytes(weights.to_bytes(before))
    monkeypatch.setattr(released, "FOLDER", tmp_path)
    begun = given("--init_from=small", "--recipe=sharp", "--blocks=1", "--seed=3")
    assert begun.name == "small" and isinstance(begun.params["blocks"], dict)
    config = train.config_from_flags().train
    assert config.flow == TINY.flow and config.seed == 3
    assert config.loss.energy_weight == 16
    text = train.flags.as_flagfile(train._flag_names())
    assert "--hidden=16\n" in text and "--init_from=small\n" in text


@pytest.mark.parametrize("learned", [False, True])
def test_the_layer_learns_alone_again_where_the_blocks_have_not(
    given, tmp_path, learned
):
    flow = dataclasses.replace(ONE_BLOCK, affine_hidden=4)
    params = state.init(jax.random.key(8), dataclasses.replace(TINY, flow=flow)).flow
    assert stack.idle(params) and stack.idle(stack.separate(params))
    if learned:
        output = params["blocks"]["net1"]["output"]
        output["bias"] = output["bias"].at[0, 0].set(1.0)
    checkpoint.save_params(tmp_path, params, dataclasses.replace(TINY, flow=flow))
    given(f"--init_from={tmp_path}", "--recipe=sharp")
    config = train.config_from_flags().train
    assert config.affine_iterations == (0 if learned else 10000)
    assert config.affine_likelihood == 0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--blocks=3", r"blocks = 3 was asked for, but .* have 1; leave it out$"),
        ("--exact_clamp", "exact_clamp = True was asked for"),
        ("--ablation=no_condition", "use_condition = False was asked for"),
        ("--affine_iterations=5", "--affine_iterations trains the affine layer"),
    ],
)
def test_another_architecture_is_refused(given, before, flag, message):
    with pytest.raises(UserError, match=message) as refused:
        given(f"--init_from={before}", flag)
    assert "\n" not in str(refused.value)


def test_weights_that_are_not_there(given, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        given(f"--init_from={tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="expected --init_from=NAME or DIR; got none"):
        given("--init_from=")


def test_another_method_s_weights_bring_its_authors_settings(given, tmp_path):
    """Its architecture is the weights', also where it is not the authors'."""
    saved = dataclasses.replace(small.TINY, method="gaussian_nll")
    params = small.model("gaussian_nll").parameters()
    store.save_items(tmp_path, {"params": params}, checkpoint.about_run(saved), step=1)
    for flags in ((), ("--method=gaussian_nll",)):
        given(f"--init_from={tmp_path}", *flags)
        config = train.config_from_flags().train
        assert config.method == "gaussian_nll" and config.net == small.NET
        assert config.optimizer.learning_rate == 1e-3 and config.batch_size == 256
    with pytest.raises(UserError, match="^method = mdn was asked for"):
        given(f"--init_from={tmp_path}", "--method=mdn")
    with pytest.raises(UserError, match="--recipe=sharp is of the flow"):
        given(f"--init_from={tmp_path}", "--recipe=sharp")


def test_what_is_computed_is_not_gone_on_from(given, tmp_path):
    saved = dataclasses.replace(small.TINY, method="gaussian")
    params = small.model("gaussian").parameters()
    store.save_items(tmp_path, {"params": params}, checkpoint.about_run(saved), step=1)
    with pytest.raises(UserError, match="gaussian, which is computed from all frames"):
        given(f"--init_from={tmp_path}")
