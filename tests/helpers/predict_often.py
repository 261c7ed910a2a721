"""`python -m jaxflow.predict` that saves wherever it can be gone on from.

A test that kills it need not wait for the seconds that pass between saves.
"""

import functools
import runpy

from jaxflow.prediction import files

if __name__ == "__main__":
    files.Output = functools.partial(files.Output, save_every=0.0)
    runpy.run_module("jaxflow.predict", run_name="__main__", alter_sys=True)
