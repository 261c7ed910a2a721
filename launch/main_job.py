"""What a wheel must do where nothing of the repository is; run by launch/release."""

import importlib.metadata
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np

import jaxflow

place = pathlib.Path(jaxflow.__file__)
assert "site-packages" in place.parts, f"{place} is not the wheel's"
files = importlib.metadata.files("jaxflow-pose") or []
assert {"LICENSE", "NOTICE", "py.typed", "cmu.npz"} <= {file.name for file in files}

# Heatmaps of a person to hypotheses.
joints = np.random.default_rng(0).uniform(16, 48, (16, 2))
rows, columns = np.mgrid[:64, :64]
squares = (columns - joints[:, :1, None]) ** 2 + (rows - joints[:, 1:, None]) ** 2
fits = jaxflow.fit_gaussians(np.exp(-squares / 8).astype(np.float32))
pose2d, cond = jaxflow.normalize_pose2d(fits.mean), jaxflow.condition(fits)
params = jaxflow.load_params("cmu")
poses = np.asarray(jaxflow.sample(params, pose2d, cond, jax.random.key(0)))
assert poses.shape == (200, 17, 3) and np.isfinite(poses).all()
assert np.allclose(poses[:, 0], 0) and 0.05 < poses.std(0).max() < 2

# Somebody's keypoints, by the console script.
names = [f"{axis}{joint}" for joint in range(16) for axis in "xyc"]
numbers = np.column_stack([joints * 8, np.full(16, 0.9)]).ravel()
table = ",".join(names) + "\n" + ",".join(f"{number:.2f}" for number in numbers)
pathlib.Path("people.csv").write_text(table)
script = pathlib.Path(sys.executable).with_name("jaxflow")
subprocess.run([script, "predict", "people.csv", "--out=out"], check=True)
(document,) = pathlib.Path("out").glob("*/poses.json")
assert len(json.loads(document.read_text())["people"]) == 1
assert (pathlib.Path("out") / "index.html").stat().st_size > 10_000

versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy")}
print(f"the wheel works on Python {sys.version.split()[0]}, {versions}")
