"""Training a detector: labels, examples, the loss, and runs that learn drawn people."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxflow.detector import (
    checkpoint,
    crop,
    examples,
    hrnet,
    labels,
    learning,
    pictures,
    training,
    warp,
)
from jaxflow.detector.examples import Change
from jaxflow.detector.hrnet import TINY
from jaxflow.detector.learning import LearningConfig
from jaxflow.foreign_skeletons import COCO_17
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.training.checkpoint import CheckpointError
from jaxflow.training.loop import NonFiniteError
from jaxflow.training.writer import read
from tests import drawn_people
from tests.training_helpers import command

SMALLEST = dataclasses.replace(TINY, stage3_modules=0)
STEPS = 30
CONFIG = LearningConfig(
    steps=STEPS,
    batch_size=4,
    learning_rate=3e-3,
    rotation=0.0,
    scaling=0.0,
    mirror=False,
    crop_size=128,
)
PACE = training.Pace(log_every=5, save_every=10, keep=2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Labels of four drawn people, and their folder."""
    folder = tmp_path_factory.mktemp("drawn")
    path, points = drawn_people.write(folder)
    return labels.read(path, folder), points, folder


# Labels.


def test_labels_are_those_of_the_file(drawn):
    found, points, folder = drawn
    np.testing.assert_allclose(found.points, points, rtol=1e-6)
    np.testing.assert_allclose(found.box, [drawn_people.box_of(p) for p in points])
    assert found.found.all() and found.picture[2] == folder / "2.png"


def edited(folder, tmp_path, change):
    """The annotation file after ``change(content, second annotation)``."""
    content = json.loads((folder / "coco.json").read_text())
    change(content, content["annotations"][1])
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(content))
    return path


def test_unlabelled_joints_crowds_and_missing_boxes(drawn, tmp_path):
    before, points, folder = drawn

    def change(content, second):
        second["keypoints"][5] = 0  # RKnee
        second["keypoints"][8] = 1  # RHip, hidden
        del second["bbox"]
        content["annotations"][0]["iscrowd"] = 1
        content["annotations"][2]["keypoints"] = [0] * 48

    got = labels.read(edited(folder, tmp_path, change), folder)
    assert [path.name for path in got.picture] == ["1.png", "3.png"]
    assert not got.found[0, 1] and got.found[0, 2] and got.found.sum() == 31
    kept = np.delete(points[1], 1, axis=0)
    np.testing.assert_allclose(got.box[0], drawn_people.box_of(kept))
    assert got.fingerprint() != before.fingerprint()


def test_coco_s_joints_become_mpii_s(drawn, tmp_path):
    """By the joints' names, spelt as COCO does."""
    _, _, folder = drawn
    names = [
        "".join(f"_{c.lower()}" if c.isupper() else c for c in joint)[1:]
        for joint in COCO_17.joints
    ]
    places = np.arange(34.0).reshape(17, 2) + 1

    def change(content, second):
        content["categories"][0]["keypoints"] = names
        content["annotations"] = [second]
        seen = np.full((17, 1), 2)
        second["keypoints"] = np.concatenate([places, seen], 1).ravel().tolist()

    got = labels.read(edited(folder, tmp_path, change), folder)
    assert got.found.all()
    for mpii, coco in (("RFoot", "RightAnkle"), ("LWrist", "LeftWrist")):
        np.testing.assert_allclose(
            got.points[0, MPII_JOINTS.index(mpii)], places[COCO_17.joints.index(coco)]
        )


WRONG = {
    "keypoints as 48 finite": lambda c, a: a.update(keypoints=[2] * 45),
    "annotation 101: expected 16": lambda c, a: a["keypoints"].__setitem__(0, "x"),
    "annotation 101: expected bbox": lambda c, a: a.update(bbox=[1, 2, 0, 0]),
    "got image_id 77": lambda c, a: a.update(image_id=77),
    "pictures are missing:.*no.png": lambda c, a: c["images"][1].update(
        file_name="no.png"
    ),
    "got none": lambda c, a: c.update(annotations=[]),
    "expected 'images'": lambda c, a: c.pop("images"),
}


@pytest.mark.parametrize("said", WRONG)
def test_damaged_annotations_are_named(drawn, tmp_path, said):
    _, _, folder = drawn
    path = edited(folder, tmp_path, WRONG[said])
    with pytest.raises(
        (ValueError, FileNotFoundError), match=f"(?s)edited.json.*{said}"
    ):
        labels.read(path, folder)


def test_files_that_are_no_annotations_are_named(drawn, tmp_path):
    _, _, folder = drawn
    with pytest.raises(FileNotFoundError, match="COCO keypoint JSON; there is none"):
        labels.read(tmp_path / "no.json", folder)
    for text, said in (("{", "no JSON"), ("[]", "expected an object")):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            labels.read(tmp_path / "odd.json", folder)
    with pytest.raises(ValueError, match="expected a skeleton among mpii_16"):
        labels.read(folder / "coco.json", folder, "coco_18")


# Examples.


def blobs(points, width, height, sigma):
    """A grey picture (height, width, 3) with a bump at each point."""
    y, x = np.mgrid[:height, :width]
    bumps = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2)) for a, b in points]
    grey = np.rint(255 * np.clip(sum(bumps), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def centre_near(pixels, point, reach):
    """The centroid of a picture (S, S) near a point."""
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    weight = pixels * (np.hypot(x - point[0], y - point[1]) < reach)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("zoom", [0.6, 1, 4])
@pytest.mark.parametrize(
    "change",
    [Change(), Change(True), Change(False, 0.5, 1.2), Change(True, -0.8, 0.8)],
    ids=str,
)
def test_labels_follow_the_pixels(tmp_path, zoom, change):
    """Bumps drawn at the joints are where the example says, enlarged or reduced."""
    size = int(160 * zoom)
    points = zoom * (40 + 80 * drawn_people.STANDING)
    joints = [MPII_JOINTS.index(name) for name in ("Head", "RWrist", "LFoot", "Thorax")]
    pixels = blobs(points[joints], size, size, 2.5 * zoom)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    people = labels.Labels(
        [tmp_path / "a.png"],
        np.array([[40, 40, 80, 80]]) * zoom,
        points[None].astype(np.float32),
        np.ones((1, 16), bool),
    )
    example = examples.make(people, 0, change, 128)
    assert example.crop.shape == (128, 128, 3) and example.crop.dtype == np.uint8
    if change.mirror:  # the right wrist is now called the left one
        joints = [
            MPII_JOINTS.index(name) for name in ("Head", "LWrist", "RFoot", "Thorax")
        ]
    whole = [j for j in joints if np.all(np.abs(example.points[j] - 63.5) < 55)]
    assert len(whole) >= 3
    for joint in whole:
        place = example.points[joint]
        got = centre_near(example.crop[..., 0], place, 10)
        np.testing.assert_allclose(got, place, atol=0.05)
    if change.mirror and not change.angle:  # the right hand is now on the right
        wrists = [example.points[MPII_JOINTS.index(f"{s}Wrist")] for s in "RL"]
        assert wrists[0][0] < wrists[1][0]


def test_an_unchanged_example_is_the_detector_s_crop(drawn):
    found, _, _ = drawn
    example = examples.make(found, 1, Change(), 256)
    square = crop.from_box(found.box[1])
    want = np.asarray(warp.crops(pictures.read(found.picture[1]), square))[0]
    inside = np.s_[8:-8, 8:-8]
    differences = np.abs(example.crop.astype(int) - want.astype(int))[inside]
    assert differences.max() <= 2
    np.testing.assert_allclose(
        example.points, crop.image_to_crop(found.points[1], square), rtol=1e-5
    )


def test_joints_outside_or_not_labelled_do_not_count(drawn):
    found, _, _ = drawn
    box = found.box.copy()
    box[0, 3] /= 4  # the upper quarter of the first person
    box[0, 2] = box[0, 3]
    hidden = found.found.copy()
    hidden[0, MPII_JOINTS.index("Head")] = False
    example = examples.make(found._replace(box=box, found=hidden), 0, Change(), 128)
    inside = np.all((example.points >= 0) & (example.points <= 127), -1)
    want = inside & hidden[0]
    assert 0 < want.sum() < 15
    np.testing.assert_array_equal(example.weight, want)


def test_changes_are_drawn_as_published():
    drawn = [examples.draw_change((0, i), 30, 0.25, True) for i in range(2000)]
    angles = np.degrees([change.angle for change in drawn])
    scales = np.array([change.scale for change in drawn])
    assert 0.35 < np.mean(angles == 0) < 0.45 and np.abs(angles).max() <= 60
    np.testing.assert_allclose(np.std(angles[angles != 0]), 29, rtol=0.08)
    assert scales.min() == 0.75 and scales.max() == 1.25
    assert 0.45 < np.mean([change.mirror for change in drawn]) < 0.55
    assert examples.draw_change((0, 5), 30, 0.25, True) == drawn[5]
    assert examples.draw_change((0, 5), 0, 0, False) == Change()


# The loss.


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
    arrays = jnp.asarray(maps), jnp.asarray(points), jnp.asarray(weight)
    np.testing.assert_allclose(learning.loss(*arrays), np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(learning.peak_error(*arrays), np.mean(errors), rtol=1e-5)
    nothing = jnp.zeros_like(arrays[2])
    assert learning.loss(*arrays[:2], nothing) == 0


def test_the_learning_rate_falls_once():
    config = LearningConfig(learning_rate=1e-3, lower_rate_after=10)
    rates = [config.rate(step) for step in (0, 9, 10, 1000)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4])
    assert LearningConfig().rate(10**6) == 1e-3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"scaling": 1.0}, r"\[0, 1\)"),
        ({"crop_size": 100}, "multiple of 32, not 100"),
    ],
)
def test_settings_without_sense_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        LearningConfig(**values)


# Runs.


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    outcome = training.train(drawn[0], SMALLEST, CONFIG, out, pace=PACE)
    assert outcome.step == STEPS and outcome.stopped_by is None
    return out


def test_a_few_steps_learn_drawn_people(drawn, trained):
    """The loss falls to a quarter and every map peaks within a pixel of its joint."""
    lines = read(trained)
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    variables, network = checkpoint.load(trained)
    assert network == SMALLEST
    made = [examples.make(drawn[0], i, Change(), 128) for i in range(4)]
    batch = examples.Example(*(np.stack(field) for field in zip(*made, strict=True)))
    maps = jax.jit(hrnet.heatmaps, static_argnums=2)(
        variables, warp.normalize(jnp.asarray(batch.crop)), network
    )
    assert maps.shape == (4, 16, 32, 32)
    points, weight = jnp.asarray(batch.points) / 4, jnp.asarray(batch.weight)
    blank = learning.loss(jnp.zeros_like(maps), points, weight)
    assert lines[-1]["loss"] < 0.25 * blank and lines[-1]["loss"] < lines[0]["loss"]
    assert learning.loss(maps, points, weight) < 0.5 * blank
    assert learning.peak_error(maps, points, weight) < 1


def test_a_stopped_run_ends_with_the_same_bits(drawn, trained, tmp_path):
    shorter = dataclasses.replace(CONFIG, steps=13)
    training.train(drawn[0], SMALLEST, shorter, tmp_path, pace=PACE)
    training.train(drawn[0], SMALLEST, CONFIG, tmp_path, pace=PACE)
    ours, theirs = checkpoint.load(tmp_path)[0], checkpoint.load(trained)[0]
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [20, 30]
    # A finished run has nothing left to do.
    assert training.train(drawn[0], SMALLEST, CONFIG, tmp_path, pace=PACE).step == STEPS


def test_another_run_s_folder_is_refused(drawn, trained):
    other = dataclasses.replace(CONFIG, learning_rate=1e-3)
    with pytest.raises(CheckpointError, match="learning_rate: 0.001 here, 0.003 there"):
        training.train(drawn[0], SMALLEST, other, trained)
    moved = drawn[0]._replace(points=drawn[0].points + 1)
    with pytest.raises(CheckpointError, match="crc32"):
        training.train(moved, SMALLEST, CONFIG, trained)


def test_a_loss_that_is_not_finite_stops(drawn, tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=r"step \d+ is not finite"):
        training.train(drawn[0], SMALLEST, config, tmp_path, pace=PACE)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        checkpoint.load(tmp_path)


def test_a_damaged_picture_is_named(drawn, tmp_path):
    found, _, _ = drawn
    path = tmp_path / "bad.png"
    path.write_bytes(found.picture[0].read_bytes()[:200])
    damaged = found._replace(picture=[path] * 4)
    with pytest.raises(pictures.PictureError, match="bad.png"):
        training.train(damaged, SMALLEST, CONFIG, tmp_path / "out", pace=PACE)


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
