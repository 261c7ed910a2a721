"""What the compilers make of the programs for accelerators that are not at hand.

    python -m benchmarks.aot PROGRAM TARGET [--precision=high] [--by=40]

PROGRAM: one of `programs.PROGRAMS`, or all; TARGET: one of `targets.TARGETS`. Compiles
and reads; nothing is run, and no time here is a measurement. A TPU's compiler comes
with ``pip install -e '.[tpu]'``, NVIDIA's with ``.[cuda12]``, on any Linux machine.
"""
