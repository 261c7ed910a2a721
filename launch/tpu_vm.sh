#!/usr/bin/env bash
# Trains on a slice of Cloud TPU hosts: run it on every host, one process each.
#
#   launch/tpu_vm.sh FOLDER [TRAINING FLAGS]
#
# From your own machine, with NAME and ZONE of the slice:
#
#   all() { gcloud compute tpus tpu-vm ssh NAME --zone=ZONE --worker=all --command="$1"; }
#   all 'git clone REPOSITORY jaxflow'
#   all 'cd jaxflow && launch/tpu_vm.sh runs/h36m \
#       --flagfile=launch/flags/paper.flags --manual_dir=HUMAN36M'
#
# The hosts find each other; each takes its own cores' part of every batch. The first
# alone writes FOLDER, on its own disk unless that is a mounted one, and HUMAN36M must be
# on every host. If a host is lost the others end within a minute: the same command goes
# on from the newest checkpoint. A slice of a single host is fine, too, and so is
# launch/local.sh there. JAXFLOW_DRY_RUN=1 only prints the command.
set -euo pipefail
source "$(dirname "$0")/training"
prepare "${1:-}" "${ACCELERATOR:-tpu}"
shift
[ $# -gt 0 ] || set -- --flagfile=launch/flags/quickstart.flags
# A connection that is lost must not stop this host and with it all others.
trap '' HUP
run python -m jaxflow.train "$@" --multihost --workdir="$workdir"
