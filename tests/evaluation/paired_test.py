"""Differences over takes: sure where they are all alike, unsure where not."""

import dataclasses

import numpy as np
import pytest

from jaxflow.evaluation import paired
from jaxflow.evaluation.comparison import Comparison
from jaxflow.reporting import comparison as tell

TAKE = np.repeat(np.arange(20), 10)
HARD = np.random.default_rng(0).normal(100, 30, 200)  # what both find hard


def test_a_constant_difference_is_certain():
    found = paired.difference(HARD - 2, HARD, TAKE)
    np.testing.assert_allclose(found, (-2, -2, -2, 1, 20), atol=1e-9)


def test_one_good_take_among_others_is_not():
    better = HARD - 20 * (TAKE == 3)
    found = paired.difference(better + 0.5, HARD, TAKE)
    assert found.mean == pytest.approx(-0.5)
    assert found.low < -1 and found.high > 0 and 0.4 < found.better < 0.8


def test_the_band_is_that_of_takes_drawn():
    """The deviation of a mean of 20 takes that differ by 1."""
    moved = np.random.default_rng(1).normal(size=20)
    found = paired.difference(HARD + moved[TAKE], HARD, TAKE)
    half = 1.645 * moved.std() / np.sqrt(20)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize("takes", [1, 4])
def test_few_takes_have_no_band(takes):
    found = paired.difference(HARD - 2, HARD, TAKE % takes)
    assert found.mean == pytest.approx(-2) and found.takes == takes
    assert np.isnan(found[1:4]).all()
    assert not np.isnan(paired.difference(HARD - 2, HARD, TAKE % 5)).any()


def test_draws_of_a_figure_that_is_no_mean():
    """What both draws share cancels, and what chance adds to a figure is taken off."""
    rng = np.random.default_rng(2)
    shared, noise = rng.normal(size=(2, 4000))
    first, second = 0.03 + 0.02 * shared, 0.02 + 0.02 * shared + 0.001 * noise
    found = paired.of_draws(0.03, 0.02, first, second, 9)
    np.testing.assert_allclose(found[:3], (0.01, 0.0084, 0.0116), atol=2e-4)
    assert found.better == 0 and found.takes == 9
    lifted = paired.of_draws(0.03, 0.02, first + 0.004, second, 9)
    np.testing.assert_allclose(lifted[1:3], np.subtract(found[1:3], 0.004), atol=1e-4)
    unknown = paired.of_draws(0.03, 0.02, np.full(3, np.nan), first[:3], 2)
    assert unknown.mean == pytest.approx(0.01) and np.isnan(unknown[1:4]).all()


def test_the_leader_is_beside_the_others_on_the_same_frames(compared):
    leader, differences = compared.paired()
    energies = {one.entry.name: one.frames[0].energy for one in compared.members}
    assert leader == min(energies, key=lambda name: energies[name].mean())
    ((other, figures),) = differences.items()
    wanted = (energies[leader] - energies[other]).mean()
    assert figures.energy.mean == pytest.approx(wanted, rel=1e-4)
    assert figures.energy.mean < 0
    pooled = {one.entry.name: one.test[0].pooled for one in compared.members}
    for name, of in (
        ("z0", lambda means: means.mpjpe[0]),
        ("best", lambda means: means.mpjpe[1]),
        ("mean", lambda means: means.mpjpe[2]),
        ("aligned", lambda means: means.pa_mpjpe[1]),
    ):
        wanted = float(of(pooled[leader])) - float(of(pooled[other]))
        assert getattr(figures, name).mean == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    found = {one.entry.name: one.uncertainty[0].ece for one in compared.members}
    error = figures.ece
    assert error.mean == pytest.approx(found[leader] - found[other])
    assert error.low < error.high and error.takes == 6
    table = tell.tables_of(compared)["paired"]
    assert "the 6 takes" in table.note
    shown = {row.cells[1]: row.cells[2].value for row in table.rows}
    assert shown == {
        "P1 z0": -figures.z0.mean,
        "P1 best": -figures.best.mean,
        "P1 mean": -figures.mean.mean,
        "P2 best": -figures.aligned.mean,
        "energy score": -figures.energy.mean,
        "ECE": -figures.ece.mean,
    }
    assert Comparison(compared.members[:1]).paired() is None


def test_a_single_take_says_nothing_of_chance(compared):
    members = []
    for one in compared.members:
        frames = one.frames[0]
        alone = np.full(len(frames.records), "0")
        same = dataclasses.replace(frames.records, action=alone, subaction=alone)
        members.append(one._replace(frames=(frames._replace(records=same),)))
    table = tell.tables_of(Comparison(tuple(members)))["paired"]
    assert table.rows[0].texts[3:] == ("-", "-")
    assert "draws of the take say" in table.note
