"""The 3D viewer: a page of its own, without a library or a network."""
