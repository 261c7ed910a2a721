#!/usr/bin/env bash
# Trains on this machine, on all of its devices: a CPU, GPUs, or the cores of one TPU host.
#
#   launch/local.sh FOLDER [TRAINING FLAGS]
#
# e.g. launch/local.sh runs/h36m --flagfile=launch/flags/paper.flags --manual_dir=HUMAN36M
#
# Without flags: --flagfile=launch/flags/quickstart.flags. FOLDER gets the run. Stop it
# whenever you like, the same command goes on. JAX for the machine's accelerator is
# installed into .venv first; launch/training has the variables that overrule things.
set -euo pipefail
source "$(dirname "$0")/training"
prepare "${1:-}" "$(accelerator)"
shift
[ $# -gt 0 ] || set -- --flagfile=launch/flags/quickstart.flags
run python -m jaxflow.train "$@" --workdir="$workdir"
