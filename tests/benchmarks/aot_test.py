"""What is read off compiled programs, and that a TPU's compiler takes ours."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks.aot import reading

MODULE = """HloModule small, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %add.1 = f32[] add(%a, %b)
}

%inner (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[], f32[8]{0}) parameter(0)
  %x = f32[8]{0} get-tuple-element(%p), index=1
  %dot.3 = f32[8]{0} fusion(%x), kind=kLoop, calls=%fused, \
metadata={op_name="jit(f)/while/body/dot"}, backend_config={"estimated_cycles":"70"}
  ROOT %tuple.1 = (s32[], f32[8]{0}) tuple(%i, %dot.3)
}

%outer (q: (s32[], f32[8])) -> (s32[], f32[8]) {
  %while.2 = (s32[], f32[8]{0}) while(%q), condition=%known, body=%inner, \
backend_config={"known_trip_count":{"n":"5"}}
  %all-reduce.1 = f32[8]{0} all-reduce(%x), to_apply=%sum, \
backend_config={"estimated_cycles":"10"}
  ROOT %copy.1 = (s32[], f32[8]{0}) copy(%while.2)
}

%known (r: (s32[], f32[8])) -> pred[] {
  ROOT %compare.1 = pred[] compare(%i, %n), direction=LT
}

%below (r: (s32[], f32[8])) -> pred[] {
  %constant.1 = s32[] constant(3)
  ROOT %compare.3 = pred[] compare(%i, %constant.1), direction=LT
}

%unknown (r: (s32[], f32[8])) -> pred[] {
  %constant.2 = s32[] constant(3)
  ROOT %compare.2 = pred[] and(%going, %finite)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %sort.1 = f32[8]{0} sort(%x), to_apply=%sum, backend_config={"estimated_cycles":"3"}
  %while.3 = (s32[], f32[8]{0}) while(%t), condition=%below, body=%inner
  ROOT %while.1 = (s32[], f32[8]{0}) while(%t), condition=%unknown, body=%outer
}
"""


def test_a_loop_of_known_length_counts_so_often_and_another_once():
    figures = reading.figures(MODULE)
    # Five fusions, an all-reduce, a copy and a predicate a trip.
    assert figures.kernels_a_trip == 5 + 1 + 1 + 1
    # A sort, and three fusions whose number the loop's own predicate tells.
    assert figures.kernels == figures.kernels_a_trip + 1 + 3 * 2
    assert figures.cycles_a_trip == 5 * 70 + 10
    assert figures.cycles == figures.cycles_a_trip + 3 + 3 * 70
    assert figures.collectives == {"all-reduce": 1}


def test_kernels_are_listed_by_where_they_come_from():
    rows = reading.by_source(MODULE)
    assert rows[0] == ("f/while/body/dot", 8, 560)
    assert sum(count for _, count, _ in rows) == reading.figures(MODULE).kernels


def test_products_are_told_apart_by_their_precision():
    exact = "%1 = stablehlo.dot_general %a, %b, precision = [HIGHEST, HIGHEST] : f32"
    quick = "%2 = stablehlo.dot_general %a, %b, precision = [DEFAULT, DEFAULT] : f32"
    assert reading.exact_products(f"{exact}\n{quick}\n%3 = add") == (1, 2)
    halves = f"{quick[:-5]}: (tensor<6x24x8xbf16>, tensor<6x24x9xbf16>) -> tensor<8x9x"
    assert reading.exact_products(f"{halves}f32>\n{halves}bf16>") == (1, 2)


def compiled(program: str, target: str) -> dict[str, str]:
    """A row of ``python -m benchmarks.aot``, by column; skips without the compiler."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed")
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "false"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.aot", program, target],
        cwd=pathlib.Path(__file__).resolve().parents[2],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    heads, _, cells = done.stdout.strip().splitlines()
    names, values = ([c.strip() for c in line.split("|")] for line in (heads, cells))
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize(
    "program", ["sampler-tiny", pytest.param("sampler-1", marks=pytest.mark.slow)]
)
def test_a_sampler_compiles_for_a_tpu_with_exact_products(program):
    row = compiled(program, "v5e")
    exact, products = row["exact products"].split(" of ")
    assert exact == products and int(products) > 6
    assert float(row["temporary MiB"]) < 4
    assert row["collectives"] == "none"


@pytest.mark.slow
def test_training_compiles_for_four_tpus_in_place_with_few_collectives():
    """Critic, flow, losses and the critic's mean; the rows of both samples of MMD."""
    row = compiled("dispatch-tiny", "v5e-2x2")
    exact, products = row["exact products"].split(" of ")
    assert exact == products
    assert row["collectives"] == "4 all-reduce, 2 all-gather"
    aliased, state = map(float, row["aliased MiB"].split(" of "))
    assert state <= aliased < 1.1 * state
    assert float(row["temporary MiB"]) < 40
