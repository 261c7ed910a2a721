"""The tutorials: stored as they ran, and run again with small settings."""

import dataclasses
import json

import jax
import matplotlib
import pytest

from data_builders import registry
from jaxflow import data
from tests.helpers.training import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "docs/tutorials").glob("*.ipynb"))
SMALL = {
    "hypotheses": "HYPOTHESES = 20",
    "posterior": "HYPOTHESES = 300",
    "detector": (
        "FRAMES = 'synthetic_lift/seed0-train300-test40'\n"
        "TRAIN = dict(iterations=3, hypotheses=6, batch_size=8, critic_hidden=16,\n"
        "             learning_rate=1e-3)\n"
        "FLOW = dict(blocks=2, hidden=16, encoder_hidden=8, encoded=6)\n"
        "LOOP = dict(log_every=1, validate_every=0)"
    ),
}


def cells(path):
    return [
        (cell["metadata"], "".join(cell["source"]), cell["outputs"])
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_stored_with_what_they_printed(path):
    """Settings first; no cell failed; pictures are small."""
    assert len(NOTEBOOKS) == len(SMALL)
    first, *_ = cells(path)[0]
    assert first["tags"] == ["parameters"]
    for about, _, own in cells(path):
        drawn = any("image/png" in output.get("data", {}) for output in own)
        assert drawn == bool(about.get("alt")), "a picture and what it shows"
    outputs = [output for _, _, own in cells(path) for output in own]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}
    assert any(output["output_type"] == "stream" for output in outputs)
    assert path.stat().st_size < 400_000


def test_frames_in_memory_are_built_anew(tmp_path, monkeypatch):
    """Changed detections are not those of the set that was built before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    path = next(path for path in NOTEBOOKS if path.stem == "detector")
    (cell,) = [text for _, text, _ in cells(path) if "registry.add" in text]
    for mine in frames_of(3), frames_of(5):
        space = {"mine": mine, "data": data}
        exec(compile(cell, path.name, "exec"), space)
        assert len(space["train"]) == len(mine["train"])


def frames_of(count):
    """Frames of both splits, as many."""
    records = data.load_records("synthetic_lift/seed0-train300-test40", "test", "sets")
    few = dataclasses.replace(records.take(slice(count)), extra={})
    return {"train": few, "test": few}


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path, tmp_path, monkeypatch, capsys):
    """Every cell as stored, but for the settings."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    space = {"__name__": "__main__"}
    with jax.numpy_dtype_promotion("standard"):  # as readers have it
        for about, source, _ in cells(path):
            text = SMALL[path.stem] if "tags" in about else source
            code = compile(text, path.name, "exec")
            exec(code, space)
            if "train_and_evaluate(" in text:  # a finished run returns at once
                exec(code, space)
    printed = capsys.readouterr().out
    words = {"hypotheses": "hidden:", "posterior": "inside:", "detector": "90 % region"}
    assert words[path.stem] in printed
