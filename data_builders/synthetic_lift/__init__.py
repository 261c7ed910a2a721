"""Simulated bodies, cameras and 2D detections: the data set that needs no download."""
