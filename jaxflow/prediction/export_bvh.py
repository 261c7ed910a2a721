"""BVH: a motion as a skeleton that turns its joints, for animation programs.

    poses (T, 17, 3) metres, camera frame -> a .bvh file's text

Centimetres; y up, x to the right and z towards the camera, the camera frame turned by
half a turn about x. The hip stays at the origin, since where people are is not known.
Bones have one length, the median over the frames; their directions are the poses' own.
A joint with several bones has a joint of no length for each of them (``LCollar``), so
that each can turn. At rest somebody stands with the arms out, facing the camera. Every
joint turns by Z, then X, then Y in the frame of the one before, degrees (each
rotation is R = Rz Rx Ry); a bone turns the shortest way, as a pose of joints does not
tell how it is twisted.
"""

from __future__ import annotations

import numpy as np

from jaxflow.skeleton import H36M_JOINTS, H36M_PARENTS

_CENTIMETRES = 100.0
_TO_Y_UP = np.array([1.0, -1.0, -1.0])
_LEAST = 1e-3  # metres; no bone is shorter
_UP, _DOWN = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)
# Facing the camera somebody's left is on the right of the picture.
_LEFT, _RIGHT = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)
# Where each joint lies from the one before, at rest.
_REST = {
    "RHip": _RIGHT, "RKnee": _DOWN, "RFoot": _DOWN,
    "LHip": _LEFT, "LKnee": _DOWN, "LFoot": _DOWN,
    "Spine": _UP, "Thorax": _UP, "Nose": _UP, "Head": _UP,
    "LShoulder": _LEFT, "LElbow": _LEFT, "LWrist": _LEFT,
    "RShoulder": _RIGHT, "RElbow": _RIGHT, "RWrist": _RIGHT,
}  # fmt: skip
# The joints of no length that turn one bone of a joint with several.
_BASES = {
    "RHip": "RPelvis", "LHip": "LPelvis", "Spine": "LowerBack",
    "Nose": "Neck", "LShoulder": "LCollar", "RShoulder": "RCollar",
}  # fmt: skip
_TURNS = "Zrotation Xrotation Yrotation"


def text(poses: np.ndarray, seconds: float) -> str:
    """The file's text.

    Args:
      poses: (T, 17, 3) metres, H36M-17, camera frame, evenly spaced.
      seconds: from frame to frame.
    """
    places = np.asarray(poses, np.float64) * _TO_Y_UP
    bones = places - places[:, np.maximum(H36M_PARENTS, 0)]
    lengths = np.maximum(np.median(np.linalg.norm(bones, axis=-1), axis=0), _LEAST)
    lines = ["HIERARCHY"]
    turns: list[np.ndarray] = []
    around = np.broadcast_to(np.eye(3), (len(places), 3, 3))
    _joint(0, around, bones, lengths, "", lines, turns)
    angles = np.concatenate([_degrees(turn) for turn in turns], axis=1)
    lines += ["MOTION", f"Frames: {len(places)}", f"Frame Time: {seconds:.9g}"]
    still = "0 0 0 "
    rows = (still + " ".join(f"{a:.4f}" for a in row) for row in angles)
    return "\n".join([*lines, *rows]) + "\n"


def _joint(
    joint: int,
    around: np.ndarray,
    bones: np.ndarray,
    lengths: np.ndarray,
    indent: str,
    lines: list[str],
    turns: list[np.ndarray],
) -> None:
    """Writes a joint and those behind it, and how each turns.

    Args:
      joint: which.
      around: (T, 3, 3) how the joint before is turned.
      bones: (T, 17, 3) from joint to joint.
      lengths: (17,) metres.
      indent: of its lines.
      lines: of the hierarchy, which grow.
      turns: rotations (T, 3, 3) in the order of the lines, which grow.
    """
    name = H36M_JOINTS[joint]
    children = [i for i, parent in enumerate(H36M_PARENTS) if parent == joint]
    kind, offset = ("JOINT", _offset(name, lengths[joint])) if indent else ("ROOT", "")
    channels = f"CHANNELS 3 {_TURNS}"
    if not indent:
        channels = f"CHANNELS 6 Xposition Yposition Zposition {_TURNS}"
    _open(lines, indent, f"{kind} {name}", offset or "0 0 0", channels)
    inner = indent + "  "
    own = around
    if len(children) == 1:
        own = _shortest(children[0], around, bones)
    elif children:
        own = _together(children, bones)
    turns.append(np.swapaxes(around, 1, 2) @ own)
    for child in children:
        if len(children) == 1:
            _joint(child, own, bones, lengths, inner, lines, turns)
            continue
        base = _BASES[H36M_JOINTS[child]]
        _open(lines, inner, f"JOINT {base}", "0 0 0", f"CHANNELS 3 {_TURNS}")
        turned = _shortest(child, own, bones)
        turns.append(np.swapaxes(own, 1, 2) @ turned)
        _joint(child, turned, bones, lengths, inner + "  ", lines, turns)
        lines.append(f"{inner}}}")
    if not children:
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET 0 0 0"]
        lines.append(f"{inner}}}")
    lines.append(f"{indent}}}")


def _open(
    lines: list[str], indent: str, title: str, offset: str, channels: str
) -> None:
    lines += [f"{indent}{title}", f"{indent}{{", f"{indent}  OFFSET {offset}"]
    lines.append(f"{indent}  {channels}")


def _offset(name: str, length: float) -> str:
    return " ".join(f"{_CENTIMETRES * length * x:.4f}" for x in _REST[name])


def _together(children: list[int], bones: np.ndarray) -> np.ndarray:
    """The rotation (T, 3, 3) that turns all bones at once as well as can be.

    Kabsch's: of unit vectors at rest and as they are, by singular values.
    """
    rest = np.array([_REST[H36M_JOINTS[child]] for child in children])
    seen = np.stack([_unit(bones[:, child]) for child in children], axis=1)
    u, _, v = np.linalg.svd(np.swapaxes(seen, 1, 2) @ rest)
    flip = np.ones((len(u), 3))
    flip[:, 2] = np.linalg.det(u @ v)
    return (u * flip[:, None]) @ v


def _shortest(child: int, around: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """The rotation (T, 3, 3) nearest to ``around`` that turns a bone from its rest.

    With a the bone in the turned frame at rest, b as it is, v = a x b, c = a b:
    I + [v] + [v]^2 / (1 + c), Rodrigues' formula of the angle between them.
    """
    rest = np.array(_REST[H36M_JOINTS[child]])
    to = np.einsum("tji,tj->ti", around, _unit(bones[:, child]))
    cosine = to @ rest
    v = np.cross(rest, to)
    cross = np.zeros((len(v), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    cross -= np.swapaxes(cross, 1, 2)
    turn = (
        np.eye(3) + cross + cross @ cross / np.maximum(1 + cosine, 1e-9)[:, None, None]
    )
    back = np.roll(np.abs(rest), 1)  # half a turn about any axis across the bone
    half = 2 * np.outer(back, back) - np.eye(3)
    return around @ np.where((cosine < -1 + 1e-9)[:, None, None], half, turn)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _degrees(turn: np.ndarray) -> np.ndarray:
    """Angles (T, 3) about z, x, y of rotations (T, 3, 3) = Rz Rx Ry, without jumps."""
    x = np.arcsin(np.clip(turn[:, 2, 1], -1, 1))
    z = np.arctan2(-turn[:, 0, 1], turn[:, 1, 1])
    y = np.arctan2(-turn[:, 2, 0], turn[:, 2, 2])
    angles = np.stack([z, x, y], axis=-1)
    # The same rotation has another triple; where that is nearer, it is the next one.
    for t in range(1, len(angles)):
        other = angles[t] * [1, -1, 1] + np.pi
        ways = [
            a + 2 * np.pi * np.round((angles[t - 1] - a) / (2 * np.pi))
            for a in (angles[t], other)
        ]
        angles[t] = min(ways, key=lambda a: np.abs(a - angles[t - 1]).sum())
    return np.degrees(angles)
