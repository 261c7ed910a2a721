"""The records that cross stages: NamedTuples of arrays, and host-side frames.

``PoseRecords`` (raw frames) -> ``Batch`` (what the network sees); heatmaps ->
``GaussianFit`` -> condition.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

# Flax parameters: a nested dict whose leaves are all float arrays.
Params = dict[str, Any]


class Batch(NamedTuple):
    """Network inputs of some poses, float32, leading axes shared.

    Attributes:
      pose3d: (..., 48) metres, H36M-16, coordinate-major, y up, z to the camera,
        each axis mean-centred.
      pose2d: (..., 32) MPII-16, coordinate-major, y up, centred, unit deviation.
      cond: (..., 78) thirteen joints x (A, mean x, mean y, C00, C01, C11).
    """

    pose3d: jax.Array
    pose2d: jax.Array
    cond: jax.Array


class RawFrames(NamedTuple):
    """Frames as a data set has them, as arrays on the device, leading axes shared.

    Attributes:
      pose3d: (..., 17, 3) mm, H36M-17, camera frame (x right, y down, z away).
      pose2d: (..., 16, 2) pixels of the 256-px crop, MPII-16, y down.
      gaussfit: (..., 16, 7) MPII-16, heatmap px: A, x0, y0, sx, theta, sy, rmse.
    """

    pose3d: jax.Array
    pose2d: jax.Array
    gaussfit: jax.Array


class Grouped(NamedTuple):
    """Frames, and which group of people each belongs to.

    Attributes:
      frames: leading axes shared.
      group: int32, of those axes.
    """

    frames: Batch | RawFrames
    group: jax.Array


class Held(NamedTuple):
    """What the devices hold of a data set while a dispatch trains.

    Attributes:
      frames: (n, ...) all, or those that the dispatch sees, in the order of use: by
        iteration, batch and example.
      group: (n,) int32, of a method that wants groups.
      up: (3,) the mean direction from hip to thorax of all frames, where they are raw.
      others: (n G, 17, 3) poses that lend their limbs to the frames, of a part of the
        data set whose frames borrow any; of all of it ``frames`` are the lenders.
    """

    frames: Batch | RawFrames
    group: jax.Array | None = None
    up: jax.Array | None = None
    others: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class PoseRecords:
    """Frames of a data set as host NumPy arrays, N along the first axis.

    Attributes:
      pose3d: (N, 17, 3) float32, mm, H36M-17, camera frame (x right, y down, z away).
      pose2d: (N, 16, 2) float32, pixels of the 256-px crop, MPII-16, y down.
      gaussfit: (N, 16, 7) float32, MPII-16, heatmap px: A, x0, y0, sx, theta, sy, rmse.
      subject: (N,) text.
      action: (N,) text.
      subaction: (N,) text.
      camera: (N,) text.
      frame: (N,) int32, number within its recording.
      extra: further arrays (N, ...) that only some data sets have, by name:
        ``pose2d_true`` (N, 16, 2) pixels of the crop, where the detector was simulated;
        ``setting``, ``valid`` and ``pose3d_universal`` of MPI-INF-3DHP.
    """

    pose3d: np.ndarray
    pose2d: np.ndarray
    gaussfit: np.ndarray
    subject: np.ndarray
    action: np.ndarray
    subaction: np.ndarray
    camera: np.ndarray
    frame: np.ndarray
    extra: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Number of frames."""
        return self.pose3d.shape[0]

    def take(self, rows: np.ndarray | slice) -> PoseRecords:
        """The chosen frames, in the order given."""
        chosen = {name: array[rows] for name, array in self.columns().items()}
        extra = {name: chosen.pop(name) for name in self.extra}
        return PoseRecords(**chosen, extra=extra)

    def takes(self) -> np.ndarray:
        """(N,) text that tells the takes apart: one performance, by all its cameras.

        What several cameras saw of it is alike. Where one sequence has several actions,
        as MPI-INF-3DHP's, each is a take.
        """
        parts = (self.subject, self.action, self.subaction)
        return np.asarray(["/".join(map(str, row)) for row in zip(*parts, strict=True)])

    def columns(self) -> dict[str, np.ndarray]:
        """All arrays by name, those of ``extra`` among them."""
        arrays = {name: value for name, value in vars(self).items() if name != "extra"}
        return arrays | self.extra


class GaussianFit(NamedTuple):
    """2D Gaussians fitted to heatmaps (paper section 3.2), heatmap pixels, y down.

    Attributes:
      amplitude: (...) peak height A.
      mean: (..., 2) x0 (column), y0 (row).
      sigma: (..., 2) sx, sy, both positive.
      theta: (...) radians in [0, pi).
      rmse: (...) root-mean-square error of the fit over all pixels.
      converged: (...) bool; False where the start was returned.
    """

    amplitude: jax.Array
    mean: jax.Array
    sigma: jax.Array
    theta: jax.Array
    rmse: jax.Array
    converged: jax.Array

    def as_array(self) -> jax.Array:
        """The authors' seven numbers, (..., 7): A, x0, y0, sx, theta, sy, rmse."""
        return jnp.stack(
            [
                self.amplitude,
                self.mean[..., 0],
                self.mean[..., 1],
                self.sigma[..., 0],
                self.theta,
                self.sigma[..., 1],
                self.rmse,
            ],
            axis=-1,
        )

    @classmethod
    def from_array(cls, array: jax.Array) -> GaussianFit:
        """From the authors' layout, (..., 7); every fit counts as converged.

        Raises:
          ValueError: the last axis is not 7 long.
        """
        array = jnp.asarray(array)
        if array.ndim == 0 or array.shape[-1] != 7:
            raise ValueError(
                "expected fits of shape (..., 7) = A, x0, y0, sx, theta, sy, rmse; "
                f"got {array.shape}"
            )
        amplitude, x0, y0, sx, theta, sy, rmse = jnp.moveaxis(array, -1, 0)
        return cls(
            amplitude=amplitude,
            mean=jnp.stack([x0, y0], axis=-1),
            sigma=jnp.stack([sx, sy], axis=-1),
            theta=theta,
            rmse=rmse,
            converged=jnp.ones(amplitude.shape, bool),
        )


class Sampled(NamedTuple):
    """Hypotheses and how likely the model takes each to be.

    Attributes:
      poses: (..., M, 17, 3) metres, hip at the origin, camera frame.
      log_density: (..., M) nats, up to a constant of each 2D pose; where limbs are held
        (`evaluation.limbs`), of the poses before.
    """

    poses: jax.Array
    log_density: jax.Array


class Hypotheses(NamedTuple):
    """What a model says of some frames, and what it was asked with.

    Leading axes are shared. Arrays of the device or of the host; ``None`` stands for
    what is not known.

    Attributes:
      poses: (..., M, 17, 3) metres, hip at 0, camera frame.
      log_density: (..., M) nats, of a model that knows it.
      mode: (..., 17, 3) metres, hip at 0: the model's answer without noise.
      pose2d: (..., 16, 2) px of the 256-px crop, MPII-16, y down.
      fit: (..., 16, 7) heatmap px, MPII-16: A, x0, y0, sx, theta, sy, rmse.
      target: (..., 17, 3) metres, hip at 0: the truth.
    """

    poses: Any
    log_density: Any
    mode: Any
    pose2d: Any
    fit: Any
    target: Any = None

    def take(self, rows: Any) -> Hypotheses:
        """The frames of some rows along the first axis."""
        return Hypotheses(*(None if array is None else array[rows] for array in self))


class Model(Protocol):
    """A trained method, as a checkpoint holds it: what draws hypotheses.

    A pytree, so that it passes through jit: its arrays are traced, all else is static.
    Everything above the methods themselves knows a method by this alone.
    """

    @property
    def method(self) -> str:
        """Its name, as in ``jaxflow.methods.METHODS``."""

    @property
    def config(self) -> Any:
        """Its architecture, a dataclass of plain values."""

    def parameters(self) -> Params:
        """Its arrays as a checkpoint holds them; tell one model from another."""

    def fresh(self, key: jax.Array) -> Model:
        """The same method at the same size before any training."""

    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Hypotheses (..., M, 17, 3), as `jaxflow.sample` returns them.

        Their order says nothing: no metric relies on neighbours being independent.
        """


@runtime_checkable
class DensityModel(Model, Protocol):
    """A model that knows the density of what it draws."""

    def sample_with_log_density(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> Sampled:
        """The poses of ``sample`` and the log-density of each."""

    def log_prob(
        self,
        pose3d: jax.typing.ArrayLike,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        *,
        observation_scale: float | jax.Array,
    ) -> jax.Array:
        """The posterior's log-density (...) of poses, as `jaxflow.log_prob` has it."""
