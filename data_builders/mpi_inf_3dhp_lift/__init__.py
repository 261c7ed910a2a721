"""MPI-INF-3DHP's test set, with 2D detections or with its annotated 2D joints."""
