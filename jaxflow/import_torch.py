"""Turns the authors' published PyTorch checkpoint into one that this package reads.

    python -m jaxflow.import_torch --checkpoint=model.pt --out=DIR

PyTorch is needed here and nowhere else: the extra ``torch``. The file is read as mere
weights; code that it may carry is refused.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax
from absl import flags

from jaxflow import commands, torch_checkpoint
from jaxflow.training import checkpoint

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The PyTorch file, such as model.pt.", required=True
)
_OUT = flags.DEFINE_string(
    "out", None, "Folder for the checkpoint, made if need be.", required=True
)
_EXACT_CLAMP = flags.DEFINE_bool(
    "exact_clamp",
    False,
    "The model was trained with the paper's 2/pi in the soft clamp instead of the "
    "released code's 0.636; the file does not say.",
)


def main(argv: Sequence[str]) -> None:
    """Reads, checks, writes, and says what comes next."""
    commands.no_arguments(argv)
    source, target = pathlib.Path(_CHECKPOINT.value), pathlib.Path(_OUT.value)
    params, config = torch_checkpoint.read(source, exact_clamp=_EXACT_CLAMP.value)
    checkpoint.save_params(target, params, config)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    print(
        f"{count:,} parameters (hidden width {config.hidden}) from {source}, written "
        f"to {target}; next: python -m jaxflow.evaluate --checkpoint={target}"
    )


if __name__ == "__main__":
    commands.run(main)
