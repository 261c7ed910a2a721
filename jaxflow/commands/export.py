"""Writes a model as one file: to run without this package, or to be handed on.

    python -m jaxflow.export --checkpoint=DIR --out=sampler.onnx --format=onnx
    python -m jaxflow.export --checkpoint=DIR --out=sampler.bin --format=stablehlo
    python -m jaxflow.export --checkpoint=DIR --out=NAME.npz --format=weights

stablehlo and onnx are the sampler alone, at a temperature of 1 and without what was
fitted to calibrate it. Fits (b, 16, 7), 2D joints (b, 16, 2) and normal noise (b, m,
16) in, hypotheses (b, m, 17, 3) in metres out, for any b and m. The file is read back
and compared with the checkpoint before it takes its name, and a short program that uses
it is printed. Of other methods than the flow there is a StableHLO file: it takes seeds
(b, 2) and a temperature in place of the noise, and draws --num_hypotheses.
--check compares a file that is there already and writes nothing.

ONNX needs the extra `onnx-export`; StableHLO (for JAX, which reads it for six months of
its releases, on cpu, cuda and tpu) the extra `export`.

Weights are what this package itself reads, wherever a checkpoint's folder is given:
parameters in float16, configuration, what was fitted and provenance in a plain .npz;
--line says in a line what the model is, --figures takes a file of jaxflow.evaluate.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from jaxflow import commands, methods
from jaxflow.config import MOST_HYPOTHESES
from jaxflow.flow import exported, onnx_graph
from jaxflow.methods import exported as sampler_files
from jaxflow.methods import weights
from jaxflow.methods.flow import FlowModel
from jaxflow.runs import files, weights_file
from jaxflow.runs.errors import UserError
from jaxflow.types import Model

flags = commands.Flags(__name__)

_CHECKPOINT = flags.path("checkpoint", None, commands.CHECKPOINT, required=True)
_OUT = flags.path("out", None, "The file to write.", required=True)
_FORMAT = flags.DEFINE_enum(
    "format", None, [*exported.FORMATS, "weights"], "What to write.", required=True
)
_CHECK = flags.DEFINE_bool(
    "check", False, "Only compare the file with the checkpoint; write nothing."
)
_NUMBER = flags.DEFINE_integer(
    "num_hypotheses",
    200,
    "Of a StableHLO file of another method than the flow: how many it draws.",
    lower_bound=1,
    upper_bound=MOST_HYPOTHESES,
)
_LINE = flags.DEFINE_string(
    "line", "", "Of weights: what the model is, for jaxflow.pretrained()."
)
_FIGURES = flags.path(
    "figures", None, "Of weights: what jaxflow.evaluate --out has written of the model."
)
flags.adopt(commands)

_WRITERS = {"stablehlo": exported.to_stablehlo, "onnx": onnx_graph.to_onnx}
_READERS = {"stablehlo": exported.open_stablehlo, "onnx": onnx_graph.open_onnx}


def main(argv: Sequence[str]) -> None:
    """Loads, writes aside, compares, gives it its name."""
    commands.no_arguments(argv)
    kind, suffix = _FORMAT.value, weights_file.SUFFIX
    if kind == "weights" and not _OUT.value.endswith(suffix):
        raise UserError(f"expected --out=NAME{suffix}; got {_OUT.value}")
    out = files.check_file(_OUT.value, "--out")
    if kind == "weights":
        return _hand_on(out)
    model = methods.load(_CHECKPOINT.value)
    content = out.read_bytes() if _CHECK.value else _written(model, kind)
    try:
        difference = _difference(_READERS[kind](content), model)
    except ValueError as error:
        raise UserError(f"{out}: {error}") from error
    if not _CHECK.value:
        files.write_bytes(out, content)
    verb = "checked" if _CHECK.value else "written"
    print(
        f"{verb}: {out}, {len(content) / 1e6:.1f} MB; poses differ from the "
        f"checkpoint's by at most {difference:.1g} of the largest coordinate\n"
    )
    seeded = not isinstance(model, FlowModel)
    print(exported.program(kind, str(out), seeded=seeded))


def _written(model: Model, kind: str) -> bytes:
    if isinstance(model, FlowModel):
        return _WRITERS[kind](model.active, model.config.clamp)
    if kind != "stablehlo":
        raise UserError(
            f"{_CHECKPOINT.value} holds the method {model.method}; expected a flow for "
            f"{kind}, or --format=stablehlo"
        )
    return sampler_files.to_stablehlo(model, _NUMBER.value)


def _difference(run: exported.Sampler, model: Model) -> float:
    if isinstance(model, FlowModel):
        return exported.check(run, model.active, model.config.clamp)
    return sampler_files.check(run, model, _NUMBER.value)


def _hand_on(out: pathlib.Path) -> None:
    """Writes a file of weights, or compares one with the checkpoint."""
    if not _CHECK.value:
        figures = weights.read_figures(_FIGURES.value) if _FIGURES.value else None
        content = weights.to_bytes(_CHECKPOINT.value, _LINE.value, figures)
        files.write_bytes(out, content)
    moved = weights.check(methods.load(_CHECKPOINT.value), methods.load(out))
    print(
        f"{'checked' if _CHECK.value else 'written'}: {out}, "
        f"{out.stat().st_size / 1e6:.1f} MB; joints move by {moved:.2g} of their mean "
        f"distance from the hip\nnext: python -m jaxflow.predict --checkpoint={out} ..."
    )


if __name__ == "__main__":
    commands.run(main)
