"""A command's flags: of its own, from dataclasses, and paths with ``~``.

Run as a program, a command defines its flags among absl's. Imported, it keeps them to
itself, so that several commands can be imported together, as in a notebook.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from jaxflow.config import DataConfig
from jaxflow.runs.errors import UserError

# What is defined by way of this module is the command's, also in its --help.
absl_flags.disclaim_key_flags()

CHECKPOINT = (
    "A run's workdir (its latest checkpoint, or its best with --keep_best), a "
    "checkpoint's folder, a file of weights, or the name of a model that comes with "
    "the package."
)

# Help of the flags that `Flags.data` reads.
_OWN_DATA = {
    "dataset": "TFDS builder of data_builders/; default: the set that the checkpoint "
    f"was trained on, or {DataConfig().dataset} where it does not say",
    "data_dir": "where built data sets lie; default: where the checkpoint's own lay if "
    "that is the set and still there, else $TFDS_DATA_DIR or ~/tensorflow_datasets",
}


class _PathParser(absl_flags.ArgumentParser[str]):
    """A path; ``~`` at its start is the home folder, which shells leave in flags."""

    def parse(self, argument: str) -> str:
        """The path as the system knows it."""
        return os.path.expanduser(argument)


class _PathListParser(absl_flags.ListParser):
    """Several paths, divided by commas."""

    def parse(self, argument: str | list[str]) -> list[str]:
        """Each as the system knows it."""
        return [os.path.expanduser(path) for path in super().parse(argument)]


def _is_number(value: float | None) -> bool:
    return value is None or not math.isnan(value)


class Flags:
    """Stands in a command for absl's module ``flags``.

    Attributes:
      FLAGS: the command's flags by name.
      required: names of those that must be given.
      adopted: names of modules whose flags its ``--help`` shows, too.
    """

    def __init__(self, module: str):
        """Begins without flags; module: the command's ``__name__``."""
        self._program = module == "__main__"
        self.FLAGS = absl_flags.FLAGS if self._program else absl_flags.FlagValues()
        self.required: list[str] = []
        self.adopted: list[str] = []
        if not self._program:
            self.FLAGS.mark_as_parsed()  # defaults can be looked at

    def __getattr__(self, name: str) -> Any:
        """Absl's DEFINE_* functions, which define among this command's flags."""
        function = getattr(absl_flags, name)

        def define(flag: str, *arguments: Any, **options: Any) -> Any:
            holder = function(flag, *arguments, flag_values=self.FLAGS, **options)
            if options.get("required"):
                self.required.append(flag)
            if name == "DEFINE_float":  # whose bounds nan passes
                absl_flags.register_validator(
                    flag, _is_number, "it must be a number", self.FLAGS
                )
            return holder

        return define

    def path(
        self, name: str, default: str | None, help: str, required: bool = False
    ) -> Any:
        """A string that names a file or folder, in which ``~`` is the home folder."""
        return self._define(_PathParser(), None, name, default, help, required)

    def paths(
        self, name: str, default: str | None, help: str, required: bool = False
    ) -> Any:
        """Several paths, divided by commas."""
        serializer = absl_flags.CsvListSerializer(",")
        parser = _PathListParser()
        return self._define(parser, serializer, name, default, help, required)

    def _define(
        self,
        parser: Any,
        serializer: Any,
        name: str,
        default: Any,
        help: str,
        required: bool,
    ) -> Any:
        if required:
            self.required.append(name)
        return absl_flags.DEFINE(
            parser,
            name,
            default,
            help,
            flag_values=self.FLAGS,
            serializer=serializer or absl_flags.ArgumentSerializer(),
            required=required,
        )

    def publish(self) -> None:
        """Adds an imported command's flags to absl's, since it is run after all."""
        if self._program:
            return
        absl_flags.FLAGS.append_flag_values(self.FLAGS)
        shown = [self.FLAGS[name] for name in self.FLAGS]
        for name in self.adopted:
            shown += absl_flags.FLAGS.get_key_flags_for_module(name)
        for flag in shown:
            absl_flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
        self._program = True

    def adopt(self, *modules: types.ModuleType) -> None:
        """Shows the flags of shared modules in this command's ``--help``."""
        self.adopted += [module.__name__ for module in modules]  # for `publish`
        for module in modules if self._program else ():
            absl_flags.adopt_module_key_flags(module)

    def define_data(self) -> None:
        """The flags that `data` reads."""
        self.define_config(DataConfig(), "data", texts=_OWN_DATA)

    def define_config(
        self,
        config: Any,
        group: str,
        skip: Sequence[str] = (),
        texts: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:
        """A flag for each plain field of a dataclass instance, with its help text.

        Args:
          config: gives names, defaults and help.
          group: heading under which ``--help`` lists them.
          skip: names of fields that get no flag.
          texts: help of fields in place of their own.
        """
        kinds: dict[type, str] = {
            bool: "DEFINE_bool",
            int: "DEFINE_integer",
            float: "DEFINE_float",
            str: "DEFINE_string",
        }
        for field in dataclasses.fields(config):
            default = getattr(config, field.name)
            if dataclasses.is_dataclass(default) or field.name in skip:
                continue
            kind = kinds[type(default)]
            if field.metadata.get("path"):
                kind = "path"
            more: tuple[Any, ...] = ()
            if choices := field.metadata.get("choices"):
                kind, more = "DEFINE_enum", (list(choices),)
            said = texts.get(field.name, field.metadata["help"])
            text = f"[{group}] {said}"
            getattr(self, kind)(field.name, default, *more, text)
            if self._program:
                absl_flags.declare_key_flag(field.name)

    def config(self, config: Any, skip: Sequence[str] = (), **others: Any) -> Any:
        """The dataclass with the values that its flags have.

        Args:
          config: gives the fields, and the values of those without a flag.
          skip: names of fields that have no flag.
          **others: further values, by field: set at once with the flags', since the
            dataclass checks them together.

        Raises:
          UserError: the dataclass refuses a value.
        """
        values = {
            field.name: self.FLAGS[field.name].value
            for field in dataclasses.fields(config)
            if not dataclasses.is_dataclass(getattr(config, field.name))
            and field.name not in skip
        }
        try:
            return dataclasses.replace(config, **values, **others)
        except ValueError as error:
            raise UserError(str(error)) from error

    def data(self, checkpoints: Sequence[str]) -> DataConfig:
        """The data set of --dataset, or else the one that checkpoints were trained on.

        Where that is the same, it is looked for where it lay. Checkpoints from before
        they knew it leave the defaults.

        Args:
          checkpoints: folders as `checkpoint.load_config` takes them.

        Raises:
          CheckpointError: one is missing or damaged.
          UserError: they were trained on different sets, and none is said.
        """
        from jaxflow.flow import checkpoint  # brings orbax, which few commands need

        ours: DataConfig = self.config(DataConfig())
        said, placed = (self.FLAGS[name].present for name in ("dataset", "data_dir"))
        if said and placed:
            return ours
        sources = [checkpoint.load_source(folder) for folder in checkpoints]
        known = [source for source in sources if source is not None]
        names = sorted({source.dataset for source in known})
        if said:
            names = [ours.dataset]
        if len(names) > 1:
            raise UserError(
                f"the checkpoints were trained on different data sets "
                f"({', '.join(names)}); say with --dataset which to take"
            )
        same = [source for source in known if source.dataset == names[0]]
        if not same:
            return ours
        if not said:
            print(f"data set: {names[0]}, as the checkpoint was trained on")
        folder = ours.data_dir
        if not placed and os.path.isdir(same[0].data_dir):
            folder = same[0].data_dir
        return dataclasses.replace(ours, dataset=names[0], data_dir=folder)

    def as_flagfile(self, names: Sequence[str]) -> str:
        """The named flags' present values, as a text that ``--flagfile`` reads."""
        flags = [
            (self.FLAGS if name in self.FLAGS else absl_flags.FLAGS)[name]
            for name in names
        ]
        lines = [flag.serialize() for flag in flags]
        return "\n".join(line for line in lines if line) + "\n"
