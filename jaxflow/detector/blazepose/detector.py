"""BlazePose ready for use: pictures and squares in, fits of sixteen joints out.

    load("full") -> BlazePose
    BlazePose.observe(patches, turns) -> Observed

Where HRNet's heatmaps are for anybody to fit, these mean something else (see
``uncertainty``), so that what comes out are fits.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.detector.blazepose import fetch, network, tflite_reader, uncertainty
from jaxflow.detector.crops import turned
from jaxflow.detector.crops.crop import Crop
from jaxflow.detector.crops.warp import Patch
from jaxflow.detector.readers.pictures import Picture
from jaxflow.maths import batching

NAME = "blazepose"
_MAPS, _POINTS, _PRESENT = "Identity_3", "Identity", "Identity_1"
_POINT = 5  # numbers: x, y, z in px of 256, and two logits


class Observed(NamedTuple):
    """What the network saw in B crops: NumPy arrays.

    Attributes:
      fit, mean, found, peak: as in ``uncertainty.Reading``.
      present: (B,) the probability that somebody is there.
      points: (B, 39, 2) landmarks in px of the turned 256-px crops; the last six help
        to follow somebody.
    """

    fit: np.ndarray
    mean: np.ndarray
    found: np.ndarray
    peak: np.ndarray
    present: np.ndarray
    points: np.ndarray


@dataclasses.dataclass(frozen=True)
class BlazePose:
    """The two networks of one size.

    Attributes:
      size: of the pose network: lite, full or heavy.
      pose: crops (B, 256, 256, 3) in [0, 1] to its outputs, jitted.
      finder: pictures (B, 224, 224, 3) in [-1, 1] to its outputs, jitted.
      batch: how many go through a network together.
      at_once: how many batches may be under way.
    """

    size: str
    pose: Any
    finder: Any
    batch: int
    at_once: int = 1

    # Those of ``network.loading.Detector`` that describe a run.
    flip_test = False
    pixels = "imagenet"

    @property
    def name(self) -> str:
        """Of the detector, for reports."""
        return f"BlazePose {self.size}"

    def observe(self, patches: Patch, turn: np.ndarray, least: float = 0.0) -> Observed:
        """Fits and landmarks of crops.

        Args:
          patches: (B, ...) from ``turned.cut``.
          turn: (B,) radians.
          least: below this probability that somebody is there the maps need not be
            read: no joint counts as found.
        """
        columns = *patches, np.asarray(turn, np.float32)
        look = functools.partial(self._observe, least)
        return Observed(*batching.apply(look, columns, (self.batch,), self.at_once))

    def look(
        self, pictures: Sequence[Picture], squares: Crop
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of upright squares (B,) of pictures.

        Returns:
          Fits (B, 16, 7), means (B, 16, 2) and which joints (B, 16) were found.
        """
        pairs = zip(pictures, squares.center, squares.side, strict=True)
        patches = [turned.cut(picture, Crop(*where)) for picture, *where in pairs]
        seen = self.observe(stacked(patches), np.zeros(len(patches)))
        return seen.fit, seen.mean, seen.found

    def _observe(self, least: float, *columns: np.ndarray) -> tuple[Any, ...]:
        patches, turn = Patch(*columns[:-1]), columns[-1]
        logits, *others = self.pose(_shown(patches, turn))
        points, present = map(np.asarray, others)
        present = present[:, 0]
        points = points.reshape(len(points), -1, _POINT)[..., :2]
        if np.all(present < least):
            return *uncertainty.unread(len(present)), present, points
        blur, share = uncertainty.BLUR[self.size], uncertainty.SHARE[self.size]
        reading = uncertainty.read(logits, turn, blur, share)
        return *reading, present, points


def load(
    size: str = "full",
    package: str | os.PathLike[str] | None = None,
    *,
    offline: bool = False,
) -> BlazePose:
    """The detector, its networks fetched if need be; see ``fetch.ready``.

    Raises:
      UserError, OSError: as ``fetch.ready``.
      ImportError: the package ``tflite`` is not installed.
    """
    tflite_reader.schema()  # before anything is fetched
    files = fetch.ready(size, package, offline=offline)
    # A CPU gains nothing from several at a time, but its cores from several one by one.
    batch, at_once = (1, batching.cores()) if batching.platform() == "cpu" else (8, 1)
    pose = _compiled(files.pose, (_MAPS, _POINTS, _PRESENT))
    finder = _compiled(files.finder, ("Identity", "Identity_1"))
    return BlazePose(size, pose, finder, batch, at_once)


def stacked(patches: Sequence[Patch]) -> Patch:
    """Patches as one of a batch."""
    return Patch(*(np.stack(field) for field in zip(*patches, strict=True)))


def size_of(name: str) -> str | None:
    """The size that a detector's name asks for: blazepose-lite, ...; None of others.

    Raises:
      UserError: blazepose of an unknown size.
    """
    head, _, size = name.partition("-")
    if head != NAME:
        return None
    fetch.check_size(size or "full")
    return size or "full"


@jax.jit
def _shown(patches: Patch, turn: jax.Array) -> jax.Array:
    """What the pose network takes of patches (B, ...)."""
    return turned.sample(patches, turn) / 255


def _compiled(path: Any, outputs: tuple[str, ...]) -> Any:
    graph = tflite_reader.read(path.read_bytes())
    function, weights = network.build(graph, outputs)
    weights = jax.device_put(weights)
    # Vectors as wide as the processor has them save a tenth.
    wide = (
        {"xla_cpu_prefer_vector_width": 512} if batching.platform() == "cpu" else None
    )
    jitted = jax.jit(function, compiler_options=wide)
    return lambda pictures: jitted(weights, jnp.asarray(pictures))
