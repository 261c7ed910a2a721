"""From drawn people to 3D: the whole chain, the files it leaves, and bad inputs."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pictures need the extra 'detector'")

from PIL import Image

import jaxflow
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.readers import boxes
from jaxflow.detector.readers.records import Seen
from jaxflow.flow import calibration_file
from jaxflow.prediction import files as prediction_files
from jaxflow.prediction import page as prediction_page
from jaxflow.prediction import pictures, stream, unfinished
from jaxflow.prediction.inputs import Reading
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.records import Lifted
from jaxflow.skeleton import H36M_JOINTS
from tests.helpers import predict as predict_helpers
from tests.helpers.browser import Opened, chromium
from tests.helpers.predict import run
from tests.helpers.training import command
from tests.helpers.viewer_reading import COLOURS, PLANE, SPACE

# A detector and a flow are trained first.
pytestmark = pytest.mark.slow

COUNT = 20  # drawn people


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a detector and a flow, trained here."""
    folder = tmp_path_factory.mktemp("models")
    predict_helpers.train_detector(folder / "detector")
    predict_helpers.train_flow(folder / "flow")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder of pictures, and the frames they were drawn from."""
    folder = tmp_path_factory.mktemp("drawn")
    records = predict_helpers.people("test", COUNT)
    for i, joints in enumerate(records.pose2d):
        Image.fromarray(predict_helpers.draw(joints)).save(folder / f"{i}.png")
    return folder, records


@pytest.fixture(scope="module")
def lifter(models):
    return Lifter.load(
        models / "flow", models / "detector", flip_test=False, sizes=stream.SIZES
    )


@pytest.fixture(scope="module")
def predicted(drawn, lifter, tmp_path_factory):
    """A run over the folder of pictures."""
    out = tmp_path_factory.mktemp("out")
    outcome, frames = run([drawn[0]], lifter, out, json_hypotheses=3)
    assert outcome.problems == [] and outcome.people == frames == COUNT
    return out


def rows(out):
    """The arrays of all pictures, in order."""
    files = [np.load(out / str(i) / prediction_files.ARRAYS) for i in range(COUNT)]
    names = "hypotheses", "pose2d"
    return {name: np.concatenate([file[name] for file in files]) for name in names}


def test_joints_are_found_in_the_pictures(drawn, predicted):
    """Within two pixels; of dots that lie on top of each other only one is seen."""
    errors = np.linalg.norm(rows(predicted)["pose2d"] - drawn[1].pose2d, axis=-1)
    assert np.median(errors) < 2 and np.mean(errors < 8) > 0.8


def lies_inside(hypotheses, poses):
    """(N, ...): whether poses lie in the hypotheses' spread, by joint and as wholes.

    A joint does if it is no farther from the hypotheses' median than 95 % of them are.
    A pose does if its coordinates' distance to the median, in standard deviations, root
    mean square over all of them, is no more than that of 95 % of the hypotheses.
    """
    drawn = hypotheses[..., 1:, :]
    centre = np.median(drawn, axis=1, keepdims=True)
    both = np.concatenate([drawn, poses[:, None, 1:]], axis=1) - centre
    radii = np.linalg.norm(both, axis=-1)
    deviations = both / drawn.std(axis=1, keepdims=True)
    whole = np.sqrt(np.mean(np.square(deviations), axis=(-2, -1)))
    return [
        one[:, -1] <= np.quantile(one[:, :-1], 0.95, axis=1) for one in (radii, whole)
    ]


def test_the_truth_lies_within_the_spread(drawn, predicted):
    """From pixels to poses: true ones lie inside, those of others and mirrored do not.

    A chain that mixed up frames, sides, up and down or scales would fail.
    """
    truth = drawn[1].pose3d / 1000
    truth = truth - truth[:, :1]
    hypotheses = rows(predicted)["hypotheses"]
    joints, whole = lies_inside(hypotheses, truth)
    assert joints.mean() > 0.8 and np.median(joints.mean(1)) > 0.85
    assert whole.mean() > 0.6
    turns = [np.roll(truth, k, axis=0) for k in range(1, COUNT)]
    others = [lies_inside(hypotheses, wrong) for wrong in turns]
    assert np.mean([one for one, _ in others]) < joints.mean() - 0.2
    assert np.mean([one for _, one in others]) < 0.1
    for spoiled in (truth * [-1, 1, 1], truth * [1, -1, 1], 1.5 * truth):
        assert lies_inside(hypotheses, spoiled)[1].mean() < whole.mean() - 0.5
    nearest = np.linalg.norm(hypotheses - truth[:, None], axis=-1).mean(-1).min(-1)
    strangers = np.linalg.norm(hypotheses - turns[0][:, None], axis=-1)
    assert np.median(nearest) < 0.7 * np.median(strangers.mean(-1).min(-1))


def test_the_same_from_python(drawn, models, predicted):
    """`jaxflow.predictions` of some of the pictures, alone: as among the others."""
    paths = [drawn[0] / f"{i}.png" for i in (2, 5)]
    found = jaxflow.predictions(paths, models / "flow", models / "detector")
    assert [one.seen.file for one in found.people] == ["2.png", "5.png"]
    assert found.skipped == []
    # Of a mirror image, too, which is the command's default and not the fixture's. Left
    # and right or the picture's sides confused would be tens of pixels.
    flipped = found.people[0].pose2d
    assert np.median(np.abs(flipped - rows(predicted)["pose2d"][2])) < 5


def test_hypotheses_do_not_depend_on_the_company(drawn, lifter, predicted, tmp_path):
    outcome, _ = run([drawn[0] / "7.png"], lifter, tmp_path)
    with np.load(tmp_path / "7" / prediction_files.ARRAYS) as file:
        alone = file["hypotheses"][0]
    np.testing.assert_allclose(alone, rows(predicted)["hypotheses"][7], atol=2e-3)
    again, _ = run([drawn[0] / "7.png"], lifter, tmp_path / "again")
    for name in (
        prediction_files.ARRAYS,
        prediction_files.DOCUMENT,
        "overlays/7-000000.jpg",
    ):
        one, other = (path / "7" / name for path in (tmp_path, tmp_path / "again"))
        assert one.read_bytes() == other.read_bytes()


def test_the_document_says_what_is_in_it(predicted):
    document = json.loads((predicted / "3" / prediction_files.DOCUMENT).read_text())
    assert document["joints"] == list(H36M_JOINTS)
    assert document["units"]["pose"] == "metres"
    assert document["frame_of_reference"].startswith("camera: x right, y down")
    assert document["rule"]["name"] == "z0"
    (person,) = document["people"]
    assert person["source"] == "3.png" and person["person"] == 0
    with np.load(predicted / "3" / prediction_files.ARRAYS) as file:
        np.testing.assert_allclose(person["pose"], file["chosen"][0], atol=6e-5)
        np.testing.assert_allclose(person["spread"], file["spread"][0], atol=6e-5)
        want = file["hypotheses"][0, :3]
        np.testing.assert_allclose(person["hypotheses"], want, atol=6e-5)
        assert file["log_density"].shape == (1, 200)
        assert json.loads(str(file["about"]))["run"] == document["run"]


def test_pictures_of_what_was_seen(drawn, predicted):
    """The overlay differs from the picture where the person is, and only there."""
    with Image.open(predicted / "0" / "overlays" / "0-000000.jpg") as image:
        assert image.format == "JPEG" and image.size == (480, 480)
        overlay = np.asarray(image.resize((256, 256)), np.float32)
    before = predict_helpers.draw(drawn[1].pose2d[0]).astype(np.float32)
    changed = np.abs(overlay - before).max(-1) > 40
    low, high = (drawn[1].pose2d[0].astype(int) for _ in range(2))
    low, high = np.maximum(low.min(0) - 40, 0), high.max(0) + 40
    near = np.zeros_like(changed)
    near[low[1] : high[1], low[0] : high[0]] = True
    assert changed[near].mean() > 0.03 and changed[~near].mean() < 0.002
    with Image.open(predicted / "0" / "crops" / "000000.jpg") as image:
        assert image.size == (256, 256)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def test_the_page_opens_and_turns(browser, predicted):
    page = predicted / prediction_page.PAGE
    assert page.stat().st_size < 3e6
    opened = Opened(browser, page)
    opened.settle()
    for canvas in (SPACE, PLANE):
        assert opened.page.locator(canvas).evaluate(COLOURS) > 20
    before = opened.page.locator(SPACE).screenshot()
    opened.page.get_by_role("slider", name="Hypothesis").fill("7")
    opened.settle()
    assert opened.page.locator(SPACE).screenshot() != before
    assert opened.page.get_by_text("4.png").count()
    assert opened.problems == [] and opened.requests == [page.as_uri()]
    opened.context.close()


def test_finished_inputs_are_not_done_again(drawn, lifter, predicted, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(predicted, out)
    # As if it had been killed there.
    (out / "4" / prediction_files.SUMMARY).unlink()
    unfinished.Columns(out / "4", {}, None)
    files = [out / str(i) / prediction_files.ARRAYS for i in range(COUNT)]
    stamps = [path.stat().st_mtime_ns for path in files]
    outcome, frames = run([drawn[0]], lifter, out, json_hypotheses=3)
    assert outcome.resumed == COUNT - 1 and outcome.people == frames == COUNT
    now = [path.stat().st_mtime_ns for path in files]
    redone = [i for i in range(COUNT) if now[i] != stamps[i]]
    assert redone == [4]
    # Another run's results are not kept.
    other, _ = run([drawn[0] / "1.png"], lifter, out, about={"rule": "z0", "seed": 1})
    assert other.resumed == 0


def test_bad_inputs_leave_the_others_unharmed(drawn, models, tmp_path):
    """The command as people run it: status 2, each bad input named, the rest done."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.open(drawn[0] / "1.png").save(folder / "cut.jpg")
    content = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "drawing.jpg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    zeros = [{"image_id": 1, "category_id": 1, "keypoints": [0] * 51, "score": 1}]
    (tmp_path / "zeros.json").write_text(json.dumps(zeros))
    people = np.random.default_rng(0).uniform(50, 200, (2, 2, 16, 2))
    np.savez(tmp_path / "two.npz", keypoints=people)
    inputs = folder, *(tmp_path / name for name in ("zeros.json", "two.npz", "no.jpg"))
    model = shutil.copytree(models / "flow", tmp_path / "calibrated")
    calibration_file.save(model, {"temperature": 1.5, "limbs_kept": 0.3})
    process = command(
        *map(str, inputs),
        f"--checkpoint={model}",
        f"--out={tmp_path / 'out'}",
        f"--detector={models / 'detector'}",
        "--num_hypotheses=20",
        "--timing",
        module="jaxflow.predict",
    )
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 2, text
    for name in ("cut.jpg", "drawing.jpg", "zeros.json", "no.jpg"):
        assert name in text[text.index("skipped 4") :], name
    assert "4 people from 2 inputs" in text and "share" in text
    assert "temperature of the latents: 1.5, with limbs held (0.3 kept)\n" in text
    out = tmp_path / "out"
    with np.load(out / "two" / prediction_files.ARRAYS) as file:
        assert file["hypotheses"].shape == (4, 20, 17, 3)
        assert file["person"].tolist() == ["0", "1"] * 2
        assert file["frame"].tolist() == [0, 0, 1, 1]
    assert "cut.jpg" in (out / prediction_page.PAGE).read_text()
    assert not [path for path in out.rglob(".*")]  # nothing half written is left


def test_pictures_without_a_detector(drawn, models, tmp_path, monkeypatch):
    """BlazePose is taken then, whose networks are not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"networks are not in .*cache"):
        jaxflow.predictions(drawn[0], models / "flow", offline=True)
    process = command(
        str(drawn[0] / "1.png"),
        f"--checkpoint={models / 'flow'}",
        f"--out={tmp_path / 'out'}",
        "--offline",
        module="jaxflow.predict",
    )
    text, _ = process.communicate(timeout=240)
    assert process.returncode == 1 and "give --networks=FILE" in text


def test_several_people_keep_their_ids(drawn, models, lifter, tmp_path):
    """Two people side by side, found by the boxes of a file."""
    left, right = drawn[1].pose2d[0], drawn[1].pose2d[1]
    both = np.concatenate([predict_helpers.draw(one) for one in (left, right)], axis=1)
    Image.fromarray(both).save(tmp_path / "both.png")
    (tmp_path / "boxes.csv").write_text(
        "picture,x,y,w,h,id\nboth.png,256,0,256,256,anna\nboth.png,0,0,256,256,7\n"
        "both.png,9000,0,10,10,far\n"
    )
    table = boxes.read_boxes(tmp_path / "boxes.csv")
    outcome, _ = run(
        [tmp_path / "both.png"], lifter, tmp_path / "out", Reading(boxes=table)
    )
    assert outcome.people == 2 and len(outcome.problems) == 1
    assert "person far" in outcome.problems[0]
    with np.load(tmp_path / "out" / "both" / prediction_files.ARRAYS) as file:
        assert file["person"].tolist() == ["anna", "7"]
        errors = np.linalg.norm(file["pose2d"] - [right + [256, 0], left], axis=-1)
    assert np.median(errors) < 4


def test_a_video_of_any_length_keeps_a_few_drawings():
    kept = unfinished.Drawings(4)
    made = []
    for i in range(100):
        kept.offer(str(i), lambda i=i: made.append(i) or b"x")
    names = [int(name) for name in kept.contents]
    assert len(names) <= 4 and names[0] == 0 and len(made) < 25
    assert len(set(np.diff(names))) == 1 and names[-1] >= 50
    assert unfinished.Drawings(0).offer("a", lambda: b"x") is None


def test_a_frame_without_a_picture_is_drawn_on_dark_ground(lifter):
    records = predict_helpers.people("test", 1)
    found = lifter.lift_fits(records.gaussfit, records.pose2d + 1000)
    square = Crop(np.array([1128.0, 1128.0]), np.float64(256))
    seen = Seen("a", 0, 3, square)
    person = Lifted(seen, *(array[0] for array in found[:-1]))
    content = pictures.frame([person])
    assert content.startswith(b"\xff\xd8") and pictures.crop_of(person) is None


def test_a_video_s_frames_are_one_after_the_other(drawn, lifter, tmp_path):
    """Every other frame of it, each with its number."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="extra 'detector'")
    path = tmp_path / "clip.mp4"
    writer = ffmpeg.write_frames(str(path), (256, 256), fps=5, codec="mpeg4", quality=9)
    writer.send(None)
    for joints in drawn[1].pose2d[:6]:
        writer.send(predict_helpers.draw(joints))
    writer.close()
    outcome, frames = run([path], lifter, tmp_path / "out", Reading(every=2))
    assert outcome.people == frames == 3 and outcome.problems == []
    with np.load(tmp_path / "out" / "clip" / prediction_files.ARRAYS) as file:
        assert file["frame"].tolist() == [0, 2, 4]
        errors = np.linalg.norm(file["pose2d"] - drawn[1].pose2d[:6:2], axis=-1)
    assert np.median(errors) < 4
