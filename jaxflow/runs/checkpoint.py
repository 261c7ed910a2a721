"""Any model's checkpoints by orbax: how one lies on disk, written and read.

    DIR/checkpoints/<step>/params      all that using the model needs
                           training    what going on to train needs besides
                           config      JSON: what the model is, and every array's
                                       checksum

The config names the ``method`` of what lifts poses, the ``kind`` of what else there is,
a detector. A checkpoint appears under its number only when it is complete (orbax writes
aside and renames), so a half-written one is never read; one that was damaged later is
known by its checksums. A `weights_file` is read like a checkpoint without ``training``;
its path stands for the folder.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection
from typing import Any

import jax

from jaxflow.runs import files, plain_config, released, trees, weights_file
from jaxflow.runs.errors import CheckpointError, DamagedError, listed, reason

FOLDER = "checkpoints"
_LISTED = 10  # of what differs


def _orbax() -> Any:
    """Loaded where folders are read or written; a file of weights needs none of it."""
    import orbax.checkpoint

    return orbax.checkpoint


def save_items(
    directory: str | pathlib.Path,
    items: dict[str, Any],
    about: dict[str, Any],
    *,
    step: int,
) -> None:
    """Saves any model: trees of arrays, ``params`` among them, and its config.

    Args:
      directory: made if need be; must hold no checkpoint of this step or a later one,
        which would stay the folder's newest.
      items: name -> nested arrays.
      about: plain values; ``kind`` tells models other than the flow.
      step: the checkpoint's number.

    Raises:
      CheckpointError: the checkpoint or a later one is there already, or it cannot be
        written.
    """
    folder = pathlib.Path(directory).expanduser().absolute() / FOLDER
    check_vacant(directory, step=step)
    host = jax.device_get(items)
    try:
        with _orbax().CheckpointManager(folder) as manager:
            saved = manager.save(step, args=as_saved(host, about))
    except Exception as error:
        raise CheckpointError(
            f"{folder} could not be written: {reason(error)}"
        ) from error
    if not saved:  # orbax says no more than that
        raise CheckpointError(
            f"{folder / str(step)} was not written; take another folder"
        )


def check_vacant(directory: str | pathlib.Path, *, step: int = 0) -> None:
    """Refuses a folder that `save_items` could not save to.

    Args:
      directory: need not be there.
      step: the number that a checkpoint would get.

    Raises:
      CheckpointError: a checkpoint of this step or a later one is there.
      OSError: the folder cannot be written to.
    """
    files.check_folder(directory)
    folder = pathlib.Path(directory).expanduser().absolute() / FOLDER
    steps = _orbax().utils.checkpoint_steps(folder) if folder.is_dir() else []
    newest = max(steps, default=-1)
    if newest >= step:
        raise CheckpointError(
            f"{folder / str(newest)} exists already, and a checkpoint of step {step} "
            "would not be the newest there; take another folder"
        )


def find(directory: str | pathlib.Path) -> pathlib.Path:
    """The folder of the checkpoint that counts in or at ``directory``.

    Of a run that keeps its best that one, of any other the newest complete one.

    Args:
      directory: a run's workdir, its ``checkpoints`` folder, one checkpoint's folder, a
        file of weights, or as a ``str`` the name of a model that comes with the package
        (see `released`).

    Returns:
      The checkpoint's folder, or the file of weights; absolute.

    Raises:
      CheckpointError: there is none; says where it was looked for.
    """
    if file := released.path_of(directory):
        return file
    directory = pathlib.Path(directory).expanduser().absolute()
    if directory.is_file() or (directory / "params").is_dir():
        return directory
    for folder in (directory / FOLDER, directory):
        if folder.is_dir():
            steps = _orbax().utils.checkpoint_steps(folder)
            if steps:
                return folder / str(_counting(folder, steps))
    state = "holds no complete checkpoint" if directory.exists() else "does not exist"
    known = released.names()
    named = f", or a model that is here: {', '.join(known)}" if known else ""
    raise CheckpointError(
        f"{directory} {state}; expected a training run's --workdir, its "
        f"'{FOLDER}' folder, one checkpoint, or a file of weights{named}"
    )


def _counting(folder: pathlib.Path, steps: Collection[int]) -> int:
    newest = max(steps)
    try:
        best_counts = read_about(folder / str(newest)).get("keep_best")
    except DamagedError:  # whoever reads it will say so
        return newest
    known = figures(folder, steps) if best_counts else {}
    return min(known, key=lambda step: known[step], default=newest)


def figures(folder: pathlib.Path, steps: Collection[int]) -> dict[int, float]:
    """The figures that validated checkpoints have, the lower the better, by step.

    Args:
      folder: a run's ``checkpoints``.
      steps: of the complete ones; damaged ones have no figure.
    """
    known = {}
    for step in steps:
        try:
            figure = read_about(folder / str(step)).get("figure")
        except DamagedError:
            continue
        if figure is not None:
            known[step] = figure
    return known


def as_saved(items: dict[str, Any], about: dict[str, Any]) -> Any:
    """Orbax's arguments for a checkpoint of host arrays and its config.

    Args:
      items: name -> nested arrays.
      about: plain values; gets the arrays' checksums.
    """
    arguments = _orbax().args
    sums = {name: trees.checksums(tree) for name, tree in items.items()}
    args = {name: arguments.StandardSave(tree) for name, tree in items.items()}
    config = arguments.JsonSave({**about, "checksums": sums})
    return arguments.Composite(**args, config=config)


def read_about(folder: pathlib.Path) -> dict[str, Any]:
    """The config of the checkpoint that `find` gave, as plain values.

    Raises:
      CheckpointError: a file of weights that a later version has written.
      DamagedError: it cannot be read.
    """
    if folder.is_file():
        return weights_file.read_about(folder)
    try:
        return dict(_orbax().JsonCheckpointHandler().restore(folder / "config"))
    except Exception as error:
        raise DamagedError(
            f"{folder}: its config cannot be read: {reason(error)}"
        ) from error


def restore_tree(folder: pathlib.Path, target: Any) -> Any:
    """Arrays of exactly the target's structure, shapes and dtypes, and the saved bits.

    Args:
      folder: an item's within what `find` gave.
      target: a tree of arrays, or of their shapes and dtypes.

    Raises:
      DamagedError: the folder holds others, cannot be read, or an array's checksum is
        not the recorded one (older checkpoints have none).
    """
    if folder.parent.is_file():
        found = weights_file.read_params(folder.parent)
        check_tree(found, target, str(folder.parent))
        found = jax.device_put(found, jax.local_devices()[0])
    else:
        found = _from_orbax(folder, target)
    recorded = read_about(folder.parent).get("checksums", {}).get(folder.name)
    differing = [] if recorded is None else trees.other_bits(found, recorded)
    if differing:
        named = listed(differing, _LISTED)
        raise DamagedError(f"{folder} is damaged: the checksum differs of\n  {named}")
    return found


def _from_orbax(folder: pathlib.Path, target: Any) -> Any:
    # The handler itself: a checkpointer would look for the whole checkpoint's metadata.
    ocp = _orbax()
    handler = ocp.StandardCheckpointHandler()
    where = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
        target,
    )
    try:
        stored = handler.metadata(folder)
        check_tree(getattr(stored, "tree", stored), target, str(folder))
        return handler.restore(folder, args=ocp.args.StandardRestore(shapes))
    except DamagedError:
        raise
    except Exception as error:
        raise DamagedError(
            f"{folder} cannot be read, it may be damaged: {reason(error)}"
        ) from error
    finally:
        handler.close()


def check_same(
    ours: dict[str, Any],
    theirs: dict[str, Any],
    what: str,
    *,
    advice: str,
    longer: Collection[str] = (),
) -> None:
    """A run goes on only with what it began with, but may be longer.

    Args:
      ours: nested plain values that say what the run is.
      theirs: of the run that is there.
      what: where that one is.
      advice: what the user may do instead.
      longer: names of the values that may differ.

    Raises:
      CheckpointError: names every difference.
    """
    lines = plain_config.differences(ours, theirs, skip=longer)
    if lines:
        listed = "\n  ".join(lines)
        raise CheckpointError(f"{what} belongs to another run:\n  {listed}\n{advice}")


def check_tree(stored: Any, wanted: Any, where: str) -> None:
    """Refuses another structure, shape or dtype: orbax would cast silently.

    Raises:
      DamagedError: names the leaves that differ.
    """
    problems = trees.differences(stored, wanted)
    if problems:
        raise DamagedError(f"{where} is not this model:\n  {listed(problems, _LISTED)}")
