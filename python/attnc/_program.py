# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The definition of a spec, op by op, as the library has parsed it.

The ops are those of the attn dialect, and of arith and math of MLIR (docs/Dialects.md). A scalar op stands within the
region of a stage, which says for which indices it is evaluated.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Value:
    """What an op yields, or an argument of a region. `axes` is None for a scalar; `type` is "f32", "i32", "i1", ..., or
    "dtype" for the element type that Q, K and V share."""

    id: int
    type: str
    axes: tuple[str | int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """Ops that are evaluated at each index; the arguments are the indices. The last op yields the values."""

    arguments: tuple[Value, ...]
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """An op: `operands` are ids of values; a region that is not written is None; `line` is the spec's, 0 if unknown."""

    name: str
    operands: tuple[int, ...]
    results: tuple[Value, ...]
    attributes: Mapping[str, Any]
    regions: tuple[Region | None, ...]
    line: int

    def segments(self, kind: str = "operandSegmentSizes") -> list[tuple[int, ...]]:
        """The operands in the groups that the op declares, optional ones as groups of none."""
        groups, start = [], 0
        for size in self.attributes[kind]:
            groups.append(self.operands[start:start + size])
            start += size
        return groups


def parse(text: str) -> tuple[Op, ...]:
    """The ops of a variant's body from attnc_spec_definition_json."""
    return tuple(_op(data) for data in json.loads(text))


def walk(ops: tuple[Op, ...]) -> Iterator[Op]:
    """All ops, those of regions behind the op that has them."""
    for op in ops:
        yield op
        for region in op.regions:
            if region is not None:
                yield from walk(region.ops)


def _op(data: Mapping[str, Any]) -> Op:
    return Op(data["op"], tuple(data["operands"]), tuple(map(_value, data["results"])), data["attributes"],
              tuple(_region(region) if region else None for region in data["regions"]), data.get("line", 0))


def _value(data: Mapping[str, Any]) -> Value:
    return Value(data["id"], data["type"], tuple(data["axes"]) if "axes" in data else None)


def _region(data: Mapping[str, Any]) -> Region:
    return Region(tuple(map(_value, data["arguments"])), tuple(map(_op, data["ops"])))
