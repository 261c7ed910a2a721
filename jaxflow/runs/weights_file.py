"""A model in one file, to be handed on: its parameters and what it is, no optimiser.

    parameters, about <-> NAME.npz: about.json, params/blocks/net1/... as float16

The file is a plain .npz, so that NumPy alone opens it (``numpy.load``) and ``unzip -p
NAME.npz about.json`` says what it is; nothing in it is run, and nothing is compressed,
so that no more is read than the file is long. Every array has the ZIP's checksum, and
the config that of the float32 array which it becomes again, as in a checkpoint.

float16 rounds a parameter by at most 1/2048 of itself; bfloat16, which has a range that
no network needs, by 1/256.
"""

from __future__ import annotations

import io
import json
import pathlib
import zipfile
from collections.abc import Collection
from typing import Any

import jax
import numpy as np

from jaxflow._version import __version__
from jaxflow.runs import array_files, trees
from jaxflow.runs.errors import CheckpointError, DamagedError, reason

FORMAT = 1  # of the file; one more when an older version could not read it
SUFFIX = ".npz"
_ABOUT, _PARAMS = "about.json", "params"
_YEAR = (1980, 1, 1, 0, 0, 0)  # of every entry: the same model gives the same bytes


def rounded(params: Any, exact: Collection[str] = ()) -> Any:
    """The float32 parameters that come back from a file.

    Args:
      params: nested dicts of arrays.
      exact: names at the top whose arrays stay as they are: what many large numbers
        are summed with must not be rounded.

    Raises:
      CheckpointError: one is not finite, or is rounded and too large for float16.
    """
    host = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)
    with np.errstate(over="ignore"):
        half = jax.tree.map(
            lambda leaf: leaf.astype(np.float16).astype(np.float32), host
        )
    kept = half | {name: host[name] for name in exact if name in host}
    for name, leaf in trees.by_path(kept).items():
        if not np.isfinite(leaf).all():
            why = "are not finite"
            if name.split("/")[0] not in exact:
                why = "float16 cannot hold (beyond 65504, or not finite)"
            raise CheckpointError(
                f"{name} has numbers that {why}: no file can be made of these "
                "parameters"
            )
    return kept


def to_bytes(params: Any, about: dict[str, Any], exact: Collection[str] = ()) -> bytes:
    """The content of the file.

    Args:
      params: nested dicts of arrays.
      about: plain values: what a checkpoint's config says, and more.
      exact: names at the top whose arrays are kept as float32.

    Raises:
      CheckpointError: a parameter is not finite, or is rounded and too large for
        float16.
    """
    kept = rounded(params, exact)
    sums = {_PARAMS: trees.checksums(kept)}
    told = {"format": FORMAT, "jaxflow": __version__, **about, "checksums": sums}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps(told, indent=1, allow_nan=False)
        archive.writestr(zipfile.ZipInfo(_ABOUT, _YEAR), text)
        for name, leaf in trees.by_path(kept).items():
            array = io.BytesIO()
            whole = name.split("/")[0] in exact
            leaf = leaf if whole else leaf.astype(np.float16)
            np.lib.format.write_array(array, leaf)
            entry = zipfile.ZipInfo(f"{_PARAMS}/{name}.npy", _YEAR)
            archive.writestr(entry, array.getvalue())
    return content.getvalue()


def read_about(path: pathlib.Path) -> dict[str, Any]:
    """What the model is, as plain values.

    Raises:
      CheckpointError: the file is of a later format than this version's.
      DamagedError: it is none of these files, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = dict(json.loads(_content(archive, archive.getinfo(_ABOUT))))
            version = int(about["format"])
    except Exception as error:  # damaged archives raise errors of every kind
        raise DamagedError(
            f"{path} is no file of weights, or damaged: {reason(error)}"
        ) from error
    if version > FORMAT:
        raise CheckpointError(
            f"{path} is of format {version}, written by jaxflow "
            f"{about.get('jaxflow', '?')}; this one, {__version__}, reads up to "
            f"{FORMAT}: a later jaxflow is needed"
        )
    return about


def read_params(path: pathlib.Path) -> Any:
    """The parameters as nested dicts of float32 arrays; unchecked but for the ZIP's.

    Raises:
      DamagedError: the file cannot be read.
    """
    tree: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename == _ABOUT:
                    continue
                *parents, leaf = entry.filename.removesuffix(".npy").split("/")[1:]
                branch = tree
                for parent in parents:
                    branch = branch.setdefault(parent, {})
                branch[leaf] = _array(_content(archive, entry))
    except Exception as error:
        raise DamagedError(f"{path} is damaged: {reason(error)}") from error
    return tree


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes; compressed ones, which can be of any length, are refused."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed, which no file of weights is")
    return archive.read(entry)


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    shape, _, dtype = array_files.read_header(file, len(content))
    array = np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)
    return array.astype(np.float32)
