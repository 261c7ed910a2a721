"""What the documents tell readers to type: it is Python, it parses, and it runs."""

import ast
import copy
import importlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxflow
from jaxflow.flow import onnx_graph
from tests.helpers import documents, in_process
from tests.helpers.documents import DOCUMENTS, name_of
from tests.helpers.training import REPOSITORY

SHELL = ("", "bash", "sh")
OTHERS = ("text", "javascript", "cpp")  # of which no test here knows the language
NEEDED = {  # what a page's first Python block takes as given
    "README.md": "import numpy as np\nheatmaps: np.ndarray = np.load('maps.npy')[0]\n"
}
# Cheap enough to be run where they stand; the others' flags are parsed.
RUN = (
    "jaxflow fit --heatmaps=maps.npy --out=fits.npz",
    "jaxflow predict maps.npy --out=out",
    "jaxflow predict people.csv --skeleton=coco_17 --out=out",
    "jaxflow export --checkpoint=cmu --format=onnx --out=sampler.onnx",
    "jaxflow export --checkpoint=cmu --format=stablehlo --out=sampler.bin",
)
PAGES = [
    path
    for path in DOCUMENTS
    if any(b.language == "python" for b in documents.blocks(path))
    # Its Python reads a test set's samples: see tests/prediction/sets_test.py.
    and name_of(path) != "launch/README.md"
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_are_what_they_say(path):
    for block in documents.blocks(path):
        assert block.language in ("python", *SHELL, *OTHERS), block
        if block.language == "python":
            ast.parse(block.text)


def told(path):
    """Every command of a document, those in its sentences among them."""
    text = documents.FENCE.sub("", path.read_text())
    inline = [line for part in text.split("`")[1::2] for line in part.splitlines()]
    blocks = [b.text for b in documents.blocks(path) if b.language in SHELL]
    return documents.commands("\n".join([*blocks, *inline]))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_have_the_flags_that_are_told(path, monkeypatch):
    """Unknown flags, values that are refused, and a required flag that is left out."""
    monkeypatch.chdir(REPOSITORY)
    fenced = "\n".join(b.text for b in documents.blocks(path) if b.language in SHELL)
    whole = {command.line for command in documents.commands(fenced)}
    wrong = []
    for command in told(path):
        flags = copy.deepcopy(importlib.import_module(f"jaxflow.{command.name}").flags)
        words = [
            word
            for word in command.words
            if word not in ("...", "FLAGS") and not word.endswith("flags.txt")
        ]
        absent = [name for name in flags.required if flags.FLAGS[name].value is None]
        if command.line not in whole or words != command.words:
            # In a sentence, or with dots: what is required may be left out.
            words += [f"--{n}=weights" for n in absent if f"--{n}" not in str(words)]
        try:
            flags.FLAGS(["command", *known(words, flags.FLAGS)])
        except Exception as error:
            wrong.append(f"{command.line}: {error}")
    assert not wrong


def known(words, flags):
    """Words without flags of every command, which absl keeps elsewhere."""
    common = ("debug", "compilation_cache", "precision", "help", "multihost")
    other = ("coordinator_address", "num_processes", "process_id")
    names = [name for name in (*common, *other) if name not in flags]
    return [w for w in words if w.lstrip("-").partition("=")[0] not in names]


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_run_from_top_to_bottom(path, tmp_path, monkeypatch):
    """In an empty folder with heatmaps, fits and a small model."""
    monkeypatch.chdir(tmp_path)
    prepare()
    space = {"__name__": "page"}
    with jax.numpy_dtype_promotion("standard"):  # as readers have it
        assert run(path, space), "nothing on the page is run"


def run(path, space):
    """Runs a page's blocks and says how many; one that fails raises."""
    count = 0
    exec(NEEDED.get(name_of(path), ""), space)
    for block in documents.blocks(path):
        if block.language == "python":
            exec(compile(block.text, name_of(path), "exec"), space)
            count += 1
        for command in documents.commands(block.text):
            if command.line in RUN:
                module = importlib.import_module(f"jaxflow.{command.name}")
                flags = [word for word in command.words if word.startswith("--")]
                words = [word for word in command.words if word not in flags]
                assert in_process.run(module, *flags, words=words) in (0, None)
                count += 1
    return count


def prepare():
    """Files that readers have: heatmaps, their fits, a model and its sampler."""
    rows, columns = np.mgrid[:64, :64]
    joints = np.random.default_rng(0).uniform(12, 52, (1, 16, 2))
    squares = (columns - joints[..., :1, None]) ** 2
    squares = squares + (rows - joints[..., 1:, None]) ** 2
    np.save("maps.npy", np.exp(-squares / 8).astype(np.float32))
    fits = jaxflow.fit_gaussians(np.load("maps.npy")).as_array()
    np.save("fits.npy", fits)
    names = [f"{axis}{joint}" for joint in range(17) for axis in "xyc"]
    person = np.random.default_rng(1).uniform(100, 500, (17, 3))
    person[:, 2] = 0.9
    with open("people.csv", "w") as file:
        file.write(",".join(names) + "\n" + ",".join(map(str, person.ravel())))
    np.savez("fits.npz", fits=fits)
    small = jaxflow.FlowConfig(blocks=2, hidden=16, encoder_hidden=8, encoded=6)
    params = jaxflow.init(jax.random.key(0), small)
    jaxflow.save_params("runs/quickstart", params, small)
    with open("sampler.onnx", "wb") as file:
        file.write(onnx_graph.to_onnx(params, small.clamp))


@pytest.mark.slow
def test_a_user_s_mypy_is_content(tmp_path):
    """The documents' Python under --strict, against the package as it is typed."""
    files = []
    for path in PAGES:
        text = NEEDED.get(name_of(path), "")
        text += "\n".join(
            b.text for b in documents.blocks(path) if b.language == "python"
        )
        file = tmp_path / f"{name_of(path).replace('/', '_').removesuffix('.md')}.py"
        file.write_text(text)
        files.append(str(file))
    assert len(files) > 5
    options = ["--strict", "--follow-imports=silent", "--config-file="]
    # Libraries without types, which is not their users' fault.
    options += ["--disable-error-code=import-untyped", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files],
        env={**os.environ, "MYPYPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
