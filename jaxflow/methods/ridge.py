"""Ridge regression in closed form, with what the others say of each group of people.

    features (N, F), targets (N, D), groups (N,) -> weights (F, D), and (G, F, D)

A regression is surer of frames that it was made of than of others. Weights number g
are made of all frames but those of group g, so that what they leave unexplained there
is what is left on people nobody has seen. How strong the ridge is, that error chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

# Of the mean square of the features.
STRENGTHS = (1e-3, 1e-2, 3e-2, 1e-1)
CHUNK = 8192


class Weights(NamedTuple):
    """What regressions give.

    Attributes:
      all: (F, D) of all frames.
      others: (G, F, D) of all frames but a group's.
    """

    all: np.ndarray
    others: np.ndarray


class Ridge:
    """The features' products, from which any targets are regressed on them."""

    def __init__(
        self, features: Callable[[slice], np.ndarray], group: np.ndarray, groups: int
    ):
        """Sums the products, a stretch of rows after the other.

        Args:
          features: gives some rows' (n, F) float32, the last of them 1.
          group: (N,) whole numbers below ``groups``.
          groups: how many.
        """
        self._features, self._group, self._groups = features, group, groups
        self._products = self._summed(lambda rows, phi: phi)

    def fit(self, targets: np.ndarray) -> Weights:
        """Weights for targets (N, D) float32."""
        crossed = self._summed(lambda rows, phi: targets[rows])
        tried = []
        present = np.unique(self._group)
        for strength in STRENGTHS:
            others = self._others(crossed, strength)
            error = 0.0
            for g in present:
                explained = 2 * crossed[g] - self._products[g] @ others[g]
                error -= float(np.sum(others[g] * explained))
            tried.append((error, strength, others))
        _, best, others = min(tried, key=lambda one: one[0])
        whole = self._solved(self._products.sum(0), crossed.sum(0), best)
        for g in set(range(self._groups)) - set(present.tolist()):
            others[g] = whole
        return Weights(whole.astype(np.float32), others.astype(np.float32))

    def residuals(self, targets: np.ndarray, weights: Weights) -> np.ndarray:
        """(N, D) float32: what the others' weights leave of the targets."""
        left = np.empty_like(targets)
        for rows, phi in self._chunks():
            for g in np.unique(self._group[rows]):
                mine = np.flatnonzero(self._group[rows] == g)
                theirs = targets[rows][mine] - phi[mine] @ weights.others[g]
                left[rows.start + mine] = theirs
        return left

    def _others(self, crossed: np.ndarray, strength: float) -> np.ndarray:
        """(G, F, D), zero where a group has no frames."""
        present = np.unique(self._group)
        products, all_crossed = self._products.sum(0), crossed.sum(0)
        solved = np.zeros(crossed.shape)
        for g in present:
            alone = len(present) == 1  # nobody else is there to say something
            left_out = 0 if alone else 1
            solved[g] = self._solved(
                products - left_out * self._products[g],
                all_crossed - left_out * crossed[g],
                strength,
            )
        return solved

    @staticmethod
    def _solved(
        products: np.ndarray, crossed: np.ndarray, strength: float
    ) -> np.ndarray:
        penalty = strength * np.trace(products) / len(products)
        ridge = np.full(len(products), penalty)
        ridge[-1] *= 1e-6  # the constant is free
        return np.linalg.solve(products + np.diag(ridge), crossed)

    def _summed(self, other: Callable[[slice, np.ndarray], np.ndarray]) -> np.ndarray:
        """(G, F, ...) float64: each group's sum of products of features with others."""
        total: np.ndarray | None = None
        for rows, phi in self._chunks():
            second = other(rows, phi)
            if total is None:
                total = np.zeros((self._groups, phi.shape[1], second.shape[1]))
            for g in np.unique(self._group[rows]):
                mine = self._group[rows] == g
                total[g] += phi[mine].T @ second[mine]
        assert total is not None
        return total

    def _chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(self._group), CHUNK):
            rows = slice(start, min(start + CHUNK, len(self._group)))
            yield rows, self._features(rows)
