"""What takes minutes: commands that are killed within a video, JSON of 200 MB."""

import dataclasses
import itertools
import json
import signal
import time

import jax
import pytest

pytest.importorskip("PIL", reason="pictures need the extra 'detector'")

import jaxflow
from jaxflow.detector.blazepose import detector, fetch
from jaxflow.detector.network import checkpoint, hrnet
from jaxflow.prediction import unfinished
from jaxflow.prediction.inputs import Reading
from tests.helpers import predict as predict_helpers
from tests.helpers.predict import contents, peak_of, run, write_long_json
from tests.helpers.training import command
from tests.prediction import predict_faults_test as faults


@pytest.fixture(scope="module")
def lifter():
    return predict_helpers.quick_lifter()


@pytest.mark.slow
def test_killed_commands_end_with_the_same_bytes(lifter, tmp_path):
    """SIGKILL again and again within one video, HRNet as the detector."""
    variables = hrnet.init(jax.random.key(0), predict_helpers.NETWORK)
    final = variables["params"]["final"]
    variables["params"]["final"] = jax.tree.map(lambda leaf: 200 * leaf, final)
    checkpoint.save(tmp_path / "detector", variables, predict_helpers.NETWORK)
    jaxflow.save_params(
        tmp_path / "flow",
        lifter.model.parameters(),
        jaxflow.TrainConfig(flow=predict_helpers.QUICK_FLOW),
    )
    points = predict_helpers.people("test", 40).pose2d
    frames = [predict_helpers.draw(one) for one in points]
    predict_helpers.write_clip(tmp_path / "clip.avi", frames * 4)

    def start(out):
        return command(
            str(tmp_path / "clip.avi"),
            f"--checkpoint={tmp_path / 'flow'}",
            f"--detector={tmp_path / 'detector'}",
            f"--out={tmp_path / out}",
            "--num_hypotheses=20",
            module="tests.helpers.predict_often",
            XLA_FLAGS="",
        )

    text, _ = start("whole").communicate(timeout=900)
    state = tmp_path / "out" / "clip" / unfinished.FOLDER / unfinished.STATE

    def place():
        # What is there from the beginning counts nothing yet.
        written = json.loads(state.read_text()) if state.exists() else {}
        return written["state"]["place"] if written.get("state") else 0

    places = [0]
    for _ in range(3):
        process = start("out")
        while process.poll() is None:
            time.sleep(0.2)
            if (now := place()) > places[-1]:
                process.send_signal(signal.SIGKILL)
                places.append(now)
                break
        process.wait()
    text, _ = start("out").communicate(timeout=900)
    assert len(places) == 4 and "1 begun before" in text, text
    assert contents(tmp_path / "out" / "clip") == contents(tmp_path / "whole" / "clip")


@pytest.mark.slow
def test_json_of_200_megabytes(lifter, tmp_path):
    """Takes no more memory than one of 20: people and outlines come and go."""
    joints = predict_helpers.people("test", 1).pose2d[0]
    write_long_json(tmp_path / "long.json", joints, 200)
    assert (tmp_path / "long.json").stat().st_size > 190e6
    zeros = json.dumps({"image_id": 1, "keypoints": [0] * 51})
    with open(tmp_path / "zeros.json", "w") as file:
        file.write("[" + zeros)
        count = int(200e6 / (len(zeros) + 2))
        file.writelines(itertools.repeat(", " + zeros, count))
        file.write("]")
    run([tmp_path / "long.json"], lifter, tmp_path / "compiled")
    paths = [tmp_path / "long.json", tmp_path / "zeros.json"]
    (outcome, _), megabytes = peak_of(lambda: run(paths, lifter, tmp_path / "out"))
    print("peak MB", megabytes)
    assert outcome.people == 20 and megabytes < 350
    assert f"and {count + 1 - 1000} more" in outcome.problems[-1]


@pytest.mark.slow
def test_hostile_pictures_before_blazepose(lifter, tmp_path):
    """The same are refused for the same reasons; whoever is in the others is found."""
    for name in ("pose_detection.tflite", "pose_landmark_full.tflite"):
        if not fetch.is_whole(name):
            pytest.skip(f"{name} was not fetched: {fetch.cache()}")
    own = dataclasses.replace(lifter, detector=detector.load("full", offline=True))
    folder = tmp_path / "pictures"
    folder.mkdir()
    points = predict_helpers.people("test", 6).pose2d
    faults.write_good(folder, points)
    faults.write_bad(folder)
    outcome, frames = run([folder], own, tmp_path / "out", Reading(finder=own.detector))
    reasons = {
        "pixel.png": "expected at least 16 x 16",
        "cut.jpg": "damaged or cut short",
        "vast.jpg": "cannot hold the 30000 x 30000 pixels",
        "vast.png": "too large",
        "drawing.jpg": "an SVG drawing",
        "empty.png": "the file is empty",
    }
    assert len(outcome.problems) == len(reasons)
    for name, reason in reasons.items():
        assert any(name in line and reason in line for line in outcome.problems), name
    assert len(outcome.done) == 4 and outcome.page.is_file()
    noted = [line for one in outcome.done for line in one.summary["noted"]]
    nobody = sum("nobody found" in line["reason"] for line in noted)
    assert outcome.people + nobody >= 4
