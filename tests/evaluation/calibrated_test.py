"""What was fitted counts where a command asks for it, and damaged files are refused."""

import json

import jax
import numpy as np
import pytest

from jaxflow.evaluation import limbs, tempered, widened
from jaxflow.evaluation.calibrated import Applied, calibrated
from jaxflow.flow import calibration_file, checkpoint
from jaxflow.runs.checkpoint import DamagedError
from tests.helpers import methods as small

FACTORS = np.ones(widened.SHAPE, np.float32)
FACTORS[12] = (1, 1.2, 1.4, 1.6, 2.0)


@pytest.fixture(scope="module")
def model():
    return small.model("flow")


@pytest.fixture
def folder(model, tmp_path):
    checkpoint.save_params(tmp_path, model.parameters(), small.TINY)
    return tmp_path


def test_what_was_fitted_counts_with_fitted_and_auto_alone(model, folder):
    assert calibrated(model, folder, "auto") == (model, 1.0)
    content = {"temperature": 1.5, "widths": {"factors": FACTORS.tolist()}}
    calibration_file.save(folder, content)
    for wanted in ("auto", "fitted"):
        wide, temperature = calibrated(model, folder, wanted)
        assert temperature == 1.5
        np.testing.assert_array_equal(wide.factors, FACTORS)
        assert set(wide.parameters()) == {*model.parameters(), "widths"}
    assert calibrated(model, folder, "1.5") == (model, 1.5)


def test_a_spread_of_temperatures_comes_below_the_widths(model, folder):
    content = {"temperature": 1.5, "temperature_spread": 0.25}
    calibration_file.save(folder, content)
    spread, _ = calibrated(model, folder, "fitted")
    assert isinstance(spread, tempered.Tempered) and spread.spread == 0.25
    assert calibrated(model, folder, 1.5) == (model, 1.5)
    content["widths"] = {"factors": FACTORS.tolist()}
    calibration_file.save(folder, content)
    both, _ = calibrated(model, folder, "auto")
    assert isinstance(both, widened.Widened)
    assert both.model.spread == 0.25 and both.model.model is model


def test_limbs_are_held_between_the_two(model, folder):
    content = {
        "temperature": 1.5,
        "temperature_spread": 0.25,
        "limbs_kept": 0.3,
        "widths": {"factors": FACTORS.tolist()},
    }
    calibration_file.save(folder, content)
    whole, _ = calibrated(model, folder, "fitted")
    assert isinstance(whole, widened.Widened)
    assert isinstance(whole.model, limbs.Held) and whole.model.kept == np.float32(0.3)
    assert whole.model.model.spread == 0.25 and whole.model.model.model is model
    assert whole.fresh(jax.random.key(0)).method == "flow"
    assert Applied.to(whole) == Applied(0.25, True, 0.3)
    told = ", with tails (spread 0.25), limbs held (0.3 kept) and widths"
    assert str(Applied.to(whole)) == told
    assert str(Applied(limbs_kept=0.3)) == ", with limbs held (0.3 kept)"
    assert str(Applied(0.2, True)) == ", with tails (spread 0.2) and widths"
    calibration_file.save(folder, {**content, "limbs_kept": 1})
    assert Applied.to(calibrated(model, folder, "auto")[0]) == Applied(0.25, True)


@pytest.mark.parametrize("kept", [-0.1, 1.5, float("nan"), "some", None, True])
def test_a_damaged_share_of_limbs(model, folder, kept):
    place = calibration_file.save(folder, {"temperature": 1.5})
    document = json.loads(place.read_text())
    place.write_text(json.dumps({**document, "limbs_kept": kept}))
    with pytest.raises(DamagedError, match="limbs_kept is damaged; .* from 0 to 1"):
        calibrated(model, folder, "fitted")


@pytest.mark.parametrize("factors", [[[1.0]], "wide", (-FACTORS).tolist()])
def test_damaged_widths(model, folder, factors):
    place = calibration_file.save(folder, {"temperature": 1.5})
    document = json.loads(place.read_text())
    place.write_text(json.dumps({**document, "widths": {"factors": factors}}))
    with pytest.raises(DamagedError, match=r"widths are damaged; .* \(13, 5\)"):
        calibrated(model, folder, "fitted")


@pytest.mark.parametrize("spread", [-0.1, 3.0, float("nan"), "much", None, True])
def test_a_damaged_spread(model, folder, spread):
    place = calibration_file.save(folder, {"temperature": 1.5})
    document = json.loads(place.read_text())
    place.write_text(json.dumps({**document, "temperature_spread": spread}))
    with pytest.raises(DamagedError, match=r"temperature_spread is damaged"):
        calibrated(model, folder, "fitted")
