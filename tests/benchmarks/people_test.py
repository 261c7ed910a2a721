"""People told apart by their bones, and merged pickles put together anew."""

import pickle

import numpy as np
import pytest

from benchmarks import people
from data_builders.human36m_lift import parse
from jaxflow.skeleton import H36M_PARENTS
from tests.helpers import human36m as helpers

ADA, BEN, EVE = np.random.default_rng(0).uniform(100, 450, (3, 17))


def poses(rng, frames, lengths):
    """Poses of random directions (frames, 17, 3) with bones of these lengths."""
    way = rng.normal(size=(frames, 17, 3))
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    joints = np.zeros((frames, 17, 3))
    for joint, parent in enumerate(H36M_PARENTS):
        if parent >= 0:
            joints[:, joint] = joints[:, parent] + lengths[joint] * way[:, joint]
    return joints + [0, 0, 5000.0]


def test_people_are_their_bones():
    rng = np.random.default_rng(1)
    who = rng.choice(3, 60, p=[0.2, 0.5, 0.3])
    lengths = np.asarray([ADA, BEN, EVE])[who]
    joints = np.concatenate([poses(rng, 1, own) for own in lengths])
    found = people.people(people.bones(joints))
    order = np.argsort(-np.bincount(who))  # those of most frames first
    np.testing.assert_array_equal(order[found], who)


@pytest.fixture
def written(tmp_path):
    """Ada is in both splits; S1 is two people, and Ben two subjects."""
    rng = np.random.default_rng(2)
    cast = {
        "train": {"S1": {"0": ADA, "1": BEN}, "S5": {"0": BEN, "1": BEN}},
        "test": {"S9": {"0": ADA, "1": EVE}},
    }
    for number, (split, subjects) in enumerate(cast.items()):
        content = helpers.pickled(number, [*subjects], ["Walking"])
        for subject, takes in subjects.items():
            for take, lengths in takes.items():
                for one in content[subject]["Walking"][take].values():
                    frames = len(one["3d_gt"])
                    joints = poses(rng, frames, lengths).swapaxes(1, 2)
                    one["3d_gt"] = joints.reshape(frames, 51).astype(np.float32)
        helpers.save(tmp_path / parse.MERGED[split], content)
    people.divide(tmp_path, tmp_path / "out")
    return tmp_path


def test_nobody_of_the_test_set_is_in_training(written):
    whole, strangers = (
        helpers.merged_records(folder / parse.MERGED["train"])
        for folder in (written, written / "out" / "strangers")
    )
    seen = (whole.subject == "S1") & (whole.subaction == "0")
    helpers.assert_same(whole.take(~seen), strangers)
    for name in ("strangers", "people"):
        test = helpers.merged_records(written / "out" / name / parse.MERGED["test"])
        assert len(test) == len(helpers.merged_records(written / parse.MERGED["test"]))


def test_each_person_is_a_subject(written):
    path = written / "out" / "people" / parse.MERGED["train"]
    assert len(pickle.loads(path.read_bytes())) == 1  # Ben alone
    ben = helpers.merged_records(path)
    np.testing.assert_allclose(
        people.bones(ben.pose3d), np.tile(people.bones(ben.pose3d)[:1], (len(ben), 1)),
        atol=0.01,
    )  # fmt: skip
    test = helpers.merged_records(written / "out" / "people" / parse.MERGED["test"])
    assert len(np.unique(test.subject)) == 2
