"""The data set of CMU takes: which frames, where they stand, where files come from."""

import http.server
import json
import shutil
import threading
import zipfile

import numpy as np
import pytest

from data_builders import files, registry
from data_builders.cmu_mocap_lift import download, generation, recordings, source
from data_builders.simulation import cameras
from jaxflow import data
from jaxflow.skeleton import H36M_BONES, HIP
from tests import cmu_helpers as cmu

SET = "cmu_mocap_lift"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return cmu.write_database(tmp_path_factory.mktemp("cmu"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, database):
    folder = tmp_path_factory.mktemp("sets")
    builder = registry.prepare(SET, folder, database)
    return builder, {
        name: data.load_records(SET, name, folder) for name in data.splits(SET, folder)
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Sixty short takes, of which a test may spoil some."""
    folder = tmp_path_factory.mktemp("many")
    text = cmu.amc_text(cmu.motion_rows(np.random.default_rng(0), 3))
    for subject in ("07", "08"):
        cmu.write_subject(folder, subject, {f"{n:02d}": text for n in range(1, 31)})
    return folder


def packed(database, path, prefix="all_asfamc/"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for one in sorted(database.rglob("*.a[sm][fc]")):
            file.write(one, prefix + one.relative_to(database).as_posix())
    return path


def read(folder):
    with source.opened(folder) as found:
        return recordings.read(found), found


def test_splits_are_by_subject(built):
    _, splits = built
    assert set(splits["train"].subject) == {"01", "31"}
    assert set(splits["test"].subject) == {"08"}
    assert [n for n in range(1, 50) if generation.split_of(f"{n:02d}") == "test"] == [
        8, 16, 24, 32, 40, 48,
    ]  # fmt: skip


def test_every_tenth_frame_once_and_in_order(built):
    _, splits = built
    for records in splits.values():
        assert set(records.frame % 10) == {1}
        keys = list(
            zip(records.subject, records.subaction, records.camera, records.frame,
                strict=True)
        )  # fmt: skip
        order = {name: n for n, name in enumerate(cameras.CAMERA_NAMES)}
        ranks = [(int(s), int(t), order[c], f) for s, t, c, f in keys]
        assert ranks == sorted(ranks)
        poses = [(s, t, f) for s, t, _, f in keys]
        assert len(set(poses)) == len(poses)  # seen by one camera each
        assert set(records.camera) == set(cameras.CAMERA_NAMES)
        assert set(records.action) == {generation.ACTION}


def test_poses_are_those_of_the_files(built, database):
    """Turned and moved as a whole: distances between joints stay."""
    _, splits = built
    reading, _ = read(database)
    for one in reading.recordings:
        records = splits[generation.split_of(one.subject)]
        rows = (records.subject == one.subject) & (records.subaction == one.number)
        own = records.take(np.flatnonzero(rows))
        own = own.take(np.argsort(own.frame))
        np.testing.assert_array_equal(own.frame, one.frame)
        for pose in (own.pose3d, one.joints):
            assert pose.shape == (len(one.frame), 17, 3)
        between = [
            np.linalg.norm(pose[:, :, None] - pose[:, None], axis=-1)
            for pose in (own.pose3d.astype(float), one.joints.astype(float))
        ]
        np.testing.assert_allclose(*between, atol=0.01)
        # Not mirrored: the hips and the spine span the same signed volume.
        volumes = [
            np.linalg.det(pose[:, [1, 7, 11]].astype(float) - pose[:, :1])
            for pose in (own.pose3d, one.joints)
        ]
        np.testing.assert_allclose(*volumes, rtol=1e-3, atol=1e3)


def test_frames_are_ambiguous_as_in_the_simulation(built, many):
    _, splits = built
    for records in splits.values():
        count = (records.gaussfit[..., [3, 5]] > 5).any(axis=(1, 2)).sum()
        assert count == round(0.07 * len(records))
    rng = np.random.default_rng(0)
    one = recordings.Recording(
        "1", "1", np.arange(5), rng.normal(size=(5, 17, 3)) * 200
    )
    scattered = [one._replace(subject=str(n)) for n in range(1, 41)]
    parts = list(generation.generate(scattered, seed=0))
    lost = sum((p.gaussfit[..., [3, 5]] > 5).any(axis=(1, 2)).sum() for p in parts)
    assert len(parts) == 40 and lost == 14  # 0.35 a subject, 7 % of all


def test_detections_lie_in_the_crop(built):
    _, splits = built
    for records in splits.values():
        truth = records.extra["pose2d_true"]
        assert np.abs(records.pose2d - truth).max() < 150
        assert 0 < truth.min() and truth.max() < 256
        assert records.pose3d[..., 2].min() > 1000


def test_same_seed_same_data_other_seed_other(built, database, tmp_path):
    _, splits = built
    registry.prepare(SET, tmp_path, database)
    again = data.load_records(SET, "test", tmp_path)
    for name, column in again.columns().items():
        np.testing.assert_array_equal(column, splits["test"].columns()[name])
    registry.prepare(f"{SET}/seed1", tmp_path, database)
    other = data.load_records(f"{SET}/seed1", "test", tmp_path)
    assert len(other) == len(again)
    assert np.abs(other.pose3d - again.pose3d).max() > 100


def test_a_take_does_not_depend_on_other_subjects(built, tmp_path):
    """Poses and views; the detector's errors are drawn for a split as a whole."""
    _, splits = built
    cmu.write_database(tmp_path / "raw", subjects=("08", "31"))
    registry.prepare(SET, tmp_path / "sets", tmp_path / "raw")
    part = data.load_records(SET, "train", tmp_path / "sets")
    whole = splits["train"]
    whole = whole.take(np.flatnonzero(whole.subject == "31"))
    np.testing.assert_array_equal(part.pose3d, whole.pose3d)
    np.testing.assert_array_equal(part.extra["pose2d_true"], whole.extra["pose2d_true"])


def test_distinct_frames_against_brute_force():
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=60, size=(12, 17, 3))
    joints = centres[rng.integers(0, 12, 200)] + rng.normal(scale=15, size=(200, 17, 3))
    chosen = recordings.distinct(joints)
    rooted = joints - joints[:, HIP, None]
    kept = []
    for row, pose in enumerate(rooted):
        far = [np.linalg.norm(pose - k, axis=-1).max() > 50 for k in kept]
        assert chosen[row] == all(far)
        if all(far):
            kept.append(pose)
    assert 12 < chosen.sum() < 200


def test_near_duplicates():
    rng = np.random.default_rng(0)
    pose = rng.normal(scale=300, size=(17, 3))
    moved = pose + [1000.0, 0, 0]
    raised = pose.copy()
    raised[16] += [0, 51.0, 0]
    turned = pose @ np.asarray([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    chosen = recordings.distinct(np.stack([pose, moved, raised, turned, pose + 1]))
    assert chosen.tolist() == [True, False, True, True, False]
    assert recordings.distinct(np.zeros((0, 17, 3))).shape == (0,)


def test_standing_still_is_one_pose(tmp_path):
    still = cmu.amc_text(np.repeat(cmu.motion_rows(np.random.default_rng(0), 1), 99, 0))
    cmu.write_subject(tmp_path, "01", {"01": still, "02": still})
    reading, _ = read(tmp_path)
    assert [(one.number, one.frame.tolist()) for one in reading.recordings] == [
        ("01", [1])
    ]
    assert reading.frames == 198 and reading.looked_at == 20


def test_nobody_walks_into_a_camera():
    steps = np.linspace(-6000, 6000, 50)[:, None, None] * [1.0, 0, 0.5]
    rng = np.random.default_rng(0)
    pose = rng.normal(scale=300, size=(17, 3)) + [4000, 900, -2000]
    joints = pose + steps
    world = generation.placed(rng, joints)
    assert np.linalg.norm(world[:, HIP, :2], axis=-1).max() < 1500 + 1e-6
    np.testing.assert_allclose(world[..., 2], joints[..., 1])  # heights
    parent, child = np.asarray(H36M_BONES).T
    for one in (world, joints):
        lengths = np.linalg.norm(one[:, child] - one[:, parent], axis=-1)
        np.testing.assert_allclose(lengths, lengths[:1].repeat(50, 0))
    for camera in cameras.studio(rng):
        assert camera.see(world)[..., 2].min() > 1000


def test_a_few_unreadable_files_are_told_and_skipped(many, tmp_path):
    folder = shutil.copytree(many, tmp_path / "raw")
    bad = folder / "subjects" / "07" / "07_09.amc"
    bad.write_text(bad.read_text()[:-100])
    builder = registry.prepare(SET, tmp_path, folder)
    notes = builder.info.metadata["notes"]
    assert any("59 takes of 2 subjects read; 1 of 60 unreadable" in n for n in notes)
    assert any(n.startswith(f"skipped {bad}") and "truncated" in n for n in notes)


def test_a_root_that_flies_away(tmp_path):
    rows = cmu.motion_rows(np.random.default_rng(0), 25)
    rows[20, 0] = 1e300
    cmu.write_subject(tmp_path, "08", {"01": cmu.amc_text(rows)})
    with pytest.raises(files.DataFileError, match=r"08_01\.amc: frame 21.*20 m"):
        read(tmp_path)


def test_more_unreadable_files_are_an_error(many, tmp_path):
    folder = shutil.copytree(many, tmp_path / "raw")
    home = folder / "subjects" / "08"
    (home / "08_02.amc").write_bytes(b"\x00\xff" * 50)
    (home / "08_30.amc").write_text("")
    with pytest.raises(files.DataFileError, match="2 of 60 takes") as raised:
        registry.prepare(SET, tmp_path, folder)
    assert f"{home / '08_02.amc'}" in str(raised.value)
    assert f"{home / '08_30.amc'}" in str(raised.value)
    assert not list(tmp_path.rglob("*.array_record*"))  # nothing half built
    (home / "08.asf").unlink()
    with pytest.raises(files.DataFileError, match=r"30 of 60.*\n.*no skeleton 08.asf"):
        registry.prepare(SET, tmp_path, folder)


@pytest.mark.parametrize("where", [".", "subjects", "all_asfamc/.."])
def test_folders_that_are_taken(database, tmp_path, where):
    if where.startswith("all"):
        shutil.copytree(database, tmp_path / "all_asfamc")
        database, where = tmp_path, "."
    with source.opened(database / where) as found:
        assert [(take.subject, take.number) for take in found.takes] == [
            (subject, take) for subject in ("01", "08", "31") for take in ("01", "02")
        ]
        assert len(found.files) == 9


def test_folders_that_are_refused(tmp_path):
    builder = registry.builder(SET, tmp_path)
    with pytest.raises(files.DataFileError, match="nowhere is not a folder"):
        builder.raw_files(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("not mocap")
    with pytest.raises(files.DataFileError, match="not the CMU database"):
        builder.raw_files(tmp_path)
    cmu.write_database(tmp_path, subjects=("01", "02"), takes=1, frames=2)
    with pytest.raises(files.DataFileError, match="no subject of the test split"):
        builder.raw_files(tmp_path)


def test_configurations():
    assert registry.builder(f"{SET}/seed7").builder_config.seed == 7
    for wrong in ("seed-1", "7", "seed"):
        with pytest.raises(ValueError, match="such as seed0"):
            registry.builder(f"{SET}/{wrong}")


def test_an_archive_is_as_good_as_its_files(built, database, tmp_path):
    _, splits = built
    packed(database, tmp_path / "allasfamc.zip")
    registry.prepare(SET, tmp_path / "sets", tmp_path)
    records = data.load_records(SET, "train", tmp_path / "sets")
    for name, column in records.columns().items():
        np.testing.assert_array_equal(column, splits["train"].columns()[name])


def test_hostile_archives(database, tmp_path):
    """Names that lead elsewhere are only names; damaged members are unreadable."""
    archive = packed(database, tmp_path / "allasfamc.zip")
    text = (database / "subjects/01/01_01.amc").read_text()
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../../03/03_01.amc", text)
        file.writestr("/etc/04/04_01.amc", text)
        file.writestr("all_asfamc/subjects/05/../../../run.sh", "touch /tmp/owned")
        file.writestr("all_asfamc/subjects/01/06_01.amc", text)
    before = sorted(tmp_path.parent.rglob("*"))
    with source.opened(tmp_path) as found:
        assert found.others == 1
        reading = [(take.subject, take.skeleton) for take in found.takes[2:4]]
        assert reading == [("03", ""), ("04", "")]
        with pytest.raises(files.DataFileError, match=r"2 of 8 takes.*\n.*no skeleton"):
            recordings.read(found)
    assert sorted(tmp_path.parent.rglob("*")) == before
    content = bytearray(archive.read_bytes())
    place = content.index(b"subjects/08/08_02.amc") + 60
    content[place : place + 40] = bytes(40)
    archive.write_bytes(content)
    with source.opened(tmp_path) as found:
        with pytest.raises(files.DataFileError, match=r"08_02\.amc cannot be read"):
            found.read("all_asfamc/subjects/08/08_02.amc")


def test_an_oversized_member_is_not_read(database, tmp_path, monkeypatch):
    packed(database, tmp_path / "allasfamc.zip")
    monkeypatch.setattr(source, "_LIMIT", 1000)
    for folder in (tmp_path, database):
        with source.opened(folder) as found:
            with pytest.raises(files.DataFileError, match="more than any take has"):
                found.read(found.takes[0].motion)


def test_what_is_no_archive(tmp_path):
    (tmp_path / "allasfamc.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(files.DataFileError, match=r"allasfamc\.zip cannot be read"):
        registry.builder(SET, tmp_path).raw_files(tmp_path)


@pytest.fixture
def server(tmp_path, monkeypatch, database):
    """A web server with the archive, and what it has been asked for."""
    home = tmp_path / "served"
    home.mkdir()
    packed(database, home / "allasfamc.zip")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=home)

        def log_message(self, *arguments):
            asked.append(self.command)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        url = f"http://127.0.0.1:{running.server_port}/allasfamc.zip"
        monkeypatch.setattr(download, "URL", url)
        yield home / "allasfamc.zip", asked
        running.shutdown()


def test_download_and_its_checksum(server, built, tmp_path):
    served, asked = server
    _, splits = built
    builder = registry.prepare(SET, tmp_path)
    assert asked == ["HEAD", "GET"]
    records = data.load_records(SET, "test", tmp_path)
    np.testing.assert_array_equal(records.pose3d, splits["test"].pose3d)
    (record,) = tmp_path.rglob(download.CHECKSUM)
    digest, name = record.read_text().split()
    raw = json.loads((builder.data_path / "metadata.json").read_text())["raw_files"]
    assert raw[name]["sha256"] == digest
    assert raw[name]["bytes"] == served.stat().st_size
    registry.prepare(f"{SET}/seed1", tmp_path)
    assert len(asked) == 2  # kept
    (record.parent / name).write_bytes(packed_differently(served))
    with pytest.raises(files.DataFileError, match=f"first download had {digest}"):
        registry.prepare(f"{SET}/seed2", tmp_path)


def packed_differently(archive):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("new.txt", "changed")
    return archive.read_bytes()


def test_a_download_that_breaks_off_is_not_kept(server, tmp_path):
    served, asked = server
    whole = served.read_bytes()
    served.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(files.DataFileError, match="no complete archive"):
        registry.prepare(SET, tmp_path)
    assert not list(tmp_path.rglob(download.CHECKSUM))
    served.write_bytes(whole)
    registry.prepare(SET, tmp_path)
    assert asked.count("GET") == 2


def test_no_network(tmp_path, monkeypatch, server):
    served, asked = server
    served.unlink()
    with pytest.raises(files.DataFileError, match=r"404.*--manual_dir"):
        registry.prepare(SET, tmp_path)
    monkeypatch.setattr(download, "URL", "http://127.0.0.1:9/allasfamc.zip")
    with pytest.raises(files.DataFileError, match=r"127\.0\.0\.1:9.*--manual_dir"):
        registry.prepare(SET, tmp_path)
