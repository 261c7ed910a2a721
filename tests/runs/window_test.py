"""Means between two lines of a log, of as many iterations as came."""

import numpy as np
import pytest

from jaxflow.runs.errors import NonFiniteError
from jaxflow.runs.window import Window


def test_means_are_of_what_came_since_the_last():
    window = Window(("a", "b"), 44, lambda: "")
    window.add(np.float32([[1, 10], [3, 20]]))
    window.add(np.float32([[5, 60]]))
    assert (window.step, window.iterations) == (47, 3)
    assert window.means() == {"a": 3.0, "b": 30.0}
    assert window.iterations == 0
    window.add(np.float32([[7, 1]]))
    assert window.iterations == 1 and window.means() == {"a": 7.0, "b": 1.0}
    assert window.last == {"a": 7.0, "b": 1.0} and window.step == 48


def test_what_is_not_finite_is_named():
    window = Window(("a", "b"), 44, lambda: "the checkpoint of step 40 is kept")
    with pytest.raises(NonFiniteError, match="loss b of iteration 46 .* step 40 is"):
        window.add(np.float32([[1, 10], [3, np.nan]]))
