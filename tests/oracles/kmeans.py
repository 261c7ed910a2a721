"""Slow K-means in plain NumPy, float64, one point at a time."""

import itertools

import numpy as np


def nearest(points, centres):
    """Labels and squared distances of points (M, D) to centres (k, D)."""
    table = [[((p - c) ** 2).sum() for c in centres] for p in points]
    labels = [int(np.argmin(row)) for row in table]
    return labels, [row[label] for row, label in zip(table, labels, strict=True)]


def lloyd(points, centres, iterations=1000):
    """Until nothing moves; an empty cluster takes the point farthest from its centre.

    Returns centres, labels and inertia.
    """
    points, centres = np.asarray(points, float), np.asarray(centres, float).copy()
    for _ in range(iterations):
        labels, distances = nearest(points, centres)
        new = centres.copy()
        outcasts = sorted(range(len(points)), key=lambda i: -distances[i])
        for cluster in range(len(centres)):
            members = [
                p for p, label in zip(points, labels, strict=True) if label == cluster
            ]
            new[cluster] = (
                np.mean(members, axis=0) if members else points[outcasts.pop(0)]
            )
        if np.array_equal(new, centres):
            break
        centres = new
    labels, distances = nearest(points, centres)
    return centres, labels, sum(distances)


def least_inertia(points, k):
    """Over every way to label the points: the global optimum. Few points only."""
    points = np.asarray(points, float)
    best = np.inf
    for labels in itertools.product(range(k), repeat=len(points)):
        chosen = np.array(labels)
        groups = [points[chosen == c] for c in range(k) if (chosen == c).any()]
        best = min(best, sum(((g - g.mean(0)) ** 2).sum() for g in groups))
    return best
