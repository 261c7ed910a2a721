"""What stands around a model and is one itself: another way to draw from it.

Such a class adds ``sample``, and what it needs for that beside the model. Some were
fitted for the model (`Fitted`); of these two move what it draws about its z = 0 pose
(`AboutMode`).
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.typing

from jaxflow.maths import checks, geometry
from jaxflow.types import Model, Params, Sampled


@dataclasses.dataclass(frozen=True)
class Around:
    """Everything of a model but how it is drawn from.

    Attributes:
      model: any.
      WAY: what follows the model's name in this one's.
    """

    WAY: ClassVar[str] = ""

    model: Any

    @property
    def method(self) -> str:
        """Its name."""
        return f"{self.model.method}{self.WAY}"

    @property
    def config(self) -> Any:
        """The model's."""
        return self.model.config

    def parameters(self) -> Params:
        """The model's."""
        parameters: Params = self.model.parameters()
        return parameters

    def fresh(self, key: jax.Array) -> Model:
        """The same around an untrained model."""
        return self._around(self.model.fresh(key))

    def _around(self, model: Model) -> Model:
        changed: Any = dataclasses.replace(self, model=model)
        return changed


@dataclasses.dataclass(frozen=True)
class Fitted(Around):
    """Drawn from as was fitted for the model."""

    def fresh(self, key: jax.Array) -> Model:
        """An untrained model, as it is: nothing was fitted for it."""
        fresh: Model = self.model.fresh(key)
        return fresh


@dataclasses.dataclass(frozen=True)
class AboutMode(Fitted, abc.ABC):
    """Poses of the model, each joint so many times as far from where z = 0 has it.

    What is beside the model in it says how many times.
    """

    @checks.promoting
    def sample(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> jax.Array:
        """Hypotheses (..., M, 17, 3)."""
        poses = self.model.sample(
            pose2d, cond, key, num_hypotheses=num_hypotheses, temperature=temperature
        )
        scale = self._scale(pose2d, cond, key, num_hypotheses)
        return self._moved(poses, scale, pose2d, cond, key)

    @abc.abstractmethod
    def _scale(self, pose2d: Any, cond: Any, key: jax.Array, count: int) -> jax.Array:
        """How many times, (..., M or 1, 17 or 1, 1)."""

    def _moved(
        self, poses: jax.Array, scale: jax.Array, pose2d: Any, cond: Any, key: jax.Array
    ) -> jax.Array:
        middle = self._middle(pose2d, cond, key)
        return middle + scale * (poses - middle)

    def _middle(self, pose2d: Any, cond: Any, key: jax.Array) -> jax.Array:
        """The z = 0 pose, (..., 1, 17, 3)."""
        poses: jax.Array = self.model.sample(
            pose2d, cond, key, num_hypotheses=1, temperature=0.0
        )
        return poses

    def _posed(self, pose3d: Any, pose2d: Any, cond: Any) -> tuple[jax.Array, ...]:
        """Poses (..., 17, 3) whose density is asked, and the middle to subtract.

        A vector of 48 numbers becomes the pose that it stands for: these densities are
        of 45 numbers, where the flow's own is of 48 for such a vector.

        Raises:
          ValueError: poses that no metres are, or of other batches.
        """
        poses = jnp.asarray(pose3d)
        if poses.shape[-2:] != (17, 3):
            poses = geometry.denormalize_pose3d(poses)
        checks.human_scale("pose3d", poses)
        key = jax.random.key(0)  # of latents that are multiplied by 0
        middle = self._middle(pose2d, cond, key)[..., 0, :, :]
        batch = middle.shape[:-2]
        checks.same_batch(pose3d=poses.shape[:-2][: len(batch)], pose2d=batch)
        # Behind the batch's axes there may be one of hypotheses.
        axes = tuple(range(len(batch), poses.ndim - 2))
        return poses, jnp.expand_dims(middle, axes)


@dataclasses.dataclass(frozen=True)
class AboutModeDensity(AboutMode):
    """The same of a model that knows the density of what it draws."""

    @checks.promoting
    def sample_with_log_density(
        self,
        pose2d: jax.typing.ArrayLike,
        cond: jax.typing.ArrayLike,
        key: jax.Array,
        *,
        num_hypotheses: int = 200,
        temperature: float | jax.Array = 1.0,
    ) -> Sampled:
        """The poses of ``sample``, and the log-density of each given its scale."""
        drawn = self.model.sample_with_log_density(
            pose2d, cond, key, num_hypotheses=num_hypotheses, temperature=temperature
        )
        scale = self._scale(pose2d, cond, key, num_hypotheses)
        poses = self._moved(drawn.poses, scale, pose2d, cond, key)
        return Sampled(poses, drawn.log_density - self._log_det(scale))

    @abc.abstractmethod
    def _log_det(self, scale: jax.Array) -> jax.Array:
        """Of the map of poses, (..., M or 1), from what ``_scale`` gives."""
