"""Whether accelerators, too, keep the precision of a program's products."""

import jax


def assert_exact(function, *arguments):
    """Of a function that multiplies matrices: lowered, not compiled."""
    text = jax.jit(function).lower(*arguments).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert products and all("HIGHEST" in line for line in products)
