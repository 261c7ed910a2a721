"""Training a detector: the loss, and runs that learn drawn people."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.detector.crops import warp
from jaxflow.detector.learning import examples, labels
from jaxflow.detector.learning import loop as training
from jaxflow.detector.learning import step as learning
from jaxflow.detector.learning.examples import Change
from jaxflow.detector.learning.step import LearningConfig
from jaxflow.detector.network import checkpoint, decode, hrnet
from jaxflow.detector.network.hrnet import TINY
from jaxflow.detector.readers import pictures
from jaxflow.runs.checkpoint import CheckpointError
from jaxflow.runs.errors import NonFiniteError
from jaxflow.runs.writer import read
from tests.helpers import drawn_people
from tests.helpers.refusals import contents
from tests.helpers.training import command

# Wide rather than deep: what a step of Adam moves grows with the width.
SMALL = dataclasses.replace(TINY, stage3_modules=0, width=64, stem=64)
# Learns little, for the tests of what a run leaves and refuses.
NARROW = dataclasses.replace(TINY, stage3_modules=0, width=4, stem=4)
STEPS = 10
CONFIG = LearningConfig(
    steps=STEPS,
    batch_size=4,
    learning_rate=5e-3,
    rotation=0.0,
    scaling=0.0,
    mirror=False,
    crop_size=64,
)
LOGGING = training.Logging(log_every=2, save_every=4, keep=2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Labels of four drawn people, and their folder."""
    folder = tmp_path_factory.mktemp("drawn")
    path, points = drawn_people.write(folder)
    return labels.read(path, folder), points, folder


def test_loss_and_peaks_by_hand():
    rng = np.random.default_rng(0)
    maps = rng.uniform(size=(2, 3, 8, 8)).astype(np.float32)
    points = rng.uniform(0, 7, (2, 3, 2)).astype(np.float32)
    weight = np.array([[1, 0, 1], [1, 1, 0]], np.float32)
    losses, errors = [], []
    for b, j in zip(*np.nonzero(weight), strict=True):
        y, x = np.mgrid[:8, :8]
        distance2 = (x - points[b, j, 0]) ** 2 + (y - points[b, j, 1]) ** 2
        losses.append(np.mean((maps[b, j] - np.exp(-distance2 / (2 * 2**2))) ** 2))
        row, column = np.unravel_index(np.argmax(maps[b, j]), (8, 8))
        errors.append(np.hypot(column - points[b, j, 0], row - points[b, j, 1]))
    loss, peak_error = jax.jit(learning.loss), jax.jit(learning.peak_error)
    arrays = maps, points, weight
    np.testing.assert_allclose(loss(*arrays), np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(peak_error(*arrays), np.mean(errors), rtol=1e-5)
    assert loss(maps, points, np.zeros_like(weight)) == 0


def test_the_learning_rate_falls_once():
    config = LearningConfig(learning_rate=1e-3, lower_rate_after=10)
    rates = [config.rate(step) for step in (5, 9, 10, 1000)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4])
    assert LearningConfig().rate(10**6) == 1e-3


def test_the_learning_rate_rises_first():
    config = LearningConfig(learning_rate=1e-3, warmup=3)
    rates = [config.rate(step) for step in range(5)]
    np.testing.assert_allclose(rates, [2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])
    assert LearningConfig(learning_rate=1e-3, warmup=0).rate(0) == 1e-3


def test_statistics_of_several_batches_are_those_of_all():
    rng = np.random.default_rng(0)
    batches = rng.normal(3, 2, (5, 4000, 6))
    parts = [{"a": {"mean": x.mean(0), "var": x.var(0)}} for x in batches]
    found = learning.pooled(parts)["a"]
    np.testing.assert_allclose(found["mean"], batches.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(found["var"], batches.var((0, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"warmup": -1}, "warmup must be at least 0"),
        ({"scaling": 1.0}, r"\[0, 1\)"),
        ({"crop_size": 100}, "multiple of 32, not 100"),
    ],
)
def test_settings_without_sense_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        LearningConfig(**values)


def test_an_epoch_is_shuffled_once(drawn):
    """However many batches and slots take from it."""
    training._order.cache_clear()
    config = dataclasses.replace(CONFIG, batch_size=3, steps=5)
    assert len(list(training.batches(drawn[0], config, 0))) == 5
    assert training._order.cache_info().misses == 4  # 15 of 4 pictures each
    expected = np.random.default_rng((config.seed, 3)).permutation(4)
    np.testing.assert_array_equal(training._order(config.seed, 3, 4), expected)


@pytest.fixture(scope="module")
def trained(drawn, optimised, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    training.train(drawn[0], SMALL, CONFIG, out, pace=LOGGING)
    return out


@pytest.fixture(scope="module")
def narrow(drawn, tmp_path_factory):
    out = tmp_path_factory.mktemp("narrow")
    outcome = training.train(drawn[0], NARROW, CONFIG, out, pace=LOGGING)
    assert outcome.step == STEPS and outcome.stopped_by is None
    return out


def seen(found, trained):
    """What a detector sees in everybody's crop: maps, points and weights."""
    variables, network = checkpoint.load(trained)
    assert network == SMALL
    made = [examples.make(found, i, Change(), CONFIG.crop_size) for i in range(4)]
    batch = examples.Example(*(np.stack(field) for field in zip(*made, strict=True)))
    maps = jax.jit(hrnet.heatmaps, static_argnums=2)(
        variables, warp.normalize(jnp.asarray(batch.crop)), network
    )
    return maps, jnp.asarray(batch.points) / 4, jnp.asarray(batch.weight)


@pytest.mark.slow
def test_ten_steps_overfit_a_few_pictures(drawn, trained, tmp_path):
    """The detector that was saved sees every joint of the four where it is labelled.

    Within three heatmap pixels, two thirds of a pixel on average, and with a fifth of
    the loss that blank maps have; four others, whom it has not seen, have a larger one.
    """
    lines = read(trained)
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    maps, points, weight = seen(drawn[0], trained)
    assert maps.shape == (4, 16, 16, 16) and weight.all()
    blank = learning.loss(jnp.zeros_like(maps), points, weight)
    loss = learning.loss(maps, points, weight)
    errors = np.linalg.norm(decode.dark(maps).place - points, axis=-1)
    assert loss < 0.2 * blank and lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert errors.max() < 3 and errors.mean() < 0.8 and np.mean(errors < 1) > 0.75
    others = labels.read(drawn_people.write(tmp_path, seed=9)[0], tmp_path)
    assert learning.loss(*seen(others, trained)) > 1.2 * loss
    # As it was trained, the running statistics being those of the final weights.
    assert abs(lines[-1]["loss"] - loss) < 0.1 * blank


def test_a_stopped_run_ends_with_the_same_bits(drawn, narrow, tmp_path):
    shorter = dataclasses.replace(CONFIG, steps=7)
    training.train(drawn[0], NARROW, shorter, tmp_path, pace=LOGGING)
    training.train(drawn[0], NARROW, CONFIG, tmp_path, pace=LOGGING)
    ours, theirs = checkpoint.load(tmp_path)[0], checkpoint.load(narrow)[0]
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [8, 10]
    # A finished run has nothing left to do.
    assert (
        training.train(drawn[0], NARROW, CONFIG, tmp_path, pace=LOGGING).step == STEPS
    )


def test_another_run_s_folder_is_refused(drawn, narrow):
    other = dataclasses.replace(CONFIG, learning_rate=1e-3)
    with pytest.raises(CheckpointError, match="learning_rate: 0.001 here, 0.005 there"):
        training.train(drawn[0], NARROW, other, narrow)
    moved = drawn[0]._replace(points=drawn[0].points + 1)
    with pytest.raises(CheckpointError, match="crc32"):
        training.train(moved, NARROW, CONFIG, narrow)


def test_a_refused_run_changes_nothing(drawn, narrow):
    before = contents(narrow)
    other = dataclasses.replace(CONFIG, seed=5)
    with pytest.raises(CheckpointError, match="another run"):
        training.train(drawn[0], NARROW, other, narrow, notes={"flags.txt": "--seed=5"})
    assert contents(narrow) == before


def test_a_loss_that_is_not_finite_stops(drawn, tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=r"iteration \d+ is not finite"):
        training.train(drawn[0], NARROW, config, tmp_path, pace=LOGGING)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        checkpoint.load(tmp_path)


def test_a_damaged_picture_is_named(drawn, tmp_path):
    found, _, _ = drawn
    path = tmp_path / "bad.png"
    path.write_bytes(found.picture[0].read_bytes()[:200])
    damaged = found._replace(picture=[path] * 4)
    with pytest.raises(pictures.PictureError, match="bad.png"):
        training.train(damaged, NARROW, CONFIG, tmp_path / "out", pace=LOGGING)


@pytest.mark.slow
def test_the_command_fine_tunes(drawn, trained, tmp_path):
    _, _, folder = drawn
    flags = (
        f"--annotations={folder / 'coco.json'}",
        f"--images={folder}",
        f"--out={tmp_path / 'out'}",
        f"--checkpoint={trained}",
        "--steps=2",
        "--batch_size=2",
        "--crop_size=64",
    )
    process = command(*flags, module="jaxflow.train_detector")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "4 persons in 4 pictures, 100% of their joints labelled" in output
    assert "trained 2 steps" in output and "loss" in output
    before, after = checkpoint.load(trained)[0], checkpoint.load(tmp_path / "out")[0]
    gap = np.abs(before["params"]["final"]["bias"] - after["params"]["final"]["bias"])
    assert 0 < gap.max() < 0.01
    assert f"--images={folder}" in (tmp_path / "out" / "flags.txt").read_text()
