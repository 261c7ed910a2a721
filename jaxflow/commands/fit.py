"""Fits Gaussians to a file of heatmaps.

    python -m jaxflow.fit --heatmaps=maps.npy --out=fits.npz

The file, of any size, holds (..., rows, columns), for example (images, 16, 64, 64). The
answer holds `fits` (..., 7) = A, x0, y0, sx, theta, sy, rmse in heatmap px, the same
field by field, and `converged`. Interrupted and started again with the same flags, it
goes on where it was. --figure=sheet.png draws some of the fits (extra `report`).

Exit status 0 if every map has an answer, 2 if some have none (empty, flat, not finite:
`converged` is False), 1 if nothing could be done.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from jaxflow import commands
from jaxflow.gaussians import fitting, heatmaps, scales
from jaxflow.prediction import fits as fit_files
from jaxflow.reporting import report
from jaxflow.runs import array_files, files
from jaxflow.runs.errors import UserError

flags = commands.Flags(__name__)

_HEATMAPS = flags.path(
    "heatmaps", None, "File of heatmaps: .npy, .npz, .h5 or .hdf5.", required=True
)
_OUT = flags.path("out", None, "The .npz file to write.", required=True)
_KEY = flags.DEFINE_string(
    "key", None, "Name of the array inside an .npz or HDF5 file that holds several."
)
_STARTS = flags.path(
    "starts", None, "File of start means (..., 2), column and row; default the maxima."
)
_CLAMP = flags.DEFINE_bool(
    "clamp", True, "Cut values above 1 first, as the released code does."
)
_MAPS = flags.DEFINE_enum(
    "maps", "probability", scales.SCALES, "What the values of the heatmaps are."
)
_FIGURE = flags.path(
    "figure", None, "Picture to draw: heatmap, ellipses and residual of some maps."
)
_FIGURE_MAPS = flags.DEFINE_integer(
    "figure_maps", 16, "How many maps the picture shows: the first ones.", lower_bound=1
)
flags.adopt(commands)


SOME_UNANSWERED = 2  # exit status
_LISTED = 5  # of the maps without a fit


def main(argv: Sequence[str]) -> int:
    """Opens, fits, writes, draws, counts."""
    commands.no_arguments(argv)
    out, source = pathlib.Path(_OUT.value), pathlib.Path(_HEATMAPS.value)
    if out.suffix != ".npz":
        raise UserError(f"expected --out to end in .npz; got {out}")
    files.check_file(out, "--out")
    _check_apart()
    if _FIGURE.value:
        _check_figure(_FIGURE.value)
    maps = _open(source)
    starts = _open_starts(maps)
    options = {"clamp": _CLAMP.value, "key": _KEY.value, "maps": _MAPS.value}
    if _STARTS.value:
        options["starts"] = files.identity(_STARTS.value)
    with fit_files.alone(out) as stop:
        about = fit_files.identity(source, maps, options)
        part = fit_files.PartFile(out, maps.shape[0], about)
        with tqdm(
            total=maps.shape[0], initial=part.done, unit="fit", unit_scale=True
        ) as bar:
            for count in fit_files.fit_rest(maps, starts, part):
                bar.update(count)
                stop.check()
        fit_files.write_npz(out, part, maps.batch)
        unanswered = np.flatnonzero(part.rows[:, 7] == 0)
        part.remove()
    count = maps.shape[0]
    print(f"written: {out}, {count - unanswered.size} of {count} fits converged")
    if _FIGURE.value:
        _draw(maps, out, _FIGURE.value)
    if not unanswered.size:
        return 0
    _tell(unanswered, maps.batch)
    return SOME_UNANSWERED


def _tell(unanswered: np.ndarray, batch: tuple[int, ...]) -> None:
    """Which maps, the first of them, have no fit."""
    few = [np.unravel_index(i, batch or (1,)) for i in unanswered[:_LISTED]]
    named = ", ".join(f"({', '.join(str(int(i)) for i in index)})" for index in few)
    more = (
        f" and {unanswered.size - len(few)} more" if unanswered.size > _LISTED else ""
    )
    print(
        f"no fit for {unanswered.size}, at {named}{more}: empty, flat, or numbers that "
        "no heatmap has; their `converged` is False",
        file=sys.stderr,
    )


class _Scaled(array_files.Flat):
    """Maps in [0, 1]: what exceeds 1 a little is cut off, as the released code does."""

    def __getitem__(self, rows: slice) -> np.ndarray:
        maps = scales.to_probability(super().__getitem__(rows), _MAPS.value)
        return np.minimum(maps, maps.dtype.type(1)) if _CLAMP.value else maps


def _open(path: pathlib.Path) -> array_files.Flat:
    """The heatmaps, checked as far as the file's header goes."""
    source = array_files.open_maps(path, _KEY.value)
    scaled = np.issubdtype(source.dtype, np.floating) and (
        _CLAMP.value or _MAPS.value != "probability"
    )
    try:
        maps = (_Scaled if scaled else array_files.Flat)(source)
        heatmaps.check_heatmaps(np.zeros(maps.shape[1:], maps.dtype))
        if scaled or source.dtype == np.uint8:
            # What the first block says of the scale holds for the file.
            raw = array_files.Flat(source)[slice(0, fitting.block_size(maps))]
            scales.check(raw, _MAPS.value)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from error
    return maps


def _open_starts(maps: array_files.Flat) -> np.ndarray | None:
    """The start means (N, 2), or None."""
    if not _STARTS.value:
        return None
    starts: Any = np.asarray(array_files.open_maps(_STARTS.value)[:])
    if starts.shape != (*maps.batch, 2):
        raise UserError(
            f"expected start means of shape {(*maps.batch, 2)} in {_STARTS.value}; got "
            f"{starts.shape}"
        )
    return starts.reshape(-1, 2).astype(np.float32)


def _check_apart() -> None:
    """Refuses to write over what is read, or the picture over the fits.

    Raises:
      UserError: two flags name one file.
    """
    read = {"--heatmaps": _HEATMAPS.value, "--starts": _STARTS.value}
    written = {"--out": _OUT.value, "--figure": _FIGURE.value}
    taken = {os.path.realpath(path): name for name, path in read.items() if path}
    for name, path in written.items():
        if path and (other := taken.setdefault(os.path.realpath(path), name)) != name:
            raise UserError(f"{name} is the file of {other}, {path}; name another")


def _check_figure(path: str) -> None:
    """Refuses, before the work, a picture that could not be drawn or written.

    Raises:
      ImportError: Matplotlib is not installed.
      UserError: no such format.
      OSError: it cannot be written there.
    """
    report.check_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    suffix = pathlib.Path(path).suffix.lower().lstrip(".") or "png"
    if suffix not in known:
        endings = ", .".join(sorted(known))
        raise UserError(f"--figure={path}: expected it to end in one of .{endings}")
    files.check_file(path, "--figure")


def _draw(maps: array_files.Flat, out: pathlib.Path, path: str) -> None:
    """The picture of the first maps."""
    from jaxflow.reporting.figures import fits as figure

    with np.load(out) as file:
        numbers = file["fits"].reshape(-1, 7)[: _FIGURE_MAPS.value]
        converged = file["converged"].reshape(-1)[: _FIGURE_MAPS.value]
    first = maps[slice(0, _FIGURE_MAPS.value)]
    figure.save(path, figure.sheet(first, numbers, converged))
    print(f"written: {path}")


if __name__ == "__main__":
    commands.run(main)
