"""Hypotheses to turn and to leaf through, as a part of a page.

In: poses of some frames, each with its hypotheses, the detection they come from and,
where it is known, the truth. Out: a section for ``page.render``: elements, style and
script in one, nothing loaded from anywhere. Names are escaped or set as text, never as
HTML.

The data are JSON, positions in whole millimetres as little-endian int16 in base64: 27
kB a frame of 200 hypotheses, 136 kB of 1000. The script's own files, in the order in
which they are joined: ``viewer_data.js`` (reading), ``viewer_colour.js`` (colours),
``viewer_scene.js`` (3D), ``viewer_plane.js`` (2D), ``viewer_picture.js`` (the whole
picture), ``viewer.js`` (state and controls).
"""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxflow import gaussians, metrics
from jaxflow.reporting import page
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import (
    CROP_PER_HEATMAP,
    H36M_BONES,
    H36M_JOINTS,
    MPII_BONES,
    MPII_JOINTS,
    MPII_TO_H36M,
)
from jaxflow.types import Hypotheses

_covariance = jax.jit(gaussians.covariance_image_frame)
_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(
    f"viewer{part}" for part in ("_data", "_colour", "_scene", "_plane", "_picture", "")
)
_PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_TEXT = (
    "One hypothesis is drawn boldly among all that were drawn for the frame; the "
    "slider leads through them. Turned away from the camera's view they scatter along "
    "the depth, which a picture does not tell."
)


class ViewerPose(NamedTuple):
    """A frame to show.

    Attributes:
      title: what the list of poses calls it; any text.
      detail: a line about it; any text.
      frame: its hypotheses (M, 17, 3); poses in any place, each is moved to its hip.
        What is not known of target and log-densities is not shown.
      picture: the 256-px crop as JPEG or PNG, drawn beneath the 2D skeleton, if any.
      single: the pose that a rule made of the hypotheses, which is shown first.
      scene: number of the scene that it is in, and where there.
      words: lines about the spread; any text.
    """

    title: str
    detail: str
    frame: Hypotheses
    picture: bytes | None = None
    single: Single | None = None
    scene: Place | None = None
    words: Sequence[str] = ()


class Single(NamedTuple):
    """One pose (17, 3) for all hypotheses, and the name of the rule that chose it."""

    pose: np.ndarray
    rule: str


class Place(NamedTuple):
    """A scene's number, and the crop in it (3,): middle x, middle y, side, its px."""

    scene: int
    square: np.ndarray


class Scene(NamedTuple):
    """A whole picture with several people.

    Attributes:
      bounds: (4,) left, top, width, height in its px.
      picture: all of it within the bounds, of any size, as JPEG or PNG, if any.
      others: (n, 16, 2) px, people in it of whom there is no pose to show.
    """

    bounds: Any
    picture: bytes | None = None
    others: Any = ()


def section(
    poses: Sequence[ViewerPose],
    title: str = "Hypotheses in 3D",
    text: str = _TEXT,
    name: str = "viewer",
    scenes: Sequence[Scene] = (),
) -> page.Section:
    """The viewer of some frames, to be given to ``page.render``.

    Args:
      poses: at least one; the first is shown at first.
      title: of the section.
      text: a paragraph below it.
      name: of letters and hyphens, unique among the viewers of a page.
      scenes: to which poses refer.

    Raises:
      UserError: no pose, or an array of another shape than ``Hypotheses`` says, or
        with numbers that are not finite, or a picture that is neither JPEG nor PNG; the
        message names the pose.
    """
    if not poses:
        raise UserError("the viewer needs at least one pose; got none")
    data = {
        **_skeletons(),
        "scenes": [_scene(scene) for scene in scenes],
        "poses": [_document(pose) for pose in poses],
    }
    elements = page.from_template("viewer/viewer.html", name=name, data=_json(data))
    functions = "\n".join(_read(f"{stem}.js") for stem in _SCRIPTS)
    script = f'(() => {{\n"use strict";\n{functions}}})();'
    return page.Section(
        title, text, markup=page.Markup(elements, _read("viewer.css"), script)
    )


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    """ASCII JSON without a character that could end its element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _skeletons() -> dict[str, Any]:
    """Bones (joint, joint, side) of both orders and what leads from 2D to 3D."""
    return {
        "bones": [_bone(H36M_JOINTS, *pair) for pair in H36M_BONES],
        "bones2d": [_bone(MPII_JOINTS, *pair) for pair in MPII_BONES],
        "joint3dOf2d": MPII_TO_H36M,
    }


def _bone(names: Sequence[str], start: int, end: int) -> tuple[int, int, int]:
    """The bone with its side: 0 left, 1 right, 2 between them."""
    for side, letter in enumerate("LR"):
        if any(names[i][0] == letter and names[i][1].isupper() for i in (start, end)):
            return start, end, side
    return start, end, 2


def _document(pose: ViewerPose) -> dict[str, Any]:
    """One frame for JSON: text, numbers, base64."""
    _check(pose)
    frame = pose.frame
    hypotheses, mode = _at_hip(frame.poses), _at_hip(frame.mode)
    mean = hypotheses.mean(axis=0)
    document: dict[str, Any] = {
        "title": pose.title,
        "detail": pose.detail,
        "hypotheses": _millimetres(hypotheses),
        "mode": _millimetres(mode),
        "mean": _millimetres(mean),
        "pose2d": _rounded(frame.pose2d, 1),
        "ellipses": _rounded(ellipses(frame.fit), 2),
    }
    if frame.target is not None:
        target = _at_hip(frame.target)
        document["target"] = _millimetres(target)
        document["error"] = _rounded(metrics.mpjpe(hypotheses, target), 1)
        document["modeError"] = _rounded(metrics.mpjpe(mode, target), 1)
        document["meanError"] = _rounded(metrics.mpjpe(mean, target), 1)
    if frame.log_density is not None:
        document["density"] = _rounded(frame.log_density, 2)
    if pose.picture is not None:
        document["picture"] = _picture(pose.title, pose.picture)
    if pose.single is not None:
        document["chosen"] = _millimetres(_at_hip(pose.single.pose))
        document["rule"] = pose.single.rule
    if pose.scene is not None:
        document["scene"] = pose.scene.scene
        document["square"] = _rounded(pose.scene.square, 2)
    if pose.words:
        document["words"] = list(pose.words)
    return document


def _scene(scene: Scene) -> dict[str, Any]:
    document = {
        "bounds": _rounded(scene.bounds, 2),
        "others": [_rounded(joints, 1) for joints in scene.others],
    }
    if scene.picture is not None:
        document["picture"] = _picture("a scene", scene.picture)
    return document


def _check(pose: ViewerPose) -> None:
    count = np.shape(pose.frame.poses)[:1]
    wanted = {
        "pose2d": (16, 2),
        "fit": (16, 7),
        "poses": (*(count or ("M",)), 17, 3),
        "mode": (17, 3),
        "target": (17, 3),
        "log_density": count,
    }
    given = pose.frame._asdict()
    if pose.single is not None:
        given["single"], wanted["single"] = pose.single.pose, (17, 3)
    for field, shape in wanted.items():
        value = given[field]
        if value is None and field in ("target", "log_density"):
            continue
        if np.shape(value) != shape:
            raise UserError(
                f"{field} of {pose.title!r}: expected shape {shape}, got "
                f"{np.shape(value)}"
            )
        if not np.isfinite(value).all():
            raise UserError(
                f"{field} of {pose.title!r}: expected finite numbers, got "
                f"{np.size(value) - np.isfinite(value).sum()} that are not"
            )
    if count == (0,):
        raise UserError(f"poses of {pose.title!r}: expected one or more, got 0")


def _at_hip(poses: np.ndarray) -> np.ndarray:
    """(..., 17, 3) float32, each moved so that its hip is 0."""
    poses = np.asarray(poses, np.float32)
    return poses - poses[..., :1, :]


def _millimetres(poses: np.ndarray) -> str:
    """Metres as int16 millimetres, base64; beyond 32 m they stop at it."""
    limits = np.iinfo(np.int16)
    whole = np.clip(np.rint(1000 * poses), limits.min, limits.max).astype("<i2")
    return base64.b64encode(whole.tobytes()).decode()


def _rounded(values: Any, digits: int) -> Any:
    """Lists of numbers, short ones."""
    return np.round(np.asarray(values, np.float64), digits).tolist()


def ellipses(fit: np.ndarray) -> np.ndarray:
    """One-sigma ellipses of the fitted Gaussians, for a canvas.

    Args:
      fit: (16, 7) heatmap px, the authors' layout.

    Returns:
      (16, 5) crop px, y down: centre x, centre y, longer and shorter half axis, and the
      longer one's angle in radians from x towards y.
    """
    fit = np.asarray(fit, np.float32)
    covariance = np.asarray(_covariance(np.abs(fit[:, [3, 5]]), fit[:, 4]), np.float64)
    values, vectors = np.linalg.eigh(covariance)
    shorter, longer = CROP_PER_HEATMAP * np.sqrt(np.maximum(values, 0)).T
    angle = np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1])
    centre = CROP_PER_HEATMAP * fit[:, 1:3]
    return np.column_stack([centre, longer, shorter, angle])


def _picture(title: str, content: bytes) -> str:
    """A data URI."""
    for start, kind in _PICTURES.items():
        if content.startswith(start):
            return f"data:{kind};base64,{base64.b64encode(content).decode()}"
    raise UserError(
        f"picture of {title!r}: expected the bytes of a JPEG or PNG file, got "
        f"{len(content)} bytes that begin with {content[:4]!r}"
    )
