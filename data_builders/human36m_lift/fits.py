"""Detections of one's own: a file of fitted Gaussians for each video.

In: a folder ``fits`` beside the subjects' folders, with one .npz of ``python -m
jaxflow.fit`` a video, named after the file of 3D poses or after the recording:

    fits/S1/Directions 1.54138969.npz    or    fits/S1/Directions.1.54138969.npz

Its array ``fits`` is (F, 16, 7): A, x0, y0, sx, theta, sy, rmse in heatmap pixels of
the 16 MPII joints, for all F video frames or for every 4th (pictures 4, 8, 12, ...).
Out: detections of every 4th frame; the 2D pose is the fitted means.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from data_builders.files import DataFileError
from data_builders.human36m_lift import recordings
from data_builders.human36m_lift.recordings import FRAME_STEP, Detections, Names
from jaxflow.gaussians.keypoints import HEATMAP_SIZE
from jaxflow.runs import array_files
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import CROP_PER_HEATMAP

FOLDER = "fits"
# A video and its 3D poses may differ in length by so many video frames.
_SLACK = 16


def look(
    root: pathlib.Path, positions: Mapping[Names, pathlib.Path | None]
) -> tuple[dict[Names, pathlib.Path], list[str]]:
    """The files of fits that are there, and a line for each that is not.

    Args:
      root: folder that holds the folder ``fits``.
      positions: file of 3D poses of each recording, None where there is none.
    """
    found, missing = {}, []
    for names, cdf in positions.items():
        places = _places(root, names, cdf)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            missing.append(" or ".join([str(places[0]), *(p.name for p in places[1:])]))
        else:
            found[names] = path
    return found, missing


def _places(
    root: pathlib.Path, names: Names, cdf: pathlib.Path | None
) -> list[pathlib.Path]:
    """Where the fits of a recording may lie: named after its video or after itself."""
    folder = root / FOLDER / names.subject
    own = folder / f"{names.action}.{names.subaction}.{names.camera}.npz"
    return [own] if cdf is None else [folder / f"{cdf.stem}.npz", own]


def read(path: pathlib.Path, video_frames: int) -> Detections:
    """The detections of every 4th frame.

    Whether a file holds all frames or every 4th is told by its length: it is what comes
    closest. What exceeds the 3D poses is dropped from the end.

    Args:
      path: the .npz.
      video_frames: how many frames the recording's file of 3D poses holds.

    Raises:
      DataFileError: the file is damaged, has no such array, a number of frames that
        fits neither, or numbers that are not finite.
    """
    kept = video_frames // FRAME_STEP
    try:
        source = array_files.open_maps(path, "fits")
        every = _step(source, video_frames)
        array = np.array(source[: source.shape[0]], np.float32)
    except ImportError:
        raise
    except Exception as error:  # damage shows as almost anything
        raise DataFileError(f"{path}: {error}") from error
    chosen = array[every - 1 :: every][:kept]
    frame = recordings.frame_numbers(len(chosen))
    recordings.check_finite(str(path), "fits", chosen, frame)
    # As the condition takes them: no joint lies outside the heatmap.
    means = np.clip(chosen[..., 1:3], 0, HEATMAP_SIZE - 1)
    return Detections(np.float32(CROP_PER_HEATMAP) * means, chosen, frame)


def _step(source: np.ndarray, video_frames: int) -> int:
    """Every how many fits one is kept: 4 of all frames, 1 of every 4th frame."""
    shape, kept = tuple(source.shape), video_frames // FRAME_STEP
    if len(shape) != 3 or shape[1:] != (16, 7) or source.dtype.kind != "f":
        raise UserError(
            "expected floating-point fits of shape (frames, 16, 7); got "
            f"{source.dtype} {shape}"
        )
    to_all, to_kept = abs(shape[0] - video_frames), abs(shape[0] - kept)
    if to_kept <= min(to_all, _SLACK // FRAME_STEP):
        return 1
    if to_all <= _SLACK:
        return FRAME_STEP
    raise UserError(
        f"expected fits of all {video_frames} video frames or of the {kept} that are "
        f"every 4th; got {shape[0]}"
    )
