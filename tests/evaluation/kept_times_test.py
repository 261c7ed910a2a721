"""Inference times: measured once a checkpoint and device."""

import pytest

from jaxflow import config
from jaxflow.evaluation import inference_time, kept_times, protocol
from tests.helpers.evaluation import records

TIMES = inference_time.InferenceTimes("a CPU", 3, 1.5, {1: 2.5, 200: 3.5, 1000: 4.5})


def test_times_are_measured_once_and_kept(monkeypatch, tmp_path):
    measured = []

    def measure(params, clamp):
        measured.append(clamp)
        return TIMES._replace(fit_ms=float(len(measured)))

    run = tmp_path / "run"
    monkeypatch.setattr(inference_time, "measure", measure)
    monkeypatch.setattr(inference_time, "device_name", lambda: "a CPU")
    step = run / "checkpoints" / "7"
    monkeypatch.setattr(kept_times.checkpoint, "find", lambda _: step)
    model = protocol.Loaded({}, config.FlowConfig(), records(), None)
    run.mkdir()

    def times(choice):
        return kept_times.times(model, str(run), choice, tmp_path / "out")

    assert times("off") is None and not measured
    assert times("kept") == times("kept") == TIMES._replace(fit_ms=1.0)
    assert times("new").fit_ms == times("kept").fit_ms == 2.0
    (run / kept_times.FILE).write_text('{"a CPU": {}}')
    with pytest.raises(ValueError, match="remove the file"):
        times("kept")
