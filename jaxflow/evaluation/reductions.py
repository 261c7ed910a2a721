"""What remains of many hypotheses when few poses, or one, are kept.

    measuring.Drawn (a batch of frames) -> MPJPE and PA-MPJPE of each way to reduce

The best of a few drawn ones and of a few K-means centres (paper appendix C, table 5),
and the single pose that each rule of ``selection`` chooses. `Reductions` is a measure
for ``measuring.measure``; what it gives is added up (`sums.grouped`), so that
hypotheses are kept for no longer than their batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.evaluation.measuring import Drawn
from jaxflow.maths.kmeans import KMeans, kmeans
from jaxflow.metrics import errors as metrics
from jaxflow.metrics import selection
from jaxflow.metrics.sums import Total

FEW = (5, 10, 200)  # numbers of hypotheses of the paper's table 5
CENTRES = (5, 10)


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
      few: numbers of hypotheses, each of ``metrics.sample_counts(M)``.
      centres: numbers of K-means centres, at most M.
      rules: of ``selection.RULES``.
    """

    few: tuple[int, ...]
    centres: tuple[int, ...]
    rules: tuple[str, ...]

    @classmethod
    def of(cls, num_hypotheses: int, log_density: bool = True) -> Reductions:
        """What the report gives of M hypotheses: no more poses than there are.

        log_density: whether the model knows it; rules that need it are left out if not.
        """
        few = {min(count, num_hypotheses) for count in FEW} | {num_hypotheses}
        possible = metrics.sample_counts(num_hypotheses)
        return cls(
            tuple(sorted(few & set(possible))),
            tuple(k for k in CENTRES if k <= num_hypotheses),
            tuple(
                name
                for name, rule in selection.RULES.items()
                if log_density or rule.needs != "log_density"
            ),
        )

    def __call__(self, drawn: Drawn) -> Reduced:
        """(B, n, 2) errors each; needs the log-densities where a rule needs them."""
        # All poses go along in one array: one alignment to compile.
        counts = metrics.sample_counts(drawn.hypotheses.shape[-3])
        clusters = {
            k: kmeans(drawn.hypotheses, k, _keys_for(drawn.keys, k))
            for k in {*self.centres, *self._clusters(drawn)}
        }
        centres = [clusters[k].centres for k in self.centres]
        single = [self._pose(rule, drawn, clusters)[:, None] for rule in self.rules]
        poses = [drawn.hypotheses, *centres, *single]
        errors = _both(jnp.concatenate(poses, axis=1), drawn.target)
        parts = _split(errors, [part.shape[1] for part in poses])
        every, *rest = parts
        best_of = metrics.expected_best(jnp.moveaxis(every, -1, 0))
        places = jnp.asarray([counts.index(count) for count in self.few])
        clustered, ruled = rest[: len(centres)], rest[len(centres) :]
        return Reduced(
            drawn=jnp.moveaxis(best_of[..., places], 0, -1),
            centres=_stacked([jnp.min(part, axis=1) for part in clustered], errors),
            poses=_stacked([part[:, 0] for part in ruled], errors),
        )

    def _clusters(self, drawn: Drawn) -> list[int]:
        """How many clusters the rules ask for, if any."""
        asked = min(selection.CLUSTERS, drawn.hypotheses.shape[-3])
        return [asked] if "largest_cluster" in self.rules else []

    def _pose(self, rule: str, drawn: Drawn, clusters: dict[int, KMeans]) -> jax.Array:
        """(B, 17, 3); the clusters of table 5 serve the largest one's rule as well."""
        if rule == "largest_cluster":
            (k,) = self._clusters(drawn)
            return selection.fullest(clusters[k])
        return selection.select(
            rule, drawn.hypotheses, mode=drawn.mode, log_density=drawn.log_density
        )


def _both(poses: jax.Array, target: jax.Array) -> jax.Array:
    """(B, n, 17, 3) and (B, 17, 3) to MPJPE and PA-MPJPE (B, n, 2) mm."""
    return jnp.stack(
        [metrics.mpjpe(poses, target), metrics.pa_mpjpe(poses, target)], -1
    )


def _split(errors: jax.Array, sizes: list[int]) -> list[jax.Array]:
    """(B, sum of sizes, 2) to its consecutive parts."""
    ends = np.cumsum(sizes)[:-1].tolist()
    return jnp.split(errors, ends, axis=1)


def _keys_for(keys: jax.Array, number: int) -> jax.Array:
    """A key a frame that the hypotheses were not drawn with."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def _stacked(parts: list[jax.Array], like: jax.Array) -> jax.Array:
    """(B, n, 2) of n arrays (B, 2), also where there are none."""
    if parts:
        return jnp.stack(parts, axis=1)
    return jnp.zeros((like.shape[0], 0, 2), like.dtype)


class ReductionResult(NamedTuple):
    """What was reduced, and the errors averaged over actions, mm."""

    reductions: Reductions
    average: Reduced

    @classmethod
    def of(cls, reductions: Reductions, totals: dict[str, Total]) -> ReductionResult:
        """From each action's sums of what the measure gave."""
        means = [
            [leaf / total.frames for leaf in total.sums]
            for _, total in sorted(totals.items())
        ]
        average = (np.mean(leaf, axis=0) for leaf in zip(*means, strict=True))
        return cls(reductions, Reduced(*average))

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
