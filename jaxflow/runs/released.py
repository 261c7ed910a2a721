"""The models that come with the package, by name.

    NAME <-> jaxflow/methods/pretrained/NAME.npz, a `weights_file`

A name is a ``str`` without a slash. It means the same in every working directory, also
where a folder of that name lies: a program that says "cmu" must not change what it
computes with where it is started. The folder is said as ``./cmu``, or as a
``pathlib.Path``; where it holds a run, a warning says so.
"""

from __future__ import annotations

import pathlib
import warnings

from jaxflow.runs import weights_file
from jaxflow.runs.errors import UserError

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "methods" / "pretrained"
DEFAULT = "cmu"  # what is taken where nothing is said


def pretrained(folder: pathlib.Path | None = None) -> dict[str, str]:
    """The models that come with the package.

    Args:
      folder: of the files; default the package's own.

    Returns:
      Name, for `load_params` or ``--checkpoint``, to a line that says what it is.
    """
    return {
        path.stem: str(weights_file.read_about(path).get("line", ""))
        for path in _files(folder)
    }


def path_of(name: object, folder: pathlib.Path | None = None) -> pathlib.Path | None:
    """The file of a model by its name; None where it is no model's name."""
    if not isinstance(name, str):
        return None
    found = {path.stem: path for path in _files(folder)}.get(name)
    if found is not None and (pathlib.Path(name) / "checkpoints").is_dir():
        warnings.warn(
            f"{name!r} is the model that comes with jaxflow, not the run in the folder "
            f"of that name here; say ./{name} for that",
            stacklevel=2,
        )
    return found


def default() -> str:
    """The name of the model that is taken where none is named.

    Raises:
      UserError: it is not here; says how to get one.
    """
    if DEFAULT not in names():
        raise UserError(
            "no model comes with this copy of jaxflow: expected --checkpoint=DIR, such "
            "as launch/quickstart trains in minutes, or a file of weights"
        )
    return DEFAULT


def names(folder: pathlib.Path | None = None) -> list[str]:
    """The names alone, without a look into the files."""
    return [path.stem for path in _files(folder)]


def _files(folder: pathlib.Path | None) -> list[pathlib.Path]:
    return sorted((folder or FOLDER).glob(f"*{weights_file.SUFFIX}"))
