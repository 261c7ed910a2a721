"""Data sets as host records, and records as what the network sees."""

from jaxflow.data.records import (
    check_records,
    describe,
    load_records,
    prepared,
    protocol_stride,
    splits,
)
from jaxflow.data.seen import network_inputs, seen_blocks, targets_of, to_batch, to_raw
from jaxflow.data.subsets import (
    ambiguous,
    evenly,
    evenly_spaced,
    every_nth_per_action,
    of_subjects,
)

__all__ = [
    "ambiguous",
    "check_records",
    "describe",
    "evenly",
    "evenly_spaced",
    "every_nth_per_action",
    "load_records",
    "network_inputs",
    "of_subjects",
    "prepared",
    "protocol_stride",
    "seen_blocks",
    "splits",
    "targets_of",
    "to_batch",
    "to_raw",
]
