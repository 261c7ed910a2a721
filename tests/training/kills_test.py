"""A run killed in every phase ends with the bits of one left alone, by the script."""

import os
import subprocess
import sys

import pytest

from tests.helpers import quick
from tests.helpers.training import REPOSITORY


@pytest.mark.slow
def test_three_kills(tmp_path):
    process = subprocess.run(
        [sys.executable, "benchmarks/kills.py", "--kills=3", f"--folder={tmp_path}"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "XLA_FLAGS": quick.XLA_FLAGS},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "3 kills" in process.stdout and "all bit-identical" in process.stdout
    for phase in ("compiling", "saving", "between saves"):
        assert phase in process.stdout
