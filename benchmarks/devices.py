"""Data sheets of accelerators: the floors of what is measured on them.

A device's name, as JAX gives it -> operations and bytes a second at best
"""

from __future__ import annotations

from typing import NamedTuple


class Sheet(NamedTuple):
    """What one device does at best, by its maker's data sheet, without sparsity.

    Attributes:
      flops: float32 operations a second in exact products.
      fast: the same in the fastest products that float32 arrays may take: TF32, or
        bfloat16 on a TPU.
      bfloat16: in products of bfloat16 arrays.
      bandwidth: bytes a second from and to its memory.
    """

    flops: float
    fast: float
    bfloat16: float
    bandwidth: float

    def peak(self, precision: str) -> float:
        """Of products in the named precision: see `PRECISIONS`."""
        if precision == "bfloat16":
            return self.bfloat16
        return self.flops if precision == "highest" else self.fast


PRECISIONS = ("highest", "high", "default", "bfloat16")
# The first whose name is part of the device's. A T4 has neither TF32 nor bfloat16; a
# TPU v3 device is a core, half a chip, and takes six passes for an exact product.
SHEETS = {
    "H200": Sheet(67e12, 494e12, 989e12, 4.8e12),
    "H100": Sheet(67e12, 494e12, 989e12, 3.35e12),
    "A100": Sheet(19.5e12, 156e12, 312e12, 2.04e12),
    "T4": Sheet(8.1e12, 8.1e12, 8.1e12, 0.32e12),
    "TPU v3": Sheet(61.5e12 / 6, 61.5e12, 61.5e12, 0.45e12),
}


def sheet(kind: str) -> Sheet | None:
    """Of a device by its name, such as "NVIDIA H200"; None where none is known."""
    return next((found for name, found in SHEETS.items() if name in kind), None)
