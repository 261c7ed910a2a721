"""Inference time: what is measured and how it is told. No figure is tested."""

import json
import re

import jax
import jax.numpy as jnp
import pytest

import jaxflow
from jaxflow import torch_weights
from jaxflow.config import FlowConfig
from jaxflow.evaluation import inference_time, tempered
from jaxflow.evaluation.inference_time import InferenceTimes
from jaxflow.methods.flow import FlowModel
from jaxflow.reporting import result_tables, tables
from tests.golden import make
from tests.helpers import methods as small

TIMES = InferenceTimes("Some Chip", 7, 1.23, {1: 0.456, 200: 2.0, 1000: 19.96})


@pytest.fixture(scope="module")
def measured():
    config = FlowConfig(blocks=2, exact_clamp=True, **make.SIZES)
    params = torch_weights.params_from_state(make.flow_state(0, blocks=2), config)
    model = FlowModel.of(params, config)
    return inference_time.measure(model, repeats=3, hypotheses=(1, 5))


def test_measures_the_fit_and_each_number_of_hypotheses(measured):
    assert measured.repeats == 3 and measured.device == inference_time.device_name()
    assert list(measured.sample_ms) == [1, 5]
    assert measured.fit_ms > 0 and all(ms > 0 for ms in measured.sample_ms.values())
    assert inference_time.HYPOTHESES == (1, 200, 1000)


class Clock:
    """Time that passes only while a result is waited for, or where a call says so."""

    def __init__(self, monkeypatch, durations):
        self.now, self.waited, self._durations = 0.0, [], iter(durations)
        monkeypatch.setattr(inference_time.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(inference_time.jax, "block_until_ready", self._wait)

    def run(self):
        return next(self._durations)

    def _wait(self, duration):
        self.waited.append(duration)
        self.now += duration
        return duration


def test_a_median_is_of_finished_warm_runs(monkeypatch):
    """Runs that compile or wake threads do not count, and each is waited for."""
    clock = Clock(monkeypatch, [90.0, 90.0, 0.08, 0.03, 1.0, 5.0, 2.0])
    assert inference_time.median_ms(clock.run, 3) == 2000
    assert len(clock.waited) == 7


def test_what_is_quick_runs_for_a_while(monkeypatch):
    """One after the other: few calls in a row would be those of threads that wake."""
    slow_at_first = [9.0, 9.0, *[0.02] * 6, *[0.25 / 64] * 200]
    clock = Clock(monkeypatch, slow_at_first)
    assert inference_time.median_ms(clock.run, 3) == 1e3 * 0.25 / 64
    assert sum(clock.waited[8:]) >= 0.3 and len(clock.waited) > 60


def test_the_image_can_be_fitted():
    maps = inference_time._image(jax.random.key(1))
    assert maps.shape == (16, 64, 64) and maps.dtype == jnp.float32
    fits = jaxflow.fit_gaussians(maps)
    assert fits.converged.all() and fits.sigma.max() > 5


def test_table_puts_the_paper_beside_ours():
    table = result_tables.inference_time(TIMES)
    assert table.columns == (
        "Method",
        "Fit of 16 heatmaps",
        "1 hypothesis",
        "200 hypotheses",
        "1000 hypotheses",
    )
    ours, paper = table.rows
    assert ours.texts == ("jaxflow, Some Chip", "1.2", "0.46", "2.0", "20.0")
    assert paper.texts[1:] == ("70.0", "4.6", "–", "5.1")
    assert "7 runs or more" in table.title and "RTX 3090" in table.note
    assert "Some Chip" in tables.to_console(table)


def test_json_is_plain():
    text = json.dumps(TIMES.to_json())
    assert json.loads(text) == {
        "device": "Some Chip",
        "repeats": 7,
        "fit_16_heatmaps_ms": 1.23,
        "sample_ms": {"1": 0.456, "200": 2.0, "1000": 19.96},
    }


def test_the_device_is_named():
    assert re.search(r"\S.*, \d+ cores?$", inference_time.device_name())


def test_no_repeats_are_refused():
    with pytest.raises(ValueError, match="repeats must be at least 1, not 0"):
        inference_time.measure(None, repeats=0)


def test_times_are_measured_once_and_kept(monkeypatch, tmp_path):
    measured = []

    def measure(model):
        measured.append(model)
        return TIMES._replace(fit_ms=float(len(measured)))

    run = tmp_path / "run"
    monkeypatch.setattr(inference_time, "measure", measure)
    monkeypatch.setattr(inference_time, "device_name", lambda: TIMES.device)
    step = run / "checkpoints" / "7"
    monkeypatch.setattr(inference_time.checkpoint, "find", lambda _: step)
    run.mkdir()

    def times(choice, model=None):
        model = model or small.model("flow")
        return inference_time.kept(model, str(run), choice, tmp_path / "out")

    assert times("off") is None and not measured
    assert times("kept") == times("kept") == TIMES._replace(fit_ms=1.0)
    assert times("new").fit_ms == times("kept").fit_ms == 2.0
    assert len(measured) == 2
    wider = times("kept", tempered.of(small.model("flow"), 0.2))
    other = times("kept", small.model("regression"))
    assert (wider.fit_ms, other.fit_ms) == (3.0, 4.0)
    assert times("kept").fit_ms == 2.0
    kept = {TIMES.device: TIMES.to_json()}  # as earlier versions kept them
    (run / inference_time.FILE).write_text(json.dumps(kept))
    assert times("kept").fit_ms == 5.0
    (run / inference_time.FILE).write_text(f'{{"{TIMES.device}": {{}}}}')
    with pytest.raises(ValueError, match="remove the file"):
        times("kept")
