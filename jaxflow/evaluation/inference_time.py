"""How long one image takes: the fit of its heatmaps, and drawing hypotheses.

    model -> InferenceTimes: warm medians in ms on the default device, which is named

Paper appendix D times the fit of one image's sixteen heatmaps and drawing 1 and 1,000
hypotheses. Times are those of a caller who calls one time after the other: from the
call to the result being ready, the inputs on the device, everything compiled before and
the device's threads awake. They are kept in the folder of the run, with an entry for
each device and each model timed there, so that a report comes out the same again.
"""

from __future__ import annotations

import json
import math
import pathlib
import platform
import re
import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxflow.gaussians import heatmaps
from jaxflow.gaussians.condition import condition
from jaxflow.gaussians.fitting import fit_gaussians
from jaxflow.maths import batching, geometry, keys
from jaxflow.runs import checkpoint, files
from jaxflow.runs.errors import UserError
from jaxflow.types import GaussianFit, Model

FILE = "inference_times.json"
CHOICES = ("kept", "new", "off")
HYPOTHESES = (1, 200, 1000)
REPEATS = 20
_WARM_UP = 2  # the first call compiles
# Seconds of calls that do not count, and of those that do. Threads that wake up, and
# the compiler's that have just finished, share a core for hundredths of a second.
_SETTLE, _COUNTED = 0.1, 0.3


class InferenceTimes(NamedTuple):
    """Medians for one image.

    Attributes:
      device: what ran it.
      repeats: how many runs a median is of, at least.
      fit_ms: fitting sixteen 64 x 64 heatmaps.
      sample_ms: drawing hypotheses, by how many.
    """

    device: str
    repeats: int
    fit_ms: float
    sample_ms: dict[int, float]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return {
            "device": self.device,
            "repeats": self.repeats,
            "fit_16_heatmaps_ms": self.fit_ms,
            "sample_ms": {str(count): ms for count, ms in self.sample_ms.items()},
        }


def measure(
    model: Model, *, repeats: int = REPEATS, hypotheses: tuple[int, ...] = HYPOTHESES
) -> InferenceTimes:
    """Times one image on the default device; some seconds, most of them compiling.

    Args:
      model: whose parameters' values have no influence.
      repeats: runs that each median is of, at least: what is quick runs for a while.
      hypotheses: how many to draw, each timed by itself.

    Raises:
      UserError: no repeats.

    Source: paper appendix D.
    """
    if repeats < 1:
        raise UserError(f"repeats must be at least 1, not {repeats}")
    key = jax.random.key(0)
    maps = jax.block_until_ready(_image(key))
    pose2d, cond = _inputs(fit_gaussians(maps))

    def draw(count: int) -> Callable[[], Any]:
        return lambda: model.sample(pose2d, cond, key, num_hypotheses=count)

    return InferenceTimes(
        device=device_name(),
        repeats=repeats,
        fit_ms=median_ms(lambda: fit_gaussians(maps), repeats),
        sample_ms={count: median_ms(draw(count), repeats) for count in hypotheses},
    )


def kept(
    model: Model, checkpoint_dir: str, choice: str, fallback: pathlib.Path
) -> InferenceTimes | None:
    """The times, or None where they are not wanted.

    Args:
      model: to time.
      checkpoint_dir: where it is from.
      choice: one of ``CHOICES``: ``kept`` measures only if nothing is kept, ``new``
        always, and ``off`` gives None.
      fallback: a folder to keep them in where that of the run cannot be written to.

    Raises:
      UserError: what is kept is damaged.
    """
    if choice == "off":
        return None
    name = _named(model, device_name())
    folders = _folders(checkpoint_dir, fallback)
    for folder in folders if choice == "kept" else ():
        if times := _read(folder / FILE).get(name):
            return times
    measured = measure(model)
    for folder in folders:
        try:
            _write(folder / FILE, {**_read(folder / FILE), name: measured})
            break
        except OSError:
            continue
    return measured


def check(checkpoint_dir: str, fallback: pathlib.Path) -> None:
    """Refuses, before any work, kept times that `kept` would stumble over.

    Args:
      checkpoint_dir: as `kept` takes it.
      fallback: likewise.

    Raises:
      UserError: what is kept is damaged.
    """
    for folder in _folders(checkpoint_dir, fallback):
        _read(folder / FILE)


def _folders(checkpoint_dir: str, fallback: pathlib.Path) -> list[pathlib.Path]:
    """Where times are kept, the first choice first."""
    step = checkpoint.find(checkpoint_dir)
    run = [step.parents[1]] if step.parent.name == checkpoint.FOLDER else []
    return [*run, fallback]


def _named(model: Any, device: str) -> str:
    """All of a model that its times depend on, and where they were taken.

    Parameters' values do not matter; what stands around the model does.
    """
    kinds, inner = [], model
    while inner is not None:
        kinds.append(type(inner).__name__)
        inner = getattr(inner, "model", None)
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(model.parameters()))
    config = zlib.crc32(repr(model.config).encode())
    kind = " of ".join(kinds)
    return f"{device}: {model.method}, {kind}, {size} parameters, config {config:08x}"


def _read(path: pathlib.Path) -> dict[str, InferenceTimes]:
    """By `_named`; none where there is no file."""
    if not path.is_file():
        return {}
    try:
        return {
            name: InferenceTimes(
                device=str(times["device"]),
                repeats=int(times["repeats"]),
                fit_ms=_positive(times["fit_16_heatmaps_ms"]),
                sample_ms={
                    int(m): _positive(ms) for m, ms in times["sample_ms"].items()
                },
            )
            for name, times in json.loads(path.read_text()).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: expected inference times by model and device, as a report "
            f"writes them; remove the file to measure anew ({error!r})"
        ) from error


def _positive(value: Any) -> float:
    """A time in ms.

    Raises:
      UserError: it is none.
    """
    if not 0 < float(value) < math.inf:
        raise UserError(f"{value} ms")
    return float(value)


def _write(path: pathlib.Path, times: dict[str, InferenceTimes]) -> None:
    files.write_json(path, {name: each.to_json() for name, each in times.items()})


def median_ms(run: Callable[[], Any], repeats: int) -> float:
    """Median wall time of one warm call until its result is ready, ms."""
    for _ in range(_WARM_UP):
        jax.block_until_ready(run())
    calls_for(_SETTLE, run)
    return 1e3 * statistics.median(calls_for(_COUNTED, run, at_least=repeats))


def calls_for(seconds: float, run: Callable[[], Any], at_least: int = 0) -> list[float]:
    """Seconds of each call, one after the other, until so much time has passed.

    Args:
      seconds: after which no further call begins.
      run: gives what is to be waited for.
      at_least: how many calls there are, however long they take.
    """
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < at_least or time.perf_counter() < end:
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return times


@jax.jit
def _inputs(fits: GaussianFit) -> tuple[jax.Array, jax.Array]:
    return geometry.normalize_pose2d(fits.mean), condition(fits)


@jax.jit
def _image(key: jax.Array) -> jax.Array:
    """(16, 64, 64) heatmaps as a detector gives them: bumps, some wide, with noise."""
    place, width, noise = jax.random.split(key, 3)
    wide = jax.random.uniform(width, (16, 2), minval=1.9, maxval=3.0)
    fits = GaussianFit(
        amplitude=jnp.full(16, 0.9, jnp.float32),
        mean=jax.random.uniform(place, (16, 2), minval=12.0, maxval=52.0),
        sigma=wide.at[0].set(jnp.asarray([7.0, 4.0], jnp.float32)),
        theta=jnp.linspace(0, 3, 16, dtype=jnp.float32),
        rmse=jnp.zeros(16, jnp.float32),
        converged=jnp.ones(16, bool),
    )
    clean = heatmaps.render(fits)
    rough = clean + 0.01 * keys.normal_rows(noise, jnp.arange(16), clean.shape[1:])
    return jnp.clip(rough, 0, 1)


def device_name() -> str:
    """The default device: its kind, of a CPU the processor's name and the cores."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return str(device.device_kind)
    cores = batching.cores()
    return f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"


def _processor() -> str:
    """The processor's name as the system tells it, else the architecture's."""
    listing = pathlib.Path("/proc/cpuinfo")
    if listing.exists():
        name = re.search(r"^model name\s*:\s*(.+)$", listing.read_text(), re.MULTILINE)
        if name:
            return " ".join(name[1].split())
    return platform.processor() or platform.machine() or "CPU"
