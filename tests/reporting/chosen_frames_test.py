"""Which frames a report shows: by what they are, and as they were tested."""

import numpy as np
import pytest

from jaxflow import config, data, metrics
from jaxflow.evaluation import protocol
from jaxflow.methods.flow import FlowModel
from jaxflow.reporting import chosen_frames
from tests.helpers import flows
from tests.helpers.evaluation import TEST, records

SMALL = config.FlowConfig(hidden=8, blocks=2)


@pytest.fixture(scope="module")
def loaded():
    model = FlowModel.of(flows.some(SMALL), SMALL)
    return protocol.Loaded(model, records(), None, TEST)


@pytest.fixture(scope="module")
def evaluated(loaded):
    return protocol.evaluate(loaded)


def test_the_poses_shown_are_those_that_were_tested(loaded, evaluated):
    """Drawn again from the same keys, they have the errors of the evaluation."""
    frames = evaluated.frames
    rows = list(chosen_frames.for_viewer(frames, limit=6).items())
    chosen = chosen_frames.draw(loaded, frames, rows)
    places = [place for _, place in rows]
    assert len(set(places)) == len(places) == 6
    best = np.asarray(metrics.mpjpe(chosen.frames.poses, chosen.frames.target)).min(
        axis=1
    )
    np.testing.assert_allclose(best, frames.best[places], rtol=1e-4)
    assert chosen.frames.log_density.shape == (6, 5)
    assert data.describe(frames.records, places[0]) in chosen.details[0]


def test_the_hardest_frames_are_chosen(evaluated):
    frames = evaluated.frames
    rows = list(chosen_frames.hardest(frames, count=2).values())
    assert len(set(rows)) == 4
    assert frames.best[rows[0]] == frames.best.max()
    rest = np.delete(frames.spread, rows[:2])
    assert frames.spread[rows[2]] == rest.max()


def test_chosen_frames_go_from_sure_to_unsure():
    frames = records()
    rows = chosen_frames.by_sureness(frames)
    widest = np.abs(frames.gaussfit[..., [3, 5]]).max(axis=(1, 2))
    sigmas = [widest[row] for row in rows.values()]
    assert sigmas == sorted(sigmas) and sigmas[-1] == widest.max()
