"""A detector's heatmaps or keypoints become fitted Gaussians, and these the condition.

The face has the conventions of a Gaussian's covariance; `jaxflow.fit_gaussians` and
`jaxflow.condition` are the two steps.
"""

from jaxflow.gaussians.ellipses import (
    AMBIGUOUS_SIGMA,
    covariance_image_frame,
    covariance_pose_frame,
    flip_y,
    from_quadratic,
    from_released_layout,
    is_ambiguous,
    sigma_theta,
    symmetric,
    to_quadratic,
    to_released_layout,
)

__all__ = [
    "AMBIGUOUS_SIGMA",
    "covariance_image_frame",
    "covariance_pose_frame",
    "flip_y",
    "from_quadratic",
    "from_released_layout",
    "is_ambiguous",
    "sigma_theta",
    "symmetric",
    "to_quadratic",
    "to_released_layout",
]
