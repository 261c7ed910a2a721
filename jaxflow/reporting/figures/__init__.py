"""Drawings, each a function from arrays to a Matplotlib figure; no global state.

Needs the extra ``report``.
"""
