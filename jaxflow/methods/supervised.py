"""A method that learns by one loss: one gradient step an iteration.

    params, frames, noise -> loss;  Adam -> params

A method's file says what its net is, its loss and how it draws. Here is what all such
methods share: the state, the whitened coordinates (`whitening`), the noise keyed by
example, clipping, rates, the running average to sample with, and the mean over devices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxflow.config import NetConfig, TrainConfig
from jaxflow.maths import keys
from jaxflow.methods import whitening
from jaxflow.methods.net_model import NetDensityModel, NetLikelihoodModel, NetModel
from jaxflow.methods.whitening import Asked, Fitted, Seen
from jaxflow.training.method import Sample
from jaxflow.training.state import optimizer
from jaxflow.training.updates import over_devices, running_average, update
from jaxflow.types import Batch, Grouped, Params

GROUPS = 8
# Of an iteration's key, behind those that others fold into it (`epochs.change_key`).
_EXAMPLES = 6
# Of `published`, for methods whose authors do not halve the rate.
CONSTANT_RATE = {"halve_after_epoch": 100_000}
# Likewise: Adam at its usual numbers, the gradient's norm bounded.
ADAM = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "clip_norm": 1.0}


class State(NamedTuple):
    """What training carries on.

    Attributes:
      step: () int32, iterations done.
      params: ``net``, trained; ``whitening``, computed from the frames; of nets with
        batch normalisation ``statistics``.
      optimizer: optax state of the net.
      means: (G, F + 1, 48) regressions without a group of people each.
      average: running average of ``params``, or None where none is kept.
    """

    step: jax.Array
    params: Params
    optimizer: optax.OptState
    means: jax.Array
    average: Params | None = None


class Lesson(NamedTuple):
    """What a loss sees of a batch.

    Attributes:
      batch: pose3d (B, 48), pose2d (B, 32), cond (B, 78).
      seen: of the same frames; the centre is out of group.
      residual: (B, 45) whitened, of the poses from that centre.
      keys: (B,) each example's own, for all that is drawn.
      params: ``whitening`` and, where there are any, ``statistics``.
      axis_name: of the devices that share the batch, or None.
      others: (B, 48) poses of other frames, where the method is ``unpaired``.
    """

    batch: Batch
    seen: Seen
    residual: jax.Array
    keys: jax.Array
    params: Params
    axis_name: str | None
    others: jax.Array | None = None


class Learned(NamedTuple):
    """What a loss gives beside its value.

    Attributes:
      losses: a NamedTuple of scalars, as the method's `Supervised.losses`.
      statistics: running ones after the batch, where the net has any.
    """

    losses: Any
    statistics: Params | None = None


@dataclasses.dataclass(frozen=True)
class Supervised:
    """A method as `jaxflow.training.method.Method` wants it.

    Attributes:
      name: see there.
      losses: see there.
      net: ``net(key, config) -> params``: ``{"net": ...}`` and, with batch
        normalisation, ``statistics``.
      loss: ``loss(net, lesson, config) -> scalar, Learned``, with `TrainConfig`.
      draw: ``draw(params, seen, how, config) -> (M, 48)`` metres, network's frame, of
        what is `Seen` of one pose and how poses are `Asked` for. Parameters are those
        of a checkpoint: ``net``, ``whitening`` and, if there are any, ``statistics``.
      density: ``density(params, pose3d, seen)``, or None: the log-density of a pose
        (48,), nats on the 45-dimensional space of centred poses, at temperature 1.
      published: see there.
      groups: see there.
      fit: ``fit(params, fitted) -> params`` with what the method itself computes in
        closed form of the frames, by `whitening.fit`.
      means: ``means(params, seen, config) -> (K, 48)`` of a mixture, see `samplers`.
      density_on_demand: whether the density costs so much more than a pose that
        hypotheses come without it, and `log_prob` alone gives it.
      any_steps: whether `NetConfig.steps` is of drawing alone, see `samplers`.
      unpaired: whether its loss wants poses of other frames, `Lesson.others`; they are
        an iteration's second batch.
    """

    name: str
    losses: Any
    net: Callable[[jax.Array, NetConfig], Params]
    loss: Callable[[Params, Lesson, TrainConfig], tuple[jax.Array, Learned]]
    draw: Callable[[Params, Seen, Asked, NetConfig], jax.Array]
    density: Callable[[Params, jax.Array, Seen], jax.Array] | None = None
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    groups: int = GROUPS
    fit: Callable[[Params, Fitted], Params] | None = None
    means: Callable[[Params, Seen, NetConfig], jax.Array] | None = None
    density_on_demand: bool = False
    any_steps: bool = False
    unpaired: bool = False

    def fresh(self, key: jax.Array, config: NetConfig) -> Params:
        """Parameters before any training."""
        net_key, whitening_key = jax.random.split(key)
        whitened = whitening.init(whitening_key, config.features)
        return {**self.net(net_key, config), "whitening": whitened}

    def init(
        self, key: jax.Array, config: TrainConfig, params: Params | None = None
    ) -> State:
        """See `Method.init`; with parameters all groups have their one regression.

        The frames are new to it, so what it leaves of them is as large as for others.
        """
        keys.check_key(key)
        if params is None:
            params = self.fresh(key, config.net)
        mean = params["whitening"]["mean"]
        return State(
            step=jnp.zeros((), jnp.int32),
            params=params,
            optimizer=optimizer(config.optimizer).init(params["net"]),
            means=jnp.stack([mean] * self.groups),
            average=_copy(params) if config.optimizer.average_decay else None,
        )

    def prepare(self, state: State, sample: Sample) -> State:
        """The state with the frames' regression and what the method makes of it."""
        batch, group = sample(whitening.MOST_FRAMES)
        # It takes some seconds, behind no bar.
        print(f"{self.name}: regressing {len(group)} poses on what is seen, once")
        known = state.params["whitening"]
        fitted = whitening.fit(known, batch, group, self.groups)
        params = {**state.params, "whitening": fitted.params}
        if self.fit:
            params = self.fit(params, fitted)
        return state._replace(
            params=params,
            means=jnp.asarray(fitted.means),
            average=_copy(params) if state.average is not None else None,
        )

    def batches(self, config: TrainConfig) -> int:
        """One, and one of other frames where the method is unpaired."""
        del config
        return 1 + self.unpaired

    def draw_noise(
        self, key: jax.Array, config: TrainConfig, examples: jax.Array | None = None
    ) -> jax.Array:
        """A key for each example, (B,)."""
        keys.check_key(key)
        if examples is None:
            examples = jnp.arange(config.batch_size)
        return keys.per_example(jax.random.fold_in(key, _EXAMPLES), examples)

    def iteration(
        self,
        state: State,
        batches: Grouped,
        noise: jax.Array,
        config: TrainConfig,
        *,
        rate_scale: float | jax.Array = 1.0,
        axis_name: str | None = None,
    ) -> tuple[State, Any]:
        """One update of the net; see `Method.iteration`.

        Args:
          state: before.
          batches: (1, B, ...), or (2, B, ...) where the method is unpaired.
          noise: (B,) keys, from `draw_noise`.
          config: static.
          rate_scale: multiplies the learning rate.
          axis_name: the device axis, where B is one device's share.
        """
        lesson = self._lesson(state, batches, noise, axis_name)

        def objective(net: Params) -> tuple[jax.Array, Learned]:
            return self.loss(net, lesson, config)

        gradient, learned = jax.grad(objective, has_aux=True)(state.params["net"])
        net, optimizer_state = update(
            optimizer(config.optimizer),
            over_devices(gradient, axis_name),
            state.optimizer,
            state.params["net"],
            config.optimizer.learning_rate * rate_scale,
        )
        params = {**state.params, "net": net}
        if learned.statistics is not None:
            params["statistics"] = learned.statistics
        decay = config.optimizer.average_decay
        state = state._replace(
            average=running_average(state.average, params, state.step, decay),
            step=state.step + 1,
            params=params,
            optimizer=optimizer_state,
        )
        return state, over_devices(learned.losses, axis_name)

    @staticmethod
    def _lesson(
        state: State, batches: Grouped, noise: jax.Array, axis_name: str | None
    ) -> Lesson:
        batch, group = jax.tree.map(lambda array: array[0], batches)
        whitened = state.params["whitening"]
        seen = whitening.seen(whitened, batch.pose2d, batch.cond)
        seen = whitening.out_of_group(seen, state.means, group)
        residual = whitening.residual(whitened, batch.pose3d, seen.centre)
        given = {name: tree for name, tree in state.params.items() if name != "net"}
        others = batches.frames.pose3d[1] if len(batches.group) > 1 else None
        return Lesson(batch, seen, residual, noise, given, axis_name, others)

    def shown(self, state: State) -> str:
        """The average where there is one."""
        return "params" if state.average is None else "average"

    def model(self, params: Params, config: TrainConfig) -> NetModel:
        """See `Method.model`."""
        kind = NetDensityModel if self.density else NetModel
        if self.density_on_demand:
            kind = NetLikelihoodModel
        return kind(params, self, config.net)


def _copy(params: Params) -> Params:
    """Of its own: a state's buffers are given away to the next iteration."""
    return jax.tree.map(jnp.copy, params)
