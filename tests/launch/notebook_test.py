"""launch/colab_tpu.ipynb, cell by cell, on eight virtual devices."""

import ast
import base64
import os
import pathlib

import nbclient
import nbformat
import numpy as np
import pytest

from tests.helpers.training import DATASET, REPOSITORY

PATH = REPOSITORY / "launch" / "colab_tpu.ipynb"
EIGHT = "--xla_force_host_platform_device_count=8"


@pytest.fixture
def notebook():
    return nbformat.read(PATH, as_version=4)


def code_cells(notebook):
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def test_it_is_stored_without_outputs(notebook):
    nbformat.validate(notebook)
    for cell in code_cells(notebook).values():
        assert cell.outputs == [] and cell.execution_count is None
        assert set(cell.metadata) <= {"tags"}
    assert "widgets" not in notebook.metadata


def test_it_teaches(notebook):
    """Every step is explained before it is done, the settings stand first."""
    kinds = [cell.cell_type for cell in notebook.cells]
    first = kinds.index("code")
    assert notebook.cells[first].metadata["tags"] == ["parameters"]
    for before, kind in zip(kinds, kinds[1:], strict=False):
        assert "markdown" in (before, kind)
    text = PATH.read_text()
    for word in ("interrupt", "Drive", "goes on", "TPU", "human36m_lift"):
        assert word in text


def test_nothing_asks_what_it_runs_on(notebook):
    """What only Colab has is tried, and missed without harm."""
    for cell in code_cells(notebook).values():
        for node in ast.walk(ast.parse(cell.source)):
            assert not (isinstance(node, ast.Attribute) and node.attr == "tools")
            if isinstance(node, ast.Try):
                break
            imported = getattr(node, "module", None) or ""
            assert not imported.startswith("google"), cell.id


def settings(folder: pathlib.Path, iterations: int) -> str:
    """A run of seconds, in place of the settings' values."""
    return f"""
from jaxflow.config import LossConfig

STORAGE, RUN = {str(folder / "drive")!r}, "tiny"
PHOTO = {str(folder / "points.npz")!r}
DATASET, DATA_DIR = {DATASET!r}, {str(folder / "data")!r}
# Without the critic, which takes longest to compile.
TRAIN = dict(iterations={iterations}, hypotheses=6, batch_size=8,
             loss=LossConfig(gen_weight=0.0))
FLOW = dict(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
LOOP = dict(log_every=1, checkpoint_every=2, validate_every=2, validation_frames=8,
            validation_hypotheses=10)
SAMPLES = 20
"""


def text_of(cell) -> str:
    return "".join(
        output.text for output in cell.outputs if output.output_type == "stream"
    )


def pictures_of(cell) -> list[bytes]:
    return [
        base64.b64decode(output.data["image/png"])
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


@pytest.mark.slow
def test_it_runs_and_resumes(notebook, tmp_path, monkeypatch):
    """All cells, as stored but for the settings; then the run is made longer."""
    monkeypatch.setenv("XLA_FLAGS", EIGHT)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTHONPATH", os.fspath(REPOSITORY))
    monkeypatch.setenv("IPYTHONDIR", os.fspath(tmp_path / "ipython"))
    # A longer run is the same program.
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.fspath(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # Somebody who was found already, so that no detector is fetched.
    joints = np.random.default_rng(0).uniform(50, 200, (16, 2))
    np.savez(tmp_path / "points.npz", keypoints=joints[None, None])
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "settings")
    override = nbformat.v4.new_code_cell(settings(tmp_path, iterations=3))
    notebook.cells.insert(place + 1, override)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": os.fspath(tmp_path)}},
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        cells = code_cells(notebook)
        assert "8 devices of kind cpu" in text_of(cells["devices"])
        assert "300 frames to train on, 40 to test on" in text_of(cells["data"])
        assert "3 of 3 iterations" in text_of(cells["train"])
        assert "WARNING" not in "".join(map(text_of, cells.values()))
        assert "resuming" not in text_of(cells["train"])
        counts = {"data": 1, "curves": 2, "hypotheses": 1, "heatmap": 2}
        for name, count in counts.items():
            found = pictures_of(cells[name])
            assert len(found) == count, name
            assert all(len(picture) > 5000 for picture in found)
        assert "20 hypotheses spread by" in text_of(cells["set"])
        (picture,) = cells["photo"].outputs[-1:]
        assert len(base64.b64decode(picture.data["image/jpeg"])) > 5000
        assert "1 person from 1 input" in text_of(cells["photo"])
        # Run again with more iterations, as after a disconnect.
        override.source = settings(tmp_path, iterations=4)
        for cell in (override, cells["storage"], cells["train"]):
            client.execute_cell(cell, notebook.cells.index(cell))
    assert "resuming from step 3 of 4" in text_of(cells["train"])
    assert "4 of 4 iterations" in text_of(cells["train"])
    assert (tmp_path / "drive" / "tiny" / "checkpoints" / "4").is_dir()
    assert list((tmp_path / "drive" / "tiny" / "samples-3-20").glob("shard-*.npz"))
