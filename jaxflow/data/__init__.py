"""Data sets as host records, and records as what the network sees."""

from jaxflow.data.records import (
    ambiguous,
    check_records,
    describe,
    every_nth_per_action,
    load_records,
    of_subjects,
    protocol_stride,
    splits,
    to_batch,
)

__all__ = [
    "ambiguous",
    "check_records",
    "describe",
    "every_nth_per_action",
    "load_records",
    "of_subjects",
    "protocol_stride",
    "splits",
    "to_batch",
]
