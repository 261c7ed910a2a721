"""A small Human3.6M of random poses in the layout that users download."""

import pickle

import cdflib.cdfwrite
import numpy as np

from data_builders.human36m_lift import forms, parse, recordings, sources
from jaxflow.types import PoseRecords

CAMERAS = recordings.CAMERAS
EVERYBODY = {"train": None, "test": None}  # the subjects of the files


def recording(rng, frames, with_3d=True):
    poses = {"3d_gt": rng.normal(size=(frames, 51)) + 5000.0} if with_3d else {}
    return poses | {
        "imgpath": [f"/S/Walking.1/{4 * (i + 1)}.jpg" for i in range(frames)],
        "2d_hrnet": rng.normal(size=(frames, 32)).astype(np.float32) + 128,
        "gaussfit": rng.normal(size=(frames, 112)).astype(np.float32) + 2,
    }


def pickled(seed, subjects, actions, with_3d=True):
    """What a pickle holds; some recordings have no frames."""
    rng = np.random.default_rng(seed)
    return {
        subject: {
            action: {
                subaction: {
                    camera: recording(rng, int(rng.integers(0, 7)), with_3d)
                    for camera in CAMERAS
                }
                for subaction in ("0", "1")
            }
            for action in actions
        }
        for subject in subjects
    }


def save(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


def write_cdf(path, pose, kind=21, name="Pose", compressed=6):
    """A file of 3D poses as cdflib writes it; pose (records, frames, 96)."""
    specification = {
        "Variable": name,
        "Data_Type": kind,
        "Num_Elements": 1,
        "Rec_Vary": True,
        "Dim_Sizes": list(pose.shape[1:]),
        "Var_Type": "zVariable",
        "Compress": compressed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    file = cdflib.cdfwrite.CDF(path, cdf_spec={"Compressed": compressed}, delete=True)
    file.write_var(specification, var_data=pose)
    file.close()
    return path


def poses(rng, frames):
    return rng.normal(0, 1000, (1, frames, 96)).astype(np.float32)


def joined(parts):
    """Records end to end."""
    parts = list(parts)
    return PoseRecords(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in vars(parts[0])
            if name != "extra"
        }
    )


def merged_records(path):
    """All frames of a merged pickle, in order."""
    return joined(
        recordings.to_records(entry.names, *parse.merged(entry))
        for entry in parse.entries(path)
        if not entry.is_empty and "3d_gt" in entry.content
    )


def assert_same(first, second):
    assert first.columns().keys() == second.columns().keys()
    others = second.columns()
    for name, array in first.columns().items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def read(folder, split, subjects=None):
    """A split's records and the tally, by whichever form the folder has."""
    tally = sources.Tally()
    source = forms.recognise(folder)
    return joined(r() for r in source.recordings(split, subjects, tally)), tally
