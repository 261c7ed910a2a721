"""The 2D detector: from a picture of a person to joint heatmaps."""
