"""A small test set of MPI-INF-3DHP on disk, in the downloaded form."""

import h5py
import numpy as np

from data_builders.mpi_inf_3dhp_lift import parse

FRAMES = {"TS1": 5, "TS2": 3, "TS3": 4, "TS4": 3, "TS5": 3, "TS6": 6}


def sequence(rng, frames):
    """Arrays of annot_data.mat and of detections.npz; every third frame is invalid."""
    annotated = {
        "annot2": rng.uniform(300, 1500, (frames, 1, 17, 2)),
        "annot3": rng.normal(size=(frames, 1, 17, 3)) * 300 + 4000,
        "univ_annot3": rng.normal(size=(frames, 1, 17, 3)) * 300 + 4000,
        "valid_frame": (np.arange(frames) % 3 != 1).astype(float)[:, None],
        "activity_annotation": rng.integers(1, 8, (frames, 1)).astype(float),
    }
    detected = {
        "pose2d": rng.uniform(20, 230, (frames, 16, 2)).astype(np.float32),
        "gaussfit": rng.uniform(1, 4, (frames, 16, 7)).astype(np.float32),
    }
    return annotated, detected


def content(seed=0):
    """Sequence -> its two groups of arrays."""
    rng = np.random.default_rng(seed)
    return {name: sequence(rng, frames) for name, frames in FRAMES.items()}


def write_mat(path, arrays):
    with h5py.File(path, "w", userblock_size=512) as file:  # as MATLAB has it
        for name, array in arrays.items():
            file[name] = array


def write(folder, sequences):
    """The folder with all sequences in it."""
    for name, (annotated, detected) in sequences.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_mat(folder / name / parse.ANNOTATIONS, annotated)
        np.savez(folder / name / parse.DETECTIONS, **detected)
    return folder
