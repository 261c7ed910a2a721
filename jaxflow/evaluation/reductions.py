"""What remains of many hypotheses when few poses, or one, are kept.

    evaluation.Drawn (a batch of frames) -> MPJPE and PA-MPJPE of each way to reduce

The best of a few drawn ones and of a few K-means centres (paper appendix C, table 5),
and the single pose that each rule of ``selection`` chooses. `Reductions` is a measure
for ``evaluation.evaluate``; `Sums` adds up what it gives, so that hypotheses are kept
for no longer than their batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow import metrics
from jaxflow.evaluation.measuring import Drawn
from jaxflow.maths.kmeans import KMeans, kmeans
from jaxflow.metrics import sample_size, selection
from jaxflow.metrics.errors import ExampleErrors
from jaxflow.reporting.tables import Table

FEW = (5, 10, 200)  # numbers of hypotheses of the paper's table 5
CENTRES = (5, 10)
RULE_NAMES = {
    "z0": "z = 0 pose",
    "mean": "mean of each joint",
    "medoid": "medoid (nearest to all)",
    "largest_cluster": "centre of the largest of five clusters",
    "most_likely": "highest log-density",
}
_COLUMNS = ("MPJPE", "PA-MPJPE")
_BETTER = (0, -1, -1)


class Reduced(NamedTuple):
    """Errors in mm, MPJPE and PA-MPJPE along the last axis; (..., n, 2) each.

    Attributes:
      drawn: of the best of so many drawn, for each number of ``Reductions.few``.
      centres: of the best of so many K-means centres.
      poses: of the one pose that each rule gives.
    """

    drawn: Any
    centres: Any
    poses: Any


class Reductions(NamedTuple):
    """The measure: equal ones compile once.

    Attributes:
      few: numbers of hypotheses, each of ``sample_size.counts(M)``.
      centres: numbers of K-means centres, at most M.
      rules: of ``selection.RULES``.
    """

    few: tuple[int, ...]
    centres: tuple[int, ...]
    rules: tuple[str, ...]

    @classmethod
    def of(cls, num_hypotheses: int) -> Reductions:
        """What the report gives of M hypotheses: no more poses than there are."""
        few = {min(count, num_hypotheses) for count in FEW} | {num_hypotheses}
        possible = sample_size.counts(num_hypotheses)
        return cls(
            tuple(sorted(few & set(possible))),
            tuple(k for k in CENTRES if k <= num_hypotheses),
            selection.RULES,
        )

    def __call__(self, drawn: Drawn) -> Reduced:
        """(B, n, 2) errors each; needs the log-densities where a rule needs them."""
        # All poses go along in one array: one alignment to compile.
        counts = sample_size.counts(drawn.hypotheses.shape[-3])
        clusters = {
            k: kmeans(drawn.hypotheses, k, _own(drawn.keys, k))
            for k in {*self.centres, *self._clusters(drawn)}
        }
        centres = [clusters[k].centres for k in self.centres]
        single = [self._pose(rule, drawn, clusters)[:, None] for rule in self.rules]
        poses = [drawn.hypotheses, *centres, *single]
        errors = _both(jnp.concatenate(poses, axis=1), drawn.target)
        parts = _split(errors, [one.shape[1] for one in poses])
        every, *rest = parts
        best_of = sample_size.expected_best(jnp.moveaxis(every, -1, 0))
        chosen = jnp.asarray([counts.index(count) for count in self.few])
        clustered, ruled = rest[: len(centres)], rest[len(centres) :]
        return Reduced(
            drawn=jnp.moveaxis(best_of[..., chosen], 0, -1),
            centres=_stacked([jnp.min(one, axis=1) for one in clustered], errors),
            poses=_stacked([one[:, 0] for one in ruled], errors),
        )

    def _clusters(self, drawn: Drawn) -> list[int]:
        """How many clusters the rules ask for, if any."""
        asked = min(selection.CLUSTERS, drawn.hypotheses.shape[-3])
        return [asked] if "largest_cluster" in self.rules else []

    def _pose(self, rule: str, drawn: Drawn, clusters: dict[int, KMeans]) -> jax.Array:
        """(B, 17, 3); the clusters of table 5 serve the largest one's rule as well."""
        if rule == "largest_cluster":
            (k,) = self._clusters(drawn)
            return _fullest(clusters[k])
        return selection.select(
            rule, drawn.hypotheses, mode=drawn.mode, log_density=drawn.log_density
        )


def _fullest(clusters: KMeans) -> jax.Array:
    """(B, 17, 3): the centre with the most hypotheses, as `selection` has it."""
    index = jnp.argmax(clusters.sizes, axis=-1)[:, None, None, None]
    return jnp.take_along_axis(clusters.centres, index, axis=1)[:, 0]


def _both(poses: jax.Array, target: jax.Array) -> jax.Array:
    """(B, n, 17, 3) and (B, 17, 3) to MPJPE and PA-MPJPE (B, n, 2) mm."""
    return jnp.stack(
        [metrics.mpjpe(poses, target), metrics.pa_mpjpe(poses, target)], -1
    )


def _split(errors: jax.Array, sizes: list[int]) -> list[jax.Array]:
    """(B, sum of sizes, 2) to its consecutive parts."""
    ends = np.cumsum(sizes)[:-1].tolist()
    return jnp.split(errors, ends, axis=1)


def _own(keys: jax.Array, number: int) -> jax.Array:
    """A key a frame that the hypotheses were not drawn with."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def _stacked(parts: list[jax.Array], like: jax.Array) -> jax.Array:
    """(B, n, 2) of n arrays (B, 2), also where there are none."""
    if parts:
        return jnp.stack(parts, axis=1)
    return jnp.zeros((like.shape[0], 0, 2), like.dtype)


class Sums:
    """Adds up batches per action; its ``watch`` is for ``evaluation.evaluate``."""

    def __init__(self, actions: np.ndarray) -> None:
        """For frames (N,) of these actions."""
        self._actions = actions
        self._sums: dict[str, Reduced] = {}
        self._frames: dict[str, int] = {}

    def watch(self, rows: slice, errors: ExampleErrors, reduced: Reduced) -> None:
        """Takes what the measure gave for some rows."""
        actions = self._actions[rows]
        for action in np.unique(actions):
            chosen = actions == action
            part = Reduced(
                *(leaf[chosen].astype(np.float64).sum(0) for leaf in reduced)
            )
            name = str(action)
            if name in self._sums:
                part = Reduced(*map(np.add, self._sums[name], part))
            self._sums[name] = part
            self._frames[name] = self._frames.get(name, 0) + int(chosen.sum())

    def result(self, reductions: Reductions) -> ReductionResult:
        """The means over each action's frames, averaged over actions."""
        means = [
            [leaf / self._frames[name] for leaf in part]
            for name, part in sorted(self._sums.items())
        ]
        average = Reduced(*(np.mean(leaf, axis=0) for leaf in zip(*means, strict=True)))
        return ReductionResult(reductions, average)


class ReductionResult(NamedTuple):
    """What was reduced, and the errors averaged over actions, mm."""

    reductions: Reductions
    average: Reduced

    def tables(self) -> list[Table]:
        """Few poses, then one; MPJPE and PA-MPJPE, mm, averaged over actions."""
        chosen, errors = self.reductions, self.average
        few = _rows([f"{count} drawn" for count in chosen.few], errors.drawn)
        few += _rows([f"{k} K-means centres" for k in chosen.centres], errors.centres)
        single = _rows([RULE_NAMES[rule] for rule in chosen.rules], errors.poses)
        everyone = tuple(range(len(single)))
        return [
            Table(
                "Fewer hypotheses: the best of them",
                ("Kept", *_COLUMNS),
                tuple(few),
                note="mm, averaged over actions. The best of a few drawn is the mean "
                "over all subsets of that size; K-means clusters all that were drawn.",
            ),
            Table(
                "One pose out of many",
                ("Rule", *_COLUMNS),
                tuple(single),
                better=_BETTER,
                comparable=(everyone,),
                note="mm, averaged over actions: the error of the one pose that a rule "
                "gives, without knowing the truth.",
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        """By name: ``drawn`` and ``centres`` by their number, ``poses`` by the rule."""
        names = (
            ("best_of_drawn", self.reductions.few, self.average.drawn),
            ("best_of_kmeans_centres", self.reductions.centres, self.average.centres),
            ("one_pose", self.reductions.rules, self.average.poses),
        )
        return {
            part: {
                str(name): {"mpjpe_mm": float(first), "pa_mpjpe_mm": float(second)}
                for name, (first, second) in zip(keys, values, strict=True)
            }
            for part, keys, values in names
        }


def _rows(names: list[str], errors: np.ndarray) -> list[tuple[str, ...]]:
    return [
        (name, f"{first:.1f}", f"{second:.1f}")
        for name, (first, second) in zip(names, errors, strict=True)
    ]
