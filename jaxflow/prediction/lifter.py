"""A model that stays in memory: fits, heatmaps, pictures or keypoints to hypotheses.

    lifter = jaxflow.Lifter.load("runs/quickstart", detector="runs/hrnet")
    prediction = lifter.lift_pictures([picture])     # (H, W, 3) uint8
    prediction.hypotheses                            # (1, 200, 17, 3) metres

Frames go through the model in batches of a few fixed sizes, filled up, so that nothing
is compiled anew for another number of frames. Frame i of a call draws its latents by
``fold_in(key(seed), positions[i])``: what it gets does not depend on its neighbours,
and with the positions 0, 1, ... it is what ``jaxflow.sample`` draws for the whole batch
(the last digits may differ from one batch size to another).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxflow.config import MOST_SEED, at_least, at_most, finite
from jaxflow.gaussians import keypoints
from jaxflow.maths import batching, checks
from jaxflow.metrics import selection
from jaxflow.prediction import lifting
from jaxflow.prediction.lifting import Prediction
from jaxflow.runs import released
from jaxflow.runs.errors import UserError
from jaxflow.skeleton import CROP_PER_HEATMAP
from jaxflow.types import DensityModel, GaussianFit, Model

if TYPE_CHECKING:
    from jaxflow.detector import Detector
    from jaxflow.detector.blazepose.detector import BlazePose

_MOST_LIFTED = 2**20  # hypotheses a person: 1.7 GB for eight people
# How a detector is loaded, of the options of `Lifter.load`.
_LOADING = "flip_test", "skeleton", "pixels", "maps", "networks", "offline"
SIZES = (1, 8, 64)  # frames that go through the model together


@dataclasses.dataclass(frozen=True)
class Lifter:
    """A model, and perhaps a detector, ready for use.

    Attributes:
      model: as ``jaxflow.methods.load`` gives it.
      detector: for pictures, from ``jaxflow.detector.load``.
      num_hypotheses: M.
      temperature: of the latents; 0 makes every hypothesis the z = 0 pose.
      rule: how the one chosen pose is made; one of ``selection.RULES``.
      seed: of the latents.
      sizes: numbers of frames that are compiled for, in increasing order.
    """

    model: Model
    detector: Detector | BlazePose | None = None
    num_hypotheses: int = 200
    temperature: float = 1.0
    rule: str = "z0"
    seed: int = 0
    sizes: tuple[int, ...] = SIZES

    def __post_init__(self) -> None:
        """Refuses what could only fail later."""
        if self.rule not in selection.RULES:
            raise UserError(
                f"expected a rule of {', '.join(selection.RULES)}; got {self.rule!r}"
            )
        checks.whole("num_hypotheses", self.num_hypotheses)
        at_least(self, num_hypotheses=1)
        at_most(self, num_hypotheses=_MOST_LIFTED)
        finite(self, "temperature")
        checks.whole("seed", self.seed)
        at_least(self, seed=0)
        at_most(self, seed=MOST_SEED)
        least = min((checks.whole("sizes", size) for size in self.sizes), default=0)
        if least < 1 or list(self.sizes) != sorted(self.sizes):
            raise UserError(
                "expected sizes of one frame or more, in increasing order; got "
                f"{self.sizes}"
            )

    @classmethod
    def load(
        cls,
        checkpoint: str | os.PathLike[str] | None = None,
        detector: str | os.PathLike[str] | None = None,
        *,
        temperature: str | float = "auto",
        **options: Any,
    ) -> Lifter:
        """From disk.

        Args:
          checkpoint: a model's folder, a training run's, a file of weights, or the name
            of a model that comes with the package (``jaxflow.pretrained``); default
            the one that is for all uses.
          detector: as ``detector.load`` takes it.
          temperature: a number; "fitted", what ``jaxflow.calibrate`` has stored in the
            checkpoint; or "auto": that where there is one, else 1.
          **options: the other attributes, and how the detector is loaded: flip_test,
            skeleton, pixels, maps, networks and offline of ``detector.load``.

        Raises:
          FileNotFoundError, ImportError, ValueError: as ``methods.load`` and
            ``jaxflow.detector.load`` raise them.
        """
        from jaxflow import methods
        from jaxflow.evaluation.calibrated import calibrated

        # A text may be a model's name; what is not one is a path, also a bare one.
        named = checkpoint or released.default()
        directory = named if isinstance(named, str) else pathlib.Path(named)
        model = methods.load(directory)
        how = {name: options.pop(name) for name in _LOADING if name in options}
        if detector is not None:
            from jaxflow import detector as detectors

            options["detector"] = detectors.load(detector, **how)
        model, scale = calibrated(model, directory, temperature)
        return cls(model, temperature=scale, **options)

    def lift_fits(
        self,
        fits: GaussianFit | npt.ArrayLike,
        pose2d: npt.ArrayLike | None = None,
        *,
        positions: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Hypotheses for fitted Gaussians.

        Args:
          fits: (N, 16, 7) heatmap px, MPII-16, or a GaussianFit of shape (N, 16), of
            which joints that did not converge count as not found, also in ``pose2d``.
          pose2d: (N, 16, 2) the detected joints in any unit, y down; default the fits'
            means, in pixels of the 256-px crop.
          positions: (N,) whole numbers from 0 to 2^32 - 1 that key each frame's
            latents; default 0 to N - 1.

        Raises:
          ValueError: other shapes, numbers that are not finite, amplitudes far above 1,
            fewer than four joints found, or sixteen at one place; says which frame.
          FloatingPointError: hypotheses that are not finite; says of which frame.
        """
        if isinstance(fits, GaussianFit):
            fits, pose2d = lifting.filled(fits, pose2d)
        fits = lifting.frames("fits", fits, (16, 7))
        if pose2d is None:
            pose2d = CROP_PER_HEATMAP * fits[..., 1:3]
        pose2d = lifting.frames("pose2d", pose2d, (16, 2))
        numbers = lifting.numbers_of(positions, len(fits))
        if len(pose2d) != len(fits):
            raise ValueError(f"got {len(fits)} frames of fits, {len(pose2d)} of pose2d")
        lifting.check_scale(fits)
        lifting.check_extent(pose2d)
        if not len(fits):
            return self._nothing()
        parts = batching.apply(self._lift, (fits, pose2d, numbers), self.sizes)
        lifting.check_finite(*parts)
        hypotheses, answer, mode, spread, *density = parts
        log_density = density[0] if density else None
        return Prediction(
            hypotheses, answer, mode, spread, log_density, pose2d, fits, self.rule
        )

    def lift_heatmaps(
        self,
        maps: npt.ArrayLike,
        *,
        scale: str = "probability",
        positions: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Hypotheses for a detector's heatmaps (N, 16, 64, 64), MPII-16.

        What is a little above 1 is cut there, as in the released code. ``pose2d`` of
        the answer is the maps' peaks (``network.decode.dark``) in pixels of the 256-px
        crop. A joint whose map has no answer (empty, flat, not finite) is not found:
        see ``detections.fill_missing``.

        Args:
          maps: floating point, or uint8 for value / 255.
          scale: of the values: probability, logits or 0..255.
          positions: as for `lift_fits`.

        Raises:
          TypeError: neither floating point nor uint8.
          ValueError: another shape, values of another scale, fewer than four joints
            found, or sixteen joints at one place; says which frame.
        """
        maps = np.asarray(maps)
        self._check_maps(maps)
        usable = [lifting.usable(f"frame {i}", m, scale) for i, m in enumerate(maps)]
        fits, peaks, found = self.fit(np.stack(usable) if usable else maps)
        lifting.check_found(found)
        return self.lift_fits(fits, CROP_PER_HEATMAP * peaks, positions=positions)

    def fit(self, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gaussians and peaks of heatmaps (N, 16, 64, 64) in [0, 1].

        Returns:
          Fits (N, 16, 7) and peaks (N, 16, 2), both in heatmap px, and which joints
          were found (N, 16): what stands for the others is in the middle of these.

        Raises:
          TypeError, ValueError: another dtype or shape.
        """
        self._check_maps(maps)
        if not len(maps):
            none = np.zeros((0, 16, 7), np.float32), np.zeros((0, 16, 2), np.float32)
            return *none, np.zeros((0, 16), bool)
        fits, peaks, found = batching.apply(lifting.fit, (maps,), self.sizes)
        return fits, peaks, found

    @staticmethod
    def _check_maps(maps: np.ndarray) -> None:
        if maps.ndim != 4 or maps.shape[1:] != (16, 64, 64):
            raise ValueError(
                f"expected heatmaps of shape (N, 16, 64, 64); got {maps.shape}"
            )

    def lift_pictures(
        self,
        pictures: Sequence[np.ndarray],
        boxes: npt.ArrayLike | None = None,
        *,
        positions: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Hypotheses for pictures, one person in each.

        Args:
          pictures: N of (H, W, 3) uint8, RGB, of any sizes.
          boxes: (N, 4) left, top, width, height of the person, px; default the whole
            picture.
          positions: as for `lift_fits`.

        Returns:
          Prediction whose ``pose2d`` is in pixels of the pictures.

        Raises:
          TypeError, ValueError: no detector was given, arrays of another kind, or fewer
            than four joints found.
        """
        from jaxflow.detector.blazepose.detector import BlazePose
        from jaxflow.detector.crops import crop, warp
        from jaxflow.detector.readers import pictures as reading

        if self.detector is None:
            raise UserError("pictures need a detector: Lifter.load(..., detector=DIR)")
        if isinstance(pictures, np.ndarray) and pictures.ndim < 4:
            raise TypeError(
                "expected pictures, a list of arrays (H, W, 3); got one array of shape "
                f"{pictures.shape}: put it into a list"
            )
        if boxes is not None and np.shape(boxes) != (len(pictures), 4):
            raise ValueError(
                f"expected boxes of shape {(len(pictures), 4)}, one for each picture; "
                f"got {np.shape(boxes)}"
            )
        if not len(pictures):
            return self._nothing()
        upright = [reading.from_array(picture) for picture in pictures]
        wholes = [[0, 0, picture.width, picture.height] for picture in upright]
        squares = crop.from_box(wholes, 1.0) if boxes is None else crop.from_box(boxes)
        if isinstance(self.detector, BlazePose):
            fit, mean, found = self.detector.look(upright, squares)
            lifting.check_found(found)
            pose2d = crop.heatmap_to_image(mean.astype(np.float64), squares)
            return self.lift_fits(fit, pose2d, positions=positions)
        maps = self.detector.detect(warp.crops(upright, squares))
        prediction = self.lift_heatmaps(maps, positions=positions)
        pose2d = crop.crop_to_image(prediction.pose2d.astype(np.float64), squares)
        return prediction._replace(pose2d=pose2d.astype(np.float32))

    def lift_keypoints(
        self,
        points: npt.ArrayLike,
        confidence: npt.ArrayLike | None = None,
        *,
        skeleton: str = "mpii_16",
        positions: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Hypotheses for the keypoints of any detector.

        Args:
          points: (N, n, 2) px, y down; what is not finite, or masked, was not found.
          confidence: (N, n) in [0, 1]; default all sure. 0 is a joint not found.
          skeleton: whose n joints they are, a name of ``gaussians.skeletons``.
          positions: as for `lift_fits`.

        Returns:
          Prediction whose ``pose2d`` is in the points' unit.

        Raises:
          ValueError: shapes that do not fit, fewer than four joints found, or joints
            that span nothing.
        """
        places, scores, found = lifting.detected(points, confidence)
        if np.any(scores > keypoints.MOST_SURE):
            raise UserError("expected confidences of 0 to 1; got percents, or more")
        detected = keypoints.from_sigma(places, np.zeros_like(scores))
        detected = detected._replace(found=jnp.asarray(found))
        corner, pixel = keypoints.crop_of(keypoints.to_mpii(detected, skeleton))
        detected = keypoints.from_confidence(places, scores, pixel)
        joints = keypoints.to_mpii(detected, skeleton)
        fits = keypoints.to_fits(joints, corner, pixel)
        lifting.check_found(np.asarray(fits.converged))
        rows, corner, pixel = jax.device_get((fits.as_array(), corner, pixel))
        pose2d = corner[:, None] + pixel[:, None, None] * rows[..., 1:3]
        return self.lift_fits(rows, pose2d, positions=positions)

    def _nothing(self) -> Prediction:
        density = isinstance(self.model, DensityModel)
        return lifting.nothing(self.num_hypotheses, self.rule, density)

    def _lift(
        self, fits: np.ndarray, pose2d: np.ndarray, numbers: np.ndarray
    ) -> tuple[Any, ...]:
        """The arrays of a Prediction for one full bucket."""
        observed, cond, frame_keys = lifting.prepare(fits, pose2d, numbers, self.seed)
        inputs = observed, cond, frame_keys
        draw: Any = {
            "num_hypotheses": self.num_hypotheses,
            "temperature": self.temperature,
        }
        density: list[Any] = []
        if isinstance(self.model, DensityModel):
            poses, *density = self.model.sample_with_log_density(*inputs, **draw)
        else:
            poses = self.model.sample(*inputs, **draw)
        mode = self.model.sample(*inputs, num_hypotheses=1, temperature=0)[:, 0]
        answer, spread = lifting.summarize(
            self.rule, poses, mode, density[0] if density else None, frame_keys
        )
        return poses, answer, mode, spread, *density
