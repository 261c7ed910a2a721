"""Products by parts are exact ones, their derivatives too, and a TPU's alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow.maths import narrow, operations

# What a coupling net multiplies: its input, back to it, and its weights' gradient.
CASES = {
    "summed over few": ((24, 70), (24, 9, 11), (0,), (0,), (True, 3)),
    "few come out": ((24, 70), (70, 9, 11), (1,), (0,), (False, 3)),
    "few, of all rows": ((24, 9, 11), (70, 9, 11), (1, 2), (1, 2), (False, 3)),
    "summed over half": ((70, 48), (48, 9, 11), (1,), (0,), (True, 3)),
    "neither": ((70, 65), (65, 9, 11), (1,), (0,), None),
}


@pytest.fixture(params=CASES, name="case")
def _case(request):
    *shapes, left, right, form = CASES[request.param]
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4) for shape in shapes]
    return [np.float32(array) for array in arrays], left, right, form


@pytest.fixture(name="tpu")
def _tpu(monkeypatch):
    """As if there were one, for whom nothing is too small."""
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(narrow, "_LEAST", 1)


def compiled(left, right):
    return jax.jit(lambda a, b: narrow.product(a, b, left, right))


@pytest.mark.usefixtures("tpu")
def test_parts_give_what_float64_does(case):
    (a, b), left, right, form = case
    assert narrow._form(jnp.asarray(a), jnp.asarray(b), left) == form
    text = compiled(left, right).lower(a, b).as_text()
    assert text.count("bf16") > 3 if form else "bf16" not in text
    assert 0 < error(case) < 2**-21


@pytest.mark.usefixtures("tpu")
def test_two_parts_are_less_exact(case):
    """What "high" precision is on a TPU."""
    (a, b), left, _, form = case
    with jax.default_matmul_precision("high"):
        found = narrow._form(jnp.asarray(a), jnp.asarray(b), left)
        assert found == (form and (form[0], 2))
        if form:
            assert 2**-21 < error(case) < 2**-14


def error(case):
    """The largest, beside the largest sum of the terms' sizes."""
    (a, b), left, right, _ = case
    got = compiled(left, right)(a, b)
    want = np.tensordot(np.float64(a), np.float64(b), (left, right))
    terms = np.tensordot(np.abs(np.float64(a)), np.abs(np.float64(b)), (left, right))
    return np.abs(got - want).max() / terms.max()


@pytest.mark.usefixtures("tpu")
def test_it_has_the_product_s_derivatives(case, monkeypatch):
    arrays, left, right, _ = case
    arrays = [jnp.asarray(array) for array in arrays]
    along = [jnp.flip(array) for array in arrays]

    def both():
        def total(a, b):
            return jnp.sum(narrow.product(a, b, left, right) ** 2)

        backward = jax.jit(jax.grad(total, (0, 1)))(*arrays)
        _, forward = jax.jit(lambda: jax.jvp(total, arrays, along))()
        return jax.tree.leaves((backward, forward))

    by_parts = both()
    monkeypatch.setattr(narrow, "platform", lambda: "cpu")
    for ours, theirs in zip(by_parts, both(), strict=True):
        size = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * size)


@pytest.mark.usefixtures("tpu")
def test_lower_precision_and_other_numbers_are_left_to_the_compiler():
    a, b = jnp.ones((24, 70)), jnp.ones((24, 9))
    assert narrow._form(a, b, (0,))
    assert not narrow._form(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), (0,))
    with jax.default_matmul_precision("default"):
        assert not narrow._form(a, b, (0,))
    with jax.default_matmul_precision("highest"):
        assert narrow._form(a, b, (0,)).parts == 3


@pytest.mark.usefixtures("tpu")
def test_products_of_any_size_are_plain():
    """What is exported is for every platform, and has sizes that are not known yet."""
    (columns,) = jax.export.symbolic_shape("n")
    sizes = [
        jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((24, 70), (24, columns))
    ]
    exported = jax.export.export(compiled((0,), (0,)))(*sizes)
    assert "bf16" not in exported.mlir_module()
    assert compiled((0,), (0,))(jnp.ones((0, 70)), jnp.ones((0, 9))).shape == (70, 9)


@pytest.mark.usefixtures("tpu")
def test_operations_are_counted_as_everywhere():
    """Equal cost means the same number of iterations on every machine."""
    a, b = jnp.ones((24, 70)), jnp.ones((24, 9))
    counted = operations.count(lambda a, b: narrow.product(a, b, (0,), (0,)), a, b)
    assert counted == 2 * 24 * 70 * 9


def test_it_is_for_large_products_on_a_tpu(monkeypatch):
    few, many = (jnp.zeros((24, n)) for n in (200, 12_800))
    weights = jnp.zeros((24, 1028))
    assert not narrow._form(weights, many, (0,))
    monkeypatch.setattr(narrow, "platform", lambda: "tpu")
    assert narrow._form(weights, many, (0,)) and not narrow._form(weights, few, (0,))
