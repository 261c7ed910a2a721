"""Where bones end and joints lie: forward kinematics over all frames at once.

With C the rotation of a bone's axis frame, R that of its angles and G its parent's,

    rotation = G C R C^T,        end = the parent's end + rotation @ offset.

An order "XYZ" stands for R = R_z R_y R_x.

In: a ``Skeleton`` and a ``Motion`` of F frames. Out: mm, y up.
"""

from __future__ import annotations

import numpy as np

from data_builders.cmu_mocap_lift.amc import Motion
from data_builders.cmu_mocap_lift.asf import ROOT, Skeleton
from data_builders.files import DataFileError
from data_builders.simulation import bodies
from jaxflow.skeleton import H36M_JOINTS

# The bones whose ends are a joint; of two, their midpoint. The pelvis lies between the
# hips, the wrist between the ends of forearm and wrist bone, the nose in the neck.
JOINT_BONES: dict[str, tuple[str, ...]] = {
    "Hip": ("lhipjoint", "rhipjoint"),
    "RHip": ("rhipjoint",),
    "RKnee": ("rfemur",),
    "RFoot": ("rtibia",),
    "LHip": ("lhipjoint",),
    "LKnee": ("lfemur",),
    "LFoot": ("ltibia",),
    "Spine": ("lowerback",),
    "Thorax": ("thorax",),
    "Nose": ("lowerneck", "upperneck"),
    "Head": ("head",),
    "LShoulder": ("lclavicle",),
    "LElbow": ("lhumerus",),
    "LWrist": ("lradius", "lwrist"),
    "RShoulder": ("rclavicle",),
    "RElbow": ("rhumerus",),
    "RWrist": ("rradius", "rwrist"),
}


def rotation(degrees: np.ndarray, order: str = "XYZ") -> np.ndarray:
    """Rotation matrices (..., 3, 3) of angles (..., 3) about x, y and z.

    Args:
      degrees: about the x, y and z axis, whatever the order.
      order: which of the fixed axes is turned about first, second and third.
    """
    turned = np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3))
    for letter in order:
        axis = "XYZ".index(letter)
        turned = bodies.rotation(axis, degrees[..., axis]) @ turned
    return turned


def bone_ends(skeleton: Skeleton, motion: Motion) -> np.ndarray:
    """End points of all bones, (F, bones, 3) mm, y up; the root's is its position."""
    frames = len(motion.position)
    ends = np.empty((frames, len(skeleton.bones), 3))
    turned = np.empty((frames, len(skeleton.bones), 3, 3))
    for number, bone in enumerate(skeleton.bones):
        axes = rotation(bone.axis, bone.order)
        own = axes @ rotation(motion.angles[:, number], bone.order) @ axes.T
        if bone.name == ROOT:
            turned[:, number] = own
            ends[:, number] = skeleton.position + motion.position
        else:
            turned[:, number] = turned[:, bone.parent] @ own
            ends[:, number] = ends[:, bone.parent] + turned[:, number] @ bone.offset
    return ends


def joints(skeleton: Skeleton, ends: np.ndarray, where: str) -> np.ndarray:
    """The joints of ``jaxflow.skeleton.H36M_JOINTS``, (F, 17, 3), of bone ends.

    Args:
      skeleton: whose bones they are.
      ends: (F, bones, 3).
      where: the skeleton's file, for errors.

    Raises:
      DataFileError: the skeleton lacks a bone that a joint needs.
    """
    places = {bone.name: place for place, bone in enumerate(skeleton.bones)}
    needed = {name for names in JOINT_BONES.values() for name in names}
    if missing := sorted(needed - places.keys()):
        raise DataFileError(f"{where}: the skeleton lacks {', '.join(missing)}")
    chosen = [[places[name] for name in JOINT_BONES[joint]] for joint in H36M_JOINTS]
    return np.stack([ends[:, places].mean(axis=1) for places in chosen], axis=1)
