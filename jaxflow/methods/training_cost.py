"""What the training of a checkpoint cost.

directory of a checkpoint -> floating-point operations
"""

from __future__ import annotations

import pathlib

from jaxflow import methods
from jaxflow.flow import checkpoint as flow_checkpoint
from jaxflow.runs import checkpoint
from jaxflow.training import cost


def of_checkpoint(directory: str | pathlib.Path) -> float | None:
    """Operations of all its iterations; None where its step is not known.

    What a run was begun with (``--init_from``) is not among them, nor what a method
    computes once of all frames.
    """
    folder = checkpoint.find(directory)
    about = checkpoint.read_about(folder)
    step = int(folder.name) if folder.name.isdigit() else about.get("step", 0)
    if not step:
        return None
    config = flow_checkpoint.load_config(folder)
    return cost.of_run(config, methods.METHODS[config.method], step)
