"""The sampler as a file that runs without this package.

    fits (b, 16, 7), pose2d (b, 16, 2), z (b, m, 16) -> hypotheses (b, m, 17, 3)

Everything between a detector's output and 3D poses in one graph, the weights among it:
condition, normalisation, the flow backwards, the hip put back. Both b, the poses, and
m, the hypotheses, are free. The latents z ~ N(0, I) come in from outside, so that the
file has no random generator and every runtime gives the same answer; scaled by a
temperature, zeros give the z = 0 pose.

Two formats. StableHLO by ``jax.export``: for cpu, cuda and tpu in one file, run by JAX,
which promises to read it for six months of releases. ONNX (``onnx_graph``): run by
onnxruntime and others, and of no such limit. Both are for deployment; the checkpoint
is what lasts.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxflow.config import SoftClamp
from jaxflow.flow import sampling
from jaxflow.gaussians.condition import condition
from jaxflow.maths import geometry
from jaxflow.runs.errors import UserError, missing
from jaxflow.types import Params

PLATFORMS = ("cpu", "cuda", "tpu")
# Of the largest coordinate: other runtimes add in another order.
TOLERANCE = 1e-4
_SHAPES = ((1, 1), (3, 7))  # (b, m) that a file is checked at


class SamplerInputs(NamedTuple):
    """What an exported sampler takes, float32.

    Attributes:
      fits: (b, 16, 7) heatmap px, MPII order: A, x0, y0, sx, theta, sy, rmse.
      pose2d: (b, 16, 2) in any unit, x right and y down, MPII order.
      z: (b, m, 16) latents.
    """

    fits: Any
    pose2d: Any
    z: Any


Sampler = Callable[..., Any]


def sampler(params: Params, clamp: SoftClamp) -> Sampler:
    """The function that is exported.

    Args:
      params: a flow's.
      clamp: the soft clamp it was trained with.

    Returns:
      A pure function of the three arrays of `SamplerInputs` that gives hypotheses
      (b, m, 17, 3): metres, H36M-17, hip at 0, camera frame (x right, y down, z away).
    """

    def hypotheses(fits: jax.Array, pose2d: jax.Array, z: jax.Array) -> jax.Array:
        observed = geometry.normalize_pose2d(pose2d)
        return sampling.poses(params, z, observed, condition(fits), clamp)

    return hypotheses


def to_stablehlo(params: Params, clamp: SoftClamp) -> bytes:
    """The sampler as ``jax.export`` writes it, b and m symbolic.

    Raises:
      ImportError: flatbuffers is not installed.
    """
    b, m = jax.export.symbolic_shape("b, m")
    shapes = SamplerInputs((b, 16, 7), (b, 16, 2), (b, m, 16))
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    exported = jax.export.export(jax.jit(sampler(params, clamp)), platforms=PLATFORMS)(
        *arguments
    )
    try:
        return bytes(exported.serialize())
    except ImportError as error:
        raise missing("writing StableHLO", "flatbuffers", "export") from error


def open_stablehlo(content: bytes) -> Sampler:
    """The sampler in the file.

    Raises:
      ImportError: flatbuffers is not installed.
      UserError: it is no such file, or of a JAX that this one cannot read.
    """
    try:
        exported = jax.export.deserialize(bytearray(content))
    except ImportError as error:
        raise missing("reading StableHLO", "flatbuffers", "export") from error
    except Exception as error:
        # Whatever is wrong with the bytes, flatbuffers stumbles over it in its own way.
        raise UserError(f"no sampler in StableHLO: {error!r}") from error
    return jax.jit(exported.call)


def check(run: Sampler, params: Params, clamp: SoftClamp) -> float:
    """Compares a sampler that was read back with the library's.

    Args:
      run: takes and gives arrays as `sampler`'s function does.
      params: of the flow that it should be.
      clamp: its soft clamp.

    Returns:
      The largest difference, in units of the largest coordinate.

    Raises:
      UserError: another shape, or a difference above ``TOLERANCE``.
    """
    worst = 0.0
    for shape in _SHAPES:
        inputs = example_inputs(*shape)
        expected = np.asarray(_library(params, inputs, clamp))
        got = functools.partial(run, *inputs)
        worst = max(worst, compared(got, expected, str(shape)))
    return worst


def compared(run: Callable[[], Any], expected: np.ndarray, what: str) -> float:
    """The difference of what a sampler gives, in units of the largest coordinate.

    Args:
      run: draws with a file that was read back.
      expected: what the checkpoint gives.
      what: was asked for.

    Raises:
      UserError: another shape, or a difference above ``TOLERANCE``.
    """
    try:
        got = np.asarray(run())
    except (TypeError, ValueError) as error:
        raise UserError(f"it does not take {what}: {error}") from error
    if got.shape != expected.shape:
        raise UserError(
            f"it gives {got.shape} for {what}; the checkpoint {expected.shape}"
        )
    size = max(float(np.abs(expected).max()), 1.0)
    difference = float(np.abs(got - expected).max()) / size
    if not difference <= TOLERANCE:
        raise UserError(
            f"its poses differ from the checkpoint's by {difference:.2g} of the "
            f"largest coordinate, expected at most {TOLERANCE:g}: it was made of "
            "another checkpoint, or is damaged"
        )
    return difference


@functools.partial(jax.jit, static_argnames="clamp")
def _library(params: Params, inputs: SamplerInputs, clamp: SoftClamp) -> jax.Array:
    """What the files are compared with, compiled once a shape."""
    return jnp.asarray(sampler(params, clamp)(*inputs))


def example_inputs(b: int, m: int, seed: int = 0) -> SamplerInputs:
    """Inputs for every branch: sure and unsure joints, signs, numbers to clip."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(-2, 66, (b, 16, 2))
    amplitude = rng.uniform(-0.1, 1.4, (b, 16))
    sigma = rng.uniform(0.1, 12, (b, 16, 2)) * rng.choice([-1, 1], (b, 16, 2))
    sigma[:, ::2] = rng.uniform(1.5, 2.5, sigma[:, ::2].shape)
    theta = rng.uniform(-4, 4, (b, 16))
    columns = [
        amplitude,
        *np.moveaxis(means, -1, 0),
        sigma[..., 0],
        theta,
        sigma[..., 1],
        np.zeros((b, 16)),
    ]
    fits, pose2d = np.stack(columns, -1), 4 * means + 100
    z = rng.normal(size=(b, m, 16))
    return SamplerInputs(*(array.astype(np.float32) for array in (fits, pose2d, z)))


_PROGRAM = """
import numpy as np
{imports}

{opening}
with np.load("fits.npz") as file:  # from python -m jaxflow.fit
    fits = file["fits"].reshape(-1, 16, 7)
pose2d = fits[..., 1:3]  # or the detector's joints (n, 16, 2), any unit, y down
{noise}
{call}
print(poses.shape, poses[0].std(axis=0).max())  # (n, 200, 17, 3) metres
"""

_LATENTS = (
    "z = np.random.default_rng(0).normal(size=(len(fits), 200, 16)).astype(np.float32)"
)
_STABLEHLO = {
    "imports": "from jax import export",
    "opening": 'with open({path!r}, "rb") as file:\n'
    "    sampler = export.deserialize(bytearray(file.read()))",
    "noise": _LATENTS,
    "call": "poses = np.asarray(sampler.call(fits, pose2d, z))",
}
_FORMS = {
    "stablehlo": _STABLEHLO,
    "onnx": {
        "imports": "import onnxruntime",
        "opening": "session = onnxruntime.InferenceSession({path!r})",
        "noise": _LATENTS,
        "call": 'poses = session.run(None, {{"fits": fits, "pose2d": pose2d, '
        '"z": z}})[0]',
    },
}
FORMATS = tuple(_FORMS)
_SEEDED = {
    **_STABLEHLO,
    "noise": "seeds = np.random.default_rng(0).integers("
    "0, 2**32, (len(fits), 2), np.uint32)",
    "call": "poses = np.asarray(sampler.call(fits, pose2d, seeds, np.float32(1)))",
}


def program(kind: str, path: str, *, seeded: bool = False) -> str:
    """A short program that draws hypotheses with the file and without this package.

    Args:
      kind: one of ``FORMATS``.
      path: of the file; the program has it as a string, whatever it holds.
      seeded: it takes seeds and a temperature in place of latents, as other methods'
        files do (``methods.exported``).
    """
    form = _SEEDED if seeded else _FORMS[kind]
    parts = {name: text.format(path=path) for name, text in form.items()}
    return textwrap.dedent(_PROGRAM).format(**parts).lstrip()
