"""Whose joints a detector's are, told by their number.

    17 -> coco_17        133 -> coco_17, of which the first 17 joints count

Numbers that two skeletons share mean the more common one; the other can be asked for.
"""

from __future__ import annotations

from jaxflow.gaussians.skeletons import SKELETONS
from jaxflow.runs.errors import UserError

BY_COUNT = {16: "mpii_16", 17: "coco_17", 25: "body_25", 26: "halpe_26"}
# Whole bodies, whose feet, faces and hands follow the body's joints.
WHOLE_BODIES = {133: "coco_17", 136: "halpe_26"}


def joints_of(skeleton: str) -> int:
    """How many joints a skeleton has.

    Raises:
      UserError: there is no such skeleton.
    """
    if skeleton not in SKELETONS:
        known = ", ".join(SKELETONS)
        raise UserError(f"expected a skeleton among {known}; got {skeleton!r}")
    return len(SKELETONS[skeleton].joints)


def skeleton_of(count: int, skeleton: str | None = None) -> str:
    """The skeleton with so many joints.

    Args:
      count: joints of a person as a file has them.
      skeleton: which it must be, or None.

    Raises:
      UserError: an unknown skeleton, another number than it has, or a number that
        tells none.
    """
    if skeleton is not None:
        own = joints_of(skeleton)
        if count != own and WHOLE_BODIES.get(count) != skeleton:
            raise UserError(f"expected {own} joints for {skeleton}; got {count}")
        return skeleton
    found = BY_COUNT.get(count) or WHOLE_BODIES.get(count)
    if found is None:
        known = ", ".join(f"{n} ({s})" for n, s in (BY_COUNT | WHOLE_BODIES).items())
        raise UserError(
            f"expected a number of joints that tells the skeleton: {known}; got {count}"
        )
    return found
