"""Tests and fits on whole data sets; numbers only."""
