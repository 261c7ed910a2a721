"""Operations counted from programs whose count is known, or the compiler's own."""

import jax
import jax.numpy as jnp
import pytest

from jaxflow.maths import operations

A, B = jnp.ones((3, 4)), jnp.ones((4, 5))


def test_a_product_is_two_operations_a_number():
    assert operations.count(jnp.matmul, A, B) == 2 * 3 * 4 * 5
    assert operations.count(jax.vmap(jnp.matmul), A[None], B[None]) == 2 * 3 * 4 * 5


def test_loops_count_as_often_as_they_are_repeated():
    def seven(x):
        return jax.lax.scan(lambda c, _: (c @ jnp.ones((4, 4)), None), x, None, 7)[0]

    assert operations.count(seven, A) == 7 * 2 * 3 * 4 * 4
    assert operations.count(jax.jit(seven), A) == 7 * 2 * 3 * 4 * 4


def test_of_two_ways_the_dearer_counts():
    def either(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ B @ B.T, lambda x: x, x)

    assert operations.count(either, A) == 2 * 2 * 3 * 4 * 5


def test_a_loop_of_unknown_length_is_refused():
    def unknown(x):
        return jax.lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ B @ B.T, x)

    with pytest.raises(ValueError, match="unknown length"):
        operations.count(unknown, A)


def test_a_net_s_gradient_is_what_the_compiler_counts():
    """Within what number by number adds."""
    kernels = [jnp.ones((64, 256)), jnp.ones((256, 256)), jnp.ones((256, 8))]

    def loss(kernels, x):
        for kernel in kernels[:-1]:
            x = jax.nn.relu(x @ kernel)
        return jnp.sum((x @ kernels[-1]) ** 2)

    gradient, x = jax.grad(loss), jnp.ones((32, 64))
    compiled = jax.jit(gradient).lower(kernels, x).compile().cost_analysis()
    ours = operations.count(gradient, kernels, x)
    assert 0.9 < ours / compiled["flops"] <= 1.02
