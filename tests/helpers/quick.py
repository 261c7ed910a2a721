"""How XLA compiles quickly in tests, most of whose time is compiling."""

import importlib.metadata

_JAXLIB = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))

# The older generator of CPU code takes a third of the time for a training iteration.
# Releases that no longer have it end the process at its name.
XLA_FLAGS = "--xla_cpu_use_fusion_emitters=false" if _JAXLIB < (0, 11) else ""
EIGHT_DEVICES = f"{XLA_FLAGS} --xla_force_host_platform_device_count=8"
