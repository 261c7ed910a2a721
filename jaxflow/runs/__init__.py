"""What every long job needs: whole files, one owner, signals, logs, checkpoints."""
