"""What training knows of a method that lifts 2D to 3D.

    key -> state;  state, batches, noise -> state, losses;  parameters -> Model

A method is a member of ``jaxflow.methods.METHODS`` with these names, a module or an
object, and `jaxflow.training` runs it: data order, devices, checkpoints, validation and
logs are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from jaxflow.config import TrainConfig
from jaxflow.types import Batch, Model, Params

# So many of the training frames, evenly spaced, and each one's group of people.
Sample = Callable[[int], tuple[Batch, np.ndarray]]


class Method(Hashable, Protocol):
    """A method as training sees it.

    A state is a NamedTuple of trees of arrays, among them ``step``, () int32, the
    iterations done; a checkpoint holds its fields by their names. Noise is any tree.

    Attributes:
      name: as in ``jaxflow.methods.METHODS`` and in `TrainConfig.method`.
      losses: the NamedTuple of scalars that an iteration gives, all of which are
        logged, and all of which must be finite.
      groups: how many groups people are divided into, so that a frame can be compared
        with what others give; 0: none, and batches come without.
      published: what its authors trained it with, by names of fields of `TrainConfig`
        and of the configurations within it, where that is no default there.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def losses(self) -> Any:
        """See above."""

    @property
    def groups(self) -> int:
        """See above."""

    @property
    def published(self) -> Mapping[str, Any]:
        """See above."""

    def init(
        self, key: jax.Array, config: TrainConfig, params: Params | None = None
    ) -> Any:
        """A fresh state; the same key and configuration give the same state.

        Args:
          key: of all that is drawn.
          config: of the run.
          params: as `shown_params` gives them, to begin with; default drawn ones.
        """

    def prepare(self, state: Any, sample: Sample) -> Any:
        """A state with what it takes from the training frames before the first batch.

        Done once, before the first iteration of a run that begins with no parameters;
        the same frames give the same state.

        Args:
          state: as `init` gives it.
          sample: gives frames.
        """

    def batches(self, config: TrainConfig) -> int:
        """How many batches an iteration takes."""

    def draw_noise(
        self, key: jax.Array, config: TrainConfig, examples: jax.Array | None = None
    ) -> Any:
        """The random numbers of one iteration, keyed by purpose and example.

        Args:
          key: the iteration's.
          config: static.
          examples: numbers within the global batch of the rows wanted; default all.
        """

    def iteration(
        self,
        state: Any,
        batches: Any,
        noise: Any,
        config: TrainConfig,
        *,
        rate_scale: float | jax.Array = 1.0,
        axis_name: str | None = None,
    ) -> tuple[Any, Any]:
        """The state after one iteration, and its losses; see `training.step`.

        Batches are a `Batch`, or with groups `Grouped` ones.
        """

    def shown(self, state: Any) -> str:
        """Which field of a state holds the parameters to sample with."""

    def model(self, params: Params, config: TrainConfig) -> Model:
        """What draws hypotheses with these parameters."""


def shown_params(method: Method, state: Any) -> Params:
    """The parameters of a state to sample with."""
    return getattr(state, method.shown(state))
