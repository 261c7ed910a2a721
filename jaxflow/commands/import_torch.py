"""Turns a published PyTorch checkpoint into one that this package reads.

    python -m jaxflow.import_torch --checkpoint=model.pt --out=DIR
    python -m jaxflow.import_torch --kind=hrnet --checkpoint=pose_hrnet.pth --out=DIR

--kind=flow reads the authors' flow, --kind=hrnet a 2D detector, an HRNet of any width:
as published for MPII, as the authors fine-tuned it, a training run's resume file, or
MMPose's.

PyTorch is needed here and nowhere else: the extra ``torch``. The file is read as mere
weights; code that it may carry is refused.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax

from jaxflow import commands, torch_weights
from jaxflow.detector.network import checkpoint as detector_checkpoint
from jaxflow.detector.network import weights
from jaxflow.flow import checkpoint
from jaxflow.runs import checkpoint as store
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import MPII_JOINTS
from jaxflow.types import Params

flags = commands.Flags(__name__)

_CHECKPOINT = flags.path(
    "checkpoint", None, "The PyTorch file, such as model.pt.", required=True
)
_OUT = flags.path(
    "out", None, "Folder for the checkpoint, made if need be.", required=True
)
_KIND = flags.DEFINE_enum(
    "kind", "flow", ["flow", "hrnet"], "What the file holds: a flow or a detector."
)
_EXACT_CLAMP = flags.DEFINE_bool(
    "exact_clamp",
    False,
    "The model was trained with the paper's 2/pi in the soft clamp instead of the "
    "released code's 0.636; the file does not say.",
)
flags.adopt(commands)


def main(argv: Sequence[str]) -> None:
    """Reads, checks, writes, and says what comes next."""
    commands.no_arguments(argv)
    source, target = pathlib.Path(_CHECKPOINT.value), pathlib.Path(_OUT.value)
    store.check_vacant(target)
    if _KIND.value == "hrnet":
        if flags.FLAGS["exact_clamp"].present:
            raise UserError("--exact_clamp is for a flow; a detector has none")
        _import_detector(source, target)
    else:
        _import_flow(source, target)


def _import_flow(source: pathlib.Path, target: pathlib.Path) -> None:
    params, config = torch_weights.read(source, exact_clamp=_EXACT_CLAMP.value)
    checkpoint.save_params(target, params, config)
    print(
        f"{_count(params):,} parameters (hidden width {config.hidden}) from {source}, "
        f"written to {target}; next: python -m jaxflow.evaluate --checkpoint={target} "
        "--dataset=human36m_lift"  # what is published was trained on it
    )


def _import_detector(source: pathlib.Path, target: pathlib.Path) -> None:
    variables, config = weights.read(source)
    detector_checkpoint.save(target, variables, config)
    print(
        f"{_count(variables['params']):,} parameters (HRNet-W{config.width}, "
        f"{config.joints} joints) from {source}, written to {target}"
    )
    if config.joints != len(MPII_JOINTS):
        print(
            f"its {config.joints} joints are not the {len(MPII_JOINTS)} of MPII that "
            "a flow is conditioned on"
        )
    else:
        print(
            f"next: python -m jaxflow.predict photo.jpg --detector={target}, and "
            "--skeleton=mpii_original_16 if it was trained on MPII, as most published "
            "ones are"
        )


def _count(params: Params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


if __name__ == "__main__":
    commands.run(main)
