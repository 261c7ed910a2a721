"""The interface that others build on: names, signatures, shapes, docstrings."""

import functools
import inspect
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxflow
import jaxflow.training.step
from tests.golden import make

EMPTY = inspect.Parameter.empty
ROOT = pathlib.Path(__file__).parents[1]
SIGNATURES = {
    "fit_gaussians": {"heatmaps": EMPTY, "init": None},
    "condition": {"fits": EMPTY},
    "normalize_pose2d": {"pixels": EMPTY},
    "normalize_pose3d": {"pose": EMPTY},
    "sample": {
        "params": EMPTY,
        "pose2d": EMPTY,
        "cond": EMPTY,
        "key": EMPTY,
        "num_hypotheses": 200,
        "temperature": 1.0,
    },
    "log_prob": {
        "params": EMPTY,
        "pose3d": EMPTY,
        "pose2d": EMPTY,
        "cond": EMPTY,
        "observation_scale": EMPTY,
    },
    "posterior": {"params": EMPTY, "pose2d": EMPTY, "cond": EMPTY},
    "init": {"key": EMPTY, "config": jaxflow.FlowConfig()},
    "load_params": {"directory": EMPTY},
    "load_temperature": {"directory": EMPTY},
    "save_params": {"directory": EMPTY, "params": EMPTY},
    "torch_weights.params_from_state": {"state": EMPTY},
    "torch_weights.critic_params_from_state": {"state": EMPTY},
    "flow.forward": {"params": EMPTY, "pose3d": EMPTY, "cond": EMPTY},
    "flow.inverse": {"params": EMPTY, "z": EMPTY, "pose2d": EMPTY, "cond": EMPTY},
    "critic.init": {"key": EMPTY},
    "critic.score": {"params": EMPTY, "pose3d": EMPTY},
    "critic.kcs": {"pose3d": EMPTY},
    "losses.mmd": {"x": EMPTY, "y": EMPTY, "unbiased": False},
    "losses.heatmap_covariance": {"hypotheses": EMPTY, "cond": EMPTY},
    "losses.best_of_m": {"hypotheses": EMPTY, "pose3d": EMPTY, "k": 5},
    "losses.gradient_penalty": {
        "critic_params": EMPTY,
        "real": EMPTY,
        "fake": EMPTY,
        "mix": EMPTY,
    },
    "metrics.mpjpe": {},
    "metrics.pa_mpjpe": {},
    "metrics.pck": {},
    "metrics.cps_curve": {},
    "metrics.cps": {},
    "metrics.calibration": {},
    "training.step.draw_noise": {"key": EMPTY, "config": EMPTY},
    "training.step.iteration": {
        "state": EMPTY,
        "batches": EMPTY,
        "noise": EMPTY,
        "config": EMPTY,
    },
}
KEYWORD_ONLY = {
    "sample": {"num_hypotheses", "temperature"},
    "log_prob": {"observation_scale"},
    "losses.mmd": {"unbiased"},
}


def find(path):
    target = jaxflow
    for name in path.split("."):
        target = getattr(target, name)
    return target


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature(path):
    """These parameters in this order; further ones have defaults or keywords."""
    parameters = inspect.signature(find(path)).parameters
    wanted = SIGNATURES[path]
    assert list(parameters)[: len(wanted)] == list(wanted)
    for name, default in wanted.items():
        got = parameters[name].default
        assert got is default or got == default, name
        if default is not EMPTY and name != "init":
            assert parameters[name].kind is not inspect.Parameter.VAR_KEYWORD
    for name in KEYWORD_ONLY.get(path, ()):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    if wanted:
        for name, parameter in list(parameters.items())[len(wanted) :]:
            keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert keyword or parameter.default is not EMPTY, name


@pytest.mark.parametrize("path", SIGNATURES)
def test_docstrings_and_types(path):
    function = find(path)
    assert inspect.getdoc(function) and len(inspect.getdoc(function)) > 40
    signature = inspect.signature(function)
    assert signature.return_annotation is not EMPTY
    assert all(p.annotation is not EMPTY for p in signature.parameters.values())


def test_fields_of_the_records():
    assert jaxflow.GaussianFit._fields == (
        "amplitude",
        "mean",
        "sigma",
        "theta",
        "rmse",
        "converged",
    )
    assert jaxflow.training.step.Noise._fields == (
        "critic_z",
        "mix",
        "mmd_z",
        "generator_z",
        "hypothesis_z",
    )
    assert jaxflow.Batch._fields == ("pose3d", "pose2d", "cond")


def test_every_public_name_is_there():
    for name in jaxflow.__all__:
        assert getattr(jaxflow, name) is not None
    assert set(jaxflow.__all__) <= set(dir(jaxflow))
    assert jaxflow.__version__.count(".") >= 1


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'jaxflow' has no attribute 'smaple'"):
        _ = jaxflow.smaple
    assert not hasattr(jaxflow, "__wrapped__")


def test_commands_and_functions_do_not_fight_for_a_name():
    """After a command's module was imported every documented name is what it was."""
    program = """
import types, jaxflow.predict, jaxflow
for name in jaxflow.__all__:
    assert not isinstance(getattr(jaxflow, name), types.ModuleType), name
assert jaxflow.predictions.__name__ == "predictions"
assert callable(jaxflow.sample_files.read) and callable(jaxflow.detections.to_fits)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    commands = {path.stem for path in (ROOT / "jaxflow" / "commands").glob("*.py")}
    assert not commands & {*jaxflow.__all__, *jaxflow._MODULES}


def test_a_clone_of_the_package_s_name_does_not_hide_it(tmp_path):
    """An editable install is a path, which goes before a folder without __init__."""
    setuptools = pytest.importorskip("setuptools", reason="builds the package")
    assert setuptools
    clone, site = tmp_path / "jaxflow", tmp_path / "site"
    clone.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone / name)
    for name in ("jaxflow", "data_builders"):
        leave_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, clone / name, ignore=leave_out)
    build = f"import setuptools.build_meta as m; m.build_editable({str(tmp_path)!r})"
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    run([sys.executable, "-c", build], cwd=clone)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert not list(site.glob("*.py"))  # no finder
    # Without the .pth files of this environment, which may have the package, too.
    libraries = sysconfig.get_paths()["purelib"]
    program = f"import sys; sys.path.append({libraries!r}); import site"
    program += f"; site.addsitedir({str(site)!r}); import jaxflow as j"
    program += "; print(j.__file__, j.condition)"
    plain = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = run([sys.executable, "-S", "-c", program], cwd=tmp_path, env=plain).stdout
    assert said.startswith(str(clone / "jaxflow" / "__init__.py"))


def test_from_heatmaps_to_hypotheses():
    """The five lines of the package's docstring, on rendered heatmaps."""
    _, pixels, _ = make.raw(70, 1)
    centre = np.clip(pixels[0] / 4, 6, 57)
    y, x = np.mgrid[:64, :64]
    squared = (x - centre[:, :1, None]) ** 2 + (y - centre[:, 1:, None]) ** 2
    heatmaps = np.exp(-squared / (2 * 2.0**2)).astype(np.float32)
    fits = jaxflow.fit_gaussians(heatmaps)
    pose2d = jaxflow.normalize_pose2d(fits.mean)
    cond = jaxflow.condition(fits)
    params = jaxflow.init(jax.random.key(0), jaxflow.FlowConfig(hidden=8, blocks=2))
    poses = jaxflow.sample(params, pose2d, cond, jax.random.key(0), num_hypotheses=3)
    np.testing.assert_allclose(fits.mean, centre, atol=1e-2)
    assert (pose2d.shape, cond.shape, poses.shape) == ((32,), (78,), (3, 17, 3))
    assert all(leaf.dtype == jnp.float32 for leaf in (pose2d, cond, poses))
    assert bool(jnp.all(jnp.isfinite(poses)))
