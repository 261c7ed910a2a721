"""CMU motion capture from ASF and AMC files, seen by simulated cameras."""
