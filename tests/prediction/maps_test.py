"""Heatmaps without an answer and on other scales: not found, refused, or brought back.

Whatever a map lacks, it is said: in the note, on the page, by the exit status.
"""

import json

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow.gaussians import keypoints, scales
from jaxflow.prediction.inputs import Reading
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS
from tests.conftest import shared_path
from tests.helpers import predict as predict_helpers

WRIST = MPII_JOINTS.index("RWrist")


@pytest.fixture(scope="module")
def lifter():
    return predict_helpers.quick_lifter()


@pytest.fixture(scope="module")
def good():
    """Clean maps (1, 16, 64, 64) of a person, float32."""
    y, x = np.mgrid[:64, :64]
    places = 20 + 24 * np.random.default_rng(0).random((16, 2))
    squares = (x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2
    return np.exp(-squares / 8).astype(np.float32)[None]


def predict(lifter, path, out, **reading):
    outcome, _ = predict_helpers.run([path], lifter, out, Reading(**reading))
    document = out / path.stem / "poses.json"
    return outcome, json.loads(document.read_text())["people"] if outcome.people else []


def without_wrist(maps, fill):
    maps = maps.copy()
    maps[0, WRIST] = fill
    return maps


@pytest.mark.parametrize(
    "fill",
    [0, 0.3, np.nan, np.inf, -1, 1e30],
    ids="zero flat nan inf minus huge".split(),
)
def test_a_joint_without_an_answer_is_not_found(lifter, good, fill, tmp_path):
    path = tmp_path / "maps.npy"
    np.save(path, without_wrist(good, fill))
    outcome, (person,) = predict(lifter, path, tmp_path / "out")
    assert person["note"] == "not found: RWrist"
    assert "note: maps.npy, frame 0, person 0: not found: RWrist" in outcome.told()
    assert "not found: RWrist" in (tmp_path / "out" / "index.html").read_text()
    assert person["heatmap_sigmas"][WRIST] == [10, 10]
    whole = lifter.lift_heatmaps(good)
    part = lifter.lift_heatmaps(without_wrist(good, fill))
    rest = [i for i in range(16) if i != WRIST]
    np.testing.assert_array_equal(part.fits[:, rest], whole.fits[:, rest])
    for found in (part.pose2d[0], part.fits[0, :, 1:3]):
        np.testing.assert_allclose(found[WRIST], found[rest].mean(0), atol=1e-4)


def test_it_is_as_a_keypoint_of_confidence_0(lifter, good):
    sure = jaxflow.fit_gaussians(good)
    lacking = jaxflow.fit_gaussians(without_wrist(good, 0))
    found = np.arange(16) != WRIST
    detected = keypoints.from_sigma(sure.mean, np.zeros((1, 16), np.float32))
    detected = detected._replace(found=detected.found & found)
    corner, pixel = np.zeros((1, 2), np.float32), np.ones(1, np.float32)
    fits = keypoints.to_fits(detected, corner, pixel)
    filled = keypoints.fill_missing(lacking)
    for ours, theirs in zip(filled[:4], fits[:4], strict=True):
        np.testing.assert_allclose(ours[0, WRIST], theirs[0, WRIST], rtol=1e-5)
    np.testing.assert_array_equal(
        jaxflow.condition(lacking), jaxflow.condition(filled.as_array())
    )
    np.testing.assert_array_equal(
        jaxflow.condition(sure), jaxflow.condition(sure.as_array())
    )
    by_fits = lifter.lift_fits(lacking, 4 * lacking.mean)
    np.testing.assert_array_equal(by_fits.fits, np.asarray(filled.as_array()))


def test_a_picture_of_too_few_joints_is_nobody(lifter, good, tmp_path):
    maps = np.concatenate([good, good])
    maps[0, 3:] = 0
    path = tmp_path / "maps.npy"
    np.save(path, maps)
    outcome, people = predict(lifter, path, tmp_path / "out")
    assert [person["frame"] for person in people] == [1]
    reason = "nobody: 3 joints found; expected 4 or more"
    assert outcome.problems == [f"{path}, frame 0, person 0: {reason}"]
    with pytest.raises(UserError, match=f"frame 0: {reason}"):
        lifter.lift_heatmaps(maps)
    with pytest.raises(UserError, match=reason):
        lifter.lift_fits(jaxflow.fit_gaussians(maps))
    with pytest.raises(UserError, match=reason):
        points = np.random.default_rng(0).random((1, 16, 2))
        lifter.lift_keypoints(points, np.arange(16.0)[None] < 3)


def softmax(maps):
    raised = np.exp(10 * maps)
    return raised / raised.sum((-2, -1), keepdims=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: 255 * m, "from 0 to 25.*scale=0..255"),
        (lambda m: 100 * m, "from 0 to 9.*expected 0 to about 1"),
        (lambda m: np.log((m + 1e-4) / (1.0002 - m)), "from -9.21.* to.*scale=logits"),
        (lambda m: m - np.float32(0.5), "from -0.5 to 0.4"),
        (softmax, ".* sum to 1 in each map"),
    ],
    ids="255 100 logits offset softmax".split(),
)
def test_another_scale_is_refused_with_the_range(lifter, good, change, told, tmp_path):
    path = tmp_path / "maps.npy"
    np.save(path, change(good).astype(np.float32))
    outcome, _ = predict(lifter, path, tmp_path / "out")
    assert not outcome.people and len(outcome.problems) == 1
    assert "scale=" not in outcome.problems[0]  # which is the argument's name
    with pytest.raises(UserError, match=f"frame 0: heatmaps with values {told}"):
        lifter.lift_heatmaps(np.load(path))


def test_maps_that_are_cut_at_1_are_noted(lifter, good, tmp_path):
    notes = []
    for factor in (1, 1.5):
        np.save(tmp_path / "maps.npy", np.float32(factor / good.max()) * good)
        _, people = predict(lifter, tmp_path / "maps.npy", tmp_path / f"out{factor}")
        notes += [person.get("note") for person in people]
    assert notes == [None, "heatmaps reach 1.5, and are cut at 1"]


@pytest.mark.parametrize(
    ("scale", "change"),
    [
        ("0..255", lambda m: 255 * m),
        ("logits", lambda m: np.log(np.maximum(m, 1e-4) / (1 - np.minimum(m, 0.9999)))),
    ],
)
def test_a_scale_that_is_named_is_taken(lifter, good, scale, change):
    found = lifter.lift_heatmaps(change(good).astype(np.float32), scale=scale)
    np.testing.assert_allclose(found.fits, lifter.lift_heatmaps(good).fits, atol=2e-3)
    with pytest.raises(UserError, match=f"these are no {scale}"):
        lifter.lift_heatmaps(good, scale=scale)


def test_bytes_stand_for_shares_of_255(lifter, good):
    pixels = np.rint(255 * good).astype(np.uint8)
    named = lifter.lift_heatmaps(pixels, scale="0..255")
    np.testing.assert_array_equal(named.fits, lifter.lift_heatmaps(pixels).fits)
    with pytest.raises(UserError, match="uint8 stand for value / 255"):
        lifter.lift_heatmaps(pixels, scale="logits")
    with pytest.raises(UserError, match="expected maps of probability"):
        scales.check(good, "percent")


def test_fits_of_maps_on_another_scale_are_refused(lifter, good):
    with pytest.raises(UserError, match="frame 0: amplitudes of about 2[45]"):
        lifter.lift_fits(jax.device_get(jaxflow.fit_gaussians(255 * good)))


class TestCases:
    """The files of ../shared/cases."""

    @pytest.mark.parametrize("name", ["zero", "constant", "logits"])
    def test_one_map(self, lifter, name, tmp_path):
        whole = lifter.lift_heatmaps(np.load(shared_path("cases/heatmaps/good.npy")))
        path = shared_path(f"cases/heatmaps/one_map_{name}.npy")
        _, (person,) = predict(lifter, path, tmp_path)
        assert person["note"] == "not found: RWrist"
        with np.load(tmp_path / path.stem / "poses.npz") as file:
            rest = [i for i in range(16) if i != WRIST]
            np.testing.assert_allclose(
                file["fit"][0, rest], whole.fits[0, rest], atol=1e-4
            )

    @pytest.mark.parametrize(
        ("name", "scale"), [("float_0_255", "0..255"), ("all_logits", "logits")]
    )
    def test_scales(self, lifter, name, scale, tmp_path):
        path = shared_path(f"cases/heatmaps/{name}.npy")
        outcome, _ = predict(lifter, path, tmp_path / "refused")
        assert "expected 0 to about 1" in outcome.skipped()
        _, (person,) = predict(lifter, path, tmp_path / "taken", maps=scale)
        good = np.load(shared_path("cases/heatmaps/good.npy"))
        pose2d = lifter.lift_heatmaps(good).pose2d[0]
        np.testing.assert_allclose(person["pose2d"], pose2d, atol=0.05)
        assert "note" not in person
