"""Prints the table; see the package's docstring."""

from __future__ import annotations

import pathlib
import sys
import time
from typing import Any

from benchmarks.aot import targets  # first: it says how the compilers are loaded

# isort: split
import jax

from benchmarks import aot, common, devices
from benchmarks.aot import programs, reading

COLUMNS = (
    "program",
    "target",
    "compiled, s",
    "GFLOP",
    "MB",
    "temporary MiB",
    "aliased MiB",
    "exact products",
    "collectives",
    "kernels (a trip)",
    "estimate, ms (a trip)",
    "floor, ms",
)


def row(name: str, target_name: str, precision: str, text: pathlib.Path | None) -> list:
    """Compiles a program for a target, and reads it."""
    target = targets.TARGETS[target_name]
    program = programs.make(name, targets.devices(target))
    began = time.perf_counter()
    compiled = targets.compiled(program.lowered, target)
    took, module = time.perf_counter() - began, compiled.as_text()
    if text is not None:
        text.write_text(module)
    found, memory = reading.figures(module), compiled.memory_analysis()
    cost: Any = compiled.cost_analysis() or {}
    exact, products = reading.exact_products(program.lowered.as_text())
    estimate = "not estimated"
    if target.clock:
        whole, trip = (1e3 * c / target.clock for c in found[2:4])
        estimate = f"{whole:.3g}" + (f" ({trip:.3g})" if trip else "")
    return [
        name,
        target_name,
        f"{took:.0f}",
        f"{cost['flops'] / 1e9:.2f}" if cost else "-",
        f"{cost['bytes accessed'] / 1e6:,.0f}" if cost else "-",
        f"{memory.temp_size_in_bytes / 2**20:.1f}",
        f"{memory.alias_size_in_bytes / 2**20:.1f} of {program.state / 2**20:.1f}",
        f"{exact} of {products}",
        ", ".join(f"{n} {kind}" for kind, n in found.collectives.items()) or "none",
        f"{found.kernels:,}"
        + (f" ({found.kernels_a_trip:,})" if found.kernels_a_trip else ""),
        estimate,
        floor(program.flops, targets.devices(target)[0].device_kind, precision),
    ]


def floor(flops: float, kind: str, precision: str) -> str:
    """Milliseconds that the products take at best."""
    sheet = devices.sheet(kind)
    if not flops or sheet is None:
        return "-"
    return f"{1e3 * flops / sheet.peak(precision):.3g}"


def main() -> int:
    """Prints a line for each program."""
    parser = common.parser(aot.__doc__)
    names = [*programs.PROGRAMS, "all"]
    parser.add_argument("program", choices=names)
    parser.add_argument("target", choices=list(targets.TARGETS))
    parser.add_argument(
        "--precision", default="highest", choices=devices.PRECISIONS[:3]
    )
    parser.add_argument(
        "--text", type=pathlib.Path, help="file for the compiled module"
    )
    parser.add_argument("--by", type=int, default=0, help="sources of kernels to list")
    options = parser.parse_args()
    if options.precision != "highest":
        jax.config.update("jax_default_matmul_precision", options.precision)
    chosen = names[:-1] if options.program == "all" else [options.program]
    text = options.text or (pathlib.Path("module.txt") if options.by else None)
    rows, failed = [], 0
    for name in chosen:
        try:
            rows.append(row(name, options.target, options.precision, text))
        except Exception as error:  # the next program may compile
            print(f"{name} for {options.target}: {error}", file=sys.stderr)
            failed += 1
    print(common.markdown(COLUMNS, rows))
    if options.by and text is not None:
        sources = reading.by_source(text.read_text(), options.by)
        table = [[name, f"{n:,}", f"{cycles:,}"] for name, n, cycles in sources]
        print("\n" + common.markdown(("source", "kernels", "cycles"), table))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
