"""What is refused changes nothing, and what cannot be written is said at once."""

import jax
import pytest

from jaxflow.config import FlowConfig
from jaxflow.flow import checkpoint, model
from jaxflow.runs import checkpoint as store
from jaxflow.runs import errors, files

CONFIG = FlowConfig(blocks=1, hidden=8)


@pytest.fixture
def params():
    return model.init(jax.random.key(0), CONFIG)


def test_a_model_is_not_saved_below_a_later_checkpoint(params, tmp_path):
    checkpoint.save_params(tmp_path, params, CONFIG, step=7)
    for step in (0, 7):
        with pytest.raises(store.CheckpointError, match=r"checkpoints/7 exists"):
            checkpoint.save_params(tmp_path, params, CONFIG, step=step)
    assert store.find(tmp_path).name == "7"
    checkpoint.save_params(tmp_path, params, CONFIG, step=8)
    assert store.find(tmp_path).name == "8"


def test_a_folder_below_a_file_cannot_be_written_to(params, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/model cannot be written to: Not a dir"):
        checkpoint.save_params(tmp_path / "file" / "model", params, CONFIG)
    with pytest.raises(IsADirectoryError, match="expected the name of a file"):
        files.check_file(tmp_path, "--out")


def test_a_failed_write_names_the_file(tmp_path):
    """As on a full disk; the system's error says of no file."""
    with pytest.raises(OSError, match=r"No space left.*wanted\.json") as raised:
        with files.aside(tmp_path / "wanted.json"):
            open("/dev/full", "w").write("x" * 100_000)
    assert raised.value.filename.endswith("wanted.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "ValueError"),
        ("short", "short"),
        ("DATA_LOSS: bad\nand a page\nmore", "DATA_LOSS: bad"),
        ("NOT_FOUND: x [source locations='a.cc:1\nb.cc:2']", "NOT_FOUND: x"),
        ("long\n" * 40 + "No space left on device [x", "No space left on device"),
    ],
)
def test_pages_of_a_library_become_a_line(text, said):
    assert errors.reason(ValueError(text)) == said


def test_a_line_of_a_library_ends():
    assert len(errors.reason(ValueError("x" * 5000))) < 300
