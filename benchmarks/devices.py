"""Data sheets of accelerators: the floors of what is measured on them.

A device's name, as JAX gives it -> operations and bytes a second at best; and what a
GPU takes to start a program's kernels
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Sheet(NamedTuple):
    """What one device does at best, by its maker's data sheet, without sparsity.

    Attributes:
      highest: float32 operations a second in exact products.
      high: of float32 arrays at JAX's precision "high": TF32, or three passes of a TPU.
      default: of float32 arrays in the fastest products: TF32, or bfloat16 on a TPU.
      bfloat16: in products of bfloat16 arrays.
      bandwidth: bytes a second from and to its memory.
    """

    highest: float
    high: float
    default: float
    bfloat16: float
    bandwidth: float

    def peak(self, precision: str) -> float:
        """Of products in the named precision: see `PRECISIONS`."""
        return getattr(self, precision)


def _gpu(flops: float, fast: float, bfloat16: float, bandwidth: float) -> Sheet:
    return Sheet(flops, fast, fast, bfloat16, bandwidth)


def _tpu(bfloat16: float, bandwidth: float) -> Sheet:
    """A matrix unit takes bfloat16: six passes for an exact product, three for high."""
    return Sheet(bfloat16 / 6, bfloat16 / 3, bfloat16, bfloat16, bandwidth)


LAUNCH = 2e-6  # seconds to start a kernel
# Of a call, `python -m benchmarks.aot PROGRAM h100`; of a bulk of tiles and of fits,
# whose loops the host follows, nobody can say beforehand.
KERNELS = {"training": 1015, "one": 78, "HRNet": 1261}
PRECISIONS = ("highest", "high", "default", "bfloat16")
# By a part of the name that JAX gives. A T4 has neither TF32 nor bfloat16. A device is
# half a chip of TPU v2 and v3, and a whole one of later TPUs.
SHEETS = {
    "H200": _gpu(67e12, 494e12, 989e12, 4.8e12),
    "H100": _gpu(67e12, 494e12, 989e12, 3.35e12),
    "A100": _gpu(19.5e12, 156e12, 312e12, 2.04e12),
    "L4": _gpu(30.3e12, 60e12, 121e12, 0.3e12),
    "T4": _gpu(8.1e12, 8.1e12, 8.1e12, 0.32e12),
    "TPU v2": _tpu(23e12, 0.3e12),
    "TPU v3": _tpu(61.5e12, 0.45e12),
    "TPU v4": _tpu(275e12, 1.2e12),
    "TPU v5 lite": _tpu(197e12, 0.82e12),
    "TPU v5": _tpu(459e12, 2.77e12),
    "TPU v6 lite": _tpu(918e12, 1.64e12),
}


def sheet(kind: str) -> Sheet | None:
    """Of a device by its name, such as "NVIDIA H200"; None where none is known."""
    names = (name for name in SHEETS if re.search(rf"\b{name}\b", kind))
    return next((SHEETS[name] for name in names), None)
