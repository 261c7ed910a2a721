"""What is refused changes nothing, and what cannot be written is said at once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxflow.config import FlowConfig
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.runs import errors, files
from jaxflow.runs.checkpointer import Checkpointer
from tests.helpers import flows

CONFIG = FlowConfig(blocks=1, hidden=8)


@pytest.fixture
def params():
    return flows.some(CONFIG)


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


class State(NamedTuple):
    """What a run saves, at its smallest."""

    step: jax.Array
    flow: dict[str, jax.Array]


@pytest.mark.parametrize("when", ["save", "wait_until_finished"])
def test_a_checkpoint_that_finds_no_room_is_one_line(tmp_path, monkeypatch, when):
    """In the foreground or behind it, after however many lines of the library."""
    state = State(jnp.int32(2), {"kernel": jnp.ones(3)})
    checkpointer = Checkpointer(tmp_path, {}, state, "flow")

    def full(*arguments, **options):
        raise OSError("a page\n" * 60 + "write: [Errno 28] No space left on device\n")

    with monkeypatch.context() as patch:
        patch.setattr(checkpointer._manager, when, full)
        with pytest.raises(store.CheckpointError) as refused:
            checkpointer.save(state)
            checkpointer.save(state._replace(step=jnp.int32(3)))
    message = str(refused.value)
    assert "\n" not in message and f"{tmp_path}/checkpoints: No space left" in message
    if when == "save":
        assert "the checkpoint of step 2 could not be written" in message
        assert "newest complete checkpoint: none" in message
    checkpointer.close()


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
