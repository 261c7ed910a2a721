"""The checkpoints of one run by orbax: saved, kept, restored, passed over if damaged.

    state -> DIR/checkpoints/<step>, see `checkpoint`

Saving runs in the background. The newest N stay and, if asked for, the best. A damaged
one is moved aside to ``<step>.damaged`` and the one before it is used. Which is newest
is told by the step alone: no clock is read. Of several processes of one run only the
first makes a `Checkpointer`.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxflow.runs import checkpoint
from jaxflow.runs.checkpoint import CheckpointError, DamagedError
from jaxflow.runs.errors import reason


class Checkpointer:
    """Saves and restores the states of one run.

    Attributes:
      set_aside: what `restore` has to say of damaged checkpoints it passed over.
    """

    def __init__(
        self,
        workdir: str | pathlib.Path,
        about: Mapping[str, Any],
        target: Any,
        shown: str,
        *,
        check: Callable[[pathlib.Path], None] = lambda folder: None,
        keep: int = 3,
        keep_best: bool = False,
    ):
        """Opens DIR/checkpoints, made if need be; leftovers of killed saves go.

        Args:
          workdir: the run's folder.
          about: of the run, plain values.
          target: a state, or its shapes and dtypes: a NamedTuple with a ``step``.
          shown: the field of it that is saved as the model's parameters.
          check: refuses the newest checkpoint's folder if it is another run's.
          keep: how many of the newest checkpoints stay.
          keep_best: whether the one with the lowest figure (see `save`) stays, too, and
            is the one that `checkpoint.find` finds.

        Raises:
          CheckpointError: the run there is another one.
        """
        self.set_aside: list[str] = []
        self._saving = 0  # the step that was saved last, maybe not on disk yet
        self._about, self._target, self._shown = dict(about), target, shown
        self._folder = pathlib.Path(workdir).expanduser().absolute() / checkpoint.FOLDER
        self._keep = _Keep(keep, keep_best)
        self._damaged: dict[int, str] = {}  # which `check` could not read
        self._folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            create=False,
            preservation_policy=self._keep,
            cleanup_tmp_directories=True,
            multiprocessing_options=_this_process_alone(),
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        try:
            self._check(check)
        except BaseException:
            self._manager.close()
            raise
        known = checkpoint.figures(self._folder, self._steps())
        self._keep.figures.update(known)

    def _check(self, check: Callable[[pathlib.Path], None]) -> None:
        for step in reversed(self._steps()):
            try:
                return check(self._folder / str(step))
            except DamagedError as error:  # `restore` sets it aside
                self._damaged[step] = str(error)

    def _steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """Step of the checkpoint with the lowest figure; None where none has one."""
        return self._keep.best_step(self._steps())

    def save(self, state: Any, figure: float | None = None) -> None:
        """Saves in the background; the state may be donated right after the call.

        Args:
          state: of another step than the newest checkpoint's, or nothing is done.
          figure: by which the best checkpoint is known, the lower the better.

        Raises:
          CheckpointError: it (or the save before) could not be written.
        """
        host = jax.device_get(state)
        step = int(host.step)
        if step == self._manager.latest_step():
            return
        about = self._about | ({"keep_best": True} if self._keep.best else {})
        if figure is not None:
            about["figure"] = figure
            self._keep.figures[step] = figure
        self.wait()
        self._saving = step
        try:
            content = checkpoint.as_saved(self._items(host), about)
            saved = self._manager.save(step, args=content)
        except Exception as error:
            raise self._unwritten(f"the checkpoint of step {step}", error) from error
        if not saved:
            reason = RuntimeError("a later one is there")
            raise self._unwritten(f"the checkpoint of step {step}", reason)

    def _items(self, state: Any) -> dict[str, Any]:
        """The model's parameters, and what going on to train needs besides."""
        fields = state._asdict()
        params = fields.pop(self._shown)
        rest = {name: leaf for name, leaf in fields.items() if leaf is not None}
        return {"params": params, "training": rest}

    def wait(self) -> None:
        """Returns once everything saved is on disk.

        Raises:
          CheckpointError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            which = f"the checkpoint of step {self._saving}"
            raise self._unwritten(which, error) from error

    def restore(self) -> Any:
        """The newest state, on the default device; None where there is none.

        Damaged checkpoints are passed over, moved aside and named in `set_aside`.

        Raises:
          CheckpointError: there are checkpoints and none of them can be read.
        """
        damaged = dict(self._damaged)
        for step in reversed(self._steps()):
            if step in damaged:
                continue
            try:
                state = self._read(self._folder / str(step))
            except DamagedError as error:
                damaged[step] = str(error)
                continue
            self._move_aside(damaged)
            return state
        if damaged:
            listed = "\n".join(damaged.values())
            raise DamagedError(
                f"no checkpoint in {self._folder} can be read; remove the folder to "
                f"begin anew:\n{listed}"
            )
        return None

    def _read(self, folder: pathlib.Path) -> Any:
        items = {
            name: checkpoint.restore_tree(folder / name, tree)
            for name, tree in self._items(self._target).items()
        }
        fields = {self._shown: items["params"], **items["training"]}
        return type(self._target)(**fields)

    def _move_aside(self, damaged: dict[int, str]) -> None:
        for step, message in damaged.items():
            place = self._folder / f"{step}.damaged"
            if place.exists():
                shutil.rmtree(place)
            (self._folder / str(step)).rename(place)
            self._keep.figures.pop(step, None)
            self.set_aside.append(f"{message}\nit is set aside as {place}")
        if damaged:
            self._manager.reload()

    def close(self) -> None:
        """Waits for saves under way and lets the folder go."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def _unwritten(self, which: str, error: Exception) -> CheckpointError:
        kept = ocp.utils.checkpoint_steps(self._folder)
        newest = f"step {max(kept)}" if kept else "none"
        return CheckpointError(
            f"{which} could not be written to {self._folder}: {reason(error)} "
            f"(newest complete checkpoint: {newest}; free disk space: "
            f"{shutil.disk_usage(self._folder).free / 2**20:.0f} MiB)"
        )


@dataclasses.dataclass
class _Keep:
    """Answers orbax which checkpoints stay: the newest by step, and the best."""

    newest: int
    best: bool
    figures: dict[int, float] = dataclasses.field(default_factory=dict)

    def best_step(self, steps: Sequence[int]) -> int | None:
        """Of the steps given, the one with the lowest figure."""
        known = [step for step in steps if step in self.figures]
        return min(known, key=lambda step: self.figures[step]) if known else None

    def should_preserve(
        self, checkpoints: Sequence[Any], *, context: Any
    ) -> Sequence[bool]:
        """An answer for each of orbax's descriptions of a checkpoint."""
        del context
        steps = [info.step for info in checkpoints]
        kept: set[int | None] = {*sorted(steps)[-self.newest :]}
        if self.best:
            kept.add(self.best_step(steps))
        return [step in kept for step in steps]


def _this_process_alone() -> Any:
    """Orbax's setting not to wait for the other processes of a run."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    number = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=number,
        active_processes={number},
        barrier_sync_key_prefix=f"p{number}",
    )
