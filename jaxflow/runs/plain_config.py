"""Configurations as plain nested values, as checkpoints and documents hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain values, for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: Any, values: dict[str, Any]) -> Any:
    """The dataclass ``kind`` from `to_dict`'s values.

    A field that was added after the values were stored takes what its absence means,
    so that a run from before goes on as it began.

    Raises:
      ValueError: a field is unknown, or one is missing that was always there.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    absent = {
        name: field.metadata["before"]
        for name, field in fields.items()
        if "before" in field.metadata
    }
    values = absent | values
    if set(values) != set(fields):
        odd = sorted(set(values) ^ set(fields))
        raise ValueError(f"{kind.__name__} has other fields than the given: {odd}")
    parsed = {}
    for name, field in fields.items():
        nested = dataclasses.is_dataclass(field.default)
        value = values[name]
        parsed[name] = from_dict(type(field.default), value) if nested else value
    return kind(**parsed)


def differences(
    ours: dict[str, Any], theirs: dict[str, Any], skip: Collection[str] = ()
) -> list[str]:
    """Lines ``name: ours here, theirs there`` where nested plain values differ."""
    lines = []
    for name in sorted({*ours, *theirs} - set(skip)):
        left, right = ours.get(name), theirs.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            lines += differences(left, right, skip)
        elif left != right:
            lines.append(f"{name}: {left} here, {right} there")
    return lines
