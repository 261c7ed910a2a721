r"""How fast ``human36m_lift`` is built, and in how much memory.

    python benchmarks/build_data.py [--frames=100000] [--form=merged|positions|fits]

Writes raw files of the original layout with random poses into a temporary folder (838
recordings, 100,000 kept frames), builds the set from them in a process of its own, and
prints frames a second and that process's peak memory. Fails above 2 GiB.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
import resource
import subprocess
import sys
import tempfile
import time

import cdflib.cdfwrite
import numpy as np

from data_builders.human36m_lift import parse, recordings

LIMIT = 2.0  # GiB
FLOAT = 21  # CDF_REAL4


def write_pickles(folder: pathlib.Path, count: int, with_3d: bool) -> None:
    """The two pickles, ``count`` frames a recording."""
    rng = np.random.default_rng(0)
    names_of_files = parse.MERGED if with_3d else parse.WITHOUT_3D
    for split, name in names_of_files.items():
        content: dict = {}
        for subject in recordings.SUBJECTS[split]:
            for names in recordings.all_of(subject):
                of_action = content.setdefault(subject, {}).setdefault(names.action, {})
                of_subaction = of_action.setdefault(names.subaction, {})
                of_subaction[names.camera] = recording(rng, names, count, with_3d)
        (folder / name).write_bytes(pickle.dumps(content))


def recording(
    rng: np.random.Generator, names: recordings.Names, count: int, with_3d: bool
) -> dict:
    """One recording as the pickles hold it."""
    arrays = {
        "imgpath": [f"/{names}/{4 * (i + 1)}.jpg" for i in range(count)],
        "2d_hrnet": rng.uniform(0, 256, (count, 32)).astype(np.float32),
        "gaussfit": rng.uniform(0, 6, (count, 112)).astype(np.float32),
    }
    if with_3d:
        arrays["3d_gt"] = rng.normal(0, 1000, (count, 51)).astype(np.float32)
    return arrays


def write_tree(folder: pathlib.Path, count: int, with_fits: bool) -> None:
    """Files of 3D poses with ``count`` kept frames, and of fits if asked for."""
    rng = np.random.default_rng(1)
    for subject in (*recordings.SUBJECTS["train"], *recordings.SUBJECTS["test"]):
        place = folder / subject / "MyPoseFeatures" / "D3_Positions_mono"
        place.mkdir(parents=True)
        (folder / "fits" / subject).mkdir(parents=True) if with_fits else None
        for names in recordings.all_of(subject):
            take = "" if names.subaction == "0" else " 1"
            stem = f"{names.action}{take}.{names.camera}"
            pose = rng.normal(0, 1000, (1, 4 * count + 3, 96)).astype(np.float32)
            write_cdf(place / f"{stem}.cdf", pose)
            if with_fits:
                fits = rng.uniform(0, 6, (count, 16, 7)).astype(np.float32)
                np.savez(folder / "fits" / subject / f"{stem}.npz", fits=fits)


def write_cdf(path: pathlib.Path, pose: np.ndarray) -> None:
    """A file of 3D poses, (1, F, 96)."""
    specification = {
        "Variable": "Pose",
        "Data_Type": FLOAT,
        "Num_Elements": 1,
        "Rec_Vary": True,
        "Dim_Sizes": list(pose.shape[1:]),
        "Var_Type": "zVariable",
    }
    file = cdflib.cdfwrite.CDF(path, cdf_spec={"Compressed": 6}, delete=True)
    file.write_var(specification, var_data=pose)
    file.close()


def main() -> None:
    """Writes, builds, measures."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--frames", type=int, default=100_000)
    flags.add_argument("--form", choices=("merged", "positions", "fits"))
    arguments = flags.parse_args()
    count = -(-arguments.frames // 838)
    forms = [arguments.form] if arguments.form else ["merged", "positions", "fits"]
    for form in forms:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            if form != "fits":
                write_pickles(folder, count, with_3d=form == "merged")
            if form != "merged":
                write_tree(folder, count, with_fits=form == "fits")
            build(form, folder)


def build(form: str, folder: pathlib.Path) -> None:
    """Builds the set in a process of its own and reports."""
    started = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "data_builders.build",
            "human36m_lift",
            "--nocard",
            f"--manual_dir={folder}",
            f"--data_dir={folder / 'sets'}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - started
    rate = re.search(r"([\d,]+) frames/s", done.stdout)
    # The largest child so far: forms run by themselves give their own figure.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(
        f"{form}: {seconds:.1f} s in all, building {rate[1] if rate else '?'} frames/s,"
        f" peak memory {peak:.2f} GiB"
    )
    if peak > LIMIT:
        sys.exit(f"more than {LIMIT} GiB")


if __name__ == "__main__":
    main()
