r"""``--rule=path`` beside rules of single frames, on consecutive frames of real motion.

    python benchmarks/motion_path.py --manual_dir=FOLDER --checkpoint=RUN
    python benchmarks/motion_path.py ... --subjects=2,16 --accelerations=4.5,9,18,36

FOLDER is cmu_mocap_lift's. Takes of 120 frames a second are thinned to 30, seen by one
camera of its studio each and by its simulated detector. That one errs anew in every
frame, which is the easiest there is for a motion; --memory=0.9 makes errors that last:
e[t] = 0.9 e[t - 1] + sqrt(1 - 0.9^2) new, of the same size as the fits report.

Prints a Markdown table: MPJPE, and the error of the acceleration, the mean length of
the second difference's error, mm a frame squared. ``viterbi`` is the likeliest path of
hypotheses themselves under log-density and steps of --step metres.
"""

from __future__ import annotations

import argparse
import pathlib

import jax
import numpy as np

from data_builders.cmu_mocap_lift import amc, asf, generation, kinematics, source
from data_builders.simulation import cameras, studio, views
from jaxflow.metrics import paths
from jaxflow.prediction import motions
from jaxflow.prediction.lifter import Lifter
from jaxflow.prediction.lifting import Prediction
from jaxflow.skeleton import CROP_PER_HEATMAP
from jaxflow.types import PoseRecords

STEP = 4  # of 120 frames a second
FPS = 120 / STEP


def main() -> None:
    """Reads, lifts, tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manual_dir", type=pathlib.Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--subjects", default="3,5,9")
    parser.add_argument("--takes", type=int, default=6, help="a subject")
    parser.add_argument("--frames", type=int, default=200, help="a take, at most")
    parser.add_argument("--hypotheses", type=int, default=200)
    parser.add_argument("--memory", type=float, default=0.0)
    parser.add_argument("--accelerations", default=f"{motions.ACCELERATION:g}")
    parser.add_argument("--step", type=float, default=0.02)
    args = parser.parse_args()
    subjects = [int(number) for number in args.subjects.split(",")]
    records = read(args.manual_dir, subjects, args.takes, args.frames)
    records = [lasting(one, args.memory) for one in records]
    lifter = Lifter.load(args.checkpoint, num_hypotheses=args.hypotheses, sizes=(64,))
    truth = np.concatenate([one.pose3d for one in records]) / 1000
    said = lifter.lift_fits(
        np.concatenate([one.gaussfit for one in records]),
        np.concatenate([one.pose2d for one in records]),
    )
    ends = np.cumsum([len(one) for one in records])
    spans = [slice(e - len(r), e) for e, r in zip(ends, records, strict=True)]
    rules = {
        "z0": said.mode,
        "mean": said.hypotheses.mean(axis=1),
        "viterbi": viterbi(said, spans, args.step),
    }
    for acceleration in map(float, args.accelerations.split(",")):
        rules[f"path, {acceleration:g} m/s^2"] = path(said, spans, acceleration)
    print(f"{len(truth)} frames of {len(records)} takes, memory {args.memory:g}\n")
    print("| rule | MPJPE mm | acceleration error mm/frame^2 |\n|---|---|---|")
    for name, poses in rules.items():
        error, second = errors(poses, truth - truth[:, :1], spans)
        print(f"| {name} | {error:.1f} | {second:.2f} |")


def read(
    folder: pathlib.Path, subjects: list[int], takes: int, frames: int
) -> list[PoseRecords]:
    """Records of consecutive frames, a take each."""
    found = []
    with source.opened(folder) as archive:
        for number in subjects:
            own = [take for take in archive.takes if int(take.subject) == number]
            own = own[:: max(1, len(own) // takes)][:takes]
            body = asf.parse(archive.read(own[0].skeleton), own[0].skeleton)
            four = cameras.studio(np.random.default_rng([7, number]))
            for take in own:
                motion = amc.parse(archive.read(take.motion), body, take.motion)
                rows = np.arange(0, len(motion.position), STEP)[:frames]
                kept = amc.Motion(*(column[rows] for column in motion))
                ends = kinematics.bone_ends(body, kept)
                joints = kinematics.joints(body, ends, take.skeleton)
                rng = np.random.default_rng([8, number, int(take.number)])
                world = studio.placed(rng, joints)
                names = (take.subject, generation.ACTION, take.number)
                camera = four[int(take.number) % len(four)]
                seen = views.view(rng, names, camera, world, rows)
                found.append(views.detected(rng, [seen]))
    return found


def lasting(records: PoseRecords, memory: float) -> PoseRecords:
    """The frames with errors of the detector that last."""
    truth = records.extra["pose2d_true"]
    error = records.pose2d - truth
    for t in range(1, len(error)):
        error[t] = memory * error[t - 1] + (1 - memory**2) ** 0.5 * error[t]
    records.pose2d[:] = truth + error
    records.gaussfit[..., 1:3] = records.pose2d / CROP_PER_HEATMAP
    return records


def viterbi(said: Prediction, spans: list[slice], step: float) -> np.ndarray:
    """The hypotheses on the likeliest path of each take."""
    find = jax.jit(paths.likeliest)
    assert said.log_density is not None
    poses = []
    for span in spans:
        hypotheses = said.hypotheses[span]
        numbers = np.asarray(find(hypotheses, said.log_density[span], step))
        poses.append(hypotheses[np.arange(len(numbers)), numbers])
    return np.concatenate(poses)


def path(said: Prediction, spans: list[slice], acceleration: float) -> np.ndarray:
    """--rule=path of each take."""
    variance = np.square(said.spread) + motions.LEAST**2
    scale = acceleration / FPS**2
    return np.concatenate(
        [paths.drawn(said.mode[span], variance[span], scale) for span in spans]
    )


def errors(
    poses: np.ndarray, truth: np.ndarray, spans: list[slice]
) -> tuple[float, float]:
    """MPJPE and the acceleration's error, mm and mm a frame squared."""
    wrong = 1000 * (poses - truth)
    seconds = [np.diff(wrong[span], 2, axis=0) for span in spans]
    second = np.linalg.norm(np.concatenate(seconds), axis=-1).mean()
    return float(np.linalg.norm(wrong, axis=-1).mean()), float(second)


if __name__ == "__main__":
    main()
