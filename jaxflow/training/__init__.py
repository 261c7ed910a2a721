"""Training: state, step, devices, checkpoints, logs, and the loop around them."""
