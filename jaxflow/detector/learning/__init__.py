"""Training a detector: targets, examples, one step, the loop around it."""
