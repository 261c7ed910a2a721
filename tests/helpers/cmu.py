"""A small person as ASF and AMC text, and a slow way to where its bones end."""

import numpy as np
from scipy.spatial.transform import Rotation

UNIT = 25.4 / 0.45

# name, parent, direction, length in units, axis, order of rotation, angles
BONES = (
    ("lhipjoint", "root", (0.66, -0.71, 0.25), 2.5, (0, 0, 0), "XYZ", ""),
    ("lfemur", "lhipjoint", (0.34, -0.94, 0), 7.6, (0, 0, 20), "XYZ", "rx ry rz"),
    ("ltibia", "lfemur", (0.34, -0.94, 0), 7.3, (0, 0, 20), "XYZ", "rx"),
    ("lfoot", "ltibia", (0.09, -0.24, 0.97), 2.2, (-90, 7e-16, 20), "XYZ", "rx rz"),
    ("rhipjoint", "root", (-0.65, -0.72, 0.25), 2.5, (0, 0, 0), "XYZ", ""),
    ("rfemur", "rhipjoint", (-0.34, -0.94, 0), 7.6, (0, 0, -20), "XYZ", "rx ry rz"),
    ("rtibia", "rfemur", (-0.34, -0.94, 0), 7.2, (0, 0, -20), "XYZ", "rx"),
    ("lowerback", "root", (0.01, 1, -0.07), 2.1, (0, 0, 0), "XYZ", "rx ry rz"),
    ("thorax", "lowerback", (0, 1, 0), 4.1, (10, 20, 30), "ZYX", "rz ry rx"),
    ("lowerneck", "thorax", (0, 1, 0.1), 1.6, (0, 0, 0), "XYZ", "rx ry rz"),
    ("upperneck", "lowerneck", (0.02, 1, -0.06), 1.6, (0, 0, 0), "XYZ", "rx ry rz"),
    ("head", "upperneck", (0.01, 1, -0.03), 1.6, (0, 0, 0), "XYZ", "rx ry rz"),
    ("lclavicle", "thorax", (0.97, 0.25, -0.05), 3.7, (0, 0, 0), "XYZ", "ry rz"),
    ("lhumerus", "lclavicle", (1, 0, 0), 4.9, (180, -30, -90), "XYZ", "rx ry rz"),
    ("lradius", "lhumerus", (1, 0, 0), 3.4, (180, -30, -90), "YXZ", "rx"),
    ("lwrist", "lradius", (1, 0, 0), 1.7, (0, 90, 90), "XYZ", "ry"),
    ("rclavicle", "thorax", (-0.97, 0.21, -0.09), 3.6, (0, 0, 0), "XYZ", "ry rz"),
    ("rhumerus", "rclavicle", (-1, 0, 0), 5.0, (180, 30, 90), "XYZ", "rx ry rz"),
    ("rradius", "rhumerus", (-1, 0, 0), 3.4, (180, 30, 90), "XYZ", "rx"),
    ("rwrist", "rradius", (-1, 0, 0), 1.7, (0, -90, -90), "XYZ", "ry"),
)
NAMES = tuple(bone[0] for bone in BONES)
DOF = {bone[0]: bone[6].split() for bone in BONES if bone[6]}
WIDTH = 6 + sum(map(len, DOF.values()))


def _numbers(values):
    return " ".join(format(value, ".12g") for value in values)


def asf_text(bones=BONES, root_order="TX TY TZ RX RY RZ"):
    """The person's skeleton."""
    lines = [
        "# made for a test",
        ":version 1.10",
        ":name VICON",
        ":units",
        "  mass 1.0",
        "  length 0.45",
        "  angle deg",
        ":documentation",
        "   nothing to say",
        ":root",
        f"   order {root_order}",
        "   axis XYZ",
        "   position 0 0 0",
        "   orientation 0 0 0",
        ":bonedata",
    ]
    for number, (name, _, direction, length, axis, order, dof) in enumerate(bones, 1):
        lines += [
            "  begin",
            f"    id {number}",
            f"    name {name}",
            f"    direction {_numbers(direction)}",
            f"    length {length}",
            f"    axis {_numbers(axis)}  {order}",
        ]
        if dof:
            lines += [f"    dof {dof}", "    limits (-160.0 20.0)"]
            lines += ["           (-70.0 70.0)"] * (len(dof.split()) - 1)
        lines.append("  end")
    lines += [":hierarchy", "  begin"]
    for parent in dict.fromkeys(bone[1] for bone in bones):
        children = [bone[0] for bone in bones if bone[1] == parent]
        lines.append(f"    {parent} {' '.join(children)}")
    return "\n".join([*lines, "  end", ""])


def motion_rows(rng, frames, calm=1.0):
    """Random smooth numbers of a take, (F, WIDTH): the root's, then the angles."""
    times = np.arange(frames)[:, None] / 40
    phase, pace = rng.uniform(0, 2 * np.pi, WIDTH), rng.uniform(0.5, 1.5, WIDTH)
    size = np.r_[np.full(3, 8.0), np.full(WIDTH - 3, 40.0)]
    rows = calm * size * np.sin(phase + pace * times)
    rows[:, 1] = 17 + 0.05 * rows[:, 1]
    return rows


def amc_text(rows):
    """A take; its bones are in another order than the skeleton's."""
    lines = ["#!OML:ASF made for a test", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame, row in enumerate(rows, start=1):
        lines.append(str(frame))
        lines.append(f"root {_numbers(row[:6])}")
        column, blocks = 6, []
        for name, dof in DOF.items():
            blocks.append(f"{name} {_numbers(row[column : column + len(dof)])}")
            column += len(dof)
        lines += reversed(blocks)
    return "\n".join([*lines, ""])


def slow_ends(row, root_order="TX TY TZ RX RY RZ"):
    """Bone ends of one frame, bone by bone: {name: (3,) mm}."""
    root = dict(zip(root_order.split(), row[:6], strict=True))
    turned = Rotation.from_euler("xyz", [root[k] for k in ("RX", "RY", "RZ")], True)
    place = UNIT * np.asarray([root["TX"], root["TY"], root["TZ"]])
    ends, turns, column = {"root": place}, {"root": turned}, 6
    for name, parent, direction, length, axis, order, dof in BONES:
        angle = dict.fromkeys("XYZ", 0.0)
        for one in dof.split():
            angle[one[1].upper()] = row[column]
            column += 1
        # Lower case: about fixed axes, one after the other.
        base = dict(zip("XYZ", axis, strict=True))
        frame = Rotation.from_euler(order.lower(), [base[k] for k in order], True)
        own = Rotation.from_euler(order.lower(), [angle[k] for k in order], True)
        turns[name] = turns[parent] * frame * own * frame.inv()
        bone = UNIT * length * np.asarray(direction)
        ends[name] = ends[parent] + turns[name].apply(bone)
    return ends


def write_subject(folder, subject, takes):
    """Files of a subject: {take number: text of the motion}."""
    home = folder / "subjects" / subject
    home.mkdir(parents=True)
    (home / f"{subject}.asf").write_text(asf_text())
    for number, text in takes.items():
        (home / f"{subject}_{number}.amc").write_text(text)
    return home


def write_database(folder, subjects=("01", "08", "31"), takes=2, frames=95):
    """A small database; returns the folder around ``subjects``."""
    for subject in subjects:
        rng = np.random.default_rng(int(subject))
        texts = {
            f"{number:02d}": amc_text(motion_rows(rng, frames + number))
            for number in range(1, takes + 1)
        }
        write_subject(folder, subject, texts)
    return folder
