"""Trains a flow, or goes on training where a stopped run left off.

    python -m jaxflow.train --workdir=runs/mine [--flagfile=launch/flags/NAME.flags]

The defaults are the paper's (in the released code's variant) on the embedded synthetic
data set. Stop with Ctrl-C or SIGTERM at any time; the same command goes on. The workdir
gets checkpoints/, metrics.jsonl, tensorboard/ and flags.txt, a flagfile that repeats
the run: python -m jaxflow.train --flagfile=OLD/flags.txt --workdir=NEW.

Several machines, or several processes on one, train together with --multihost, each
started with the same flags and its own number: --multihost
--coordinator_address=HOST:PORT --num_processes=2 --process_id=0, and --process_id=1 for
the other. On Cloud TPU, Slurm and Open MPI --multihost alone will do. Process 0 writes
the workdir; the others need not see it.

--recipe sets losses, learning rate, and what else belongs to them as a group, each of
which may be given another value beside it. --ablation takes one thing from the model
as a row of the paper's study does; what it sets cannot be given another value.

--init_from=NAME or DIR begins with the weights of a trained model, of the package or
your own, instead of fresh ones: the optimisers are new, the data are this run's, the
architecture is that of the weights. What they are worth on the validation's frames is
said and logged before the first iteration, as step 0.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax

from jaxflow import commands, methods
from jaxflow.commands import _multihost
from jaxflow.config import RunConfig
from jaxflow.flow import stack
from jaxflow.methods import METHODS
from jaxflow.runs import plain_config
from jaxflow.runs.errors import UserError
from jaxflow.training import cost, loop, presets
from jaxflow.types import Params

flags = commands.Flags(__name__)

_WORKDIR = flags.path(
    "workdir", None, "Folder of the run, made if need be.", required=True
)

_METHOD = flags.DEFINE_enum(
    "method", "flow", list(METHODS), "What is trained; flow: the paper's."
)
_RECIPE = flags.DEFINE_enum(
    "recipe",
    "paper",
    list(presets.RECIPES),
    f"Settings as a group. {presets.describe(presets.RECIPES)}.",
)
_ABLATION = flags.DEFINE_enum(
    "ablation",
    "full",
    list(presets.ABLATIONS),
    f"What to take from the model (paper section 4.6). "
    f"{presets.describe(presets.ABLATIONS)}.",
)
_INIT_FROM = flags.path(
    "init_from", None, f"What to begin with, if not from nothing. {commands.CHECKPOINT}"
)

_PETAFLOP = flags.DEFINE_float(
    "petaflop",
    0.0,
    "Training cost in 1e15 floating-point operations, instead of --iterations: as many "
    "as it allows, so that methods are compared at equal cost.",
    lower_bound=0.0,
)

_DEFAULT = RunConfig()
# These two describe the poses themselves; no data set here has others.
_FIXED = ("joints", "condition")
_OTHERS = (*_FIXED, "method")  # which have no flag, or one of their own
# Of all commands, and part of what a run is or costs.
_SHARED = ("precision", "compilation_cache")
_ONCE = ("profile",)  # asked of one call, not of the run
_GROUPS: dict[str, Any] = {
    "data": _DEFAULT.data,
    "training": _DEFAULT.train,
    "flow": _DEFAULT.train.flow,
    "other methods": _DEFAULT.train.net,
    "losses": _DEFAULT.train.loss,
    "optimizer": _DEFAULT.train.optimizer,
    "augmentation": _DEFAULT.train.augment,
    "logging": _DEFAULT.loop,
}
for _name, _group in _GROUPS.items():
    flags.define_config(_group, _name, skip=_OTHERS)
flags.adopt(commands, _multihost)


def main(argv: Sequence[str]) -> int:
    """Trains; 0 when done, 130 when stopped by Ctrl-C, 143 by SIGTERM."""
    commands.no_arguments(argv)
    take_presets()
    beginning = take_weights() if _INIT_FROM.value is not None else None
    config = affordable(config_from_flags())
    tell_of_choice(config)
    _multihost.join_others()
    workdir = pathlib.Path(_WORKDIR.value)
    notes = {"flags.txt": flags.as_flagfile(_flag_names())}
    outcome = loop.train_and_evaluate(
        config, workdir, METHODS[_METHOD.value], notes=notes, beginning=beginning
    )
    if outcome.stopped_by is None:
        where = [flags.FLAGS[name].serialize() for name in ("dataset", "data_dir")]
        data = " ".join(text for text in where if not text.endswith("="))
        early = ""
        if outcome.step < outcome.total:
            early = f" of {outcome.total}, to the plateau"
        if outcome.step > outcome.total:
            early = f", more than the {outcome.total} asked for: nothing to do"
        print(
            f"trained {outcome.step} iterations{early} ({outcome.seconds:.0f} s in "
            f"this call); checkpoint in {workdir}; next: "
            f"python -m jaxflow.evaluate --checkpoint={workdir} {data}"
        )
        return 0
    kept = "before anything new" if outcome.abandoned else "and saved"
    print(
        f"stopped at step {outcome.step} of {outcome.total} {kept}; "
        "the same command goes on"
    )
    status = 128 + outcome.stopped_by
    if outcome.abandoned:  # or a compiler's thread still at work would be waited for
        sys.stdout.flush()
        os._exit(status)
    return status


def tell_of_choice(config: RunConfig) -> None:
    """Prints a warning where the test set would choose the checkpoint."""
    chosen = config.loop.keep_best or config.loop.patience
    if chosen and config.loop.validate_every and not config.train.held_out:
        print(
            "warning: no subject is held out, so the checkpoint is chosen on the test "
            "set, whose figures then flatter it; --hold_out=SUBJECT chooses fairly"
        )


def take_presets() -> None:
    """Makes the presets' values the flags' own, so that flags.txt has them, too.

    Raises:
      UserError: a flag was given a value that is not the ablation's, or a recipe or an
        ablation is of another method than the flow.
    """
    take_published(_METHOD.value)
    for name, value in presets.RECIPES[_RECIPE.value].values.items():
        if flags.FLAGS[name].present and flags.FLAGS[name].value != value:
            print(f"recipe {_RECIPE.value}, but with {flags.FLAGS[name].serialize()}")
        flags.FLAGS.set_default(name, value)
    for name, value in presets.ABLATIONS[_ABLATION.value].values.items():
        flag = flags.FLAGS[name]
        if flag.present and flag.value != value:
            raise UserError(
                f"--ablation={_ABLATION.value} means {name} = {value}, but "
                f"{flag.serialize()} was given; leave one of them out"
            )
        flags.FLAGS.set_default(name, value)


def take_published(method: str) -> None:
    """Makes what a method's authors trained it with the flags' defaults.

    Raises:
      UserError: a recipe or an ablation was asked for, which are the flow's.
    """
    asked = [flag for flag in (_RECIPE, _ABLATION) if flag.value != flag.default]
    if asked and method != "flow":
        raise UserError(
            f"--{asked[0].name}={asked[0].value} is of the flow, but the method is "
            f"{method}; leave one of them out"
        )
    for name, value in METHODS[method].published.items():
        if name != "iterations" or not flags.FLAGS["epochs"].present:
            flags.FLAGS.set_default(name, value)


def take_weights() -> loop.Beginning:
    """Reads what --init_from names, and makes its architecture the flags' own.

    A recipe's architecture yields to theirs; what a flag or an ablation says does not.

    Raises:
      CheckpointError: it is not there, damaged, or of no method.
      UserError: a flag asks for another architecture, or it is of a method that is
        computed, not trained.
    """
    name = _INIT_FROM.value
    if not name:
        raise UserError("expected --init_from=NAME or DIR; got none")
    model = methods.load(name)
    if METHODS[model.method].published.get("learning_rate") == 0:
        raise UserError(
            f"--init_from: {name} is of {model.method}, which is computed from all "
            f"frames at once, so there is nothing to go on from; train "
            f"--method={model.method} on the new frames without --init_from"
        )
    recipe = presets.RECIPES[_RECIPE.value].values
    # What it has by its default is asked for, too, where an ablation has set it.
    if not flags.FLAGS["method"].present:
        take_published(model.method)
    architecture = plain_config.to_dict(type(model.config)())
    published = METHODS[model.method].published
    usual = {
        "method": "flow",
        **{n: published.get(n, architecture[n]) for n in architecture},
    }
    theirs = {"method": model.method, **plain_config.to_dict(model.config)}
    for field, value in theirs.items():  # the method first
        if field in _FIXED:
            continue
        flag = flags.FLAGS[field]
        asked = flag.present or flag.value != recipe.get(field, usual[field])
        if flag.value != value and asked:
            raise UserError(
                f"{field} = {flag.value} was asked for, but the weights of "
                f"--init_from={name} have {value}; leave it out"
            )
        flags.FLAGS.set_default(field, value)
    params = jax.device_get(model.parameters())
    take_stage(name, model.method, params)
    return loop.Beginning(name, params)


def take_stage(name: str, method: str, params: Params) -> None:
    """Whether the affine layer learns alone again, before the blocks.

    It may where the blocks have not learned yet; its widths are known then, which is
    what likelihood is for.

    Args:
      name: of the weights.
      method: theirs.
      params: theirs, on the host.

    Raises:
      UserError: the stage is asked for, but the blocks have learned.
    """
    flags.FLAGS.set_default("affine_likelihood", 0)
    if method == "flow" and stack.idle(params):
        return
    stage = flags.FLAGS["affine_iterations"]
    if stage.present and stage.value and "affine" not in params:
        raise UserError(
            "--affine_iterations trains the affine layer, which the weights of "
            f"--init_from={name} have none of; leave it out"
        )
    if stage.present and stage.value:
        raise UserError(
            "--affine_iterations trains the affine layer before the blocks, which "
            f"those of --init_from={name} have behind them; leave it out"
        )
    flags.FLAGS.set_default(stage.name, 0)


def config_from_flags() -> RunConfig:
    """The run that the flags describe.

    Raises:
      ValueError: a value makes no sense.
    """
    parts = {
        name: flags.config(group, skip=_OTHERS)
        for name, group in _GROUPS.items()
        if name != "training"
    }
    train = flags.config(
        _DEFAULT.train,
        skip=_OTHERS,
        method=_METHOD.value,
        flow=parts["flow"],
        net=parts["other methods"],
        loss=parts["losses"],
        optimizer=parts["optimizer"],
        augment=parts["augmentation"],
    )
    return RunConfig(train=train, data=parts["data"], loop=parts["logging"])


def affordable(config: RunConfig) -> RunConfig:
    """The run, as long as --petaflop allows; the flag --iterations then says so.

    Raises:
      UserError: not even one iteration.
    """
    if not _PETAFLOP.value:
        return config
    method = METHODS[config.train.method]
    train = cost.within(config.train, method, _PETAFLOP.value)
    flags.FLAGS["iterations"].value = train.iterations
    return dataclasses.replace(config, train=train)


def _flag_names() -> list[str]:
    """Every flag of the run but its workdir, in the order of the groups."""
    fields = [f.name for group in _GROUPS.values() for f in dataclasses.fields(group)]
    known = [name for name in fields if name in flags.FLAGS and name not in _ONCE]
    return [*known, "method", "init_from", *_SHARED]


if __name__ == "__main__":
    commands.run(main)
