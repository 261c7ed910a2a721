"""A program as somebody runs it who does not have this package."""

import os
import subprocess
import sys


def output(program, folder):
    """What it prints in a folder where ``import jaxflow`` fails; it must not fail."""
    blocked = "import sys; sys.modules['jaxflow'] = None\n" + program
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", blocked],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
