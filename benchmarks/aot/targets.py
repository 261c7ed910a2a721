"""Accelerators to compile for, without having one.

name -> devices that programs are lowered for, and how their compiler is called
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

# Before the compilers are loaded: look for no TPU, and let other processes load, too.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
from jax.experimental import topologies


class Target(NamedTuple):
    """A machine as its compiler knows it.

    Attributes:
      platform: of JAX's plugin.
      topology: the plugin's name of the machine.
      count: devices that a program may use.
      clock: cycles a second, inferred from the data sheet's peak; 0: the compiler
        estimates no cycles.
      description: of the device, where the plugin wants one.
    """

    platform: str
    topology: str
    count: int = 1
    clock: float = 0.0
    description: str = ""


# What CUDA says of an H100 SXM.
_H100 = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "shared_memory_per_core": 233472,
    "shared_memory_per_block_optin": 232448,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "memory_bandwidth": 3352320000000,
    "l2_cache_size": 52428800,
    "clock_rate_ghz": 1.98,
    "device_memory_size": 84929347584,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}


def _described(numbers: dict[str, float], capability: int, name: str) -> str:
    fields = " ".join(f"{field}: {number}" for field, number in numbers.items())
    return (
        f"gpu_device_info {{ {fields} cuda_compute_capability {{ major: {capability} "
        "} } platform_name: 'CUDA' runtime_version { major: 12 minor: 9 } "
        f"dnn_version_info {{ major: 9 minor: 8 }} device_description_str: '{name}'"
    )


TARGETS = {
    "v3": Target("tpu", "v3:2x2", clock=0.94e9),
    "v5e": Target("tpu", "v5e:2x2", clock=1.5e9),
    "v5e-2x2": Target("tpu", "v5e:2x2", count=4, clock=1.5e9),
    "v6e": Target("tpu", "v6e:2x2", clock=1.75e9),
    "h100": Target(
        "cuda", "1x1x1", description=_described(_H100, 9, "NVIDIA H100 80GB HBM3")
    ),
}


def devices(target: Target) -> tuple[Any, ...]:
    """Of a machine that is not here; raises where its compiler is not installed."""
    options: dict[str, str] = {}
    if target.description:
        options = {"target_config": target.description, "topology": target.topology}
    found = topologies.get_topology_desc(
        platform=target.platform, topology_name=target.topology, **options
    )
    return tuple(found.devices[: target.count])


def compiled(lowered: Any, target: Target) -> jax.stages.Compiled:
    """The program; kernels are not tried out, since there is nothing to try them on."""
    options: dict[str, Any] = {}
    if target.platform == "cuda":
        options = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}
    return lowered.compile(compiler_options=options)
