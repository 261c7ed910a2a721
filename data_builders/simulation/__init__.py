"""Simulated bodies, motion, cameras and 2D detector, shared by the builders.

``bodies`` and ``families`` make poses, ``motion`` makes recordings of them, ``cameras``
sees 3D joints from any source, ``occlusion`` tells which are hidden, ``detector`` turns
their projections into detections with fitted Gaussians, ``views`` joins these into
pose records, and ``studio`` is all of it for recordings before a studio's cameras,
whether they had cameras of their own or none. For pictures as anybody takes them,
``proportions`` varies bodies, ``snapshots`` places people before cameras,
``two_detectors`` finds them, and ``pictures`` is all of it.
"""
