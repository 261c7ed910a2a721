"""Runs that are stopped, and hostile files: what was good is neither lost nor harmed.

Stopped within an input a run goes on there, and ends with the same bytes. A file that
cannot be read is named, takes little memory, and leaves the others as they are.
"""

import dataclasses
import json
import struct

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pictures need the extra 'detector'")

from PIL import Image

from jaxflow.detector.readers.boxes import BoxTable
from jaxflow.detector.readers.records import Box
from jaxflow.prediction import files, sources, unfinished
from jaxflow.prediction import inputs as prediction_inputs
from jaxflow.prediction import page as prediction_page
from jaxflow.prediction import run as prediction_run
from jaxflow.prediction.inputs import Reading
from jaxflow.runs.profiling import Clock
from jaxflow.runs.run import LockedError, Run
from tests.detector.blazepose.people_test import seeing
from tests.detector.readers.pictures_test import png_header
from tests.helpers import predict as predict_helpers
from tests.helpers.predict import contents, run

pytestmark = pytest.mark.usefixtures("optimised_fits")

COUNT, STOP = 22, 15  # frames, and after how many people the run is stopped
ORIENTATION = 0x0112  # the EXIF tag
LEFT = 20_000  # px, where the person is in the wide picture


@pytest.fixture(scope="module")
def lifter():
    return predict_helpers.quick_lifter()


@pytest.fixture(scope="module")
def points():
    return predict_helpers.people("test", COUNT).pose2d


@pytest.fixture(scope="module")
def inputs(points, tmp_path_factory):
    """Folder of a video, heatmaps and keypoints of the same frames."""
    folder = tmp_path_factory.mktemp("inputs")
    frames = np.stack([predict_helpers.draw(one) for one in points])
    predict_helpers.write_clip(folder / "clip.avi", frames)
    np.save(folder / "maps.npy", predict_helpers.colour_detector().detect(frames))
    entries = [
        {"image_id": i, "keypoints": np.c_[one, np.ones(16)].ravel().tolist()}
        for i, one in enumerate(points)
    ]
    entries[3]["keypoints"] = [0] * 48  # skipped, before the run is stopped
    (folder / "points.json").write_text(json.dumps(entries))
    return folder


def two_a_frame():
    """Boxes of two people who are both in the whole frame."""
    boxes = [
        Box("clip.avi", i, name, np.array([0.0, 0, 256, 256]))
        for i in range(COUNT)
        for name in ("anna", 7)
    ]
    return Reading(boxes=BoxTable(boxes))


CASES = {
    "video": ("clip.avi", Reading),
    "one frame in three": ("clip.avi", lambda: Reading(every=3)),
    "two people a frame": ("clip.avi", two_a_frame),
    "people who are followed": ("clip.avi", lambda: Reading(finder=seeing())),
    "heatmaps": ("maps.npy", Reading),
    "keypoints": ("points.json", Reading),
}


@pytest.fixture
def often(monkeypatch):
    """Marks every few frames, so that short inputs have some."""
    monkeypatch.setattr(prediction_inputs, "_FRAMES_A_MARK", 3)
    monkeypatch.setattr(prediction_inputs, "_PEOPLE_A_MARK", 4)


def stop_after(monkeypatch, people):
    """Has the run end where a person is written."""
    add = files.PeopleWriter.add

    def stopping(self, person):
        if self.people >= people:
            raise KeyboardInterrupt
        add(self, person)

    monkeypatch.setattr(files.PeopleWriter, "add", stopping)


SLOW = {
    "heatmaps",
    "people who are followed",
    "one frame in three",
    "two people a frame",
    "video",
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES],
)
def test_a_stopped_run_goes_on_where_it_was(
    inputs, lifter, case, often, tmp_path, monkeypatch
):
    """Another input before and after it, a few drawings that are thinned out."""
    name, reading = CASES[case]
    stop = 5 if case == "one frame in three" else STOP
    options = {"overlays": 4, "save_every": 0.0}
    paths = [inputs / "points.json", inputs / name]
    paths = [inputs / name] if name == "points.json" else paths
    whole, frames = run(paths, lifter, tmp_path / "whole", reading(), **options)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, COUNT if len(paths) > 1 else stop)
        if len(paths) > 1:
            run(paths[:1], lifter, tmp_path / "out", reading(), **options)
            stop_after(patch, stop)
        run(paths, lifter, tmp_path / "out", reading(), **options)
    folder = tmp_path / "out" / (inputs / name).stem
    state = json.loads((folder / "unfinished" / "state.json").read_text())
    kept = state["state"]
    assert 0 < kept["frames"] < COUNT and 0 < kept["people"] <= stop
    # What a kill leaves beyond the state: half a row.
    with open(folder / "unfinished" / "hypotheses", "ab") as file:
        file.write(b"\0" * 1000)
    outcome, ended = run(paths, lifter, tmp_path / "out", reading(), **options)
    assert outcome.continued == 1 and outcome.people == whole.people
    assert ended == frames  # the bar began with what was there
    assert outcome.problems == whole.problems
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (folder / "unfinished").exists()


def test_only_what_is_new_is_read_again(inputs, lifter, often, tmp_path, monkeypatch):
    """The detector sees the frames from the last save on, and no other."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, STOP)
        run([inputs / "clip.avi"], lifter, tmp_path, save_every=0.0)
    seen = []
    detect = lifter.detector.network
    monkeypatch.setitem(
        lifter.detector.__dict__,
        "network",
        lambda crops: seen.append(len({c.tobytes() for c in crops})) or detect(crops),
    )
    outcome, _ = run([inputs / "clip.avi"], lifter, tmp_path)
    assert outcome.people == COUNT and sum(seen) == COUNT - STOP


@pytest.mark.parametrize(
    "spoil",
    [
        "settings",
        pytest.param("state", marks=pytest.mark.slow),
        pytest.param("column", marks=pytest.mark.slow),
        pytest.param("drawing", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_gone_on_from_begins_anew(
    inputs, lifter, spoil, often, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, STOP)
        run([inputs / "clip.avi"], lifter, tmp_path, save_every=0.0)
    own = tmp_path / "clip" / unfinished.FOLDER
    about = {"rule": "z0"} | ({"seed": 1} if spoil == "settings" else {})
    if spoil == "column":
        (own / "spread").write_bytes(b"")
    elif spoil == "drawing":
        next(own.glob("overlays/*")).unlink()
    elif spoil == "state":
        (own / unfinished.STATE).write_text("{")
    outcome, frames = run([inputs / "clip.avi"], lifter, tmp_path, about=about)
    assert outcome.continued == 0 and outcome.people == frames == COUNT
    assert not own.exists()


def test_hypotheses_that_are_not_finite_are_named(inputs, lifter, tmp_path):
    class Broken:
        method = "broken"

        def sample(self, pose2d, cond, key, *, num_hypotheses, temperature):
            return np.full((len(pose2d), num_hypotheses, 17, 3), np.inf, np.float32)

    broken = dataclasses.replace(lifter, model=Broken())
    with pytest.raises(
        FloatingPointError, match=r"points\.json, frame 0, person 0 not"
    ):
        run([inputs / "points.json"], broken, tmp_path / "out")


def test_memory_holds_no_more_than_some_people(tmp_path, monkeypatch):
    """Columns go to disk when there is much of them, marks or none."""
    monkeypatch.setattr(unfinished, "_MOST_BYTES", 1000)
    columns = unfinished.Columns(tmp_path, {}, None)
    rows = np.arange(2000, dtype=np.float32).reshape(20, 100)
    for row in rows:
        columns.append("a", row.tobytes())
        assert columns._bytes <= 1000
    np.testing.assert_array_equal(columns.array("a", np.float32, (20, 100)), rows)
    lines = [b"x" * (10 * i) for i in range(20)]
    for line in lines:
        columns.append("b", line + b"\n")
    columns.append("c", b"1\n2\n")
    assert list(columns.lines("b")) == lines
    assert list(columns.lines("c")) == [b"1", b"2"]


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    task = prediction_run.Task(None, Reading(), files.Output(tmp_path), Clock())
    with Run(tmp_path, flag="--out"):
        with pytest.raises(LockedError, match="or take another --out"):
            prediction_run.make([], task, {})


def test_no_input_takes_the_place_of_what_lies_beside_it(tmp_path):
    paths = [tmp_path / name for name in ("lock.png", "index.html.png", "..png")]
    for path in paths:
        path.touch()
    names = [one.name for one in sources.find(paths)]
    assert names == ["lock-2", "index.html-2", "..png"]


def write_good(folder, points):
    """Pictures of one person that are odd, but in order."""
    image = Image.fromarray(predict_helpers.draw(points[0]))
    image.save(folder / "good.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "turned.jpg", quality=95, exif=exif)
    wide = Image.new("RGB", (30_000, 256), (110, 110, 110))
    wide.paste(image, (LEFT, 0))
    wide.save(folder / "wide.jpg", quality=95)


def write_bad(folder):
    """Pictures of which nothing can be had."""
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    content = bytearray((folder / "cut.jpg").read_bytes())
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 30_000, 30_000)
    (folder / "vast.jpg").write_bytes(content)
    (folder / "vast.png").write_bytes(png_header(30_000, 30_000))
    (folder / "drawing.jpg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "empty.png").touch()


def write_others(folder, points):
    """A video that ends within a frame, and keypoints."""
    frames = [predict_helpers.draw(one) for one in points[:6]]
    clip = predict_helpers.write_clip(folder / "clip.avi", frames)
    clip.write_bytes(clip.read_bytes()[: 4 * 256 * 256 * 3])
    zeros = [{"image_id": i, "keypoints": [0] * 51} for i in range(2000)]
    (folder / "zeros.json").write_text(json.dumps(zeros))
    (folder / "element.json").write_text("[[" + "0.25, " * 3_000_000 + "0]]")
    predict_helpers.write_long_json(folder / "long.json", points[0], 20)


def boxes():
    """Of the pictures and the video's frames."""
    whole = np.array([0.0, 0, 256, 256])
    names = "good.png", "cmyk.jpg", "turned.jpg", "vast.jpg"
    found = [Box(name, 0, 0, whole) for name in names]
    found += [Box("clip.avi", i, 0, whole) for i in range(6)]
    return BoxTable([*found, Box("wide.jpg", 0, 0, whole + [LEFT, 0, 0, 0])])


@pytest.fixture(scope="module")
def predicted(points, lifter, tmp_path_factory):
    """A run over all of it; its folder, how it went, and megabytes."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "pictures").mkdir()
    write_good(folder / "pictures", points)
    write_bad(folder / "pictures")
    write_others(folder, points)
    run([folder / "pictures" / "good.png"], lifter, folder / "compiled")
    paths = [folder / "pictures", *sorted(folder.glob("*.*"))]
    (outcome, _), megabytes = predict_helpers.peak_of(
        lambda: run(paths, lifter, folder / "out", Reading(boxes=boxes()))
    )
    return folder / "out", outcome, megabytes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pixel.png", "1 x 1 pixels; expected at least 16 x 16"),
        ("cut.jpg", "damaged or cut short"),
        ("vast.jpg", "cannot hold the 30000 x 30000 pixels"),
        ("vast.png", "too large"),
        ("drawing.jpg", "an SVG drawing, whatever its name says"),
        ("empty.png", "the file is empty"),
        ("clip.avi", "ends within a frame"),
        ("zeros.json", "frame 7, person 0: all keypoints are zero"),
        ("zeros.json", "zeros: and 1000 more that could not be used"),
        ("element.json", "one element is longer than 16 MB"),
    ],
)
def test_what_is_wrong_is_said_and_where(predicted, name, reason):
    stem = name.partition(".")[0]
    lines = [line for line in predicted[1].problems if stem in line and reason in line]
    assert len(lines) == 1, predicted[1].problems[-8:]
    assert "Traceback" not in lines[0] and len(lines[0]) < 400
    page = (predicted[0] / prediction_page.PAGE).read_text()
    assert name == "element.json" or name in page


@pytest.mark.parametrize("name", ["good", "cmyk", "turned", "wide"])
def test_good_pictures_among_them_are_predicted(predicted, points, name):
    """The joints are where they were drawn, in the picture as it is looked at."""
    with np.load(predicted[0] / name / files.ARRAYS) as file:
        found, hypotheses = file["pose2d"][0], file["hypotheses"]
    assert hypotheses.shape == (1, 8, 17, 3) and np.isfinite(hypotheses).all()
    errors = np.linalg.norm(found - points[0] - [LEFT * (name == "wide"), 0], axis=-1)
    assert np.median(errors) < 2.5


def test_whole_frames_and_long_files_are_predicted(predicted):
    with np.load(predicted[0] / "clip" / files.ARRAYS) as file:
        assert file["frame"].tolist() == [0, 1, 2]
    with np.load(predicted[0] / "long" / files.ARRAYS) as file:
        assert file["person"].tolist() == [str(i) for i in range(20)]
        assert len(np.unique(file["hypotheses"][:, 0, 1, 0])) == 20
    done = {one.folder.name for one in predicted[1].done}
    assert done == {"good", "cmyk", "turned", "wide", "clip", "zeros", "long"}


def test_memory_stays_bounded(predicted):
    """Beside pictures of 23 MB and JSON of 20 MB; an element may take 16 MB of text."""
    assert predicted[2] < 300
