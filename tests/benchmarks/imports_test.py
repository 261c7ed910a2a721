"""Every benchmark can be imported: most are run so rarely that nobody would notice."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
]
# In a process of their own: some say how JAX starts, others which flags there are.
PROGRAM = """
import importlib, json, sys, traceback
said = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        said[name] = {"missing": error.name}
    except Exception:
        said[name] = {"error": traceback.format_exc()}
print(json.dumps(said))
"""
OURS = {"benchmarks", "data_builders", "jaxflow", "tests"}


@pytest.fixture(scope="module")
def said():
    """What each import that failed said."""
    command = [sys.executable, "-c", PROGRAM, *MODULES]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(ended.stdout)


@pytest.mark.parametrize("module", MODULES)
def test_a_benchmark_can_be_imported(module, said):
    missing = said.get(module, {}).get("missing")
    if missing and missing.partition(".")[0] not in OURS:
        pytest.skip(f"{missing} is not installed")
    assert module not in said, said[module]
