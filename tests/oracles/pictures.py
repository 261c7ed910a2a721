"""Crops and joints, a pixel at a time."""

import math

import numpy as np


def warp(picture, center, side, size=256):
    """Bilinear samples of a picture on black: the whole of ``cv2.warpAffine``.

    Crop pixel (j, i) is at center + ((j, i) - size / 2) side / size.
    """
    height, width = picture.shape[:2]
    crop = np.zeros((size, size, picture.shape[2]))
    for i in range(size):
        for j in range(size):
            x = center[0] + (j - size / 2) * side / size
            y = center[1] + (i - size / 2) * side / size
            for row in (math.floor(y), math.floor(y) + 1):
                for column in (math.floor(x), math.floor(x) + 1):
                    if 0 <= row < height and 0 <= column < width:
                        weight = (1 - abs(x - column)) * (1 - abs(y - row))
                        crop[i, j] += weight * picture[row, column]
    return crop


def dark(heatmap, width=11, sigma=2.0, farthest=1.5):
    """DARK's rule: smooth, logarithm, one Newton step from the largest pixel."""
    rows, columns = heatmap.shape
    row, column = divmod(int(heatmap.argmax()), columns)
    reach = width // 2
    kernel = np.array(
        [
            [
                math.exp(-(i * i + j * j) / (2 * sigma**2))
                for j in range(-reach, reach + 1)
            ]
            for i in range(-reach, reach + 1)
        ]
    )
    padded = np.pad(heatmap.astype(float), reach)
    smooth = np.array(
        [
            [
                (kernel * padded[i : i + width, j : j + width]).sum()
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    )
    smooth *= heatmap.max() / smooth.max()
    logs = np.log(np.maximum(smooth, 1e-10))
    place = np.array([column, row], float)
    if not (1 < column < columns - 2 and 1 < row < rows - 2):
        return place
    gradient = np.array(
        [
            (logs[row, column + 1] - logs[row, column - 1]) / 2,
            (logs[row + 1, column] - logs[row - 1, column]) / 2,
        ]
    )
    twice = 2 * logs[row, column]
    xx = (logs[row, column + 2] - twice + logs[row, column - 2]) / 4
    yy = (logs[row + 2, column] - twice + logs[row - 2, column]) / 4
    xy = (
        logs[row + 1, column + 1]
        - logs[row - 1, column + 1]
        - logs[row + 1, column - 1]
        + logs[row - 1, column - 1]
    ) / 4
    hessian = np.array([[xx, xy], [xy, yy]])
    if np.linalg.eigvalsh(hessian).max() >= 0:
        return place
    step = -np.linalg.solve(hessian, gradient)
    return place + step if np.abs(step).max() <= farthest else place
