"""Uncertainty and response of samplers whose answer is known in closed form."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from jaxflow import data
from jaxflow.evaluation import measuring, response, uncertainty
from jaxflow.evaluation.measuring import Draw
from jaxflow.evaluation.response import Setting
from jaxflow.maths import geometry
from jaxflow.metrics.sums import Total
from jaxflow.reporting import tables, uncertainty_tables
from jaxflow.skeleton import CONDITIONED_MPII, MPII_JOINTS, MPII_TO_H36M
from tests.helpers import people

COUNT = 300
DEPTH = 0.05  # metres, deviation of what no picture tells
SETTINGS = (Setting(2.5), Setting(10.0), Setting(10.0, 3.0), Setting(10.0, moved=False))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Believer:
    """Knows how flat people project; believes what the detector says, or does not.

    All people stand 5 m away and are flat but for noise in depth, so that the 2D pose
    gives x and y up to the detector's error, of which the condition tells.
    """

    believes: bool
    method = "believer"

    def sample(self, pose2d, cond, key, *, num_hypotheses=200, temperature=1.0):
        metres = pose2d * 0.55  # their pixels' deviation, about the same in all
        place = jnp.swapaxes(metres.reshape(*metres.shape[:-1], 2, 16), -1, -2)
        joints = cond.reshape(*cond.shape[:-1], 13, 6)
        doubled = jnp.sqrt((joints[..., 3] + joints[..., 5]) / 2) * 20
        sigma = jnp.where(doubled > 2.1, doubled / 2, doubled)
        error = jnp.sqrt(jnp.maximum(sigma**2 - 4, 0.25)) if self.believes else 0.5
        width = jnp.full((*cond.shape[:-1], 16), 0.5)
        width = width.at[..., jnp.asarray(CONDITIONED_MPII)].set(error)
        noise = jax.vmap(lambda k: jax.random.normal(k, (num_hypotheses, 16, 3)))(key)
        pixel = 4 * 5.0 / people.FOCAL
        spread = jnp.stack([width * pixel, width * pixel, DEPTH * jnp.ones_like(width)])
        spread = jnp.moveaxis(spread, 0, -1)[..., None, :, :]
        flat = jnp.concatenate([place, jnp.zeros_like(place[..., :1])], axis=-1)
        drawn = flat[..., None, :, :] + temperature * noise * spread
        pose = jnp.zeros((*drawn.shape[:-2], 17, 3))
        order = jnp.asarray(MPII_TO_H36M)
        return geometry.flip_yz(pose.at[..., order, :].set(drawn))


@pytest.fixture(scope="module")
def records():
    return people.flat_records(COUNT, 1000 * DEPTH)


def responded(records, believes):
    return response.measure(
        Believer(believes),
        response.sure(records, COUNT),
        jax.random.key(0),
        Draw(50, 1.0, 100),
        joints=("LWrist", "Head"),
        settings=SETTINGS,
    )


@pytest.fixture(scope="module")
def believer(records):
    return responded(records, True)


@pytest.fixture(scope="module")
def doubter(records):
    return responded(records, False)


def at_90(found):
    return found.coverage[..., 1]


def test_a_sampler_that_believes_covers_alike_at_every_sigma(believer):
    assert believer.coverage.shape == (2, 4, 3)
    round_ = at_90(believer)[:, believer.of()]
    assert np.all(round_ > 0.8) and np.all(np.ptp(round_, axis=1) < 0.1)


def test_one_that_does_not_believe_is_found_out(doubter):
    small, large = at_90(doubter)[:, doubter.of()].T
    assert np.all(small > 0.6) and np.all(large < 0.25)


def test_spreads_follow_only_where_the_detector_is_believed(believer, doubter):
    pixel = 1000 * 4 * 5 / people.FOCAL
    assert believer.pixel == pytest.approx(pixel, rel=0.05)
    wide = believer.spread[:, 1, :2]
    np.testing.assert_allclose(wide, np.sqrt(96) * pixel, rtol=0.1)
    np.testing.assert_allclose(believer.spread[:, 3], believer.spread[:, 1], rtol=0.05)
    np.testing.assert_allclose(doubter.spread[:, 1], doubter.spread[:, 0], rtol=0.05)


def test_frames_with_an_unsure_detection_do_not_count(records):
    fits = records.gaussfit.copy()
    fits[::2, 3, 5] = 3.0
    changed = dataclasses.replace(records, gaussfit=fits)
    chosen = response.sure(changed, 10)
    assert len(chosen) == 10 and np.all(chosen.frame % 2 == 1)
    assert len(response.sure(changed, 0)) == 0


def test_the_response_as_json_and_tables(believer):
    document = json.loads(json.dumps(believer.to_json(), allow_nan=False))
    assert len(document["cells"]) == 8
    cell = document["cells"][1]
    assert (cell["joint"], cell["sigma_px"], cell["shape"]) == ("LWrist", 10, "round")
    assert cell["coverage_share"] == believer.coverage[0, 1].tolist()
    for table in uncertainty_tables.of_response(believer):
        assert "LWrist" in tables.to_markdown(table)


def test_poses_about_the_hip_have_no_pixel(records, believer):
    """They do not say how far away they are: nothing, not a number that is none."""
    about = dataclasses.replace(records, pose3d=records.pose3d - records.pose3d[:, :1])
    assert np.isnan(response._pixel(about))
    unknown = believer._replace(pixel=np.nan)
    document = json.loads(json.dumps(unknown.to_json(), allow_nan=False))
    assert document["mm_per_heatmap_px"] is None
    table = uncertainty_tables.of_response(unknown)[-1]
    assert "nan" not in tables.to_markdown(table)


def uncertain(records, model, temperature=1.0):
    sums = uncertainty.Sums(records)
    measuring.measure_records(
        model,
        records,
        jax.random.key(1),
        draw=Draw(50, temperature, 100),
        measures=(uncertainty.measure,),
        watch=lambda rows, errors, measured: sums.add(rows, errors.hits, *measured),
    )
    return sums.result()


@pytest.fixture(scope="module")
def mixed(records):
    """Every third frame's head is unsure by 6 px, and errs so."""
    rng = np.random.default_rng(3)
    head = MPII_JOINTS.index("Head")
    fits, pose2d = records.gaussfit.copy(), records.pose2d.copy()
    error = rng.normal(0, np.sqrt(32), (len(fits[::3]), 2))
    fits[::3, head, 3] = fits[::3, head, 5] = 6.0
    fits[::3, head, 1:3] += error
    pose2d[::3, head] += 4 * error
    return dataclasses.replace(records, gaussfit=fits, pose2d=pose2d)


def test_bins_of_sigma_tell_who_believes(mixed):
    trusting = uncertain(mixed, Believer(True))
    doubting = uncertain(mixed, Believer(False))
    index = 4  # 6 to 10 px
    assert trusting.bins[index].joints == doubting.bins[index].joints == 100
    assert trusting.bins[index].ece < 0.12 < 0.3 < doubting.bins[index].ece
    # All frames together hardly show it.
    assert trusting.takes == 10  # whatever camera filmed them
    assert sum(one.joints for one in trusting.bins) == 15 * COUNT
    assert trusting.energy < doubting.energy
    low, high = trusting.ece_band
    assert low <= high and trusting.curve_band.shape == (2, 21)
    assert trusting.ece_draws.mean() == pytest.approx(trusting.ece, abs=0.02)


def test_uncertainty_as_json_and_tables(mixed):
    found = uncertain(mixed, Believer(True))
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["by_fitted_sigma"][-1]["most_px"] is None
    assert document["by_fitted_sigma"][-1]["calibration_error"] is None
    assert set(document["crps_mm"]) == set("xyz")
    assert document["crps_mm"]["z"] == pytest.approx(
        1000 * DEPTH / np.sqrt(np.pi), rel=0.5
    )
    for table in uncertainty_tables.of_uncertainty(found):
        assert tables.to_console(table)
    assert uncertainty_tables.by_joint(found).closing == 1


def banded(scale, seed, takes=40, frames=8):
    """ECE and band of joints whose error is so many of their hypotheses' deviations."""
    rng = np.random.default_rng(seed)
    alike = rng.normal(size=(takes, 1, 16))  # of the frames of a take
    errors = np.sqrt([0.3, 0.7]) @ np.stack(
        np.broadcast_arrays(alike, rng.normal(size=(takes, frames, 16)))
    ).reshape(2, -1)
    quantile = 2 * norm.cdf(np.abs(scale * errors)) - 1
    levels = np.asarray(uncertainty.CALIBRATION_LEVELS)
    hits = (quantile.reshape(takes, frames, 1, 16) <= levels[:, None]).sum(axis=1)
    totals = [Total(frames, SimpleNamespace(hits=one.astype(float))) for one in hits]
    found = uncertainty._error(np.median(hits.sum(axis=0) / (takes * frames), axis=-1))
    drawn = uncertainty._error(uncertainty._draw_curves(totals))
    return found, *uncertainty._error_band(found, drawn)


@pytest.mark.parametrize(("scale", "true"), [(1.0, 0.0), (0.6, 0.148)])
def test_the_band_of_the_calibration_error_holds_it(scale, true):
    """Of calibrated hypotheses and of too wide ones: draws alone are biased upward."""
    found, low, high = np.array([banded(scale, seed) for seed in range(60)]).T
    assert np.mean((low <= found) & (found <= high)) >= 0.95
    assert (low >= 0).all()
    # The error of a calibrated model is the least that there is: nearly held.
    assert np.mean((low <= true + 0.005) & (true <= high)) > 0.8


def test_poses_without_a_distance_are_nowhere_in_the_picture(mixed):
    """Of which the shares are unknown, not 0; of the others they are as they were."""
    far = uncertain(mixed, Believer(True))
    half = mixed.pose3d.copy()
    half[::2] -= half[::2, :1]
    some = uncertain(dataclasses.replace(mixed, pose3d=half), Believer(True))
    assert some.bins[0].truth_inside == pytest.approx(far.bins[0].truth_inside, abs=0.1)
    about = dataclasses.replace(mixed, pose3d=mixed.pose3d - mixed.pose3d[:, :1])
    found = uncertain(about, Believer(True))
    for one in found.to_json()["by_fitted_sigma"]:
        assert one["inside_95_ellipse_share"] is one["truth_inside_share"] is None
    (_, table, _) = uncertainty_tables.of_uncertainty(found)
    assert all(row.cells[-2:] == ("-", "-") for row in table.rows)
    assert found.bins[4].ece == far.bins[4].ece


def test_people_who_lean_both_ways(records):
    """One stands half as far from the middle as is drawn, the other twice as far."""
    pose3d = records.pose3d.copy()
    depth = pose3d[..., 2] - pose3d[:, :1, 2]
    scale = np.where(np.arange(COUNT) % 2, 2.0, 0.5)[:, None]
    pose3d[..., 2] = pose3d[:, :1, 2] + scale * depth
    names = np.where(np.arange(COUNT) % 2, "far", "near")
    both = dataclasses.replace(records, pose3d=pose3d, subject=names)
    found = uncertain(both, Believer(True))
    far, near = found.people
    assert (far.name, near.name) == ("far", "near")
    assert far.frames == near.frames == COUNT // 2
    assert far.lean < -0.1 and near.lean > 0.1
    assert found.person_ece == (far.ece + near.ece) / 2 > 2 * found.ece
    table = uncertainty_tables.by_person(found)
    assert [row.cells[0] for row in table.rows] == ["far", "near", "Mean"]
    assert f"({found.ece:.3f})" in table.note and table.closing == 1
    (first, _) = found.to_json()["people"]
    assert first["subject"] == "far" and first["frequency_less_level"] == far.lean


def test_one_take_has_no_band(mixed):
    same = {name: mixed.subject for name in ("action", "subaction")}
    found = uncertain(dataclasses.replace(mixed, **same), Believer(True))
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["takes"] == 1
    assert document["calibration_error_band"] is None
    assert document["calibration_curve_band"] is None
    (table, *_) = uncertainty_tables.of_uncertainty(found)
    assert "Of 1 take there is no band" in table.note and "nan" not in table.note


def test_the_energy_score_is_least_at_the_right_width(records):
    scores = [
        uncertain(records, Believer(True), temperature).energy
        for temperature in (0.4, 1.0, 2.5)
    ]
    assert min(scores) == scores[1]


def test_data_gives_raw_frames(records):
    raw = data.to_raw(records)
    np.testing.assert_array_equal(raw.gaussfit, records.gaussfit)
    inputs = data.network_inputs(jax.tree.map(jnp.asarray, raw))
    batch = data.to_batch(records)
    for one, other in zip(inputs, batch, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
